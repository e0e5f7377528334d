//! Orders: whom a failover asks first, and what stays as it is whatever an order does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Seen, assert_goes_both_ways, assert_received, failing, letters, ms, secs, trail};
use futures::StreamExt;
use futures::future::join_all;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{ErrorKind, Request, StreamEvent};
use llm_reliability::circuit_breaker::{
    Admission, Ask, Breaker, InProcessRotation, LeaseId, Mode, Rejection, Rotation, RotationError, Settings,
    Settlement, State, Status, async_trait, rotation_key,
};
use llm_reliability::{
    Call, Candidate, ClientBuilder, Ended, Hedge, Launch, Lineup, Listed, Order, Policy, ResilientClient,
    RoundRobin, Timeouts, Weighted,
};
use parking_lot::Mutex;

fn models(ids: &str, step: impl Fn() -> Step) -> Vec<ScriptedModel> {
    ids.chars().map(|id| ScriptedModel::new(&format!("p:{id}")).then(step())).collect()
}

fn down() -> Step {
    failing(ErrorKind::Server)
}

/// These with these priorities, and circuits that stay closed.
fn ranked(models: &[ScriptedModel], priorities: &[i32]) -> ClientBuilder {
    let candidates = models.iter().cloned().zip(priorities);
    let candidates = candidates.map(|(model, priority)| Candidate::from(model).priority(*priority));
    let exposed = Settings::default().failure_threshold(NonZeroU32::MAX);
    ResilientClient::builder().candidates(candidates).breaker_settings(exposed)
}

fn builder(models: &[ScriptedModel]) -> ClientBuilder {
    ranked(models, &vec![0; models.len()])
}

async fn asked(client: &ResilientClient) -> String {
    letters(client.failover("hi").await.unwrap().attempts())
}

async fn asked_for_a_stream(client: &ResilientClient) -> String {
    let mut stream = client.failover_stream("hi").await.unwrap();
    while stream.next().await.is_some() {}
    letters(stream.into_report().attempts())
}

/// A rotation that keeps the keys under which turns were taken, and what is to happen before each.
#[derive(Default)]
struct Turns {
    inner: InProcessRotation,
    keys: Mutex<Vec<String>>,
    slow: Duration,
    given_up: Arc<AtomicUsize>,
    /// Turns that are said in place of the real ones.
    says: Mutex<Vec<Result<u64, RotationError>>>,
}

/// Counts the futures that were dropped before they had said anything.
struct GivenUp(Arc<AtomicUsize>, bool);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.fetch_add(usize::from(self.1), Ordering::Relaxed);
    }
}

#[async_trait]
impl Rotation for Turns {
    async fn next(&self, key: &str) -> Result<u64, RotationError> {
        self.keys.lock().push(key.to_owned());
        let mut thinking = GivenUp(Arc::clone(&self.given_up), true);
        tokio::time::sleep(self.slow).await;
        thinking.1 = false;
        let said = self.says.lock().pop();
        said.unwrap_or_else(|| Ok(self.inner.take(key)))
    }

    async fn reset(&self, _: &str) -> Result<(), RotationError> {
        Ok(())
    }
}

impl Turns {
    fn taken(&self) -> usize {
        self.keys.lock().len()
    }

    fn order(self: &Arc<Self>) -> RoundRobin {
        RoundRobin::new(Arc::<Self>::clone(self))
    }
}

#[tokio::test(start_paused = true)]
async fn listed_is_what_a_client_does_by_itself() {
    for (priorities, expected) in [([0, 0, 0], "abc"), ([3, -1, 0], "bca"), ([5, 5, 0], "cab")] {
        let models = models("abc", down);
        let clients = [ranked(&models, &priorities), ranked(&models, &priorities).order(Listed)];
        for client in clients.map(|builder| builder.build().unwrap()) {
            for _ in 0..2 {
                assert_eq!(asked(&client).await, expected);
                assert_eq!(asked_for_a_stream(&client).await, expected);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_begin_with_each_in_turn_and_priorities_say_who_takes_over() {
    for (priorities, expected) in [
        ([0, 1, 2], ["abc", "bac", "cab"]),
        ([2, 1, 0], ["acb", "bca", "cba"]),
        ([0, 0, 0], ["abc", "bac", "cab"]),
        ([1, 0, 1], ["abc", "bac", "cba"]),
        ([i32::MAX, 0, i32::MIN], ["acb", "bca", "cba"]),
    ] {
        let (models, seen) = (models("abc", down), Seen::default());
        let client = ranked(&models, &priorities).order(RoundRobin::default()).observer(seen.clone());
        let client = client.build().unwrap();
        for round in 0..3 {
            for (at, expected) in expected.iter().enumerate() {
                // A stream takes its turn like any other call.
                if (at + round) % 2 == 0 {
                    let report = client.failover("hi").await.unwrap();
                    assert_eq!(letters(report.attempts()), *expected, "{priorities:?}");
                    let launches: Vec<_> = report.attempts().iter().map(|attempt| attempt.launch).collect();
                    assert_eq!(launches, [Launch::Primary, Launch::Failover, Launch::Failover]);
                } else {
                    assert_eq!(asked_for_a_stream(&client).await, *expected, "{priorities:?}");
                }
            }
        }
        assert_received(&models, &seen.attempts());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_one_turn_however_it_goes() {
    let cut = || Step::answer("half an answer").then_end();
    let models = [
        models("a", down).remove(0),
        ScriptedModel::new("p:b").then(cut()).then(Step::stall()),
        ScriptedModel::new("p:c").then(Step::answer("one two").paced(secs(1))),
    ];
    let (turns, seen) = (Arc::new(Turns::default()), Seen::default());
    let client = builder(&models).order(turns.order()).observer(seen.clone()).build().unwrap();
    let policy = Policy::default().transient_retries(2).restart_on_cut(true);
    // Turn 0: retried, and two more candidates, with a cut on the way.
    let report = client.failover(Call::new("hi").policy(policy.clone())).await.unwrap();
    assert_eq!((letters(report.attempts()), turns.taken()), ("aaabbc".into(), 1));
    // Turn 1: dropped while it is out.
    assert!(tokio::time::timeout(secs(1), client.failover("hi")).await.is_err());
    assert_eq!(turns.taken(), 2);
    // Turn 2: read half, and dropped.
    let mut stream = client.failover_stream("hi").await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    assert_eq!((letters(&seen.attempts()[6..]), turns.taken()), ("bc".into(), 3));
    // Turn 3: out of time.
    let hurried = Call::new("hi").timeouts(Timeouts::new().total(secs(2)));
    let report = client.failover(hurried).await.unwrap();
    assert_eq!((letters(report.attempts()), report.ended()), ("ab".into(), Ended::TotalTimeout));
    // Wrong input, and those who ask everyone, take none.
    assert!(client.failover(Request::default()).await.is_err());
    assert!(client.failover_stream(Request::default()).await.is_err());
    client.fan_out("hi").await.unwrap();
    assert_eq!(turns.taken(), 4);
    assert_received(&models, &seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn calls_side_by_side_take_a_turn_each() {
    let models = models("abc", || Step::answer("ok").delayed(secs(1)));
    let turns = Arc::new(Turns { slow: ms(100), ..Turns::default() });
    let client = builder(&models).order(turns.order()).build().unwrap();
    let asked = join_all((0..31).map(|_| asked(&client))).await;
    let count = |id: &str| asked.iter().filter(|asked| *asked == id).count();
    assert_eq!([count("a"), count("b"), count("c")], [11, 10, 10]);
    assert_eq!(turns.taken(), 31);
    let started: Vec<_> = models.iter().map(ScriptedModel::started).collect();
    assert_eq!(started, [11, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn clients_of_the_same_candidates_continue_each_others_turns() {
    let up = || Step::answer("ok");
    let models = models("abc", up);
    let turns = Arc::new(Turns::default());
    let one = builder(&models).order(turns.order()).build().unwrap();
    // What is particular about the candidates makes no difference.
    let other = ranked(&models, &[2, 1, 0]).order(turns.order()).build().unwrap();
    // Other candidates, another list of the same, and another prefix have turns of their own.
    let two = builder(&models[..2]).order(turns.order()).build().unwrap();
    let turned = [models[1].clone(), models[0].clone(), models[2].clone()];
    let turned = builder(&turned).order(turns.order()).build().unwrap();
    let prefixed = builder(&models).order(turns.order().prefix("mine")).build().unwrap();
    let mut all = String::new();
    for client in [&one, &other, &two, &one, &turned, &other, &two, &prefixed, &turned, &one.clone()] {
        all += &asked(client).await;
    }
    assert_eq!(all, "abacbabaab");
    let keys: BTreeSet<_> = turns.keys.lock().iter().cloned().collect();
    let (abc, ab, bac) = (["p:a", "p:b", "p:c"], ["p:a", "p:b"], ["p:b", "p:a", "p:c"]);
    let expected =
        [rotation_key("rotation", abc), rotation_key("rotation", ab), rotation_key("rotation", bac)];
    assert_eq!(keys, expected.into_iter().chain([rotation_key("mine", abc)]).collect());
}

#[tokio::test(start_paused = true)]
async fn any_number_is_a_turn() {
    let models = models("abc", || Step::answer("ok"));
    // The largest number is a multiple of three.
    let says = vec![Ok(0), Ok(u64::MAX), Ok(u64::MAX - 1), Ok(1 << 40), Ok(5)];
    let turns = Arc::new(Turns { says: Mutex::new(says), ..Turns::default() });
    let client = builder(&models).order(turns.order()).build().unwrap();
    let mut all = String::new();
    for _ in 0..5 {
        all += &asked(&client).await;
    }
    assert_eq!(all, "cbcaa");
    let alone = builder(&models[..1]).order(RoundRobin::default()).build().unwrap();
    assert_eq!([asked(&alone).await, asked(&alone).await], ["a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_rotations_store_is_away_nobody_is_asked() {
    let (models, seen) = (models("ab", || Step::answer("ok")), Seen::default());
    let turns = Arc::new(Turns::default());
    let client = builder(&models).order(turns.order()).observer(seen.clone()).build().unwrap();
    *turns.says.lock() = vec![Err(RotationError::StoreUnavailable); 2];
    let report = client.failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.elapsed()), (Ended::StoreUnavailable, Duration::ZERO));
    assert_eq!((report.attempts().len(), report.succeeded(), report.retry_after()), (0, false, None));
    assert_goes_both_ways(&report);
    assert_eq!(report.into_result().unwrap_err().to_string(), "the shared store is not available");

    let mut stream = client.failover_stream("hi").await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((error.ended, error.error.is_none()), (Ended::StoreUnavailable, true));
    assert!(stream.next().await.is_none());
    assert_goes_both_ways(&stream.into_report());
    assert_received(&models, &seen.attempts());
    assert!(seen.attempts().is_empty());
    // It comes back, and so do the calls.
    assert_eq!([asked(&client).await, asked(&client).await], ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_hangs_is_not_waited_for_longer_than_five_seconds_or_the_total() {
    let no_answer = |slow: u64, total: Option<u64>| async move {
        let models = models("ab", || Step::answer("ok"));
        let turns = Arc::new(Turns { slow: ms(slow), ..Turns::default() });
        let client = builder(&models).order(turns.order()).build().unwrap();
        let timeouts = total.map_or(Timeouts::new(), |total| Timeouts::new().total(ms(total)));
        let report = client.failover(Call::new("hi").timeouts(timeouts)).await.unwrap();
        assert_goes_both_ways(&report);
        assert_received(&models, report.attempts());
        let stream = client.failover_stream(Call::new("hi").timeouts(timeouts)).await.unwrap().into_report();
        // It is not read.
        assert_eq!(stream.ended(), if report.succeeded() { Ended::Interrupted } else { report.ended() });
        assert_eq!(turns.given_up.load(Ordering::Relaxed), if report.succeeded() { 0 } else { 2 });
        (report.ended(), report.elapsed(), report.attempts().len())
    };
    let hour = 3_600_000;
    assert_eq!(no_answer(hour, None).await, (Ended::StoreUnavailable, secs(5), 0));
    assert_eq!(no_answer(hour, Some(6_000)).await, (Ended::StoreUnavailable, secs(5), 0));
    assert_eq!(no_answer(hour, Some(5_000)).await, (Ended::TotalTimeout, secs(5), 0));
    assert_eq!(no_answer(hour, Some(3_000)).await, (Ended::TotalTimeout, secs(3), 0));
    assert_eq!(no_answer(hour, Some(0)).await, (Ended::TotalTimeout, Duration::ZERO, 0));
    assert_eq!(no_answer(4_900, None).await, (Ended::Answered, ms(4_900), 1));
    assert_eq!(no_answer(2_900, Some(3_000)).await, (Ended::Answered, ms(2_900), 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_while_the_rotation_thinks() {
    let (models, seen) = (models("ab", || Step::answer("ok")), Seen::default());
    let turns = Arc::new(Turns { slow: secs(2), ..Turns::default() });
    let client = builder(&models).order(turns.order()).observer(seen.clone()).build().unwrap();
    assert!(tokio::time::timeout(secs(1), client.failover("hi")).await.is_err());
    assert!(tokio::time::timeout(secs(1), client.failover_stream("hi")).await.is_err());
    assert_eq!((turns.given_up.load(Ordering::Relaxed), seen.take().len()), (2, 0));
    assert_received(&models, &[]);
    assert_eq!(asked(&client).await, "a", "who gave up before the answer took no turn here");
}

/// Orders that do what none should.
#[derive(Clone, Copy, Debug)]
enum Bad {
    PanicsWhenCalled,
    Panics,
    PanicsLater,
    PanicsHalfway,
    PanicsInAKey,
    PanicsInAComparison,
    PanicsWhenDropped,
    HangsAndPanicsWhenDropped,
}

struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("an order that cannot even be dropped");
    }
}

#[derive(PartialEq, Eq)]
struct Incomparable(usize);

impl PartialOrd for Incomparable {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Incomparable {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        panic!("{} and {} are not to be compared", self.0, other.0)
    }
}

impl Order for Bad {
    fn arrange<'a, 'b, 'c, 'd>(
        &'a self,
        lineup: &'b mut Lineup<'c>,
    ) -> Pin<Box<dyn Future<Output = Result<(), RotationError>> + Send + 'd>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        assert!(!matches!(self, Self::PanicsWhenCalled), "at once");
        Box::pin(async move {
            match self {
                Self::PanicsWhenCalled | Self::Panics => panic!("in the future"),
                Self::PanicsLater => {
                    tokio::time::sleep(secs(1)).await;
                    panic!("later")
                }
                Self::PanicsHalfway => {
                    lineup.start_with(2);
                    panic!("halfway")
                }
                Self::PanicsInAKey => {
                    lineup
                        .sort_by_key(|each| if each.position() < 2 { 9 - each.position() } else { panic!() });
                }
                Self::PanicsInAComparison => lineup.sort_by_key(|each| Incomparable(each.position())),
                Self::PanicsWhenDropped => {
                    let _trap = Trap;
                    lineup.start_with(1);
                }
                Self::HangsAndPanicsWhenDropped => {
                    let _trap = Trap;
                    std::future::pending::<()>().await;
                }
            }
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_panics_leaves_the_line_as_it_is_by_then() {
    for (order, expected) in [
        (Bad::PanicsWhenCalled, "abc"),
        (Bad::Panics, "abc"),
        (Bad::PanicsLater, "abc"),
        (Bad::PanicsHalfway, "cab"),
        (Bad::PanicsInAKey, "abc"),
        (Bad::PanicsInAComparison, "abc"),
        (Bad::PanicsWhenDropped, "bac"),
    ] {
        let models = models("abc", down);
        let client = builder(&models).order(order).build().unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(
            (letters(report.attempts()), report.ended()),
            (expected.into(), Ended::Exhausted),
            "{order:?}"
        );
        assert_received(&models, report.attempts());
        assert_eq!(asked_for_a_stream(&client).await, expected, "{order:?}");
    }
    let models = models("abc", down);
    let client = builder(&models).order(Bad::HangsAndPanicsWhenDropped).build().unwrap();
    assert_eq!(client.failover("hi").await.unwrap().ended(), Ended::StoreUnavailable);
    assert!(tokio::time::timeout(secs(1), client.failover("hi")).await.is_err(), "nothing unwinds");
    assert_received(&models, &[]);
}

#[tokio::test(start_paused = true)]
async fn each_candidate_is_asked_once_whatever_an_order_does() {
    fastrand::seed(3);
    let models = models("abcde", down);
    let scramble = |lineup: &mut Lineup<'_>| {
        for _ in 0..fastrand::usize(..20) {
            match fastrand::u8(..3) {
                // There are five of them.
                0 => lineup.start_with(fastrand::usize(..8)),
                1 => lineup.start_with(usize::MAX),
                _ => lineup.sort_by_key(|_| fastrand::u8(..3)),
            }
        }
        assert_eq!((lineup.len(), lineup.iter().count(), lineup.listed().count()), (5, 5, 5));
    };
    let client = ranked(&models, &[0, 4, -1, 0, 2]).order(scramble).build().unwrap();
    let mut lines = BTreeMap::<_, usize>::new();
    for call in 0..400 {
        let line = if call % 2 == 0 { asked(&client).await } else { asked_for_a_stream(&client).await };
        let mut sorted: Vec<_> = line.chars().collect();
        sorted.sort_unstable();
        assert_eq!(sorted, ['a', 'b', 'c', 'd', 'e'], "{line}");
        *lines.entry(line).or_default() += 1;
    }
    assert!(lines.len() > 50, "it was scrambled: {lines:?}");
    assert!(models.iter().all(|model| model.started() == 400 && model.open() == 0));
}

#[tokio::test(start_paused = true)]
async fn an_order_sees_the_request_and_the_candidates_and_sorts_them_stably() {
    struct Cheapest(Arc<Mutex<Vec<String>>>);
    #[async_trait]
    impl Order for Cheapest {
        async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
            tokio::time::sleep(secs(1)).await;
            let listed: Vec<_> = lineup.listed().map(|each| (each.position(), each.key())).collect();
            self.0.lock().push(format!("{} {listed:?} {lineup:?}", lineup.request().messages[0].text()));
            let long = lineup.request().messages[0].text().len() > 5;
            lineup.sort_by_key(|each| long != each.key().ends_with(['a', 'b']));
            Ok(())
        }
    }
    let noted = Arc::default();
    let models = models("abcd", down);
    let client = ranked(&models, &[1, 0, 1, 0]).order(Cheapest(Arc::clone(&noted))).build().unwrap();
    let report = client.failover("a long question").await.unwrap();
    assert_eq!((letters(report.attempts()), report.elapsed()), ("badc".into(), secs(1)));
    assert_eq!(letters(client.failover("short").await.unwrap().attempts()), "dcba");
    let listed = r#"[(0, "p:a"), (1, "p:b"), (2, "p:c"), (3, "p:d")] ["p:b", "p:d", "p:a", "p:c"]"#;
    assert_eq!(*noted.lock(), [format!("a long question {listed}"), format!("short {listed}")]);
}

#[tokio::test(start_paused = true)]
async fn shares_follow_the_weights_and_the_fallback_the_priorities() {
    for (weights, per_mille, fallback) in [
        ([1, 3, 0, 6], [100, 300, 0, 600], true),
        ([u32::MAX, u32::MAX, u32::MAX, 0], [333, 333, 333, 0], false),
        ([u32::MAX, 1, 0, u32::MAX], [500, 0, 0, 500], false),
        ([0, 0, 0, 7], [0, 0, 0, 1000], false),
        // As listed: d has the lowest priority number.
        ([0, 0, 0, 0], [0, 0, 0, 1000], true),
    ] {
        fastrand::seed(11);
        let models = models("abcd", down);
        let candidates = models.iter().cloned().zip(weights).zip([3, 2, 1, 0]);
        let candidates = candidates.map(|((model, weight), priority)| {
            Candidate::from(model.without_log()).weight(weight).priority(priority)
        });
        let exposed = Settings::default().failure_threshold(NonZeroU32::MAX);
        let client = ResilientClient::builder().candidates(candidates).breaker_settings(exposed);
        let client = client.order(Weighted).build().unwrap();
        let mut first = BTreeMap::<_, usize>::new();
        for _ in 0..4000 {
            let line = asked(&client).await;
            let rest: String = "dcba".chars().filter(|id| !line.starts_with(*id)).collect();
            assert!(line.len() == 4 && line.ends_with(&rest), "{line}: the rest goes by priority");
            *first.entry(line.chars().next().unwrap()).or_default() += 1;
        }
        for (id, expected) in "abcd".chars().zip(per_mille) {
            let share = first.get(&id).copied().unwrap_or_default() / 4;
            assert!(share.abs_diff(expected) <= 30, "{id} of {weights:?}: {share}");
            assert!(expected > 0 || share == 0 || weights.contains(&1), "0 is never");
        }
        if fallback {
            assert!(models.iter().all(|model| model.started() == 4000), "everyone is in the fallback");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_at_the_start_is_passed_over_and_keeps_its_turn() {
    let (models, seen) = (models("abc", || Step::answer("ok")), Seen::default());
    let turns = Arc::new(Turns::default());
    let client = builder(&models).order(turns.order()).observer(seen.clone()).build().unwrap();
    client.set_mode("p:b", Mode::ForcedOpen).await.unwrap();
    let mut trails = Vec::new();
    for _ in 0..3 {
        let report = client.failover("hi").await.unwrap();
        assert_eq!(report.attempts()[0].launch, Launch::Primary);
        trails.push(trail(&report));
    }
    let passed_over = ["p:b preempted_open", "p:a success @stream"];
    assert_eq!(trails, [&["p:a success @stream"][..], &passed_over, &["p:c success @stream"]]);
    assert_eq!(asked_for_a_stream(&client).await, "a");
    assert_eq!(asked_for_a_stream(&client).await, "ba");
    assert_eq!((models[1].invoked(), client.status().await[1].1.state), (0, State::Open));
    assert_received(&models, &seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn retries_stay_with_whoever_was_chosen_and_the_fallback_follows() {
    let models = models("abc", down);
    let policy = Policy::default().transient_retries(1).backoff(ms(10), ms(10));
    let client = ranked(&models, &[1, 0, 2]).policy(policy).order(RoundRobin::default()).build().unwrap();
    for expected in ["aabbcc", "bbaacc", "ccbbaa"] {
        assert_eq!(asked(&client).await, expected);
    }
    for expected in ["aabbcc", "bbaacc", "ccbbaa"] {
        assert_eq!(asked_for_a_stream(&client).await, expected);
    }
    assert!(models.iter().all(|model| model.started() == 12 && model.open() == 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_from_a_cut_follows_in_the_order_of_the_call() {
    let cut = || Step::answer("half an answer").then_end();
    let (models, seen) = (models("abc", cut), Seen::default());
    let turns = Arc::new(Turns { says: Mutex::new(vec![Ok(1)]), ..Turns::default() });
    let policy = Policy::default().restart_on_cut(true);
    let client = ranked(&models, &[0, 2, 1]).policy(policy).order(turns.order()).observer(seen.clone());
    let mut stream = client.build().unwrap().failover_stream("hi").await.unwrap();
    let mut discards = 0;
    while let Some(item) = stream.next().await {
        discards += usize::from(matches!(item, Ok(StreamEvent::Discard)));
    }
    let report = stream.into_report();
    assert_eq!((letters(report.attempts()), report.ended()), ("bac".into(), Ended::Interrupted));
    assert_eq!((discards, turns.taken()), (2, 1), "the order is asked once");
    let launches: Vec<_> = report.attempts().iter().map(|attempt| attempt.launch).collect();
    assert_eq!(launches, [Launch::Primary, Launch::Failover, Launch::Failover]);
    assert_goes_both_ways(&report);
    assert_received(&models, &seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn the_time_that_an_order_takes_is_not_the_first_candidates() {
    let models = models("ab", || Step::answer("ok").delayed(secs(1)));
    let thinking = || Arc::new(Turns { slow: secs(3), ..Turns::default() }).order();
    // Its hedge is due so long after it was asked, and not after the call began.
    let policy = Policy::default().hedge(Hedge::after(secs(2)));
    let client = builder(&models).order(thinking()).policy(policy).hedge_budget(1.0).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!((letters(report.attempts()), report.elapsed()), ("a".into(), secs(4)));
    assert_received(&models, report.attempts());
    // And its breaker has five seconds of its own.
    let client = builder(&models).order(thinking()).breaker(Arc::new(Slow)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a success @stream"]);
}

/// A breaker that lets everything through, after three seconds.
struct Slow;

#[async_trait]
impl Breaker for Slow {
    async fn acquire(&self, _: &str, _: &Ask) -> Result<Admission, Rejection> {
        tokio::time::sleep(secs(3)).await;
        Ok(Admission::closed(1))
    }

    fn settle(&self, _: &str, _: Option<LeaseId>, _: Admission, _: Settlement) {}

    fn abandon(&self, _: &str, _: LeaseId, _: Option<Admission>) {}

    async fn status(&self, _: &str) -> Status {
        Status::default()
    }
}
