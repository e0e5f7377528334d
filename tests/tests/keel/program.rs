//! Programs for both breakers: what callers do, step by step, and what is seen after each.

use std::num::NonZeroU32;
use std::time::Duration;

use circuit_breaker::{Preset, Settings};
use serde_json::{Value, json};

use crate::keel;

pub(crate) const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// A call asks under a key. If it may go out, it is held.
    Admit(&'static str),
    /// One of the calls that are held ends: which one is counted from the oldest, over and over.
    End(usize, How),
    /// Eighths of a second pass.
    Wait(u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum How {
    Success,
    Failure,
    /// It ends, and nothing can be said of the service.
    Neutral,
    /// It was cancelled.
    Dropped,
}

impl How {
    /// What keel is told. It has no word for calls that say nothing of the service.
    const fn recorded(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Neutral | Self::Dropped => "nothing",
        }
    }
}

impl Step {
    fn json(&self) -> Value {
        match *self {
            Self::Admit(key) => json!(["admit", key]),
            Self::End(call, how) => json!(["end", call, how.recorded()]),
            Self::Wait(eighths) => json!(["wait", eighths]),
        }
    }
}

pub(crate) fn eighths(count: u32) -> Duration {
    Duration::from_millis(125) * count
}

#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// `None` for the preset as it is.
    pub(crate) settings: Option<(u32, u32)>,
    /// While a call is held, others under its key are only asked for, and given back: so no result is late.
    pub(crate) one_at_a_time: bool,
    pub(crate) steps: Vec<Step>,
}

impl Program {
    /// With the preset as it is, any number of calls at a time.
    pub(crate) fn of(steps: &[Step]) -> Self {
        Self { settings: None, one_at_a_time: false, steps: steps.to_vec() }
    }

    pub(crate) fn settings(&self) -> Settings {
        let keel = Settings::from(Preset::Keel);
        match self.settings {
            None => keel,
            Some((threshold, cooldown)) => {
                keel.failure_threshold(NonZeroU32::new(threshold).unwrap()).cooldown(eighths(cooldown))
            }
        }
    }

    fn job(&self, without_late: bool) -> Value {
        let settings = match self.settings {
            None => json!({}),
            Some((threshold, cooldown)) => {
                json!({"failure_threshold": threshold, "cooldown_seconds": f64::from(cooldown) / 8.0})
            }
        };
        let steps: Vec<_> = self.steps.iter().map(Step::json).collect();
        json!({
            "do": "program", "settings": settings, "keys": KEYS, "steps": steps,
            "one_at_a_time": self.one_at_a_time, "without_late": without_late,
        })
    }
}

/// What is seen after one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// Whether the call may go out, where one asked.
    pub(crate) admitted: Option<bool>,
    /// Of every key, in keel's words.
    pub(crate) status: [String; KEYS.len()],
}

/// What keel makes of a program.
pub(crate) struct Keels {
    pub(crate) seen: Vec<Seen>,
    /// The steps at which a result came after its circuit had been opened or closed.
    pub(crate) late: Vec<usize>,
}

/// Has keel run these, with late results or without.
pub(crate) fn by_keel(programs: &[Program], without_late: bool) -> Vec<Keels> {
    let jobs: Vec<_> = programs.iter().map(|program| program.job(without_late)).collect();
    keel(&jobs).iter().map(read).collect()
}

fn read(told: &Value) -> Keels {
    let (mut seen, mut late) = (Vec::new(), Vec::new());
    for (at, step) in told.as_array().unwrap().iter().enumerate() {
        let status = |key: usize| step[2][key].as_str().unwrap().to_owned();
        seen.push(Seen { admitted: step[0].as_bool(), status: std::array::from_fn(status) });
        if step[1] == true {
            late.push(at);
        }
    }
    Keels { seen, late }
}
