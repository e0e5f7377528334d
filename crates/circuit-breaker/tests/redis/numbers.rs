//! Numbers at their limits, clocks that go back, and how much is left behind in the server.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use circuit_breaker::{
    Ask, Breaker, Cost, InProcessBreaker, InProcessLimiter, LeaseId, Limiter, Limits, Percent, Rate, Rates,
    RedisBreaker, RedisLimiter, RejectReason, Settings, State, Trip, Verdict, Window,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::programs_bench::{Bench, programs};

const CLOCKS: [u64; 6] = [0, 1, 1_000_000, 1_700_000_000_000_000, 1_700_000_000_000_001, 1 << 50];

fn span() -> impl Strategy<Value = Duration> {
    let nanos = Just(Duration::from_nanos(1));
    prop_oneof![
        Just(Duration::ZERO),
        nanos,
        Just(Duration::from_secs(60)),
        Just(Duration::MAX),
        (0..u64::MAX).prop_map(Duration::from_nanos)
    ]
}

fn count() -> impl Strategy<Value = NonZeroU32> {
    prop_oneof![Just(1), Just(2), Just(u32::MAX)].prop_map(|count| NonZeroU32::new(count).unwrap())
}

fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![count().prop_map(Window::Calls), span().prop_map(Window::Time)];
    let rates = (window, count(), 1..=100_u8).prop_map(|(window, calls, share)| {
        let share = Percent::new(share).unwrap();
        Rates::failures(share, window).slow_calls(Duration::ZERO, share).minimum_calls(calls)
    });
    let trip = prop_oneof![count().prop_map(Trip::Consecutive), rates.prop_map(Trip::Rates)];
    let spans = (span(), proptest::option::of(span()), proptest::option::of(span()), span());
    (trip, spans, proptest::option::of(count()), proptest::option::of(1..=100_u8)).prop_map(
        |(trip, (cooldown, longest, half_open, hold), probes, jitter)| {
            let mut settings =
                Settings::default().trip(trip).cooldown(cooldown).probes(probes).max_hold(hold);
            (settings.longest_cooldown, settings.longest_half_open) = (longest, half_open);
            settings.jitter = jitter.and_then(Percent::new);
            settings
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let amount = || prop_oneof![Just(1), Just(1_000_000_000_000), Just(1 << 53), Just(u64::MAX), 1..u64::MAX];
    let number = |number| NonZeroU64::new(number).unwrap();
    let rate = move || {
        (amount(), span(), amount())
            .prop_map(move |(most, period, burst)| Rate::new(number(most), period).burst(number(burst)))
    };
    (rate(), rate(), rate()).prop_map(|(requests, input, output)| {
        Limits::default().requests(requests).input_tokens(input).output_tokens(output)
    })
}

/// Nothing went wrong in the server, and nothing is left in it for ever.
async fn assert_sound(bench: &Bench) {
    assert_eq!(bench.errors().await, 0);
    assert_eq!(bench.events(), []);
    bench.entries().await;
}

#[test]
fn no_settings_and_no_clock_are_too_much_for_a_breaker() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let store = bench.store("numbers");
    let step = (0..CLOCKS.len(), any::<bool>(), proptest::option::of(span()));
    let program = (settings(), proptest::collection::vec(step, 1..20));
    let result = TestRunner::new(programs(60)).run(&program, |(settings, steps)| {
        runtime.block_on(async {
            bench.forget_all().await;
            let breaker = RedisBreaker::new(&store, InProcessBreaker::new(settings));
            let mut epoch = 0;
            for (clock, fails, hold) in steps {
                bench.set(CLOCKS[clock]);
                let mut ask = Ask::new(LeaseId::new());
                ask.hold = hold;
                if let Ok(admission) = breaker.acquire("key", &ask).await {
                    assert!(!admission.degraded);
                    let verdict = if fails { Verdict::Failure } else { Verdict::Success };
                    breaker.settle("key", Some(ask.lease), admission, verdict.into());
                    Breaker::flush(&breaker).await;
                }
                let snapshot = breaker.snapshot("key").await.unwrap();
                assert!(snapshot.epoch >= epoch);
                epoch = snapshot.epoch;
            }
            assert_sound(&bench).await;
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_limits_and_no_costs_are_too_much_for_a_limiter() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let store = bench.store("numbers");
    let tokens =
        || prop_oneof![Just(None), Just(Some(0)), Just(Some(1)), Just(Some(1 << 50)), Just(Some(u64::MAX))];
    let requests = prop_oneof![Just(0), Just(1), Just(u32::MAX)];
    let step = (0..CLOCKS.len(), (requests, tokens(), tokens()), (tokens(), tokens()), span());
    let program = (limits(), proptest::collection::vec(step, 1..20));
    let result = TestRunner::new(programs(60)).run(&program, |(limits, steps)| {
        runtime.block_on(async {
            bench.forget_all().await;
            let limiter = RedisLimiter::new(&store, InProcessLimiter::new(limits));
            for (clock, (requests, input, output), (actual_input, actual_output), span) in steps {
                bench.set(CLOCKS[clock]);
                let mut cost = Cost::REQUEST.with_requests(requests);
                (cost.input_tokens, cost.output_tokens) = (input, output);
                let ask = Ask::new(LeaseId::new()).with_hold(span);
                match limiter.acquire("key", &ask, &cost).await {
                    Ok(reservation) => {
                        assert!(!reservation.degraded);
                        (cost.input_tokens, cost.output_tokens) = (actual_input, actual_output);
                        limiter.settle("key", ask.lease, reservation, &cost);
                    }
                    Err(refusal) => assert!(!refusal.degraded),
                }
                limiter.defer("key", span.min(Duration::from_secs(1)));
                limiter.flush().await;
            }
            assert_sound(&bench).await;
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn breaker(bench: &Bench, settings: Settings) -> RedisBreaker {
    RedisBreaker::new(&bench.store("numbers"), InProcessBreaker::new(settings))
}

async fn fail(breaker: &RedisBreaker) {
    let ask = Ask::new(LeaseId::new());
    let admission = breaker.acquire("key", &ask).await.unwrap();
    breaker.settle("key", Some(ask.lease), admission, Verdict::Failure.into());
    breaker.flush().await;
}

#[tokio::test]
async fn epochs_grow_while_the_clock_goes_back() {
    let bench = Bench::start().await;
    let breaker = breaker(&bench, Settings::default().failure_threshold(NonZeroU32::MIN));
    let mut epochs = Vec::new();
    for _ in 0..3 {
        fail(&breaker).await;
        bench.set(bench.now() - 3_600_000_000);
        epochs.push(breaker.snapshot("key").await.unwrap().epoch);
        breaker.reset("key").await.unwrap();
        epochs.push(breaker.snapshot("key").await.unwrap().epoch);
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
}

/// How late it is, the message says itself: nobody waits for it here.
#[tokio::test]
async fn an_opening_that_is_told_late_lasts_for_the_rest_of_its_time() {
    let bench = Bench::start().await;
    let cooldown = Duration::from_secs(60);
    let breaker = breaker(&bench, Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(cooldown));
    fail(&breaker).await;
    bench.sent().await;
    bench.forget_all().await;
    fail(&breaker).await;
    let trip = bench
        .sent()
        .await
        .into_iter()
        .find(|sent| sent.clone().argument(14).len() < 32 && sent.arguments() == 15);
    let trip = trip.unwrap();
    for (late, rest) in [(10_u64, Some(50)), (59, Some(1)), (60, None), (3600, None)] {
        bench.forget_all().await;
        let mut told = trip.clone();
        *told.argument(2) = (late * 1_000_000).to_string().into_bytes();
        bench.again(&told).await;
        let refused = breaker.acquire("key", &Ask::new(LeaseId::new())).await.err();
        let rest = rest.map(Duration::from_secs);
        let after = refused.as_ref().and_then(|refused| refused.retry_after);
        assert_eq!(refused.map(|refused| refused.reason), rest.map(|_| RejectReason::Open));
        assert!(
            after <= rest && after.map(|after| after.as_secs() + 1) >= rest.map(|rest| rest.as_secs()),
            "{after:?}"
        );
    }
}

/// A report takes its time, so that otherwise a circuit with a short cooldown would never open.
#[tokio::test]
async fn an_opening_without_a_cooldown_leads_to_a_probe() {
    let bench = Bench::start().await;
    let breaker =
        breaker(&bench, Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(Duration::ZERO));
    fail(&breaker).await;
    bench.forget_all().await;
    fail(&breaker).await;
    let mut trip = bench.sent().await.into_iter().rfind(|sent| sent.arguments() == 15).unwrap();
    bench.forget_all().await;
    *trip.argument(2) = b"900000".to_vec();
    bench.again(&trip).await;
    assert_eq!(breaker.status("key").await.state, State::Open);
    assert!(breaker.acquire("key", &Ask::new(LeaseId::new())).await.unwrap().probe);
    assert_eq!(
        breaker.acquire("key", &Ask::new(LeaseId::new())).await.unwrap_err().reason,
        RejectReason::ProbesTaken
    );
}

async fn size(bench: &Bench, suffix: &str, command: &str) -> i64 {
    let entries = bench.entries().await;
    let Some(name) = entries.keys().find(|name| name.ends_with(suffix)) else { return 0 };
    bench.number(&[command, name]).await
}

/// Leases that ended, tombstones whose time has passed and workers that went are not kept.
#[tokio::test]
async fn a_breaker_leaves_little_behind() {
    let bench = Bench::start().await;
    let share = Percent::new(100).unwrap();
    for window in [Window::Calls(NonZeroU32::new(10).unwrap()), Window::Time(Duration::from_secs(10))] {
        bench.forget_all().await;
        let rates = Rates::failures(share, window).minimum_calls(NonZeroU32::new(1000).unwrap());
        let rates = if let Window::Calls(_) = window {
            rates.slow_calls(Duration::from_secs(9), share)
        } else {
            rates
        };
        let breaker = breaker(&bench, Settings::default().trip(rates));
        for round in 0..300_u64 {
            let ask = Ask::new(LeaseId::new());
            let admission = breaker.acquire("key", &ask).await.unwrap();
            let verdict = if round % 2 == 0 { Verdict::Success } else { Verdict::Failure };
            breaker.settle("key", None, admission, verdict.into());
            if round % 2 == 1 {
                breaker.flush().await;
                bench.pass(Duration::from_millis(700));
            }
        }
        assert!(size(&bench, ":bc", "LLEN").await <= 10);
        assert!(size(&bench, ":bt", "HLEN").await <= 33);
        assert!(size(&bench, ":br", "ZCARD").await <= 1);
    }

    bench.forget_all().await;
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).probes(NonZeroU32::new(500));
    let breaker = breaker(&bench, settings.cooldown(Duration::from_secs(1)));
    fail(&breaker).await;
    bench.pass(Duration::from_secs(2));
    for round in 0..300 {
        let ask = Ask::new(LeaseId::new()).with_hold(Duration::from_secs(5));
        let admission = breaker.acquire("key", &ask).await.unwrap();
        assert!(admission.probe);
        match round % 3 {
            0 => {}
            1 => Breaker::abandon(&breaker, "key", ask.lease, Some(admission)),
            _ => Breaker::abandon(&breaker, "key", ask.lease, None),
        }
        breaker.flush().await;
        bench.pass(Duration::from_secs(1));
    }
    assert!(size(&bench, ":bp", "ZCARD").await <= 5);
    // What might be granted late is remembered for a minute.
    assert!(size(&bench, ":bx", "ZCARD").await <= 60);
    assert_eq!(breaker.status("key").await.state, State::HalfOpen);
}

#[tokio::test]
async fn a_limiter_leaves_little_behind() {
    let bench = Bench::start().await;
    let rate = Rate::per_minute(NonZeroU64::new(1_000_000).unwrap());
    let limits =
        Limits::default().requests(rate).output_tokens(rate).in_flight(NonZeroU32::new(1000).unwrap());
    let limiter = RedisLimiter::new(&bench.store("numbers"), InProcessLimiter::new(limits));
    for round in 0..600 {
        let ask = Ask::new(LeaseId::new()).with_hold(Duration::from_secs(10));
        let cost = Cost::REQUEST.with_output_tokens(10);
        let reservation = limiter.acquire("key", &ask, &cost).await.unwrap();
        match round % 6 {
            0 => {}
            1 => limiter.settle("key", ask.lease, reservation, &cost.with_output_tokens(20)),
            2 => limiter.abandon("key", ask.lease, Some(reservation)),
            3 => limiter.abandon("key", ask.lease, None),
            _ => limiter.settle("key", ask.lease, reservation, &cost.with_output_tokens(5)),
        }
        limiter.flush().await;
        bench.pass(Duration::from_secs(2));
    }
    // Those that were leaked last; in all of a minute those that were abandoned, and of ten those that cost more.
    assert!(size(&bench, ":lh", "HLEN").await <= 5);
    assert!(size(&bench, ":lc", "ZCARD").await <= 5);
    assert!(size(&bench, ":lx", "ZCARD").await <= 10 + 50 + 2);
    assert!(size(&bench, ":l", "HLEN").await <= 12);
}
