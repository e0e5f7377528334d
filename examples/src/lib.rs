//! What the examples share: showing a trail of attempts in a terminal.

mod paint;
mod table;

pub use paint::{Paint, Wrapped, seconds, tint};
pub use table::attempts;

/// The examples of the project's README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
