//! The measuring part of the benchmarks: rows that run in turns, so that what disturbs one disturbs its floor and its
//! peer as well, and ratios with their spread.
//!
//! A benchmark is a program with a list of [`Group`]s of [`Row`]s, and [`run`] as its `main`.

mod cli;
mod instructions;
mod machine;
mod python;
mod report;
mod rounds;
mod row;
mod stats;
mod table;
mod team;

pub use cli::run;
pub use machine::{facts, load};
pub use python::driver;
pub use row::{Body, Failure, Group, Maker, Row, Target, Walk, each};
pub use stats::{Spread, percentile, ratios};
pub use table::{Table, number};
