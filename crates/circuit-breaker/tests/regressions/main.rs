//! What went wrong in other circuit breakers, and does not here. Each test names the failure that it guards against.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod herds;
mod stale;
mod wedges;

use std::num::NonZeroU32;
use std::time::Duration;

use circuit_breaker::{Percent, Preset, Rates, Settings, Window};

const COOLDOWN: Duration = Duration::from_secs(120);
const HOLD: Duration = Duration::from_secs(600);

fn n(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

/// Half of the calls in a window, two at least.
fn half_of(window: Window) -> Settings {
    let rates = Rates::failures(Percent::new(50).unwrap(), window).minimum_calls(n(2));
    Settings::default().trip(rates)
}

/// One of each kind; two failures open every one of them.
fn kinds() -> Vec<(&'static str, Settings)> {
    let consecutive = |preset| Settings::from(preset).failure_threshold(n(2));
    vec![
        ("in a row", consecutive(Preset::Standard)),
        ("in a row, three probes", consecutive(Preset::Standard).probes(Some(n(3)))),
        ("the last calls", half_of(Window::Calls(n(10)))),
        ("the last calls, three probes", half_of(Window::Calls(n(10))).probes(Some(n(3)))),
        ("the last minute, three probes", half_of(Window::Time(Duration::from_secs(60))).probes(Some(n(3)))),
    ]
}
