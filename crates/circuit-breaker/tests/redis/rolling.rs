//! Versions side by side: workers with other settings, entries with more or fewer fields, and entries of somebody else.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use circuit_breaker::{
    Ask, Breaker, Cost, InProcessBreaker, InProcessLimiter, LeaseId, LimitReason, Limiter, Limits, Mode,
    Percent, Rate, Rates, RedisBreaker, RedisLimiter, RejectReason, Settings, State, Verdict, Window,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::programs::program::{settings, time, told};
use super::programs_bench::{Bench, programs};

const ONE: NonZeroU32 = NonZeroU32::MIN;

fn breaker(bench: &Bench, settings: Settings) -> RedisBreaker {
    RedisBreaker::new(&bench.store("rolling"), InProcessBreaker::new(settings))
}

async fn ask(breaker: &RedisBreaker) -> Result<bool, RejectReason> {
    let admission = breaker.acquire("key", &Ask::new(LeaseId::new())).await;
    admission.map(|admission| admission.probe).map_err(|rejection| rejection.reason)
}

async fn tell(breaker: &RedisBreaker, verdict: Verdict, times: usize) {
    for _ in 0..times {
        let ask = Ask::new(LeaseId::new());
        let admission = breaker.acquire("key", &ask).await.unwrap();
        breaker.settle("key", Some(ask.lease), admission, verdict.into());
    }
    breaker.flush().await;
}

fn of(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn half(window: Window, least: u32) -> Settings {
    Settings::default().trip(Rates::failures(Percent::new(50).unwrap(), window).minimum_calls(of(least)))
}

#[derive(Debug, Clone)]
enum Meddling {
    /// A later version adds something.
    Add,
    /// An earlier one did not have it.
    Remove(usize),
}

const FIELDS: [&str; 24] = [
    "s", "e", "u", "t", "f", "n", "m", "rc", "rf", "rs", "wc", "wf", "ws", "at", "d", "h1", "t1", "a1", "h2",
    "t2", "a2", "h3", "t3", "a3",
];

async fn meddle(bench: &Bench, meddling: &Meddling, suffix: &str) {
    let entries = bench.entries().await;
    for name in entries.keys().filter(|name| name.ends_with(suffix)) {
        match meddling {
            Meddling::Add => _ = bench.run(&["HSET", name, "later", "value"]).await,
            Meddling::Remove(which) => _ = bench.run(&["HDEL", name, FIELDS[which % FIELDS.len()]]).await,
        }
    }
}

fn meddling() -> impl Strategy<Value = Option<Meddling>> {
    prop_oneof![8 => Just(None), 1 => Just(Some(Meddling::Add)), 2 => any::<usize>().prop_map(|which| Some(Meddling::Remove(which)))]
}

#[test]
fn breakers_with_any_two_settings_get_along() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let store = bench.store("rolling");
    let mode = proptest::option::weighted(
        0.05,
        prop_oneof![Just(Mode::Automatic), Just(Mode::ForcedOpen), Just(Mode::Disabled)],
    );
    let step = (0..2_usize, proptest::option::weighted(0.9, told()), time(0..20), meddling(), mode);
    let program = ((settings(), settings()), proptest::collection::vec(step, 1..60));
    let result = TestRunner::new(programs(60)).run(&program, |((one, other), steps)| {
        runtime.block_on(async {
            bench.forget_all().await;
            let workers =
                [one, other].map(|settings| RedisBreaker::new(&store, InProcessBreaker::new(settings)));
            for (worker, told, passes, meddling, mode) in steps {
                let ask = Ask::new(LeaseId::new());
                let answer = workers[worker].acquire("key", &ask).await;
                assert!(
                    !answer
                        .as_ref()
                        .map_or_else(|rejection| rejection.degraded, |admission| admission.degraded)
                );
                if let (Ok(admission), Some(told)) = (answer, told) {
                    workers[worker].settle("key", Some(ask.lease), admission, told);
                    workers[worker].flush().await;
                }
                if let Some(mode) = mode {
                    workers[worker].set_mode("key", mode).await.unwrap();
                }
                if let Some(meddling) = meddling {
                    meddle(&bench, &meddling, ":b").await;
                }
                bench.pass(passes);
            }
            bench.entries().await;
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(runtime.block_on(bench.errors()), 0);
    assert_eq!(bench.events(), []);
}

#[tokio::test]
async fn each_breaker_goes_by_its_own_rules() {
    let bench = Bench::start().await;
    let settings = Settings::default().failure_threshold(of(2)).cooldown(Duration::from_secs(60));
    let strict = breaker(&bench, settings.clone());
    let lax = breaker(
        &bench,
        settings.failure_threshold(of(5)).cooldown(Duration::from_secs(10)).probes(NonZeroU32::new(2)),
    );
    tell(&lax, Verdict::Failure, 4).await;
    assert_eq!(ask(&strict).await, Ok(false));
    tell(&strict, Verdict::Failure, 2).await;
    bench.pass(Duration::from_secs(59));
    assert_eq!(ask(&lax).await, Err(RejectReason::Open), "it opened for as long as who opened it says");
    bench.pass(Duration::from_secs(1));
    assert_eq!(ask(&strict).await, Ok(true));
    assert_eq!(ask(&strict).await, Err(RejectReason::ProbesTaken));
    assert_eq!(ask(&lax).await, Ok(true));
    assert_eq!(ask(&lax).await, Err(RejectReason::ProbesTaken));
}

/// What a window of another length left behind leaves this one with its time.
#[tokio::test]
async fn windows_of_time_of_two_lengths_hold_the_same_calls() {
    let bench = Bench::start().await;
    for (before, after) in [(100, 6000), (6000, 100)] {
        bench.forget_all().await;
        let window = |secs| half(Window::Time(Duration::from_secs(secs)), 10);
        let (old, new) = (breaker(&bench, window(before)), breaker(&bench, window(after)));
        tell(&old, Verdict::Success, 100).await;
        let together = if before < after { 100 } else { 0 };
        let counted = new.snapshot("key").await.unwrap().counts.calls;
        assert!(counted >= together, "{counted} of a window of {before} s in one of {after} s");
        bench.pass(Duration::from_secs(6001));
        assert_eq!(new.snapshot("key").await.unwrap().counts.calls, 0, "what is old is gone");
        tell(&new, Verdict::Failure, 10).await;
        assert_eq!(new.status("key").await.state, State::Open, "{before} s, then {after} s");
    }
}

#[tokio::test]
async fn windows_of_calls_of_two_lengths_hold_no_more_than_each_may() {
    let bench = Bench::start().await;
    let window = |calls| half(Window::Calls(of(calls)), 4);
    let (wide, narrow) = (breaker(&bench, window(100)), breaker(&bench, window(4)));
    tell(&wide, Verdict::Success, 90).await;
    tell(&narrow, Verdict::Failure, 1).await;
    assert_eq!(narrow.snapshot("key").await.unwrap().counts.calls, 4);
    assert_eq!(narrow.status("key").await.state, State::Closed);
    tell(&narrow, Verdict::Failure, 1).await;
    assert_eq!(narrow.status("key").await.state, State::Open);
}

/// The calls of a window and their sums are two entries, and a server that is full may drop one of them.
#[tokio::test]
async fn a_window_whose_calls_were_dropped_begins_anew() {
    let bench = Bench::start().await;
    let breaker = breaker(&bench, half(Window::Calls(of(10)), 10));
    tell(&breaker, Verdict::Success, 10).await;
    for name in bench.entries().await.keys().filter(|name| name.ends_with(":bc")) {
        bench.run(&["DEL", name]).await;
    }
    assert_eq!(breaker.snapshot("key").await.unwrap().counts.calls, 0);
    tell(&breaker, Verdict::Failure, 9).await;
    assert_eq!(breaker.status("key").await.state, State::Closed);
    tell(&breaker, Verdict::Failure, 1).await;
    assert_eq!(breaker.status("key").await.state, State::Open);
}

#[tokio::test]
async fn results_that_come_too_late_for_a_window_do_not_count() {
    let bench = Bench::start().await;
    let breaker = breaker(&bench, half(Window::Time(Duration::from_secs(10)), 3));
    tell(&breaker, Verdict::Failure, 1).await;
    bench.forget_all().await;
    tell(&breaker, Verdict::Failure, 1).await;
    let mut note = bench.sent().await.into_iter().find(|sent| sent.arguments() == 17).unwrap();
    let calls = async |note: &_| {
        bench.again(note).await;
        breaker.snapshot("key").await.unwrap().counts.calls
    };
    *note.argument(14) = b"somebody else".to_vec();
    *note.argument(2) = b"20000000".to_vec();
    *note.argument(17) = b"111".to_vec();
    assert_eq!(calls(&note).await, 1, "they ended twenty seconds ago");
    assert_eq!(breaker.status("key").await.state, State::Closed);
    *note.argument(14) = b"a third one".to_vec();
    *note.argument(2) = b"0".to_vec();
    *note.argument(17) = b"0".to_vec();
    assert_eq!(calls(&note).await, 2, "it ended just now");
}

/// A mode is for people, who may not come back to it for long.
#[tokio::test]
async fn a_mode_stays_for_a_month_after_the_last_call() {
    let bench = Bench::start().await;
    let breaker = breaker(&bench, Settings::default());
    breaker.set_mode("key", Mode::ForcedOpen).await.unwrap();
    for name in bench.entries().await.keys() {
        bench.run(&["PEXPIRE", name, "60000"]).await;
    }
    assert_eq!(ask(&breaker).await, Err(RejectReason::ForcedOpen));
    let month = 30 * 24 * 3600 * 1000;
    assert!(bench.entries().await.values().all(|kept| *kept >= month));
}

fn rate(amount: u64) -> Rate {
    Rate::per_minute(NonZeroU64::new(amount).unwrap())
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = || proptest::option::of((1..100_u64).prop_map(rate));
    (rate(), rate(), rate(), proptest::option::of(1..4_u32)).prop_map(|(requests, input, output, calls)| {
        let mut limits = Limits::default();
        (limits.requests, limits.input_tokens, limits.output_tokens) = (requests, input, output);
        limits.in_flight = Some(of(calls.unwrap_or(100)));
        limits
    })
}

#[test]
fn limiters_with_any_two_limits_get_along() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let store = bench.store("rolling");
    let tokens = || proptest::option::of(0..100_u64);
    let step = (0..2_usize, (tokens(), tokens()), tokens(), time(0..20), meddling());
    let program = ((limits(), limits()), proptest::collection::vec(step, 1..60));
    let result = TestRunner::new(programs(60)).run(&program, |((one, other), steps)| {
        runtime.block_on(async {
            bench.forget_all().await;
            let workers = [one, other].map(|limits| RedisLimiter::new(&store, InProcessLimiter::new(limits)));
            for (worker, (input, output), actual, passes, meddling) in steps {
                let mut cost = Cost::REQUEST;
                (cost.input_tokens, cost.output_tokens) = (input, output);
                let ask = Ask::new(LeaseId::new());
                match workers[worker].acquire("key", &ask, &cost).await {
                    Ok(reservation) => {
                        assert!(!reservation.degraded);
                        cost.output_tokens = actual;
                        workers[worker].settle("key", ask.lease, reservation, &cost);
                        workers[worker].flush().await;
                    }
                    Err(refusal) => assert!(!refusal.degraded),
                }
                if let Some(meddling) = meddling {
                    meddle(&bench, &meddling, ":l").await;
                }
                bench.pass(passes);
            }
            bench.entries().await;
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(runtime.block_on(bench.errors()), 0);
    assert_eq!(bench.events(), []);
}

/// Those who know nothing of a rate do not keep its units from coming back.
#[tokio::test]
async fn a_rate_that_only_one_of_two_versions_has_goes_on() {
    let bench = Bench::start().await;
    let limiter = |limits| RedisLimiter::new(&bench.store("rolling"), InProcessLimiter::new(limits));
    let old = limiter(Limits::default().requests(rate(60_000)));
    let new = limiter(Limits::default().requests(rate(60_000)).input_tokens(rate(60)));
    let ask = async |limiter: &RedisLimiter, tokens| {
        let cost = Cost::REQUEST.with_input_tokens(tokens);
        limiter.acquire("key", &Ask::new(LeaseId::new()), &cost).await.map_err(|limited| limited.reason)
    };
    ask(&new, 60).await.unwrap();
    assert_eq!(ask(&new, 30).await, Err(LimitReason::InputTokenRate));
    for _ in 0..30 {
        bench.pass(Duration::from_secs(1));
        ask(&old, 1000).await.unwrap();
    }
    ask(&new, 30).await.unwrap();
    assert_eq!(ask(&new, 1).await, Err(LimitReason::InputTokenRate));
}

#[tokio::test]
async fn what_a_later_version_added_stays() {
    let bench = Bench::start().await;
    let breaker = breaker(&bench, Settings::default().failure_threshold(ONE));
    let limiter = RedisLimiter::new(
        &bench.store("rolling"),
        InProcessLimiter::new(Limits::default().requests(rate(1))),
    );
    limiter.acquire("key", &Ask::new(LeaseId::new()), &Cost::REQUEST).await.unwrap();
    tell(&breaker, Verdict::Failure, 1).await;
    meddle(&bench, &Meddling::Add, ":b").await;
    meddle(&bench, &Meddling::Add, ":l").await;
    breaker.reset("key").await.unwrap();
    tell(&breaker, Verdict::Failure, 1).await;
    limiter.defer("key", Duration::from_secs(1));
    limiter.flush().await;
    for name in bench.entries().await.keys().filter(|name| name.ends_with(":b") || name.ends_with(":l")) {
        assert_eq!(bench.number(&["HEXISTS", name, "later"]).await, 1, "{name}");
    }
}

/// It is a mistake of one key, and the store goes on to serve all others.
#[tokio::test]
async fn entries_of_somebody_else_concern_their_own_key_only() {
    let bench = Bench::start().await;
    let breaker = breaker(&bench, Settings::default().failure_threshold(ONE));
    let limiter = RedisLimiter::new(
        &bench.store("rolling"),
        InProcessLimiter::new(Limits::default().requests(rate(1))),
    );
    let cost = Cost::REQUEST;
    tell(&breaker, Verdict::Success, 1).await;
    limiter.acquire("key", &Ask::new(LeaseId::new()), &cost).await.unwrap();
    let entries = bench.entries().await;
    let (entry, _) = entries.keys().next().unwrap().rsplit_once(':').unwrap();
    for suffix in ["b", "bp", "bx", "br", "bc", "bt", "l", "lh", "lc", "lx"] {
        bench.run(&["SET", &format!("{entry}:{suffix}"), "mine", "EX", "60"]).await;
    }
    assert!(breaker.acquire("key", &Ask::new(LeaseId::new())).await.unwrap().degraded);
    assert!(breaker.status("key").await.degraded);
    breaker.set_mode("key", Mode::ForcedOpen).await.unwrap_err();
    let reservation = limiter.acquire("key", &Ask::new(LeaseId::new()), &cost).await.unwrap();
    assert!(reservation.degraded);
    limiter.defer("key", Duration::from_secs(1));
    // Reports that are refused are given up, and nobody waits for ever.
    limiter.flush().await;
    assert!(!breaker.acquire("other", &Ask::new(LeaseId::new())).await.unwrap().degraded);
    assert!(!limiter.acquire("other", &Ask::new(LeaseId::new()), &cost).await.unwrap().degraded);
    // The hint is, and the store is not.
    assert!(matches!(bench.events()[..], [circuit_breaker::StoreEvent::Dropped { reports: 1, .. }]));
}
