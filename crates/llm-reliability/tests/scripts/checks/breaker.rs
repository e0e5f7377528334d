//! A breaker's own record of the case: what each attempt says of its candidate's health, counted in the plainest way.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use circuit_breaker::{RejectReason, State, Transition, Trip};
use llm_protocol::{Clock, ErrorKind, FinishReason};
use llm_reliability::{Outcome, circuit_breaker, llm_protocol};
use tokio::time::Instant;

use crate::play::Story;
use crate::stage::{What, member_of};
use crate::tale::{Tale, Trace};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    Healthy,
    Ill,
    Nothing,
}

/// What an attempt may say: more than one thing only where its reader kept it waiting.
fn says(tale: &Tale<'_>, trace: &Trace<'_>) -> Vec<Says> {
    use ErrorKind::{
        Authentication, Billing, Connection, ModelNotFound, Overloaded, Permission, Protocol, Server,
        Timeout, Truncated,
    };
    let awaited = tale.call.was_awaited(trace.at);
    let kind = match &trace.attempt.outcome {
        // A probe that was kept waiting for too long has lost its slot.
        Outcome::Success(_) if !awaited => return vec![Says::Healthy, Says::Nothing],
        Outcome::Success(_) => return vec![Says::Healthy],
        Outcome::Empty { finish_reason: FinishReason::Length, .. } => return vec![Says::Nothing],
        Outcome::Empty { .. } if awaited => return vec![Says::Ill],
        Outcome::Empty { .. } => return vec![Says::Ill, Says::Nothing],
        Outcome::Failed(error) | Outcome::Interrupted { error, .. } => error.kind(),
        _ => return vec![Says::Nothing],
    };
    match kind {
        Timeout(Clock::Total) => vec![Says::Nothing],
        Timeout(_) | Connection | Truncated | Server | Overloaded | Protocol | Authentication
        | Permission | Billing | ModelNotFound => {
            if awaited {
                vec![Says::Ill]
            } else {
                vec![Says::Ill, Says::Nothing]
            }
        }
        _ => vec![Says::Nothing],
    }
}

#[derive(Debug, Default)]
struct Circuit {
    state: State,
    failures: u32,
    /// Transitions so far: what went out before one does not count after it.
    epoch: u32,
    until: Option<Instant>,
    /// Attempts that are out, by where in the log they went out, with the epoch of their admission, and whether they keep
    /// a slot for sure: one that is kept waiting for too long loses it.
    out: HashMap<usize, (u32, bool)>,
    /// Transitions that were told and are not yet explained.
    told: Vec<(State, State)>,
}

struct Rules {
    threshold: NonZeroU32,
    cooldown: Duration,
    probes: Option<NonZeroU32>,
}

impl Circuit {
    fn move_to(&mut self, to: State, now: Instant, rules: &Rules) -> (State, State) {
        let from = self.state;
        self.state = to;
        self.epoch += 1;
        self.until = (to == State::Open).then(|| now + rules.cooldown);
        if to == State::Closed {
            self.failures = 0;
        }
        (from, to)
    }

    /// Whether another probe may go out, counting all that are out, or only those that surely are.
    fn has_room(&self, rules: &Rules, surely: bool) -> bool {
        let counts = |(epoch, sure): &&(u32, bool)| *epoch == self.epoch && (*sure || surely);
        rules.probes.is_none_or(|most| self.out.values().filter(counts).count() < most.get() as usize)
    }

    /// What this result would make of it.
    fn after(&self, says: Says, epoch: u32, threshold: NonZeroU32) -> (Option<State>, u32) {
        if says == Says::Nothing || epoch != self.epoch {
            return (None, self.failures);
        }
        match (self.state, says) {
            (State::HalfOpen, Says::Healthy) => (Some(State::Closed), 0),
            (State::HalfOpen, _) => (Some(State::Open), self.failures + 1),
            (_, Says::Healthy) => (None, 0),
            _ if self.failures + 1 >= threshold.get() => (Some(State::Open), self.failures + 1),
            _ => (None, self.failures + 1),
        }
    }

    /// A call asked, and was let out (or not).
    fn asked(&mut self, let_out: bool, now: Instant, rules: &Rules) {
        let due = self.state == State::Open && self.until.is_some_and(|until| now >= until);
        if due {
            let moved = self.move_to(State::HalfOpen, now, rules);
            assert_eq!(std::mem::take(&mut self.told), [moved]);
        }
        let may = |surely| match self.state {
            State::Closed => true,
            State::HalfOpen => self.has_room(rules, surely),
            State::Open => false,
        };
        assert!(if let_out { may(false) } else { !may(true) }, "let out: {let_out}, {self:?}");
    }
}

/// Each circuit is open, half-open and closed when the attempts so far say so, and counts what blames the model.
pub(crate) fn circuits_follow_the_attempts(story: &Story, tales: &[Tale<'_>]) {
    let settings = &story.stage.world.breaker;
    let Trip::Consecutive(threshold) = settings.trip else { return };
    let rules = Rules { threshold, cooldown: settings.cooldown, probes: settings.probes };
    let mut circuits: Vec<_> = story.stage.models.iter().map(|_| Circuit::default()).collect();
    let landed: HashMap<_, _> = tales
        .iter()
        .flat_map(|tale| tale.traces.iter().map(move |trace| (trace.place, (tale, trace))))
        .collect();
    for (place, entry) in story.log.iter().enumerate() {
        match &entry.what {
            What::Arranged { .. } => {}
            What::Moved(Transition { key, from, to, .. }) => circuits[member_of(key)].told.push((*from, *to)),
            What::Asked { member, .. } => {
                let circuit = &mut circuits[*member];
                circuit.asked(true, entry.at, &rules);
                let call = &story.calls[entry.call];
                circuit.out.insert(place, (circuit.epoch, call.was_awaited(call.over)));
            }
            What::Landed { failures, .. } => {
                let (tale, trace) = landed[&place];
                it_landed(&mut circuits[trace.member], tale, trace, *failures, &rules);
            }
        }
    }
    for circuit in circuits {
        assert!(circuit.told.is_empty() && circuit.out.is_empty());
    }
}

fn it_landed(circuit: &mut Circuit, tale: &Tale<'_>, trace: &Trace<'_>, failures: u32, rules: &Rules) {
    let Some((asked, ..)) = trace.asked else {
        match &trace.attempt.outcome {
            Outcome::PreemptedOpen { reason, retry_after, .. } => {
                circuit.asked(false, trace.at, rules);
                let rest = circuit.until.map(|until| until - trace.at);
                assert_eq!(*retry_after, rest, "{circuit:?}");
                assert_eq!(*reason == RejectReason::ProbesTaken, circuit.state == State::HalfOpen);
            }
            Outcome::PreemptedLimited { .. } => circuit.asked(true, trace.at, rules),
            _ => {}
        }
        return;
    };
    let (epoch, _) = circuit.out.remove(&asked).unwrap();
    let told = std::mem::take(&mut circuit.told);
    let possible = says(tale, trace);
    let fits = |says: &&Says| {
        let (to, counted) = circuit.after(**says, epoch, rules.threshold);
        let moves: Vec<_> = to.map(|to| (circuit.state, to)).into_iter().collect();
        let closed = to.unwrap_or(circuit.state) == State::Closed;
        moves == told && (!closed || counted == failures)
    };
    let Some(says) = possible.iter().find(fits) else {
        panic!(
            "{} says {possible:?}, but it moved {told:?} with {failures} failures: {circuit:?}",
            trace.attempt
        );
    };
    let (to, counted) = circuit.after(*says, epoch, rules.threshold);
    circuit.failures = counted;
    if let Some(to) = to {
        circuit.move_to(to, trace.at, rules);
    }
}
