//! For tests: what every backend has to pass, and backends that do as a test says.
//!
//! - [`contract`] puts a backend of your own through the rules that callers rely on.
//! - [`MockBreaker`], [`MockLimiter`] and [`MockRotation`] stand in for a backend where a test wants to say what it
//!   answers, and see what it is told. [`predicate`] and [`Sequence`] are `mockall`'s, for `with` and `in_sequence`.

pub mod contract;
mod mocks;

pub use mockall::{Sequence, predicate};
pub use mocks::{MockBreaker, MockLimiter, MockRotation};
