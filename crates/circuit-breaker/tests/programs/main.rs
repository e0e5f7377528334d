//! Random programs against a plain reference model: same answers, same states, same events, step by step.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::unchecked_time_subtraction, reason = "a model that goes back in time is to fail")]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod program;

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Admission, Ask, Breaker, Circuit, InProcessBreaker, LeaseId, LocalCircuit, LocalPermit, Mode, Permit,
    Rejection, Settings, Settlement, State, Transition, Verdict,
};
use common::at_once;
use model::{Answer, Key, Move};
use parking_lot::Mutex;
use program::{By, KEYS, Program, Step, program};
use proptest::test_runner::{Config, TestRunner};
use tokio::time::{Instant, advance};

/// The least time between two searches for room.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
const NAMES: [&str; KEYS] = ["first", "second", "third"];

/// A call that is out, both ways.
struct Out<'a> {
    key: usize,
    /// Its number in the model.
    call: usize,
    guard: Guard<'a>,
}

enum Guard<'a> {
    Permit(Permit),
    Local(LocalPermit<'a>),
    Lease(LeaseId, Admission),
}

/// The real breaker and the model, side by side.
struct World {
    breaker: Arc<InProcessBreaker>,
    circuits: Vec<Circuit>,
    keys: Vec<Key>,
    max_keys: usize,
    start: Instant,
    /// When a full breaker was last searched for room, or may have been. It is not for every call.
    searched: Option<Duration>,
    told: Arc<Mutex<Vec<Transition>>>,
    expected: Vec<(usize, Move)>,
    /// For how many steps a key was in each state.
    seen: [usize; 3],
}

impl World {
    fn new(settings: &Settings) -> Self {
        let told = Arc::<Mutex<Vec<Transition>>>::default();
        let heard = Arc::clone(&told);
        let breaker = InProcessBreaker::new(settings.clone())
            .on_transition(move |transition| heard.lock().push(transition.clone()));
        let breaker = Arc::new(breaker);
        Self {
            circuits: NAMES.map(|name| Circuit::new(breaker.clone(), name)).into(),
            breaker,
            keys: NAMES.map(|_| Key::new(settings)).into(),
            max_keys: settings.max_keys,
            start: Instant::now(),
            searched: None,
            told,
            expected: Vec::new(),
            seen: [0; 3],
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn is_tracked(&self, name: &str) -> bool {
        self.breaker.snapshots().iter().any(|(found, _)| **found == *name)
    }

    fn expect(&mut self, key: usize, moves: Vec<Move>) {
        self.expected.extend(moves.into_iter().map(|moved| (key, moved)));
    }

    /// Something wanted a place for `key`. It got one, or there is none to be had.
    fn place(&mut self, key: usize) {
        let now = self.now();
        if self.keys[key].tracked() {
            return;
        }
        let full = self.keys.iter().filter(|key| key.tracked()).count() == self.max_keys;
        if full {
            self.forget(true);
        }
        if self.is_tracked(NAMES[key]) {
            self.keys[key].track(now);
        } else {
            assert!(full, "there was room");
            let could = self.keys.iter().any(|key| key.tracked() && key.is_forgettable(false, true, now));
            let rests = self.searched.is_some_and(|searched| now < searched + SEARCH_EVERY);
            assert!(rests || !could, "a key had to make room");
        }
        self.searched = Some(now);
    }

    /// What the breaker has forgotten, it was free to forget.
    fn forget(&mut self, full: bool) {
        let now = self.now();
        let tracked = NAMES.map(|name| self.is_tracked(name));
        for ((key, tracked), name) in self.keys.iter_mut().zip(tracked).zip(NAMES) {
            if key.tracked() && !tracked {
                assert!(key.is_forgettable(true, full, now), "{name} was forgotten");
                key.forget(now);
            }
        }
    }

    fn answer(&mut self, key: usize, hold: Option<Duration>, real: Result<bool, Rejection>) -> Option<usize> {
        let now = self.now();
        let real = match real {
            Ok(probe) => Answer::Admitted { probe },
            Err(Rejection { reason, retry_after, .. }) => Answer::Rejected { reason, retry_after },
        };
        let (answer, moves) = self.keys[key].ask(hold, now);
        assert_eq!(real, answer, "asked under {}", NAMES[key]);
        self.expect(key, moves);
        matches!(answer, Answer::Admitted { .. }).then(|| self.keys[key].calls.len() - 1)
    }

    fn ask<'a>(
        &mut self,
        key: usize,
        by: By,
        hold: Option<Duration>,
        handle: Option<&'a LocalCircuit>,
    ) -> Option<Out<'a>> {
        let circuit = &self.circuits[key];
        let (real, guard) = match (by, handle) {
            (By::Handle, Some(handle)) => {
                let permit = match hold {
                    Some(hold) => handle.admit_for(hold),
                    None => handle.admit(),
                };
                split(permit, LocalPermit::is_probe, Guard::Local)
            }
            (By::Lease, _) => {
                let lease = LeaseId::new();
                let mut ask = Ask::new(lease);
                ask.hold = hold;
                let admission = at_once(Breaker::acquire(&*self.breaker, NAMES[key], &ask));
                split(admission, |admission| admission.probe, |admission| Guard::Lease(lease, admission))
            }
            _ => {
                let permit = match hold {
                    Some(hold) => at_once(circuit.admit_for(hold)),
                    None => at_once(circuit.admit()),
                };
                split(permit, Permit::is_probe, Guard::Permit)
            }
        };
        let call = self.answer(key, hold, real)?;
        Some(Out { key, call, guard: guard.unwrap() })
    }

    fn end(&mut self, Out { key, call, guard }: Out<'_>, told: Option<Settlement>) {
        let now = self.now();
        // Where a result may count or not, nothing is to be seen.
        let doubtful = self.keys[key].is_open_to_doubt(call, now);
        let told = told.map(|told| if doubtful { Settlement::new(Verdict::Neutral) } else { told });
        match (guard, told) {
            (Guard::Permit(permit), Some(told)) => permit.settle(told),
            (Guard::Permit(permit), None) => drop(permit),
            (Guard::Local(permit), Some(told)) => permit.settle(told),
            (Guard::Local(permit), None) => drop(permit),
            (Guard::Lease(lease, admission), Some(told)) => {
                let held = admission.probe.then_some(lease);
                self.breaker.settle(NAMES[key], held, admission, told);
            }
            (Guard::Lease(lease, admission), None) => {
                for _ in 0..2 {
                    Breaker::abandon(&*self.breaker, NAMES[key], lease, Some(admission));
                }
            }
        }
        match told {
            Some(told) => {
                if self.keys[key].would_count(call, told.verdict, now) {
                    self.place(key);
                } else {
                    self.forget(true);
                    self.searched = Some(now);
                }
                let moves = self.keys[key].settle(call, told, now);
                self.expect(key, moves);
            }
            None => self.keys[key].give_back(call),
        }
    }

    fn ask_again(&mut self, out: &mut Out<'_>) {
        let Guard::Lease(lease, before) = &mut out.guard else { return };
        let again = at_once(Breaker::acquire(&*self.breaker, NAMES[out.key], &Ask::new(*lease)));
        if self.keys[out.key].holds(out.call, self.now()) && before.probe {
            assert_eq!(again.map(|again| again.probe), Ok(true), "it holds a slot already");
            return;
        }
        let call = self.answer(out.key, None, again.map(|again| again.probe));
        if let (Some(call), Ok(admission)) = (call, again) {
            self.keys[out.key].give_back(out.call);
            (out.call, *before) = (call, admission);
        }
    }

    fn try_acquire(&mut self, key: usize) {
        match self.breaker.try_acquire(NAMES[key]) {
            Some(answer) => {
                let call = self.answer(key, None, answer.map(|admission| admission.probe));
                if let Some(call) = call {
                    self.keys[key].give_back(call);
                }
            }
            None => assert_ne!(self.keys[key].state(), State::Closed, "a closed circuit answers at once"),
        }
    }

    fn set_mode(&mut self, key: usize, mode: Mode) {
        let was_tracked = self.keys[key].tracked();
        let done = self.breaker.set_mode(NAMES[key], mode);
        if mode == Mode::Automatic && !was_tracked {
            assert_eq!(done, Ok(()));
            return;
        }
        self.place(key);
        assert_eq!(done.is_ok(), self.keys[key].tracked());
        if done.is_ok() {
            let now = self.now();
            let moves = self.keys[key].set_mode(mode, now);
            self.expect(key, moves);
        }
    }

    fn handle(&mut self, key: usize) -> LocalCircuit {
        let handle = self.breaker.circuit(NAMES[key]);
        self.place(key);
        self.keys[key].held_on_to += usize::from(self.keys[key].tracked());
        handle
    }

    fn let_go(&mut self, key: usize, handle: LocalCircuit, held_on_to: bool) {
        drop(handle);
        self.keys[key].held_on_to -= usize::from(held_on_to);
    }

    /// Visits, until a sweep is due, and one more under a key that leaves no trace.
    fn sweep(&mut self) {
        let full = self.breaker.tracked_keys() == self.max_keys;
        for _ in 0..256 {
            at_once(self.breaker.status("elsewhere"));
        }
        let handle = self.breaker.circuit("elsewhere");
        if !self.is_tracked("elsewhere") {
            handle.admit().unwrap().settle(Verdict::Failure);
        }
        drop(handle);
        self.forget(full);
        self.searched = Some(self.now());
        self.searched = Some(self.now());
    }

    /// All that can be read agrees, and so does all that was told.
    fn check(&mut self) {
        self.forget(false);
        let now = self.now();
        let snapshots = self.breaker.snapshots();
        for (key, name) in self.keys.iter().zip(NAMES) {
            let found = snapshots.iter().find(|(found, _)| **found == *name);
            assert_eq!(found.is_some(), key.tracked(), "{name} is kept track of");
            let Some((_, real)) = found else { continue };
            let status = real.status;
            assert_eq!(
                (status.state, status.mode, status.failures, status.retry_after, status.probes as usize),
                (key.state(), key.mode(), key.failures(now), key.retry_after(now), key.probes_out(now)),
                "status of {name}"
            );
            assert_eq!(real.counts, key.counts(now), "counts of {name}");
            assert_eq!(
                (real.rejected, real.openings, real.in_state),
                (key.rejected(), key.openings(), key.in_state(now)),
                "snapshot of {name}"
            );
            self.seen[key.state() as usize] += 1;
        }
        let told: Vec<_> = self.told.lock().drain(..).collect();
        let expected = std::mem::take(&mut self.expected);
        assert_eq!(told.iter().map(moved).collect::<Vec<_>>(), expected, "events");
        for transition in &told {
            let last = snapshots.iter().find(|(name, _)| *name == transition.key).map(|(_, real)| real.epoch);
            assert!(last.is_none_or(|last| last >= transition.epoch), "{transition:?}, but {last:?}");
        }
        assert!(told.is_sorted_by(|one, next| one.epoch < next.epoch), "epochs grow: {told:?}");
    }
}

fn moved(told: &Transition) -> (usize, Move) {
    let key = NAMES.iter().position(|name| **name == *told.key).unwrap();
    let Transition { from, to, mode, failures, cooldown, .. } = *told;
    (key, Move { from, to, mode, failures, cooldown })
}

fn split<'a, T>(
    answer: Result<T, Rejection>,
    probe: impl Fn(&T) -> bool,
    guard: impl FnOnce(T) -> Guard<'a>,
) -> (Result<bool, Rejection>, Option<Guard<'a>>) {
    match answer {
        Ok(answer) => (Ok(probe(&answer)), Some(guard(answer))),
        Err(rejection) => (Err(rejection), None),
    }
}

async fn run(program: Program) -> [usize; 3] {
    let mut world = World::new(&program.settings);
    let handles: Vec<_> = (0..KEYS).map(|key| program.handles[key].then(|| world.handle(key))).collect();
    let mut out: Vec<Out<'_>> = Vec::new();
    let pick = |out: &mut Vec<Out<'_>>, which: usize| (!out.is_empty()).then(|| which % out.len());
    for step in program.steps {
        match step {
            Step::Ask { key, by, hold } => out.extend(world.ask(key, by, hold, handles[key].as_ref())),
            Step::End { which, told } => {
                if let Some(at) = pick(&mut out, which) {
                    world.end(out.swap_remove(at), told);
                }
            }
            Step::Leak { which } => {
                if let Some(at) = pick(&mut out, which) {
                    std::mem::forget(out.swap_remove(at));
                }
            }
            Step::AskAgain { which } => {
                if let Some(at) = pick(&mut out, which) {
                    world.ask_again(&mut out[at]);
                }
            }
            Step::Visit { key, told } => {
                let handle = world.handle(key);
                let held_on_to = world.keys[key].tracked();
                if let Some(visit) = world.ask(key, By::Handle, None, Some(&handle)) {
                    world.end(visit, told);
                }
                world.let_go(key, handle, held_on_to);
            }
            Step::Try { key } => world.try_acquire(key),
            Step::Mode { key, mode } => world.set_mode(key, mode),
            Step::Pass(time) => advance(time).await,
            Step::Sweep => world.sweep(),
        }
        world.check();
    }
    world.seen
}

#[test]
fn random_programs_agree_with_the_model() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let config = Config { cases: 700, failure_persistence: None, ..Config::default() };
    let seen = std::cell::Cell::new([0; 3]);
    let result = TestRunner::new(config).run(&program(), |program| {
        let visits = runtime.block_on(run(program));
        seen.set(std::array::from_fn(|state| seen.get()[state] + visits[state]));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.get();
    assert!(seen.iter().all(|steps| *steps > 2000), "every state was visited: {seen:?}");
}
