//! The reference: everything that ever happened is on record, and every answer is worked out from the record anew.

use std::time::Duration;

use circuit_breaker::{Counts, Mode, RejectReason, Settings, Settlement, State, Trip, Verdict, Window};

/// Something that happened to a key, and when.
#[derive(Debug, Clone)]
struct Entry(Duration, Fact);

#[derive(Debug, Clone)]
enum Fact {
    /// The breaker keeps track of it from here on.
    Tracked,
    Forgotten,
    Moved(Move),
    Rejected,
    /// Told or asked something; `surely` where the documentation leaves no doubt that this counts.
    Heard {
        surely: bool,
    },
    Result {
        by: usize,
        failed: bool,
        slow: bool,
    },
}

/// A transition, as its event tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) mode: Mode,
    pub(crate) failures: u32,
    pub(crate) cooldown: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Admitted { probe: bool },
    Rejected { reason: RejectReason, retry_after: Option<Duration> },
}

/// One admission.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    admitted: Duration,
    /// Transitions of its key before it.
    moves: usize,
    /// Which time it was that its key was kept track of, if it was.
    tracked: Option<usize>,
    pub(crate) probe: bool,
    expires: Duration,
    ended: bool,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    rules: Settings,
    record: Vec<Entry>,
    pub(crate) calls: Vec<Call>,
    /// Handles that hold on to it.
    pub(crate) held_on_to: usize,
    /// Who asks, tells and reads now. Of several workers, each counts failures in a row of its own.
    pub(crate) worker: usize,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Key {
    pub(crate) fn new(rules: &Settings) -> Self {
        Self { rules: rules.clone(), record: Vec::new(), calls: Vec::new(), held_on_to: 0, worker: 0 }
    }

    fn note(&mut self, now: Duration, fact: Fact) {
        self.record.push(Entry(now, fact));
    }

    /// What is on record from the last fact of a kind, that fact included.
    fn since(&self, is: impl Fn(&Fact) -> bool) -> &[Entry] {
        let from = self.record.iter().rposition(|Entry(_, fact)| is(fact));
        from.map_or(&self.record[..], |from| &self.record[from..])
    }

    /// Since it is in its state, or is tracked.
    fn current(&self) -> &[Entry] {
        self.since(|fact| matches!(fact, Fact::Moved(_) | Fact::Forgotten | Fact::Tracked))
    }

    /// Since it was last closed, or put into a mode, or tracked.
    fn round(&self) -> &[Entry] {
        let mut mode = Mode::Automatic;
        let mut from = 0;
        for (at, Entry(_, fact)) in self.record.iter().enumerate() {
            match fact {
                Fact::Tracked | Fact::Forgotten => (mode, from) = (Mode::Automatic, at),
                Fact::Moved(moved) if moved.to == State::Closed || moved.mode != mode => {
                    (mode, from) = (moved.mode, at);
                }
                _ => {}
            }
        }
        &self.record[from..]
    }

    fn last_move(&self) -> Option<&Move> {
        match self.current().first()? {
            Entry(_, Fact::Moved(moved)) => Some(moved),
            _ => None,
        }
    }

    pub(crate) fn tracked(&self) -> bool {
        self.record.iter().rev().find_map(|Entry(_, fact)| match fact {
            Fact::Tracked => Some(true),
            Fact::Forgotten => Some(false),
            _ => None,
        }) == Some(true)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.last_move().map_or(Mode::Automatic, |moved| moved.mode)
    }

    pub(crate) fn state(&self) -> State {
        self.last_move().map_or(State::Closed, |moved| moved.to)
    }

    pub(crate) fn in_state(&self, now: Duration) -> Duration {
        if self.tracked() { now - self.current()[0].0 } else { Duration::ZERO }
    }

    pub(crate) fn openings(&self) -> u32 {
        let opened = |entry: &&Entry| matches!(&entry.1, Fact::Moved(moved) if moved.cooldown.is_some());
        u32::try_from(self.round().iter().filter(opened).count()).unwrap()
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.round().iter().filter(|entry| matches!(entry.1, Fact::Rejected)).count() as u64
    }

    /// Results of the current state that count now.
    pub(crate) fn counts(&self, now: Duration) -> Counts {
        let results = self.current().iter().filter_map(|Entry(at, fact)| match fact {
            Fact::Result { by, failed, slow } => Some((*at, *by, *failed, *slow)),
            _ => None,
        });
        let results: Vec<_> = results.collect();
        let counted: Vec<_> = match self.rules.trip {
            _ if self.state() == State::HalfOpen => results,
            Trip::Consecutive(_) => {
                let own = results.into_iter().rev().filter(|(_, by, ..)| *by == self.worker);
                own.take_while(|(.., failed, _)| *failed).collect()
            }
            Trip::Rates(rates) => match rates.window {
                Window::Calls(size) => results.into_iter().rev().take(size.get() as usize).collect(),
                // Steps of a tenth: this one and the nine before it.
                Window::Time(length) => {
                    let tenth = (length.as_nanos() / 10).max(1);
                    let step = |at: Duration| at.as_nanos() / tenth;
                    results.into_iter().filter(|(at, ..)| step(now) - step(*at) < 10).collect()
                }
            },
            trip => panic!("{trip:?}"),
        };
        let mut counts = Counts::default();
        counts.calls = counted.len() as u64;
        counts.failures = counted.iter().filter(|(.., failed, _)| *failed).count() as u64;
        counts.slow = counted.iter().filter(|(.., slow)| *slow).count() as u64;
        counts
    }

    pub(crate) fn failures(&self, now: Duration) -> u32 {
        match (self.state(), self.mode()) {
            (State::Closed, _) | (_, Mode::ForcedOpen) => u32::try_from(self.counts(now).failures).unwrap(),
            _ => self.last_move().unwrap().failures,
        }
    }

    fn until(&self) -> Option<Duration> {
        match self.current().first()? {
            Entry(at, Fact::Moved(Move { cooldown: Some(cooldown), .. })) => {
                Some(at.saturating_add(*cooldown))
            }
            _ => None,
        }
    }

    pub(crate) fn retry_after(&self, now: Duration) -> Option<Duration> {
        self.until().map(|until| until.saturating_sub(now))
    }

    fn moves(&self) -> usize {
        self.record.iter().filter(|entry| matches!(entry.1, Fact::Moved(_))).count()
    }

    fn times_tracked(&self) -> Option<usize> {
        let times = self.record.iter().filter(|entry| matches!(entry.1, Fact::Tracked)).count();
        self.tracked().then_some(times)
    }

    fn is_current(&self, call: &Call) -> bool {
        call.moves == self.moves()
    }

    fn holds_slot(&self, call: &Call, now: Duration) -> bool {
        call.probe && self.is_current(call) && self.tracked() && !call.ended && now < call.expires
    }

    pub(crate) fn probes_out(&self, now: Duration) -> usize {
        match self.rules.probes {
            Some(_) => self.calls.iter().filter(|call| self.holds_slot(call, now)).count(),
            None => 0,
        }
    }

    /// Where a hold has passed since a call went out, and its key was not kept track of all the while, its result may
    /// count or not.
    pub(crate) fn is_open_to_doubt(&self, call: usize, now: Duration) -> bool {
        let call = &self.calls[call];
        let watched = call.tracked.is_some() && call.tracked == self.times_tracked();
        self.is_current(call) && !watched && now - call.admitted >= self.rules.max_hold
    }

    fn go(&mut self, to: State, mode: Mode, failures: u32, now: Duration) -> Move {
        let cooldown = (to == State::Open && mode == Mode::Automatic).then(|| {
            let factor = 2_u32.saturating_pow(self.openings());
            match self.rules.longest_cooldown {
                None => self.rules.cooldown,
                Some(longest) => {
                    self.rules.cooldown.saturating_mul(factor).min(longest.max(self.rules.cooldown))
                }
            }
        });
        let moved = Move { from: self.state(), to, mode, failures, cooldown };
        self.note(now, Fact::Moved(moved.clone()));
        moved
    }

    /// Half-open for too long.
    fn is_overdue(&self, now: Duration) -> bool {
        let longest = self.rules.longest_half_open;
        self.state() == State::HalfOpen && longest.is_some_and(|longest| self.in_state(now) >= longest)
    }

    /// What a call is told that asks now, and what that moves. `hold` is how long it asked for.
    pub(crate) fn ask(&mut self, hold: Option<Duration>, now: Duration) -> (Answer, Vec<Move>) {
        let mut moves = Vec::new();
        let overdue = self.is_overdue(now);
        if overdue {
            moves.push(self.go(State::Open, Mode::Automatic, self.failures(now), now));
        }
        let refused = match (self.mode(), self.until()) {
            (Mode::ForcedOpen, _) => Some((RejectReason::ForcedOpen, None)),
            (_, Some(until)) if now < until || overdue => Some((RejectReason::Open, Some(until - now))),
            _ => None,
        };
        if let Some((reason, retry_after)) = refused {
            self.note(now, Fact::Rejected);
            return (Answer::Rejected { reason, retry_after }, moves);
        }
        if self.state() == State::Open {
            moves.push(self.go(State::HalfOpen, Mode::Automatic, self.failures(now), now));
        }
        let probe = self.state() == State::HalfOpen;
        if probe {
            self.note(now, Fact::Heard { surely: true });
            let told = match self.rules.trip {
                Trip::Rates(_) => usize::try_from(self.counts(now).calls).unwrap(),
                _ => 0,
            };
            if self.rules.probes.is_some_and(|most| self.probes_out(now) + told >= most.get() as usize) {
                self.note(now, Fact::Rejected);
                return (Answer::Rejected { reason: RejectReason::ProbesTaken, retry_after: None }, moves);
            }
        }
        let hold = hold.map_or(self.rules.max_hold, |hold| hold.min(self.rules.max_hold.max(DAY)));
        let (generation, tracked) = (self.moves(), self.times_tracked());
        self.calls.push(Call {
            admitted: now,
            moves: generation,
            tracked,
            probe,
            expires: now + hold.max(Duration::from_millis(1)),
            ended: false,
        });
        (Answer::Admitted { probe }, moves)
    }

    /// Whether the same lease still holds a slot, so that asking again takes none.
    pub(crate) fn holds(&self, call: usize, now: Duration) -> bool {
        self.rules.probes.is_some() && self.holds_slot(&self.calls[call], now) && !self.is_overdue(now)
    }

    pub(crate) fn give_back(&mut self, call: usize) {
        self.calls[call].ended = true;
    }

    /// Whether this end of a call would be counted, if its key is kept track of.
    pub(crate) fn would_count(&self, call: usize, verdict: Verdict, now: Duration) -> bool {
        let call = &self.calls[call];
        verdict != Verdict::Neutral
            && self.is_current(call)
            && self.mode() != Mode::Disabled
            && (!call.probe || self.rules.probes.is_none() || self.holds_slot(call, now))
            // The count of failures in a row is at zero as it is.
            && !(verdict == Verdict::Success
                && self.state() == State::Closed
                && matches!(self.rules.trip, Trip::Consecutive(_))
                && self.counts(now).failures == 0)
    }

    /// A call ended so.
    pub(crate) fn settle(&mut self, call: usize, told: Settlement, now: Duration) -> Vec<Move> {
        let counts = self.would_count(call, told.verdict, now);
        if self.is_current(&self.calls[call]) && self.tracked() {
            self.note(now, Fact::Heard { surely: counts });
        }
        self.calls[call].ended = true;
        if !counts || !self.tracked() {
            return Vec::new();
        }
        let failed = told.verdict == Verdict::Failure;
        let slow = match self.rules.trip {
            Trip::Rates(rates) => rates.slow,
            _ => None,
        };
        let latency = told.latency.unwrap_or(now - self.calls[call].admitted);
        let before = self.failures(now);
        let slow = slow.is_some_and(|slow| latency >= slow.from);
        self.note(now, Fact::Result { by: self.worker, failed, slow });
        let counts = self.counts(now);
        if self.state() != State::HalfOpen {
            let opens = self.mode() == Mode::Automatic
                && match self.rules.trip {
                    Trip::Consecutive(failures) => counts.failures >= failures.get().into(),
                    Trip::Rates(rates) => {
                        let least = match rates.window {
                            Window::Calls(size) => rates.minimum_calls.min(size),
                            Window::Time(_) => rates.minimum_calls,
                        };
                        counts.calls >= least.get().into() && self.too_many(counts)
                    }
                    trip => panic!("{trip:?}"),
                };
            let failures = u32::try_from(counts.failures).unwrap();
            return opens.then(|| self.go(State::Open, Mode::Automatic, failures, now)).into_iter().collect();
        }
        let (opens, failures) = match (self.rules.trip, self.rules.probes) {
            (Trip::Rates(_), Some(probes)) if counts.calls < probes.get().into() => return Vec::new(),
            (Trip::Rates(_), _) => (self.too_many(counts), u32::try_from(counts.failures).unwrap()),
            _ => (failed, before + 1),
        };
        vec![if opens {
            self.go(State::Open, Mode::Automatic, failures, now)
        } else {
            self.go(State::Closed, Mode::Automatic, 0, now)
        }]
    }

    fn too_many(&self, counts: Counts) -> bool {
        let Trip::Rates(rates) = self.rules.trip else { panic!("no rates") };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let share = |part: u64| part as f64 * 100.0 / counts.calls as f64;
        let over =
            |part: u64, most: circuit_breaker::Percent| part > 0 && share(part) + 1e-9 >= most.get().into();
        rates.failures.is_some_and(|most| over(counts.failures, most))
            || rates.slow.is_some_and(|slow| over(counts.slow, slow.share))
    }

    pub(crate) fn set_mode(&mut self, mode: Mode, now: Duration) -> Vec<Move> {
        if mode == self.mode() { Vec::new() } else { self.start_anew(mode, now) }
    }

    pub(crate) fn start_anew(&mut self, mode: Mode, now: Duration) -> Vec<Move> {
        let to = if mode == Mode::ForcedOpen { State::Open } else { State::Closed };
        vec![self.go(to, mode, 0, now)]
    }

    pub(crate) fn track(&mut self, now: Duration) {
        self.note(now, Fact::Tracked);
    }

    pub(crate) fn forget(&mut self, now: Duration) {
        self.note(now, Fact::Forgotten);
    }

    /// Nothing was heard of it for so long; told what need not count, it `may` be so all the same.
    fn is_quiet(&self, silence: Duration, may: bool, now: Duration) -> bool {
        let heard = self.record.iter().rev().find(|Entry(_, fact)| match fact {
            Fact::Heard { surely } => *surely || !may,
            Fact::Tracked | Fact::Moved(_) => true,
            _ => false,
        });
        heard.is_none_or(|Entry(at, _)| at.saturating_add(silence) <= now)
    }

    /// Whether the breaker is free to forget it (`may`), or has to in order to make room (not `may`): the two differ
    /// where the documentation leaves it open. `full` when another key wants its place.
    pub(crate) fn is_forgettable(&self, may: bool, full: bool, now: Duration) -> bool {
        if self.held_on_to > 0 || self.mode() != Mode::Automatic {
            return false;
        }
        let longest = self.rules.longest_cooldown.unwrap_or_default().max(self.rules.cooldown);
        let silence = longest + self.rules.max_hold;
        let silence = if full { silence } else { silence.max(DAY) };
        if let Some(until) = self.until() {
            return until + silence <= now;
        }
        if self.is_quiet(silence, may, now) && self.probes_out(now) == 0 {
            return true;
        }
        if self.state() != State::Closed {
            return false;
        }
        let counts = self.counts(now);
        let clean = counts.failures == 0 && counts.slow == 0;
        let settled = self.is_quiet(self.rules.max_hold, may, now) || may && self.is_old(now);
        let unmoved = self.last_move().is_none();
        let resting = self.is_quiet(self.rules.cooldown, may, now);
        counts.calls == 0 && (unmoved || settled) || full && clean && (unmoved && resting || settled)
    }

    /// All that its transitions could be remembered for has passed.
    fn is_old(&self, now: Duration) -> bool {
        self.current()[0].0 + self.rules.max_hold <= now
    }
}
