//! The breaker's scripts, what they are asked with, and what they answer.

use std::time::Duration;

use redis::{Value, from_redis_value};
use tokio::time::Instant;

use crate::redis::script::{Arg, Rules, Script, micros, script};
use crate::settings::{Rates, Settings, Trip, Window};
use crate::status::{Counts, Mode, State};

/// What each of them touches: the circuit, its probes' leases, leases given up, reporters, and the two kinds of window.
const KEYS: &[&str] = &["b", "bp", "bx", "br", "bc", "bt"];

pub(super) static LOOK: Script = script!(KEYS, "breaker/circuit.lua", "breaker/look.lua");
pub(super) static ASK: Script = script!(KEYS, "breaker/circuit.lua", "breaker/ask.lua");
pub(super) static END: Script = script!(KEYS, "breaker/circuit.lua", "breaker/end.lua");
pub(super) static TRIP: Script = script!(KEYS, "breaker/circuit.lua", "breaker/trip.lua");
pub(super) static NOTE: Script = script!(KEYS, "breaker/circuit.lua", "breaker/note.lua");
pub(super) static MODE: Script = script!(KEYS, "breaker/circuit.lua", "breaker/mode.lua");

/// The rules as every script takes them. Where there is jitter, it is drawn anew each time.
pub(super) fn rules(settings: &Settings) -> Rules {
    let percent = |share: Option<crate::Percent>| Arg::Number(share.map_or(0, |share| share.get().into()));
    let span = |span: Option<Duration>| Arg::Number(span.map_or(0, |span| micros(span).max(1)));
    let (trip, size, least, failures, slow) = match settings.trip {
        Trip::Consecutive(failures) => ("row", failures.get().into(), 0, None, None),
        Trip::Rates(Rates { window, minimum_calls, failures, slow }) => {
            let (name, size) = match window {
                Window::Calls(calls) => ("calls", calls.get().into()),
                Window::Time(time) => ("time", micros(time)),
            };
            (name, size, minimum_calls.get().into(), failures, slow.map(|slow| slow.share))
        }
    };
    let jitter = settings.jitter.map_or(0.0, |share| f64::from(share.get()) / 100.0 * fastrand::f64());
    let rules = [
        Arg::Word(trip),
        Arg::Number(size),
        Arg::Number(least),
        percent(failures),
        percent(slow),
        Arg::Number(micros(settings.cooldown)),
        span(settings.longest_cooldown),
        Arg::Real(jitter),
        Arg::Number(settings.probes.map_or(0, |probes| probes.get().into())),
        span(settings.longest_half_open),
        Arg::Number(micros(settings.max_hold)),
    ];
    rules.into_iter().collect()
}

/// What the store says of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) said: Said,
    pub(super) view: View,
    pub(super) probes: u32,
    pub(super) counts: Counts,
    pub(super) openings: u32,
    pub(super) in_state: Duration,
}

/// What the one who asked is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Go,
    GoAsProbe,
    No,
}

/// Where a circuit stood when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: State,
    pub(super) mode: Mode,
    pub(super) epoch: u64,
    pub(super) failures: u32,
    /// When its cooldown ends.
    pub(super) until: Instant,
    /// When it was asked for. What is known cannot be older than that.
    pub(super) asked: Instant,
    /// When the answer came.
    pub(super) heard: Instant,
    /// The store has not said so yet.
    pub(super) expected: bool,
}

impl Answer {
    /// Reads an answer to what was asked then; `None` where it is none of this version's.
    pub(super) fn read(value: Value, asked: Instant) -> Option<Self> {
        let numbers: Vec<u64> = from_redis_value(value).ok()?;
        let &[said, state, mode, epoch, rest, failures, probes, calls, failed, slow, openings, in_state, ..] =
            numbers.as_slice()
        else {
            return None;
        };
        let heard = Instant::now();
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Some(Self {
            said: match said {
                1 => Said::Go,
                2 => Said::GoAsProbe,
                3 => Said::No,
                _ => Said::Nothing,
            },
            view: View {
                state: match state {
                    0 => State::Closed,
                    1 => State::Open,
                    _ => State::HalfOpen,
                },
                mode: match mode {
                    0 => Mode::Automatic,
                    1 => Mode::ForcedOpen,
                    2 => Mode::ForcedClosed,
                    _ => Mode::Disabled,
                },
                epoch,
                failures: small(failures),
                // It was so when the store answered, which is later than it was asked: the cooldown is never cut short.
                until: heard + Duration::from_micros(rest),
                asked,
                heard,
                expected: false,
            },
            probes: small(probes),
            counts: Counts { calls, failures: failed, slow },
            openings: small(openings),
            in_state: Duration::from_micros(in_state),
        })
    }
}
