//! Random programs against a plain reference model: same answers, same states, step by step.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Circuit, InProcessBreaker, Permit, Settings, State, Trip, Verdict};
use tokio::time::{Instant, advance};

/// One key, the slow and obvious way: every call it ever admitted is on record.
struct Model {
    threshold: u32,
    cooldown: Duration,
    probes: Option<usize>,
    hold: Duration,
    state: State,
    generation: u32,
    failures: u32,
    opened: Instant,
    calls: Vec<Call>,
}

struct Call {
    generation: u32,
    admitted: Instant,
    hold: Duration,
    ended: bool,
}

impl Model {
    fn new(settings: &Settings) -> Self {
        Self {
            threshold: match settings.trip {
                Trip::Consecutive(failures) => failures.get(),
                trip => panic!("{trip:?}"),
            },
            cooldown: settings.cooldown,
            probes: settings.probes.map(|probes| probes.get() as usize),
            hold: settings.max_hold,
            state: State::Closed,
            generation: 0,
            failures: 0,
            opened: Instant::now(),
            calls: Vec::new(),
        }
    }

    fn enter(&mut self, state: State) {
        (self.state, self.generation) = (state, self.generation + 1);
    }

    fn probes_out(&self) -> usize {
        let out = |call: &&Call| {
            call.generation == self.generation && !call.ended && call.admitted.elapsed() < call.hold
        };
        self.calls.iter().filter(out).count()
    }

    /// The call's number, or nothing.
    fn admit(&mut self, hold: Option<Duration>) -> Option<usize> {
        if self.state == State::Open && self.opened.elapsed() >= self.cooldown {
            self.enter(State::HalfOpen);
        }
        let yes = match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => self.probes.is_none_or(|bound| self.probes_out() < bound),
        };
        yes.then(|| {
            let (generation, hold) = (self.generation, hold.unwrap_or(self.hold));
            self.calls.push(Call { generation, admitted: Instant::now(), hold, ended: false });
            self.calls.len() - 1
        })
    }

    fn end(&mut self, call: usize, verdict: Option<Verdict>) {
        let call = &mut self.calls[call];
        call.ended = true;
        let expired =
            self.state == State::HalfOpen && self.probes.is_some() && call.admitted.elapsed() >= call.hold;
        if call.generation != self.generation || expired {
            return;
        }
        match verdict {
            Some(Verdict::Success) => {
                self.failures = 0;
                if self.state == State::HalfOpen {
                    self.enter(State::Closed);
                }
            }
            Some(Verdict::Failure) => {
                self.failures += 1;
                if self.state == State::HalfOpen || self.failures >= self.threshold {
                    self.opened = Instant::now();
                    self.enter(State::Open);
                }
            }
            _ => {}
        }
    }
}

struct Held {
    key: usize,
    call: usize,
    permit: Permit,
}

const KEYS: usize = 3;

async fn run(seed: u64) -> [usize; 3] {
    let mut random = fastrand::Rng::with_seed(seed);
    let settings = Settings::default()
        .failure_threshold(NonZeroU32::new(random.u32(1..4)).unwrap())
        .cooldown(Duration::from_secs(random.u64(0..30)))
        .probes(NonZeroU32::new(random.u32(0..3)))
        .max_hold(Duration::from_secs(random.u64(10..60)))
        .max_keys(KEYS);
    let breaker = Arc::new(InProcessBreaker::new(settings.clone()));
    let circuits: Vec<_> = (0..KEYS).map(|key| Circuit::new(breaker.clone(), key.to_string())).collect();
    let mut models: Vec<_> = (0..KEYS).map(|_| Model::new(&settings)).collect();
    let mut held: Vec<Held> = Vec::new();
    let mut visits = [0; 3];
    // Some programs fail rarely, so that keys stay closed and are forgotten.
    let failures = random.u8(1..9);
    for step in 0..1500 {
        match random.u8(..10) {
            0..4 => {
                let key = random.usize(..KEYS);
                let asked = random.bool().then(|| Duration::from_secs(random.u64(1..120)));
                let real = match asked {
                    Some(time) => circuits[key].admit_for(time).await.ok(),
                    None => circuits[key].admit().await.ok(),
                };
                let model = models[key].admit(asked);
                assert_eq!(real.is_some(), model.is_some(), "seed {seed}, step {step}: admitted");
                if let (Some(permit), Some(call)) = (real, model) {
                    assert_eq!(permit.is_probe(), models[key].state == State::HalfOpen);
                    held.push(Held { key, call, permit });
                }
            }
            4..8 if !held.is_empty() => {
                let Held { key, call, permit } = held.swap_remove(random.usize(..held.len()));
                // What a closed circuit admitted longer ago than the hold may be ignored or not.
                let old =
                    !permit.is_probe() && models[key].calls[call].admitted.elapsed() >= settings.max_hold;
                let verdict = match random.u8(..12) {
                    _ if old => Some(Verdict::Neutral),
                    0 => None,
                    1 => Some(Verdict::Neutral),
                    roll if roll - 2 < failures => Some(Verdict::Failure),
                    _ => Some(Verdict::Success),
                };
                models[key].end(call, verdict);
                match verdict {
                    Some(verdict) => permit.settle(verdict),
                    None => drop(permit),
                }
            }
            8 if random.u8(..8) == 0 && !held.is_empty() => {
                // Leaked: neither settled nor dropped. The model's call never ends either.
                std::mem::forget(held.swap_remove(random.usize(..held.len())).permit);
            }
            _ => advance(Duration::from_millis(random.u64(..3000))).await,
        }
        for (circuit, model) in circuits.iter().zip(&models) {
            let status = circuit.status().await;
            assert_eq!(
                (status.state, status.failures),
                (model.state, model.failures),
                "seed {seed}, step {step}"
            );
            if model.state == State::HalfOpen && model.probes.is_some() {
                assert_eq!(
                    status.probes as usize,
                    model.probes_out(),
                    "seed {seed}, step {step}: probes out"
                );
            }
            visits[model.state as usize] += 1;
        }
    }
    visits
}

#[tokio::test(start_paused = true)]
async fn random_programs_agree_with_the_model() {
    let mut seen = [0; 3];
    for seed in 0..60 {
        for (sum, visits) in seen.iter_mut().zip(run(seed).await) {
            *sum += visits;
        }
    }
    assert!(seen.iter().all(|steps| *steps > 10_000), "every state was visited: {seen:?}");
}
