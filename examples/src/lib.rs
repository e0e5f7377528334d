//! What the examples share: showing a trail of attempts in a terminal.

mod paint;
mod table;

pub use paint::{Paint, Wrapped, seconds, tint};
pub use table::attempts;
