//! Random programs of several workers on a real server, against the plain reference model: same answers, same states,
//! step by step, also where messages arrive twice, late, or after they were taken back.

#[path = "../programs/model.rs"]
#[allow(dead_code, reason = "what concerns one process only")]
#[allow(clippy::unchecked_time_subtraction, reason = "a model that goes back in time is to fail")]
mod model;
#[path = "../programs/program.rs"]
#[allow(dead_code, reason = "what concerns one process only")]
pub(super) mod program;

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Admission, Ask, Breaker, InProcessBreaker, LeaseId, Mode, Rates, RedisBreaker, RedisStore, Rejection,
    Settings, Settlement, State, Transition, Trip, Verdict, Window,
};
use parking_lot::Mutex;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::time::Instant;

use super::programs_bench::{Bench, Sent, TODAY, programs};
use model::{Answer, Key};
use program::{settings, time, told};

const NAMES: [&str; 2] = ["first", "second {key}"];
const WORKERS: usize = 3;
/// No report takes longer to arrive, in real time. No two steps of a program are as close.
const DELAY: Duration = Duration::from_secs(30);
/// Programs are stretched by this, to hours and days, so that the real time that they take does not count.
const STRETCH: u32 = 1200;

#[derive(Debug, Clone)]
enum Step {
    Ask {
        key: usize,
        worker: usize,
        hold: Option<Duration>,
    },
    /// Abandoned without an answer, and only then does the question arrive.
    AskTooLate {
        key: usize,
        worker: usize,
    },
    AskAgain {
        which: usize,
    },
    /// Some calls that are out end so, one after the other; without a settlement, they are abandoned.
    End {
        ends: Vec<(usize, Option<Settlement>)>,
        answered: bool,
    },
    Leak {
        which: usize,
    },
    /// A report that has arrived arrives again.
    Again {
        which: usize,
    },
    Mode {
        key: usize,
        worker: usize,
        mode: Option<Mode>,
    },
    Pass(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop_oneof![3 => Just(0), 1 => Just(1)];
    let worker = || 0..WORKERS;
    let mode = prop_oneof![
        3 => Just(Some(Mode::Automatic)),
        1 => Just(Some(Mode::ForcedOpen)),
        1 => Just(Some(Mode::ForcedClosed)),
        1 => Just(Some(Mode::Disabled)),
        1 => Just(None),
    ];
    let end = (any::<usize>(), option::weighted(0.85, told()));
    let ends = proptest::collection::vec(end, 1..5);
    let pass = prop_oneof![12 => time(0..9), 4 => time(0..60), 1 => Just(Duration::from_secs(25 * 3600))];
    prop_oneof![
        14 => (key(), worker(), option::weighted(0.3, time(0..40)))
            .prop_map(|(key, worker, hold)| Step::Ask { key, worker, hold }),
        1 => (key(), worker()).prop_map(|(key, worker)| Step::AskTooLate { key, worker }),
        2 => any::<usize>().prop_map(|which| Step::AskAgain { which }),
        9 => (ends, any::<bool>()).prop_map(|(ends, answered)| Step::End { ends, answered }),
        1 => any::<usize>().prop_map(|which| Step::Leak { which }),
        4 => any::<usize>().prop_map(|which| Step::Again { which }),
        1 => (key(), worker(), mode).prop_map(|(key, worker, mode)| Step::Mode { key, worker, mode }),
        7 => pass.prop_map(Step::Pass),
    ]
}

fn stretched(mut settings: Settings) -> Settings {
    // What does not fit into a worker's memory is not counted by it.
    settings.max_keys = 64;
    settings.cooldown = (settings.cooldown * STRETCH).max(DELAY);
    settings.max_hold = (settings.max_hold * STRETCH).max(DELAY);
    settings.longest_cooldown = settings.longest_cooldown.map(|longest| longest * STRETCH);
    // No time at all is taken for a microsecond, which no step of a program takes.
    settings.longest_half_open = settings.longest_half_open.map(|longest| (longest * STRETCH).max(DELAY));
    if let Trip::Rates(Rates { window, slow, .. }) = &mut settings.trip {
        if let Window::Time(length) = window {
            *length = (*length * STRETCH).max(DELAY * 20);
        }
        if let Some(slow) = slow {
            slow.from *= STRETCH;
        }
    }
    settings
}

/// A call that is out.
struct Out {
    key: usize,
    worker: usize,
    /// Its number in the model.
    call: usize,
    lease: LeaseId,
    admission: Admission,
    at: Duration,
}

struct Worker {
    breaker: RedisBreaker,
    told: Arc<Mutex<Vec<Transition>>>,
    /// What the listener was told last, of each key.
    heard: [Option<Transition>; NAMES.len()],
}

/// The workers and the model, side by side.
struct World<'a> {
    bench: &'a Bench,
    workers: Vec<Worker>,
    keys: Vec<Key>,
    epochs: [u64; NAMES.len()],
    out: Vec<Out>,
    sent: Vec<Sent>,
    /// When the program began, by the clock of the bench.
    start: u64,
    began: Instant,
    /// Probes hold leases.
    bounded: bool,
    /// Failures in a row open the circuit.
    by_row: bool,
    /// For how many steps a key was in each state.
    seen: [usize; 3],
}

impl<'a> World<'a> {
    fn new(bench: &'a Bench, stores: &[RedisStore], settings: &Settings) -> Self {
        // Windows of time move on at multiples of their tenths.
        let window = match settings.trip {
            Trip::Rates(Rates { window: Window::Time(length), .. }) => {
                u64::try_from(length.as_micros()).unwrap().max(1)
            }
            _ => 1,
        };
        bench.set(TODAY.next_multiple_of(window));
        bench.pass(DELAY);
        let worker = |store| {
            let told = Arc::<Mutex<Vec<Transition>>>::default();
            let heard = Arc::clone(&told);
            let local = InProcessBreaker::new(settings.clone())
                .on_transition(move |transition| heard.lock().push(transition.clone()));
            Worker { breaker: RedisBreaker::new(store, local), told, heard: [const { None }; 2] }
        };
        let mut keys: Vec<_> = NAMES.iter().map(|_| Key::new(settings)).collect();
        for key in &mut keys {
            key.track(Duration::ZERO);
        }
        Self {
            bench,
            workers: stores.iter().map(worker).collect(),
            keys,
            epochs: [0; NAMES.len()],
            out: Vec::new(),
            sent: Vec::new(),
            start: bench.now(),
            began: Instant::now(),
            bounded: settings.probes.is_some(),
            by_row: matches!(settings.trip, Trip::Consecutive(_)),
            seen: [0; 3],
        }
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.bench.now() - self.start)
    }

    fn model(&mut self, key: usize, worker: usize) -> &mut Key {
        self.keys[key].worker = worker;
        &mut self.keys[key]
    }

    /// Cooldowns of a report are shorter by the time that it took to arrive.
    fn assert_close(&self, real: Option<Duration>, model: Option<Duration>, what: &str) {
        let close = match (real, model) {
            (Some(real), Some(model)) => real <= model && real + self.began.elapsed() >= model,
            (real, model) => real == model,
        };
        assert!(close, "{what}: {real:?}, and not {model:?}");
    }

    fn compare(
        &mut self,
        key: usize,
        worker: usize,
        hold: Option<Duration>,
        real: Result<bool, Rejection>,
    ) -> Option<usize> {
        let now = self.now();
        let (answer, _) = self.model(key, worker).ask(hold, now);
        match (&real, &answer) {
            (Ok(probe), Answer::Admitted { probe: expected }) => assert_eq!(probe, expected, "a probe"),
            (Err(real), Answer::Rejected { reason, retry_after }) => {
                assert_eq!((real.reason, real.degraded), (*reason, false));
                self.assert_close(real.retry_after, *retry_after, "retry after");
            }
            _ => panic!("{real:?}, and not {answer:?}"),
        }
        matches!(answer, Answer::Admitted { .. }).then(|| self.keys[key].calls.len() - 1)
    }

    async fn ask(&mut self, key: usize, worker: usize, hold: Option<Duration>) {
        let lease = LeaseId::new();
        let mut ask = Ask::new(lease);
        ask.hold = hold;
        assert_eq!(
            self.workers[worker].breaker.try_acquire(NAMES[key]),
            None,
            "every answer comes from the store"
        );
        let real = self.workers[worker].breaker.acquire(NAMES[key], &ask).await;
        let call =
            self.compare(key, worker, hold, real.as_ref().map(|real| real.probe).map_err(Clone::clone));
        if let (Some(call), Ok(admission)) = (call, real) {
            assert!(!admission.degraded);
            let at = self.now();
            self.out.push(Out { key, worker, call, lease, admission, at });
        }
    }

    async fn ask_too_late(&mut self, key: usize, worker: usize) {
        let was_closed = self.keys[key].state() == State::Closed;
        let (lease, breaker) = (LeaseId::new(), &self.workers[worker].breaker);
        Breaker::abandon(breaker, NAMES[key], lease, None);
        breaker.flush().await;
        let real = breaker.acquire(NAMES[key], &Ask::new(lease)).await;
        let now = self.now();
        let (answer, _) = self.model(key, worker).ask(None, now);
        if matches!(answer, Answer::Admitted { .. }) {
            let call = self.keys[key].calls.len() - 1;
            self.keys[key].give_back(call);
        }
        // A yes that holds nothing does no harm.
        assert_eq!(
            real.is_ok(),
            answer == Answer::Admitted { probe: !was_closed } && (was_closed || !self.bounded)
        );
    }

    async fn ask_again(&mut self, at: usize) {
        let Out { key, worker, call, lease, admission, .. } = self.out[at];
        let again = self.workers[worker].breaker.acquire(NAMES[key], &Ask::new(lease)).await;
        let now = self.now();
        if admission.probe && self.keys[key].holds(call, now) {
            assert_eq!(again.map(|again| again.probe), Ok(true), "it holds a slot already");
            return;
        }
        let new =
            self.compare(key, worker, None, again.as_ref().map(|again| again.probe).map_err(Clone::clone));
        if let (Some(new), Ok(admission)) = (new, again) {
            self.keys[key].give_back(call);
            (self.out[at].call, self.out[at].admission) = (new, admission);
        }
    }

    /// All of the worker that has the first of them, and in one go.
    async fn end(&mut self, ends: Vec<(usize, Option<Settlement>)>, answered: bool) {
        let mut teller = None;
        for (which, told) in ends {
            if self.out.is_empty() {
                break;
            }
            let at = which % self.out.len();
            if teller.is_some_and(|teller| teller != self.out[at].worker) {
                continue;
            }
            let Out { key, worker, call, lease, admission, at } = self.out.swap_remove(at);
            teller = Some(worker);
            let (now, breaker) = (self.now(), &self.workers[worker].breaker);
            if let Some(mut told) = told {
                // In the time of the bench, which a breaker cannot measure.
                told.latency = told.latency.map(|latency| latency * STRETCH).or(now.checked_sub(at));
                breaker.settle(NAMES[key], Some(lease), admission, told);
                self.model(key, worker).settle(call, told, now);
            } else {
                for _ in 0..2 {
                    breaker.abandon(NAMES[key], lease, answered.then_some(admission));
                }
                self.keys[key].give_back(call);
            }
        }
        if let Some(teller) = teller {
            self.workers[teller].breaker.flush().await;
        }
    }

    async fn set_mode(&mut self, key: usize, worker: usize, mode: Option<Mode>) {
        let (now, breaker) = (self.now(), &self.workers[worker].breaker);
        if let Some(mode) = mode {
            breaker.set_mode(NAMES[key], mode).await.unwrap();
            self.keys[key].set_mode(mode, now);
        } else {
            breaker.reset(NAMES[key]).await.unwrap();
            let mode = self.keys[key].mode();
            self.keys[key].start_anew(mode, now);
        }
    }

    async fn step(&mut self, step: Step) {
        let pick = |out: &[Out], which: usize| (!out.is_empty()).then(|| which % out.len());
        match step {
            Step::Ask { key, worker, hold } => self.ask(key, worker, hold.map(|hold| hold * STRETCH)).await,
            Step::AskTooLate { key, worker } => self.ask_too_late(key, worker).await,
            Step::AskAgain { which } => {
                if let Some(at) = pick(&self.out, which) {
                    self.ask_again(at).await;
                }
            }
            Step::End { ends, answered } => self.end(ends, answered).await,
            Step::Leak { which } => {
                if let Some(at) = pick(&self.out, which) {
                    self.out.swap_remove(at);
                }
            }
            Step::Again { which } => {
                if !self.sent.is_empty() {
                    self.bench.again(&self.sent[which % self.sent.len()]).await;
                }
            }
            Step::Mode { key, worker, mode } => self.set_mode(key, worker, mode).await,
            Step::Pass(time) => self.bench.pass(time * STRETCH),
        }
        self.sent.extend(self.bench.sent().await.into_iter().filter(is_report));
    }

    /// All that can be read agrees, and so does what the listeners heard.
    async fn check(&mut self, worker: usize) {
        for (at, name) in NAMES.iter().enumerate() {
            let real = self.workers[worker].breaker.snapshot(name).await.unwrap();
            let (now, by_row) = (self.now(), self.by_row);
            let key = self.model(at, worker);
            let (state, mode) = (key.state(), key.mode());
            let (failures, probes) = (key.failures(now), key.probes_out(now));
            let mut counts = key.counts(now);
            // Failures in a row are the worker's own.
            if state != State::HalfOpen && by_row {
                counts = circuit_breaker::Counts::default();
            }
            let (openings, in_state, rest) = (key.openings(), key.in_state(now), key.retry_after(now));
            let status = real.status;
            assert_eq!(
                (status.state, status.mode, status.failures, status.probes as usize, status.degraded),
                (state, mode, failures, probes, false),
                "status of {name} as worker {worker} sees it"
            );
            assert_eq!((real.counts, real.openings), (counts, openings), "snapshot of {name}");
            if real.epoch > 0 {
                assert_eq!(real.in_state, in_state, "snapshot of {name}");
            }
            self.assert_close(status.retry_after, rest, name);
            assert!(real.epoch >= self.epochs[at], "epochs grow");
            self.epochs[at] = real.epoch;
            self.seen[state as usize] += 1;
            self.check_events(worker, at, (state, mode));
        }
    }

    /// A worker's listener is told of what it came to know of, each time from where it was.
    fn check_events(&mut self, worker: usize, key: usize, known: (State, Mode)) {
        let Worker { told, heard, .. } = &mut self.workers[worker];
        told.lock().retain(|told| {
            let own = *told.key == *NAMES[key];
            if own {
                let from = heard[key].as_ref().map_or(State::Closed, |heard| heard.to);
                assert_eq!(told.from, from, "{told:?}");
                assert!(heard[key].as_ref().is_none_or(|heard| heard.epoch < told.epoch), "{told:?}");
                heard[key] = Some(told.clone());
            }
            !own
        });
        let last =
            heard[key].as_ref().map_or((State::Closed, Mode::Automatic), |heard| (heard.to, heard.mode));
        assert_eq!(last, known, "what the listener of worker {worker} knows");
    }
}

/// Questions are not repeated: an answer that was heard is the last.
fn is_report(sent: &Sent) -> bool {
    let (mut last, arguments) = (sent.clone(), sent.arguments());
    let is_lease = last.argument(14.min(arguments)).len() == 32;
    // A trip, the end of a probe, or results of a window.
    arguments > 15 || arguments == 15 && !is_lease
}

async fn run(bench: &Bench, stores: &[RedisStore], settings: Settings, steps: Vec<Step>) -> [usize; 3] {
    bench.forget_all().await;
    let settings = stretched(settings);
    let mut world = World::new(bench, stores, &settings);
    for (number, step) in steps.into_iter().enumerate() {
        world.step(step).await;
        world.check(number % WORKERS).await;
    }
    bench.entries().await;
    assert_eq!(bench.events(), []);
    assert_eq!(bench.errors().await, 0);
    world.seen
}

#[test]
fn random_programs_of_several_workers_agree_with_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let stores = [(); WORKERS].map(|()| bench.store("programs"));
    let seen = Cell::new([0; 3]);
    let (program, config) = ((settings(), proptest::collection::vec(step(), 1..90)), programs(120));
    let cases = config.cases as usize;
    let result = TestRunner::new(config).run(&program, |(settings, steps)| {
        let visits = runtime.block_on(run(&bench, &stores, settings, steps));
        seen.set(std::array::from_fn(|state| seen.get()[state] + visits[state]));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.get();
    assert!(seen.iter().all(|steps| *steps > 3 * cases), "every state was visited: {seen:?}");
}

/// Without a bound on probes they hold no leases, so that only the epoch tells a late one.
#[tokio::test]
async fn an_unbounded_probe_of_an_earlier_opening_does_not_count() {
    let bench = Bench::start().await;
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).probes(None);
    let breaker = RedisBreaker::new(&bench.store("programs"), InProcessBreaker::new(settings));
    let ask = async || breaker.acquire("key", &Ask::new(LeaseId::new())).await.unwrap();
    let tell = async |admission, verdict: Verdict| {
        breaker.settle("key", Some(LeaseId::new()), admission, verdict.into());
        breaker.flush().await;
    };
    tell(ask().await, Verdict::Failure).await;
    bench.pass(Duration::from_secs(121));
    let (late, probe) = (ask().await, ask().await);
    assert!(late.probe && probe.probe);
    tell(probe, Verdict::Failure).await;
    bench.pass(Duration::from_secs(121));
    let probe = ask().await;
    for verdict in [Verdict::Success, Verdict::Failure] {
        tell(late, verdict).await;
        assert_eq!(breaker.status("key").await.state, State::HalfOpen);
    }
    tell(probe, Verdict::Success).await;
    assert_eq!(breaker.status("key").await.state, State::Closed);
}
