//! Failover and fan-out over language models.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempt;
mod budget;
mod call;
mod candidate;
mod client;
mod contain;
mod course;
mod estimate;
mod failover;
mod fan_out;
mod flight;
mod hedge;
mod line;
mod mode;
mod money;
mod observer;
mod order;
mod panel;
mod policy;
mod race;
mod report;
mod run;
mod stream;
mod timeouts;
mod traffic;

pub use attempt::{Attempt, Launch, Outcome, Phase};
pub use budget::RetryBudget;
pub use call::{Call, InputError};
pub use candidate::{Candidate, StreamMode};
pub use circuit_breaker;
pub use client::{ClientBuilder, ResilientClient};
pub use estimate::estimate_cost;
pub use fan_out::FanOut;
pub use hedge::Hedge;
pub use llm_protocol;
pub use mode::ModeError;
pub use money::{Cost, Price};
pub use observer::Observer;
pub use order::{FastestFirstToken, LeastInFlight, Lineup, Listed, Order, RoundRobin, Standing, Weighted};
pub use panel::Panel;
pub use policy::{Policy, Step};
pub use report::{Ended, NoAnswer, Quorum, QuorumPolicy, Report, SCHEMA, Strategy};
pub use stream::{FailoverStream, StreamError};
pub use timeouts::Timeouts;
