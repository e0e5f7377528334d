//! Waiting for candidates that are all unavailable: for whom, for how long, and when not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use common::{Seen, assert_goes_both_ways, assert_received, failing, letters, ms, secs, text, trail};
use futures::StreamExt;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, Request, Tool};
use llm_reliability::circuit_breaker::{
    Admission, Ask, Breaker, InProcessLimiter, LeaseId, Limits, Mode, Rate, RejectReason, Rejection,
    Settings, Settlement, State, Status, async_trait,
};
use llm_reliability::{
    Call, ClientBuilder, Ended, Launch, Lineup, Outcome, Policy, Report, ResilientClient, RoundRobin,
    Timeouts,
};
use parking_lot::Mutex;

/// A breaker that refuses as it is told, for each candidate in turn, and lets through whatever comes after.
#[derive(Default)]
struct Gate {
    refusals: Mutex<BTreeMap<String, VecDeque<Rejection>>>,
    /// Says the last of them for ever.
    for_ever: bool,
    asked: Mutex<usize>,
}

impl Gate {
    fn new(refusals: &[(&str, &[Rejection])]) -> Self {
        let refusals = refusals.iter().map(|(key, list)| ((*key).to_owned(), list.iter().copied().collect()));
        Self { refusals: Mutex::new(refusals.collect()), ..Self::default() }
    }
}

#[async_trait]
impl Breaker for Gate {
    async fn acquire(&self, key: &str, _: &Ask) -> Result<Admission, Rejection> {
        *self.asked.lock() += 1;
        let mut refusals = self.refusals.lock();
        let Some(list) = refusals.get_mut(key) else { return Ok(Admission::closed(1)) };
        let next = if self.for_ever { list.front().copied() } else { list.pop_front() };
        next.map_or(Ok(Admission::closed(1)), Err)
    }

    fn settle(&self, _: &str, _: Option<LeaseId>, _: Admission, _: Settlement) {}

    fn abandon(&self, _: &str, _: LeaseId, _: Option<Admission>) {}

    async fn status(&self, _: &str) -> Status {
        Status::default()
    }
}

/// Open for so long.
fn open(seconds: u64) -> Rejection {
    Rejection::new(RejectReason::Open).with_retry_after(secs(seconds))
}

const fn unknown(reason: RejectReason) -> Rejection {
    Rejection::new(reason)
}

fn patient(longest: Duration) -> Policy {
    Policy::default().wait_when_unavailable(longest)
}

/// Models that answer, behind a gate.
struct Bench {
    models: Vec<ScriptedModel>,
    seen: Seen,
    gate: Arc<Gate>,
    client: ResilientClient,
}

impl Bench {
    fn new(longest: Duration, refusals: &[(&str, &[Rejection])]) -> Self {
        Self::with(Step::default(), Gate::new(refusals), |builder| builder.policy(patient(longest)))
    }

    #[allow(clippy::needless_pass_by_value, reason = "it reads better where it is made on the spot")]
    fn with(step: Step, gate: Gate, set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        let keys = gate.refusals.lock().keys().cloned().collect::<Vec<_>>();
        let models: Vec<_> = keys.iter().map(|key| ScriptedModel::new(key).then(step.clone())).collect();
        let (seen, gate) = (Seen::default(), Arc::new(gate));
        let builder = common::builder(&models).breaker(Arc::<Gate>::clone(&gate)).observer(seen.clone());
        let client = set(builder).build().unwrap();
        Self { models, seen, gate, client }
    }

    /// Makes a call: its trail has to be what the observer was told, and what arrived.
    async fn run(&self, call: impl Into<Call>) -> Report {
        let before = self.seen.attempts().len();
        let report = self.client.failover(call).await.unwrap();
        let told = self.seen.attempts();
        assert_eq!(told[before..].iter().map(common::short).collect::<Vec<_>>(), trail(&report));
        assert_goes_both_ways(&report);
        assert_received(&self.models, &told);
        report
    }
}

fn launches(report: &Report) -> Vec<Launch> {
    report.attempts().iter().map(|attempt| attempt.launch).collect()
}

fn ends(report: &Report) -> (Ended, Duration, Option<Duration>) {
    (report.ended(), report.elapsed(), report.retry_after())
}

#[tokio::test(start_paused = true)]
async fn the_earliest_is_waited_for_and_everyone_asked_again() {
    let bench =
        Bench::new(secs(60), &[("p:a", &[open(30), open(20)]), ("p:b", &[open(10)]), ("p:c", &[open(40)])]);
    let report = bench.run("hi").await;
    let (open, answered) = ("preempted_open", "success @stream");
    let expected = [("a", open), ("b", open), ("c", open), ("a", open), ("b", answered)];
    assert_eq!(trail(&report), expected.map(|(id, said)| format!("p:{id} {said}")));
    let (primary, failover, retry) = (Launch::Primary, Launch::Failover, Launch::Retry);
    assert_eq!(launches(&report), [primary, failover, failover, retry, retry]);
    assert_eq!(ends(&report), (Ended::Answered, secs(10), None));
    assert_eq!((report.degraded(), text(&report)), (true, "ok"));
    let starts: Vec<_> = report.attempts().iter().map(|attempt| attempt.start).collect();
    assert_eq!(starts, [0, 0, 0, 10, 10].map(secs));
    assert!(report.attempts().iter().all(|attempt| attempt.latency.is_zero()), "a wait is nobody's latency");
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_unless_asked_to() {
    for policy in [
        Policy::default(),
        patient(Duration::ZERO),
        patient(secs(60)).wait_when_unavailable(Duration::ZERO),
        Policy::keel(),
        Policy::robust(),
        Policy::default().transient_retries(9).retry_timeouts(true).wait_out_backpressure(secs(60)),
    ] {
        let bench = Bench::new(secs(60), &[("p:a", &[open(1); 9]), ("p:b", &[open(2); 9])]);
        let report = bench.run(Call::new("hi").policy(policy)).await;
        assert_eq!(ends(&report), (Ended::Unavailable, Duration::ZERO, Some(secs(1))));
        assert_eq!(report.attempts().len(), 2);
        // Nor does a fan-out, whatever the policy.
        assert_eq!(bench.client.fan_out("hi").await.unwrap().elapsed(), Duration::ZERO);
    }
    // A call may have it for itself, and for itself not.
    let refusals: &[(&str, &[Rejection])] = &[("p:a", &[open(1)])];
    let off = Bench::with(Step::default(), Gate::new(refusals), |builder| builder);
    assert_eq!(
        ends(&off.run(Call::new("hi").policy(patient(secs(1)))).await),
        (Ended::Answered, secs(1), None)
    );
}

#[tokio::test(start_paused = true)]
async fn waits_together_take_no_longer_than_they_may() {
    let unavailable = |elapsed, hint| (Ended::Unavailable, secs(elapsed), Some(secs(hint)));
    let answered = |elapsed| (Ended::Answered, secs(elapsed), None);
    for (longest, refusals, expected) in [
        (ms(30_000), vec![10, 10, 10], answered(30)),
        (ms(29_999), vec![10, 10, 10], unavailable(20, 10)),
        (ms(10_000), vec![10], answered(10)),
        (ms(10_000), vec![10, 1], unavailable(10, 1)),
        (ms(9_999), vec![10], unavailable(0, 10)),
        (ms(25_000), vec![20, 6], unavailable(20, 6)),
        (ms(25_000), vec![20, 5], answered(25)),
        (ms(25_000), vec![3, 3, 3, 3, 3, 3, 3, 3, 3], unavailable(24, 3)),
        (Duration::MAX, vec![3, 3, 3, 3, 3, 3, 3, 3, 3], answered(27)),
        // A minute and a minute more is the total of a call with one candidate.
        (Duration::MAX, vec![50, 50, 50], unavailable(100, 50)),
        (Duration::MAX, vec![u64::MAX], unavailable(0, u64::MAX)),
    ] {
        let refusals: Vec<_> = refusals.into_iter().map(open).collect();
        let bench = Bench::new(longest, &[("p:a", &refusals)]);
        let report = bench.client.failover("hi").await.unwrap();
        assert_eq!(ends(&report), expected, "{longest:?} {refusals:?}");
        assert_received(&bench.models, report.attempts());
        assert!(launches(&report)[1..].iter().all(|launch| *launch == Launch::Retry));
    }
    // Whatever they say. Each asks for its own time, and the first to be free is asked first.
    fastrand::seed(17);
    for _ in 0..200 {
        let longest = fastrand::u64(1..60);
        let list = || (0..fastrand::usize(1..8)).map(|_| open(fastrand::u64(1..20))).collect::<Vec<_>>();
        let (a, b) = (list(), list());
        let bench = Bench::new(secs(longest), &[("p:a", &a), ("p:b", &b)]);
        let report = bench.run("hi").await;
        assert!(report.elapsed() <= secs(longest), "{longest}: {a:?} {b:?}");
        let in_vain = report.ended() == Ended::Unavailable;
        let next = report.retry_after().unwrap_or_default();
        assert!(!in_vain || report.elapsed() + next > secs(longest), "{longest}: there was time");
        assert_eq!(in_vain, !report.succeeded());
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_goes_beyond_the_total() {
    for (total, refusals, expected) in [
        (10_000, vec![10], (Ended::Unavailable, secs(0), Some(secs(10)))),
        (10_001, vec![10], (Ended::Answered, secs(10), None)),
        (25_000, vec![10, 10, 10], (Ended::Unavailable, secs(20), Some(secs(10)))),
        (1, vec![10], (Ended::Unavailable, secs(0), Some(secs(10)))),
    ] {
        let refusals: Vec<_> = refusals.into_iter().map(open).collect();
        let bench = Bench::new(secs(100), &[("p:a", &refusals)]);
        let call = Call::new("hi").timeouts(Timeouts::new().total(ms(total)));
        assert_eq!(ends(&bench.run(call).await), expected, "{total}");
    }
    // What is asked at its end has what is left.
    let slow = Step::answer("late").delayed(secs(5));
    let gate = Gate::new(&[("p:a", &[open(10)]), ("p:b", &[open(12)])]);
    let bench = Bench::with(slow, gate, |builder| builder.policy(patient(secs(100))));
    let report = bench.run(Call::new("hi").timeouts(Timeouts::new().total(secs(13)))).await;
    assert_eq!(ends(&report), (Ended::TotalTimeout, secs(13), None));
    assert_eq!(trail(&report)[2..], ["p:a failed timeout/total @first_token"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_wait_does_not_help_is_not_waited_for() {
    let forced = unknown(RejectReason::ForcedOpen);
    let no_store = unknown(RejectReason::StoreUnavailable);
    for (refusals, ended) in [
        (vec![forced], Ended::Unavailable),
        (vec![no_store], Ended::StoreUnavailable),
        (vec![no_store.with_retry_after(secs(1))], Ended::StoreUnavailable),
    ] {
        let bench = Bench::new(secs(100), &[("p:a", &refusals), ("p:b", &refusals)]);
        let report = bench.run("hi").await;
        assert_eq!((report.ended(), report.elapsed(), report.attempts().len()), (ended, secs(0), 2));
    }
    // Someone failed for real, or was throttled just now, and the other is open.
    for kind in [ErrorKind::Server, ErrorKind::RateLimited, ErrorKind::Authentication] {
        let hinted = Error::new(kind, "").with_retry_after(secs(1));
        let gate = Gate::new(&[("p:a", &[]), ("p:b", &[open(1)])]);
        let bench = Bench::with(Step::error(hinted), gate, |builder| builder.policy(patient(secs(100))));
        let report = bench.run("hi").await;
        assert_eq!(
            (report.ended(), report.elapsed(), report.attempts().len()),
            (Ended::Exhausted, secs(0), 2)
        );
    }
    // Nobody can carry it, or nobody ever has the room.
    let tools = Request::from("hi").tool(Tool::new("now", serde_json::json!({"type": "object"})));
    let bench = Bench::new(secs(100), &[("p:a", &[open(1)])]);
    let report = bench.run(tools).await;
    assert_eq!((report.ended(), report.elapsed()), (Ended::Exhausted, secs(0)));
    let never = || {
        let tight = Limits::default().output_tokens(Rate::per_minute(NonZeroU64::MIN));
        Arc::new(InProcessLimiter::default().limits_for("p:a", tight))
    };
    let request = Request::from("hi").max_tokens(100);
    let gate = Gate::new(&[("p:a", &[])]);
    let bench =
        Bench::with(Step::default(), gate, |builder| builder.policy(patient(secs(100))).limiter(never()));
    let report = bench.run(request.clone()).await;
    assert_eq!((report.ended(), report.elapsed(), report.retry_after()), (Ended::Exhausted, secs(0), None));
    // Beside somebody who is worth a wait they are passed over, and not asked again.
    let gate = Gate::new(&[("p:a", &[]), ("p:b", &[open(7)])]);
    let bench =
        Bench::with(Step::default(), gate, |builder| builder.policy(patient(secs(100))).limiter(never()));
    let report = bench.run(request).await;
    assert_eq!((letters(report.attempts()), report.elapsed()), ("abb".into(), secs(7)));
    assert!(report.succeeded());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_when_is_asked_again_with_the_others() {
    for reason in [RejectReason::ForcedOpen, RejectReason::StoreUnavailable] {
        let bench = Bench::new(secs(60), &[("p:a", &[unknown(reason)]), ("p:b", &[open(10)])]);
        let report = bench.run("hi").await;
        assert_eq!((letters(report.attempts()), report.elapsed()), ("aba".into(), secs(10)), "{reason:?}");
        assert_eq!(report.attempts()[2].launch, Launch::Retry);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_out_is_looked_for_again_and_again() {
    let taken = unknown(RejectReason::ProbesTaken);
    // Also where another says when, but that is long after.
    for other in [taken, open(30)] {
        let bench = Bench::new(secs(60), &[("p:a", &[taken; 4]), ("p:b", &[other; 4])]);
        let report = bench.run("hi").await;
        assert_eq!((letters(report.attempts()).as_str(), report.succeeded()), ("ababababa", true));
        let starts: Vec<_> = report.attempts().iter().step_by(2).map(|attempt| attempt.start).collect();
        let pauses: Vec<_> = starts.windows(2).map(|pair| pair[1].abs_diff(pair[0])).collect();
        assert_eq!(pauses[0], ms(10));
        for (pause, least) in pauses[1..].iter().zip([ms(20), ms(40), ms(80)]) {
            assert!(
                (least..=2 * least + ms(1)).contains(pause),
                "{pauses:?}: longer each time, and by chance"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_wait_is_one_like_others() {
    let run = async |policy: Policy| {
        let gate = Gate::new(&[("p:a", &[open(5)]), ("p:b", &[open(9), open(4)])]);
        let bench = Bench::with(failing(ErrorKind::Server), gate, |builder| builder.policy(policy));
        let report = bench.run("hi").await;
        assert_eq!(ends(&report).2, None, "somebody failed for real");
        (letters(report.attempts()), report.ended(), report.elapsed())
    };
    let policy = patient(secs(60)).backoff(Duration::ZERO, Duration::ZERO);
    assert_eq!(run(policy.clone()).await, ("abab".into(), Ended::Exhausted, secs(5)));
    assert_eq!(run(policy.transient_retries(2)).await, ("abaaab".into(), Ended::Exhausted, secs(5)));
    // What the policy stops on, it stops on then too.
    let gate = Gate::new(&[("p:a", &[open(5)]), ("p:b", &[open(9)])]);
    let bench = Bench::with(Step::refusal("No."), gate, |builder| builder.policy(patient(secs(60))));
    assert_eq!((bench.run("hi").await.ended(), bench.models[1].started()), (Ended::Stopped, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_waited_for_too() {
    let bench = Bench::new(secs(12), &[("p:a", &[open(10), open(2)]), ("p:b", &[open(20), open(20)])]);
    let mut stream = bench.client.failover_stream("hi").await.unwrap();
    assert_eq!((stream.elapsed(), letters(stream.attempts())), (secs(12), "abab".into()));
    while let Some(event) = stream.next().await {
        event.unwrap();
    }
    let report = stream.into_report();
    assert_eq!(
        (letters(report.attempts()), ends(&report)),
        ("ababa".into(), (Ended::Answered, secs(12), None))
    );
    assert_goes_both_ways(&report);
    assert_received(&bench.models, &bench.seen.attempts());

    let bench = Bench::new(secs(12), &[("p:a", &[open(10), open(3)]), ("p:b", &[open(20), open(20)])]);
    let mut stream = bench.client.failover_stream("hi").await.unwrap();
    assert_eq!(stream.elapsed(), secs(10));
    assert_eq!(stream.next().await.unwrap().unwrap_err().ended, Ended::Unavailable);
    let report = stream.into_report();
    assert_eq!((letters(report.attempts()), report.retry_after()), ("abab".into(), Some(secs(3))));
    assert_goes_both_ways(&report);
    assert_received(&bench.models, &bench.seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_while_it_waits() {
    let bench = Bench::new(secs(60), &[("p:a", &[open(10); 4])]);
    assert!(tokio::time::timeout(secs(9), bench.client.failover("hi")).await.is_err());
    assert!(tokio::time::timeout(secs(9), bench.client.failover_stream("hi")).await.is_err());
    assert!(tokio::time::timeout(secs(19), bench.client.failover("hi")).await.is_err());
    assert_eq!(bench.seen.take(), ["p:a preempted_open"; 4]);
    tokio::time::sleep(secs(100)).await;
    assert_eq!((*bench.gate.asked.lock(), bench.models[0].invoked()), (4, 0), "nobody is asked later");
}

#[tokio::test(start_paused = true)]
async fn of_those_who_wait_for_one_probe_one_is_let_in() {
    for (fails, states) in [(false, State::Closed), (true, State::Open)] {
        let probe = if fails { failing(ErrorKind::Server) } else { Step::answer("back") };
        let model = ScriptedModel::new("p:a").then(failing(ErrorKind::Server)).then(probe.delayed(secs(5)));
        let models = [model];
        let once = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(30));
        let (seen, policy) = (Seen::default(), patient(secs(40)));
        let client = common::builder(&models).breaker_settings(once).observer(seen.clone()).policy(policy);
        let client = client.build().unwrap();
        assert_eq!(client.failover("hi").await.unwrap().elapsed(), secs(0));
        tokio::time::advance(secs(10)).await;
        let (first, second) = tokio::join!(client.failover("hi"), client.failover("hi"));
        let mut reports = [first.unwrap(), second.unwrap()];
        reports.sort_by_key(Report::elapsed);
        let [probe, out] = reports;
        let ended = if fails { Ended::Exhausted } else { Ended::Answered };
        assert_eq!(ends(&probe), (ended, secs(25), None));
        assert_eq!(launches(&probe), [Launch::Primary, Launch::Retry]);
        // The other looks again until it is known: then it may go too, or there is no time for the next one.
        let Outcome::PreemptedOpen { reason, .. } = out.attempts()[1].outcome else { panic!("{out:?}") };
        assert_eq!(reason, RejectReason::ProbesTaken);
        let ended = if fails { Ended::Unavailable } else { Ended::Answered };
        assert_eq!(out.ended(), ended);
        let known = secs(if fails { 25 } else { 30 });
        assert!((known..known + secs(2)).contains(&out.elapsed()), "{:?}", out.elapsed());
        assert_eq!(client.status().await[0].1.state, states);
        [out, probe].iter().for_each(assert_goes_both_ways);
        assert_received(&models, &seen.attempts());
    }
}

#[tokio::test(start_paused = true)]
async fn hints_and_rates_are_waited_for_as_circuits_are() {
    let hinted = |hint| Step::error(Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(hint)));
    let models = [
        ScriptedModel::new("p:a").then(hinted(30)).then(Step::default()),
        ScriptedModel::new("p:b").then(hinted(10)).then(Step::answer("b is back")),
    ];
    let seen = Seen::default();
    let client = common::builder(&models).policy(patient(secs(20))).observer(seen.clone()).build().unwrap();
    // They were asked and said no: that is no reason to wait.
    assert_eq!(ends(&client.failover("hi").await.unwrap()), (Ended::Exhausted, secs(0), Some(secs(10))));
    let report = client.failover("hi").await.unwrap();
    assert_eq!((text(&report), report.elapsed()), ("b is back", secs(10)));
    assert_eq!(trail(&report)[2..], ["p:a preempted_limited", "p:b success @stream"]);
    assert_received(&models, &seen.attempts());

    let models = [ScriptedModel::new("p:a")];
    let once = Limits::default().requests(Rate::new(NonZeroU64::MIN, secs(6)));
    let limiter = Arc::new(InProcessLimiter::default().limits_for("p:a", once));
    let client = common::builder(&models).policy(patient(secs(20))).limiter(limiter).build().unwrap();
    let calls = futures::future::join_all((0..5).map(|_| client.failover("hi"))).await;
    let mut elapsed: Vec<_> = calls.into_iter().map(|report| report.unwrap()).collect();
    elapsed.sort_by_key(|report| (!report.succeeded(), report.elapsed()));
    // One at once, one after each six seconds. Four times six is more than the last may wait.
    let answered: Vec<_> = elapsed.iter().filter(|report| report.succeeded()).map(Report::elapsed).collect();
    assert_eq!(answered, [0, 6, 12, 18].map(secs));
    assert_eq!(ends(&elapsed[4]), (Ended::Unavailable, secs(18), Some(secs(6))));
    assert_eq!((models[0].started(), models[0].open()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_always_says_now_is_not_asked_without_a_pause() {
    for now in [Duration::ZERO, Duration::from_nanos(1)] {
        let refusal = Rejection::new(RejectReason::Open).with_retry_after(now);
        let gate = Gate { for_ever: true, ..Gate::new(&[("p:a", &[refusal])]) };
        let bench = Bench::with(Step::default(), gate, |builder| builder.policy(patient(secs(1))));
        let report = bench.run("hi").await;
        assert_eq!(report.ended(), Ended::Unavailable);
        assert!((ms(200)..=secs(1)).contains(&report.elapsed()), "{:?}", report.elapsed());
        assert!((4..=8).contains(&*bench.gate.asked.lock()), "{}", bench.gate.asked.lock());
    }
}

#[tokio::test(start_paused = true)]
async fn they_are_asked_again_in_the_order_of_the_call_which_is_arranged_once() {
    let refusals: &[(&str, &[Rejection])] =
        &[("p:a", &[open(10); 4]), ("p:b", &[open(10); 4]), ("p:c", &[open(10); 4])];
    let rotating = Bench::with(Step::default(), Gate::new(refusals), |builder| {
        builder.policy(patient(secs(10))).order(RoundRobin::default())
    });
    for expected in ["abcabc", "bacbac"] {
        let report = rotating.run("hi").await;
        assert_eq!((letters(report.attempts()), report.retry_after()), (expected.into(), Some(secs(10))));
    }
    let backwards = Bench::with(Step::default(), Gate::new(refusals), |builder| {
        let order = |lineup: &mut Lineup<'_>| lineup.sort_by_key(|each| usize::MAX - each.position());
        builder.policy(patient(secs(40))).order(order)
    });
    let report = backwards.run("hi").await;
    assert_eq!((letters(report.attempts()), report.elapsed()), ("cbacbacbacbac".into(), secs(40)));
}

#[tokio::test(start_paused = true)]
async fn only_the_last_word_of_each_says_when_to_come_back() {
    let longer: &[(&str, &[Rejection])] = &[("p:a", &[open(5), open(50)]), ("p:b", &[open(30), open(25)])];
    let report = Bench::new(secs(10), longer).run("hi").await;
    assert_eq!(ends(&report), (Ended::Unavailable, secs(5), Some(secs(25))));
    let forced = unknown(RejectReason::ForcedOpen);
    let report = Bench::new(secs(10), &[("p:a", &[open(5), forced]), ("p:b", &[forced; 2])]).run("hi").await;
    assert_eq!(ends(&report), (Ended::Unavailable, secs(5), None));
    // A person holds it open while it is waited for.
    let model = ScriptedModel::new("p:a").then(failing(ErrorKind::Server));
    let once = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(30));
    let client = common::builder(&[model.clone()]).breaker_settings(once).policy(patient(secs(40)));
    let client = client.build().unwrap();
    client.failover("hi").await.unwrap();
    let hold = async {
        tokio::time::sleep(secs(10)).await;
        client.set_mode("p:a", Mode::ForcedOpen).await.unwrap();
    };
    let (report, ()) = tokio::join!(client.failover("hi"), hold);
    assert_eq!(ends(&report.unwrap()), (Ended::Unavailable, secs(30), None));
    assert_eq!((model.started(), model.open()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_no_reason_to_wait_for_those_who_are_unavailable() {
    let bench = || {
        let gate = Gate::new(&[("p:a", &[]), ("p:b", &[open(30)])]);
        let cut = Step::answer("half an answer").then_end();
        Bench::with(cut, gate, |builder| builder.policy(patient(secs(60)).restart_on_cut(true)))
    };
    let collected = bench().run("hi").await;
    assert_eq!(
        (letters(collected.attempts()), ends(&collected)),
        ("ab".into(), (Ended::Exhausted, secs(0), None))
    );
    let bench = bench();
    let mut stream = bench.client.failover_stream("hi").await.unwrap();
    while stream.next().await.is_some() {}
    let report = stream.into_report();
    assert_eq!(
        (letters(report.attempts()), ends(&report)),
        ("ab".into(), (Ended::Interrupted, secs(0), None))
    );
    assert_goes_both_ways(&report);
    assert_received(&bench.models, &bench.seen.attempts());
}
