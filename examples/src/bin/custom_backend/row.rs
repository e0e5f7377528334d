//! What a row of the table holds of one circuit, and how it changes.

use std::time::Duration;

use circuit_breaker::{Admission, Ask, LeaseId, RejectReason, Rejection, State, Status, Verdict};
// In a database, the time would be the database's own.
use tokio::time::Instant;

/// When a circuit opens, and how it closes again.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) failures: u32,
    pub(crate) cooldown: Duration,
    pub(crate) probes: usize,
    pub(crate) hold: Duration,
}

/// How a call ended; one that was given up, without a verdict.
pub(crate) struct End {
    pub(crate) lease: Option<LeaseId>,
    pub(crate) epoch: Option<u64>,
    pub(crate) verdict: Verdict,
}

/// A time from now on. Callers and rules may say anything, and the clock ends somewhere: nothing lasts for longer than
/// a month.
fn after(span: Duration) -> Instant {
    Instant::now() + span.min(Duration::from_secs(30 * 24 * 3600))
}

/// What all workers know of one circuit.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Row {
    state: State,
    /// Counts the transitions, so that a late result is told by the epoch that its call was admitted in.
    epoch: u64,
    failures: u32,
    reopens: Option<Instant>,
    /// The leases that are out, and when each ends by itself: a worker may die with one.
    probes: Vec<(LeaseId, Instant)>,
}

impl Row {
    fn enter(&mut self, state: State) {
        (self.state, self.epoch) = (state, self.epoch + 1);
        self.probes.clear();
    }

    fn rest(&self) -> Duration {
        self.reopens.unwrap_or_else(Instant::now).saturating_duration_since(Instant::now())
    }

    pub(crate) fn admit(&mut self, ask: &Ask, rules: &Rules) -> Result<Admission, Rejection> {
        match (self.state, self.rest()) {
            (State::Closed, _) => return Ok(Admission::closed(self.epoch)),
            (State::Open, Duration::ZERO) => self.enter(State::HalfOpen),
            (State::Open, rest) => return Err(Rejection::new(RejectReason::Open).with_retry_after(rest)),
            (State::HalfOpen, _) => {}
        }
        let now = Instant::now();
        // Whoever asks again with the same lease has one slot, not two.
        self.probes.retain(|(lease, ends)| *lease != ask.lease && now < *ends);
        if self.probes.len() >= rules.probes {
            return Err(Rejection::new(RejectReason::ProbesTaken));
        }
        self.probes.push((ask.lease, after(ask.hold.unwrap_or(rules.hold))));
        Ok(Admission::probe(self.epoch))
    }

    /// A call is over.
    pub(crate) fn end(&mut self, &End { lease, epoch, verdict }: &End, rules: &Rules) {
        let now = Instant::now();
        let before = self.probes.len();
        let expired = |ends: &Instant| *ends <= now;
        self.probes.retain(|(held, ends)| Some(*held) != lease || expired(ends));
        let held = self.probes.len() < before;
        let has_a_say = epoch == Some(self.epoch) && (held || self.state == State::Closed);
        match verdict {
            Verdict::Success if has_a_say => {
                self.failures = 0;
                if self.state == State::HalfOpen {
                    self.enter(State::Closed);
                }
            }
            Verdict::Failure if has_a_say => {
                self.failures = self.failures.saturating_add(1);
                if self.state == State::HalfOpen || self.failures >= rules.failures {
                    self.enter(State::Open);
                    self.reopens = Some(after(rules.cooldown));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn status(&self) -> Status {
        let status = Status::new(self.state, self.failures);
        if self.state == State::Open { status.with_retry_after(self.rest()) } else { status }
    }
}
