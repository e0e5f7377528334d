//! What a worker knows of one circuit between its looks at the store.

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::scripts::View;
use crate::breaker::Admission;
use crate::refusal::{RejectReason, Rejection};
use crate::settings::{Settings, Trip};
use crate::status::{Mode, State};
use crate::transition::Transition;

/// For so long it is remembered that a circuit was opened, or taken over by a person, and nothing was heard since: it
/// matters when the store is lost.
const HOUR: Duration = Duration::from_secs(3600);

/// For so long what is expected of the store is believed rather than what it said to others' questions.
const EXPECTED: Duration = Duration::from_secs(1);

/// One circuit, as this worker knows it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) view: Option<View>,
    /// Somebody is looking already.
    pub(super) looking: bool,
    /// Failures in a row that this worker saw, and when it saw the last of them.
    pub(super) row: u32,
    failed: Option<Instant>,
    /// Results on their way to a window, and the epoch that they belong to.
    pub(super) unsent: Unsent,
    /// What the listener was told last.
    told: (State, Mode),
    /// The outage for which the breaker that stands in was told what is known here.
    pub(super) stood_in: Option<u64>,
}

/// So late, nobody will do what was due.
const LATE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Unsent {
    pub(super) ended: Vec<u8>,
    pub(super) epoch: u64,
    /// Somebody will send them then.
    pub(super) due: Option<Instant>,
    /// When some were sent last.
    pub(super) sent: Option<Instant>,
}

impl Unsent {
    pub(super) fn take(&mut self) -> Option<(Vec<u8>, u64)> {
        (!self.ended.is_empty()).then(|| {
            self.sent = Some(Instant::now());
            (std::mem::take(&mut self.ended), self.epoch)
        })
    }

    /// Sees to it that they are sent within `delay`. Whether somebody has to, who does not yet.
    pub(super) fn falls_due(&mut self, delay: Duration) -> bool {
        let due = Instant::now() + delay;
        // Who was to send them may have gone with its runtime.
        let late = |planned: Instant| planned + LATE < due;
        let earlier = self.due.is_none_or(|planned| due < planned || late(planned));
        if earlier {
            self.due = Some(due);
        }
        earlier
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            view: None,
            looking: false,
            row: 0,
            failed: None,
            unsent: Unsent::default(),
            told: (State::Closed, Mode::Automatic),
            stood_in: None,
        }
    }
}

impl Known {
    /// The answer to a call, where what is known is young enough and says all, and whether it is time to look again.
    pub(super) fn answer(
        &mut self,
        staleness: Duration,
        now: Instant,
    ) -> Option<(Result<Admission, Rejection>, bool)> {
        let view = self.view?;
        let age = now.saturating_duration_since(view.asked);
        if age >= staleness {
            return None;
        }
        let answer = view.answer(now)?;
        Some((answer, age >= staleness / 2 && !std::mem::replace(&mut self.looking, true)))
    }

    /// Takes over what the store said. Returns what a listener has not been told.
    pub(super) fn learn(&mut self, key: &str, seen: View) -> Option<Transition> {
        self.looking = false;
        if self.view.is_some_and(|view| !seen.follows(&view)) {
            return None;
        }
        if self.view.is_some_and(|view| seen.epoch > view.epoch) {
            self.row = 0;
        }
        self.view = Some(seen);
        let (from, _) = self.told;
        let now = (seen.state(), seen.mode);
        if std::mem::replace(&mut self.told, now) == now {
            return None;
        }
        let transition =
            Transition::new(key, from, now.0, seen.epoch).with_mode(seen.mode).with_failures(seen.failures);
        let rest = seen.until.saturating_duration_since(Instant::now());
        let opened = seen.state == State::Open && seen.mode == Mode::Automatic;
        Some(if opened { transition.with_cooldown(rest) } else { transition })
    }

    /// A call ended that a closed circuit had admitted in `epoch`. Says with how many failures in a row the circuit has
    /// to open, if it has to.
    pub(super) fn count(&mut self, failed: bool, epoch: u64, settings: &Settings) -> Option<u32> {
        let Trip::Consecutive(threshold) = settings.trip else { return None };
        if self.view.is_some_and(|view| epoch < view.epoch || view.mode == Mode::Disabled) {
            return None;
        }
        (self.row, self.failed) =
            if failed { (self.row.saturating_add(1), Some(Instant::now())) } else { (0, None) };
        let closed = self.view.is_none_or(|view| view.state == State::Closed && view.mode == Mode::Automatic);
        (closed && self.row >= threshold.get()).then_some(self.row)
    }

    /// Until the store has said what it makes of it, nobody goes through.
    pub(super) fn expect_open(&mut self, cooldown: Duration, told: Instant) {
        let epoch = self.view.map_or(0, |view| view.epoch);
        self.view = Some(View {
            state: State::Open,
            mode: Mode::Automatic,
            epoch,
            failures: self.row,
            until: told + cooldown.min(Duration::from_secs(1 << 31)),
            asked: told,
            heard: told,
            expected: true,
        });
    }

    /// There is a reason to remember it. What has failed is forgotten when nothing was heard of it for `silence`.
    pub(super) fn matters(&self, staleness: Duration, silence: Duration, now: Instant) -> bool {
        self.failed.is_some_and(|failed| now.saturating_duration_since(failed) < silence)
            || !self.unsent.ended.is_empty()
            || self.view.is_some_and(|view| {
                now.saturating_duration_since(view.asked) < staleness
                    || (view.mode != Mode::Automatic || view.epoch > 0) && now < view.until + HOUR
            })
    }
}

impl View {
    pub(super) const fn state(&self) -> State {
        match self.mode {
            Mode::ForcedOpen => State::Open,
            _ => self.state,
        }
    }

    /// Whether it tells of a later state than `earlier` does. Answers may come in another order than the store gave them.
    /// An epoch that is smaller tells of one where the store has lost its memory, and of an earlier one otherwise.
    fn follows(&self, earlier: &Self) -> bool {
        match self.epoch.cmp(&earlier.epoch) {
            Ordering::Greater => true,
            // What was asked meanwhile may be older than what is expected, which has an answer of its own.
            Ordering::Equal if earlier.expected => {
                self.asked == earlier.asked || self.asked >= earlier.asked + EXPECTED
            }
            Ordering::Equal => self.asked >= earlier.asked,
            Ordering::Less => self.asked >= earlier.heard,
        }
    }

    fn answer(&self, now: Instant) -> Option<Result<Admission, Rejection>> {
        match (self.mode, self.state) {
            (Mode::ForcedOpen, _) => Some(Err(Rejection::new(RejectReason::ForcedOpen))),
            (_, State::Closed) => Some(Ok(Admission::closed(self.epoch))),
            (_, State::Open) if now < self.until => {
                let rest = self.until.saturating_duration_since(now);
                Some(Err(Rejection::new(RejectReason::Open).with_retry_after(rest)))
            }
            _ => None,
        }
    }
}
