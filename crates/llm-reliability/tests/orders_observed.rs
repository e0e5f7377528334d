//! Orders that go by what a client has seen: calls under way, and how fast first tokens came.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Seen, assert_received, failing, letters, ms, secs};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason};
use llm_reliability::circuit_breaker::{Mode, RotationError, Settings, async_trait};
use llm_reliability::{
    Call, Candidate, ClientBuilder, FanOut, FastestFirstToken, Hedge, LeastInFlight, Lineup, Order, Policy,
    QuorumPolicy, Report, ResilientClient, StreamMode, Timeouts,
};
use parking_lot::Mutex;

/// Circuits that stay closed.
fn exposed<C: Into<Candidate>>(candidates: impl IntoIterator<Item = C>) -> ClientBuilder {
    let settings = Settings::default().failure_threshold(NonZeroU32::MAX);
    ResilientClient::builder().candidates(candidates).breaker_settings(settings)
}

/// The order within, which writes down how many attempts of each candidate, as listed, are under way with each call.
#[derive(Clone)]
struct Watching<O> {
    inner: O,
    counts: Arc<Mutex<Vec<Vec<usize>>>>,
}

impl<O> Watching<O> {
    fn new(inner: O) -> Self {
        Self { inner, counts: Arc::default() }
    }

    fn last(&self) -> Vec<usize> {
        self.counts.lock().last().cloned().unwrap()
    }
}

#[async_trait]
impl<O: Order> Order for Watching<O> {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        self.counts.lock().push(lineup.listed().map(|each| each.in_flight()).collect());
        self.inner.arrange(lineup).await
    }
}

type Running = BoxFuture<'static, Report>;

/// Begins a call and leaves it under way.
fn begin(client: &ResilientClient) -> Running {
    let client = client.clone();
    let mut call = async move { client.failover("hi").await.unwrap() }.boxed();
    assert!((&mut call).now_or_never().is_none(), "it hangs");
    call
}

#[tokio::test(start_paused = true)]
async fn calls_begin_with_who_has_the_least_to_do_and_ties_go_by_priority() {
    let models = ["p:a", "p:b", "p:c"].map(|key| ScriptedModel::new(key).then(Step::stall()));
    let (seen, order) = (Seen::default(), Watching::new(LeastInFlight));
    let candidates = models.iter().cloned().zip([1, 0, 1]);
    let candidates = candidates.map(|(model, priority)| Candidate::from(model).priority(priority));
    let client = exposed(candidates).order(order.clone()).observer(seen.clone()).build().unwrap();
    let started = || models.iter().map(ScriptedModel::started).collect::<Vec<_>>();
    let mut calls = Vec::new();
    for expected in [[0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 2, 1], [2, 2, 1], [2, 2, 2]] {
        calls.push(begin(&client));
        assert_eq!(started(), expected);
    }
    assert_eq!(order.last(), [2, 2, 1], "as it was before the last one");
    // Both of c's end, and one of a's: c has the least to do, then a and c have.
    for at in [5, 2, 1] {
        drop(calls.remove(at));
    }
    let stream = Box::pin(client.failover_stream("hi"));
    let mut stream = std::pin::pin!(stream);
    assert!((&mut stream).now_or_never().is_none());
    assert_eq!((order.last(), started()), (vec![1, 2, 0], vec![2, 2, 3]));
    calls.push(begin(&client.clone()));
    calls.push(begin(&client));
    assert_eq!((order.last(), started()), (vec![2, 2, 1], vec![3, 2, 4]));
    // Fifteen seconds without a token: everyone moves on, to those who come next by priority.
    let reports = join_all(calls).await;
    let mut lines: Vec<_> = reports.iter().map(|report| letters(report.attempts())).collect();
    lines.sort();
    assert_eq!(lines, ["abc", "abc", "bac", "bac", "cba"]);
    drop(stream.await.unwrap());
    order.look(&client).await;
    assert_eq!(order.last(), [0, 0, 0]);
    assert_received(&models, &seen.attempts());
}

impl<O: Order> Watching<O> {
    /// Looks once more at what is under way.
    async fn look(&self, client: &ResilientClient) {
        let before = self.counts.lock().len();
        let soon = Call::new("hi").timeouts(Timeouts::new().total(ms(1)));
        client.failover(soon).await.unwrap();
        assert_eq!(self.counts.lock().len(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_an_attempt_takes_it_off_the_count() {
    let throttled = Error::new(ErrorKind::RateLimited, "").with_retry_after(ms(1));
    let half = || Step::answer("half an answer");
    for step in [
        half(),
        half().delayed(secs(3)),
        half().paced(secs(14)).paced(secs(10)),
        half().then_end(),
        half().then_stall(),
        half().then_panic(),
        half().then_error(Error::new(ErrorKind::Server, "")),
        Step::empty(FinishReason::Stop),
        Step::empty(FinishReason::ContentFilter),
        Step::refusal("No."),
        Step::error(throttled),
        Step::stall(),
        Step::panic(),
        failing(ErrorKind::Other),
        Step::prepare_error(Error::unsupported("seed")),
        Step::prepare_error(Error::new(ErrorKind::Authentication, "no key")),
        Step::prepare_stall(),
        Step::connect_error(Error::new(ErrorKind::Connection, "refused")),
        Step::connect_stall(),
    ] {
        for mode in [StreamMode::Auto, StreamMode::Never] {
            let models = ["p:a", "p:b"].map(|key| ScriptedModel::new(key).then(step.clone()));
            let (seen, order) = (Seen::default(), Watching::new(LeastInFlight));
            let policy = Policy::keel().transient_retries(1).retry_timeouts(true).restart_on_cut(true);
            let client = exposed(models.iter().cloned().map(|model| Candidate::from(model).stream(mode)));
            let client = client.order(order.clone()).observer(seen.clone()).policy(policy).build().unwrap();

            client.failover("hi").await.unwrap();
            client.fan_out("hi").await.unwrap();
            let mut stream = client.failover_stream("hi").await.unwrap();
            while stream.next().await.is_some() {}
            // Half read and dropped, half read and ended, not read at all, and dropped before there was anything.
            for halves in 0..3 {
                let mut stream = client.failover_stream("hi").await.unwrap();
                for _ in 0..halves {
                    stream.next().await;
                }
                if halves == 1 {
                    stream.into_report();
                }
            }
            for limit in [0, 1, 2_000, 20_000, 47_000] {
                let _ = tokio::time::timeout(ms(limit), client.failover("hi")).await;
                let _ = tokio::time::timeout(ms(limit), client.failover_stream("hi")).await;
                let _ = tokio::time::timeout(ms(limit), client.fan_out("hi")).await;
                let total = Timeouts::new().total(ms(limit));
                client.failover(Call::new("hi").timeouts(total)).await.unwrap();
            }
            let quorum = FanOut::new(QuorumPolicy::First).cutoff(secs(1));
            client.fan_out(Call::new("hi").fan_out(quorum)).await.unwrap();
            let attempts = seen.attempts();
            assert!(attempts.len() > 20, "{}", attempts.len());
            order.look(&client).await;
            assert_eq!(order.last(), [0, 0], "{step:?} {mode:?}");
            assert_received(&models, &seen.attempts());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_counts_as_long_as_it_runs_and_an_answer_as_long_as_it_is_read() {
    let models = [
        ScriptedModel::new("p:a").then(Step::stall()),
        ScriptedModel::new("p:b").then(Step::answer("one two three").delayed(secs(1))),
    ];
    let (seen, order) = (Seen::default(), Watching::new(LeastInFlight));
    let policy = Policy::default().hedge(Hedge::after(secs(2)));
    let client = exposed(models.clone()).order(order.clone()).observer(seen.clone()).policy(policy);
    let client = client.hedge_budget(1.0).build().unwrap();
    let mut first = begin(&client);
    tokio::time::sleep(ms(2_500)).await;
    assert!((&mut first).now_or_never().is_none());
    order.look(&client).await;
    assert_eq!(order.last(), [1, 1], "the first and its hedge");
    assert_eq!(letters(first.await.attempts()), "ab");
    order.look(&client).await;
    assert_eq!(order.last(), [0, 0]);

    client.set_mode("p:a", Mode::ForcedOpen).await.unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    order.look(&client).await;
    assert_eq!(order.last(), [0, 1], "it is being read");
    while stream.next().await.is_some() {}
    order.look(&client).await;
    assert_eq!(order.last(), [0, 0], "it is whole, though the stream is still held");
    drop(stream);
    assert_received(&models, &seen.attempts());
}

/// A model whose first token takes as many milliseconds as this says, and the rest of its answer a second.
fn paced(key: &str, delay: &Arc<AtomicU64>) -> ScriptedModel {
    let delay = Arc::clone(delay);
    ScriptedModel::new(key).without_log().respond_with(move |_| {
        let delay = ms(delay.load(Ordering::Relaxed));
        Step::events([]).after(delay).then_text("one").after(secs(1)).then_answer(" two")
    })
}

fn delay(millis: u64) -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(millis))
}

async fn asked(client: &ResilientClient) -> String {
    letters(client.failover("hi").await.unwrap().attempts())
}

/// Asks everyone, so often.
async fn ask_all(client: &ResilientClient, times: usize) {
    for _ in 0..times {
        client.fan_out("hi").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_speed_is_not_guessed_from_fewer_samples_than_it_takes() {
    for (order, samples) in [
        (FastestFirstToken::default(), 10),
        (FastestFirstToken::default().samples(1), 1),
        (FastestFirstToken::default().samples(0), 1),
        (FastestFirstToken::default().samples(4), 4),
        (FastestFirstToken::default().samples(99), 32),
    ] {
        let models = [paced("p:a", &delay(900)), paced("p:b", &delay(500)), paced("p:c", &delay(700))];
        let client = exposed(models.clone()).order(order.explore(0.0)).build().unwrap();
        ask_all(&client, samples - 1).await;
        if samples > 1 {
            assert_eq!(asked(&client).await, "a", "{samples}");
        }
        ask_all(&client, 1).await;
        for _ in 0..3 {
            assert_eq!(asked(&client).await, "b", "{samples}");
        }
        let stream = client.failover_stream("hi").await.unwrap().into_report();
        assert_eq!(letters(stream.attempts()), "b");
    }
    // Who is known is preferred to who is not: nobody else has ever been asked.
    let models = [paced("p:a", &delay(900)), paced("p:b", &delay(500))];
    let client = exposed(models.clone()).order(FastestFirstToken::default().explore(0.0)).build().unwrap();
    for _ in 0..30 {
        assert_eq!(asked(&client).await, "a");
    }
    assert_eq!(models[1].started(), 0);
}

#[tokio::test(start_paused = true)]
async fn equals_go_by_priority_and_so_does_the_fallback() {
    let changing = delay(900);
    let models = [paced("p:a", &delay(500)), paced("p:b", &delay(500)), paced("p:c", &changing)];
    let candidates = models.iter().cloned().zip([2, 1, 0]);
    let candidates = candidates.map(|(model, priority)| Candidate::from(model).priority(priority));
    let order = FastestFirstToken::default().explore(0.0).samples(2);
    let client = exposed(candidates).order(order).build().unwrap();
    ask_all(&client, 2).await;
    assert_eq!(asked(&client).await, "b", "a is as fast, and has a higher number");
    changing.store(100, Ordering::Relaxed);
    ask_all(&client, 3).await;
    client.set_mode("p:c", Mode::ForcedOpen).await.unwrap();
    assert_eq!(asked(&client).await, "cb", "an open circuit makes nobody slower");
    client.set_mode("p:b", Mode::ForcedOpen).await.unwrap();
    assert_eq!(asked(&client).await, "cba");
}

#[tokio::test(start_paused = true)]
async fn a_change_shows_when_most_of_the_last_32_are_of_it() {
    let (slow, changing) = (delay(300), delay(100));
    let models = [paced("p:a", &slow), paced("p:b", &changing)];
    let client = exposed(models.clone()).order(FastestFirstToken::default().explore(0.0)).build().unwrap();
    ask_all(&client, 100).await;
    assert_eq!(asked(&client).await, "b");
    changing.store(900, Ordering::Relaxed);
    let mut still = 0;
    while asked(&client).await == "b" {
        still += 1;
        assert!(still < 100, "it never shows");
    }
    assert_eq!(still, 17, "the median of 32");
    // Nobody sees that it is fast again unless somebody looks.
    changing.store(100, Ordering::Relaxed);
    for _ in 0..50 {
        assert_eq!(asked(&client).await, "a");
    }
    ask_all(&client, 17).await;
    assert_eq!(asked(&client).await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_calls_looks_for_who_has_become_faster() {
    for (explore, least, most) in [
        (0.1, 150, 250),
        (0.5, 900, 1100),
        (1.0, 2000, 2000),
        (7.0, 2000, 2000),
        (0.0, 0, 0),
        (-1.0, 0, 0),
        (f64::NAN, 0, 0),
    ] {
        fastrand::seed(5);
        let models = [paced("p:a", &delay(500)), paced("p:b", &delay(300)), paced("p:c", &delay(900))];
        let order = FastestFirstToken::default().explore(explore);
        let client = exposed(models.clone()).order(order).build().unwrap();
        ask_all(&client, 10).await;
        let mut others = [0_usize; 2];
        for _ in 0..2000 {
            match asked(&client).await.as_str() {
                "a" => others[0] += 1,
                "c" => others[1] += 1,
                first => assert_eq!(first, "b"),
            }
        }
        let both = others[0] + others[1];
        assert!((least..=most).contains(&both), "{explore}: {others:?}");
        assert!(others[0].abs_diff(others[1]) * 4 <= both, "{explore}: each as often, {others:?}");
    }
    // Where there is nobody else, and where nobody is known.
    let one = [paced("p:a", &delay(500))];
    let client = exposed(one).order(FastestFirstToken::default().explore(1.0)).build().unwrap();
    assert_eq!(asked(&client).await, "a");
    fastrand::seed(5);
    let models = [paced("p:a", &delay(500)), paced("p:b", &delay(300))];
    let client = exposed(models.clone()).order(FastestFirstToken::default()).build().unwrap();
    for _ in 0..300 {
        asked(&client).await;
    }
    let others = models[0].started();
    assert!((10..=150).contains(&others), "a goes first until b is known, and seldom from then on: {others}");
}

#[tokio::test(start_paused = true)]
async fn timeouts_are_slow_and_other_failures_are_nothing() {
    let outage = Arc::new(AtomicU64::new(0));
    let says = Arc::clone(&outage);
    let a = ScriptedModel::new("p:a").respond_with(move |_| match says.load(Ordering::Relaxed) {
        0 => Step::answer("ok").delayed(ms(100)),
        1 => Step::stall(),
        _ => failing(ErrorKind::Server),
    });
    let b = ScriptedModel::new("p:b").then(Step::answer("ok").delayed(secs(5)));
    let order = FastestFirstToken::default().explore(0.0).samples(3);
    let client = exposed([a.clone(), b.clone()]).order(order).build().unwrap();
    ask_all(&client, 4).await;
    assert_eq!(asked(&client).await, "a");
    // Errors that come at once make it no faster and no slower.
    outage.store(2, Ordering::Relaxed);
    for _ in 0..40 {
        assert_eq!(asked(&client).await, "ab");
    }
    outage.store(1, Ordering::Relaxed);
    let mut still = 0;
    while asked(&client).await == "ab" {
        still += 1;
        assert!(still < 100, "silence counts for nothing");
    }
    assert_eq!(still, 6, "five tokens, and six timeouts, of which the median is one");
    // Who only ever fails at once is not the fastest.
    let failing = ScriptedModel::new("p:a").then(failing(ErrorKind::RateLimited));
    let client = exposed([b.clone(), failing.clone()]).order(order).build().unwrap();
    ask_all(&client, 5).await;
    assert_eq!(asked(&client).await, "b");
    assert_eq!((a.open(), b.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_an_answer_that_comes_whole_it_is_the_time_until_that_came() {
    let order = FastestFirstToken::default().explore(0.0).samples(2);
    for (whole, first) in [(700, "b"), (900, "a")] {
        let whole = Step::answer("ok").delayed(ms(whole));
        for unstreamed in [
            Candidate::from(ScriptedModel::new("p:b").without_streaming().then(whole.clone())),
            Candidate::from(ScriptedModel::new("p:b").then(whole.clone())).stream(StreamMode::Never),
        ] {
            let streamed = Candidate::from(paced("p:a", &delay(800)));
            let client = exposed([streamed, unstreamed]).order(order).build().unwrap();
            ask_all(&client, 2).await;
            assert_eq!(asked(&client).await, first);
        }
    }
    // One that fails, or says nothing, tells nothing of how long an answer takes.
    for step in [failing(ErrorKind::Server), Step::empty(FinishReason::Stop)] {
        let b = ScriptedModel::new("p:b").without_streaming().then(step);
        let client = exposed([paced("p:a", &delay(800)), b]).order(order).build().unwrap();
        ask_all(&client, 3).await;
        assert_eq!(asked(&client).await, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_readers_pace_makes_nobody_slower() {
    let models = [paced("p:a", &delay(300)), paced("p:b", &delay(500))];
    let order = FastestFirstToken::default().explore(0.0).samples(2);
    let client = exposed(models.clone()).order(order).build().unwrap();
    ask_all(&client, 2).await;
    let lazily = async |client: &ResilientClient, call: Call| {
        let mut stream = client.failover_stream(call).await.unwrap();
        loop {
            tokio::time::sleep(secs(20)).await;
            if stream.next().await.is_none() {
                break letters(stream.into_report().attempts());
            }
        }
    };
    for _ in 0..10 {
        assert_eq!(lazily(&client, Call::new("hi")).await, "a");
    }
    // Nor who takes over from a cut while the reader is away: how long that took is not known.
    let (known, b) = (Arc::<Mutex<Option<Duration>>>::default(), paced("p:b", &delay(300)));
    let watch = Arc::clone(&known);
    let cut = ScriptedModel::new("p:c").then(Step::answer("half").then_end());
    let order = move |lineup: &mut Lineup<'_>| *watch.lock() = lineup.listed().nth(1).unwrap().first_token(1);
    let client = exposed([cut.clone(), b.clone()]).order(order).build().unwrap();
    for _ in 0..3 {
        let call = Call::new("hi").policy(Policy::default().restart_on_cut(true));
        let mut stream = client.failover_stream(call).await.unwrap();
        // Until b has been asked, and not yet answered.
        while let Some(item) = stream.next().now_or_never() {
            item.unwrap().unwrap();
        }
        assert!(b.started() > 0);
        tokio::time::sleep(secs(10)).await;
        while stream.next().await.is_some() {}
        assert_eq!(letters(stream.into_report().attempts()), "cb");
        assert_eq!(*known.lock(), None);
    }
    ask_all(&client, 1).await;
    client.failover("hi").await.unwrap();
    assert_eq!(*known.lock(), Some(ms(300)));
    assert_eq!((cut.open(), b.open(), models[0].open(), models[1].open()), (0, 0, 0, 0));
}
