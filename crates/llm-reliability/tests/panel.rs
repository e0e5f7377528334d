//! A fan-out while it runs: who is under way, what has ended so far, and what is left when it is given up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use common::fan_out::{after, silent};
use common::{Seen, builder, failing, ms, secs, short, trail};
use fastrand::Rng;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason};
use llm_reliability::QuorumPolicy::{All, AtLeast, First, Majority};
use llm_reliability::circuit_breaker::{
    Admission, Ask, Breaker, Cost, LeaseId, Limited, Limiter, Rejection, Reservation, Settlement, Status,
    async_trait,
};
use llm_reliability::{Attempt, Call, Ended, FanOut, Launch, Outcome, Panel, QuorumPolicy, Report, Timeouts};
use parking_lot::Mutex;

/// The n-th answers after n seconds.
fn staggered(n: u64) -> Vec<ScriptedModel> {
    (1..=n).map(|at| after(&format!("p:{at}"), secs(at))).collect()
}

fn at_once(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn panel(models: &[ScriptedModel], rules: FanOut) -> (Panel, Seen) {
    let seen = Seen::default();
    let client = builder(models).fan_out(rules).observer(seen.clone()).build().unwrap();
    (client.panel("hi").unwrap(), seen)
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn attempts_are_handed_out_as_they_complete() {
    let models = [
        after("p:a", secs(3)),
        after("p:b", secs(1)),
        ScriptedModel::new("p:c").then(failing(ErrorKind::Server).delayed(secs(2))),
        silent("p:d"),
        silent("p:e"),
    ];
    let (mut panel, seen) = panel(&models, FanOut::new(AtLeast(2)).grace(secs(1)));
    assert!(panel.attempts().is_empty());
    let began = tokio::time::Instant::now();
    let mut shown = Vec::new();
    while let Some(attempt) = panel.next().await {
        shown.push((attempt.to_string(), began.elapsed()));
        // Those that are given up are so at once, and handed out one by one.
        assert_eq!(panel.attempts().len(), if shown.len() < 4 { shown.len() } else { 5 });
    }
    let expected = [
        ("p:b success @stream", secs(1)),
        ("p:c failed server @first_token", secs(2)),
        ("p:a success @stream", secs(3)),
        ("p:d cancelled @first_token", secs(4)),
        ("p:e cancelled @first_token", secs(4)),
    ];
    assert_eq!(shown, expected.map(|(line, at)| (line.to_owned(), at)));
    let told = seen.take();
    assert_eq!(told[..3], expected.map(|(line, _)| line)[..3], "as the observer sees them");
    assert_eq!(sorted(told), sorted(expected.map(|(line, _)| line.to_owned()).into()));
    assert!(panel.next().await.is_none() && panel.next().await.is_none(), "it stays over");
    assert_eq!(panel.attempts().iter().map(short).collect::<Vec<_>>(), expected.map(|(line, _)| line));

    tokio::time::advance(secs(60)).await;
    let report = panel.into_report();
    assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumMet, secs(4)), "it was over then");
    let keys: Vec<_> = report.attempts().iter().map(|attempt| &*attempt.model_key).collect();
    assert_eq!(keys, ["p:a", "p:b", "p:c", "p:d", "p:e"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_given_up_loses_nothing() {
    let models = [after("p:a", ms(1700)), after("p:b", ms(250)), silent("p:c")];
    for (policy, cutoff, elapsed, ended) in [
        (AtLeast(2), secs(60), ms(2000), Ended::QuorumMet),
        (AtLeast(3), secs(3), ms(3000), Ended::QuorumNotMet),
        (All, secs(60), secs(15), Ended::QuorumMet),
    ] {
        let (mut panel, seen) = panel(&models, FanOut::new(policy).grace(ms(300)).cutoff(cutoff));
        let started: usize = models.iter().map(ScriptedModel::started).sum();
        let (mut shown, mut looks) = (Vec::new(), 0);
        loop {
            tokio::select! {
                biased;
                next = panel.next() => match next {
                    Some(attempt) => shown.push(short(attempt)),
                    None => break,
                },
                () = tokio::time::sleep(ms(100)) => looks += 1,
            }
        }
        assert!(looks > 15, "{looks}");
        let asked = models.iter().map(ScriptedModel::started).sum::<usize>() - started;
        assert_eq!(asked, 3, "each a single time");
        assert_eq!(seen.take(), shown);
        let report = panel.into_report();
        assert_eq!(sorted(trail(&report)), sorted(shown), "{policy:?}");
        assert_eq!((report.ended(), report.elapsed()), (ended, elapsed), "{policy:?}");
        assert!(models.iter().all(|model| model.open() == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panel_may_be_ended_anywhere() {
    for looks in 0..7 {
        let models = staggered(5);
        let (mut panel, seen) = panel(&models, FanOut::new(AtLeast(4)).concurrency(at_once(3)));
        for _ in 0..looks {
            panel.next().await;
        }
        // A look that is given up changes nothing.
        assert_eq!(tokio::time::timeout(ms(1), panel.next()).await.is_ok(), looks >= 4);
        let report = panel.into_report();
        assert!(models.iter().all(|model| model.open() == 0), "after {looks}");
        let answered = looks.min(4);
        let ended = if answered == 4 { Ended::QuorumMet } else { Ended::QuorumNotMet };
        assert_eq!((report.ended(), report.responses().count()), (ended, answered), "after {looks}");
        assert_eq!(report.attempts().len(), 5, "every seat is told of");
        assert_eq!(sorted(seen.take()), sorted(trail(&report)));
        assert_eq!(report.quorum().unwrap().seats, 5);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(trail(&serde_json::from_str(&json).unwrap()), trail(&report));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_before_the_first_look() {
    let models = staggered(3);
    let (unseen, seen) = panel(&models, FanOut::new(Majority));
    tokio::time::advance(secs(9)).await;
    let report = unseen.into_report();
    assert!(models.iter().all(|model| model.invoked() == 0));
    assert_eq!(trail(&report), ["p:1 cancelled", "p:2 cancelled", "p:3 cancelled"]);
    assert_eq!((report.ended(), report.degraded()), (Ended::QuorumNotMet, false));
    assert_eq!((report.elapsed(), seen.take()), (secs(9), trail(&report)));
    serde_json::from_value::<Report>(serde_json::to_value(&report).unwrap()).unwrap();

    let (unseen, seen) = panel(&models, FanOut::new(Majority));
    drop(unseen);
    assert!(seen.take().is_empty() && models.iter().all(|model| model.invoked() == 0));
}

#[tokio::test(start_paused = true)]
async fn a_panel_that_is_dropped_ends_what_is_under_way() {
    for (looks, told) in [
        (0, vec!["p:1 cancelled @first_token", "p:2 cancelled @first_token"]),
        (1, vec!["p:1 success @stream", "p:2 cancelled @first_token"]),
        (2, vec!["p:1 success @stream", "p:2 success @stream", "p:3 cancelled @first_token"]),
    ] {
        let models = staggered(5);
        let (mut panel, seen) = panel(&models, FanOut::default().concurrency(at_once(2)));
        for _ in 0..looks {
            panel.next().await.unwrap();
        }
        if looks == 0 {
            assert!(tokio::time::timeout(ms(500), panel.next()).await.is_err());
        }
        drop(panel);
        assert_eq!(sorted(seen.take()), told, "after {looks}: whose turn had not come was no attempt");
        assert!(models.iter().all(|model| model.in_flight() == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_there_are_places() {
    for places in 1..=6_usize {
        let models: Vec<_> = (1..=5).map(|at| after(&format!("p:{at}"), ms(at * 370))).collect();
        let (mut panel, _seen) = panel(&models, FanOut::default().concurrency(at_once(places)));
        let mut over = false;
        while !over {
            let running = || models.iter().map(ScriptedModel::in_flight).sum::<usize>();
            let begun = || models.iter().map(ScriptedModel::started).sum::<usize>();
            let step = tokio::time::timeout(ms(10), panel.next()).await.map(|next| next.is_none());
            over = step == Ok(true);
            assert!(running() <= places, "{} of {places}", running());
            if step.is_err() {
                assert_eq!(running(), places.min(running() + 5 - begun()), "no place stays empty");
            }
        }
        let report = panel.into_report();
        assert!(report.attempts().iter().all(Attempt::succeeded), "{:?}", trail(&report));
        assert_eq!(report.attempts().iter().map(|attempt| attempt.ordinal).max(), Some(4));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_begins_when_one_becomes_free() {
    let models = [
        after("p:a", secs(3)),
        after("p:b", secs(1)),
        ScriptedModel::new("p:c").then(failing(ErrorKind::Server).delayed(ms(500))),
        after("p:d", secs(1)),
        after("p:e", secs(1)),
    ];
    let starts = |report: &Report| -> Vec<_> {
        report.attempts().iter().map(|attempt| attempt.start.as_millis()).collect()
    };
    for (places, expected, elapsed) in [
        (2, [0, 0, 1000, 1500, 2500], ms(3500)),
        (1, [0, 3000, 4000, 4500, 5500], ms(6500)),
        (4, [0, 0, 0, 0, 500], secs(3)),
        (5, [0; 5], secs(3)),
        (usize::MAX, [0; 5], secs(3)),
    ] {
        let (mut panel, _) = panel(&models, FanOut::default().concurrency(at_once(places)));
        while panel.next().await.is_some() {}
        let report = panel.into_report();
        assert_eq!((starts(&report), report.elapsed()), (expected.to_vec(), elapsed), "{places}");
    }
}

#[tokio::test(start_paused = true)]
async fn whose_turn_does_not_come_is_given_up_without_a_request() {
    for (policy, cutoff, elapsed, answered) in [
        (First, None, secs(1), 1),
        (AtLeast(2), None, secs(3), 2),
        (All, Some(ms(1500)), ms(1500), 1),
        (AtLeast(4), Some(ms(3500)), ms(3500), 2),
        // Before anybody has answered.
        (All, Some(ms(500)), ms(500), 0),
    ] {
        let models = staggered(4);
        let rules = FanOut::new(policy).concurrency(at_once(1));
        let rules = cutoff.map_or(rules.clone(), |cutoff| rules.cutoff(cutoff));
        let client = builder(&models).fan_out(rules).build().unwrap();
        let report = client.fan_out("hi").await.unwrap();
        let shown = format!("{policy:?}: {:?}", trail(&report));
        assert_eq!((report.elapsed(), report.responses().count()), (elapsed, answered), "{shown}");
        let begun = answered + usize::from(cutoff.is_some());
        assert_eq!(report.attempts().len(), 4);
        for (attempt, model) in report.attempts()[begun..].iter().zip(&models[begun..]) {
            assert!(matches!(attempt.outcome, Outcome::Cancelled), "{shown}");
            assert_eq!((attempt.phase, model.invoked()), (None, 0), "{shown}");
            assert_eq!((attempt.start, attempt.latency), (elapsed, Duration::ZERO), "{shown}");
        }
        assert!(!report.degraded());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_begins_after_the_end() {
    // The cutoff passes while nobody looks.
    let models = [after("p:a", ms(500)), ScriptedModel::new("p:b")];
    let (mut panel, _) = panel(&models, FanOut::default().concurrency(at_once(1)).cutoff(secs(1)));
    assert!(panel.next().await.unwrap().succeeded());
    tokio::time::advance(secs(10)).await;
    assert_eq!(panel.next().await.map(short).unwrap(), "p:b cancelled");
    assert_eq!(models[1].invoked(), 0, "the cutoff was over");

    // The total of the call ends the first, and with it the time of those who wait.
    let models = [silent("p:a"), ScriptedModel::new("p:b"), ScriptedModel::new("p:c")];
    let client = builder(&models).fan_out(FanOut::default().concurrency(at_once(1))).build().unwrap();
    let call = Call::new("hi").timeouts(Timeouts::new().total(secs(1)));
    let report = client.fan_out(call).await.unwrap();
    assert_eq!(report.elapsed(), secs(1));
    assert_eq!(trail(&report)[0], "p:a failed timeout/total @first_token");
    assert_eq!([models[1].invoked(), models[2].invoked()], [0, 0], "{:?}", trail(&report));
    assert_eq!(report.ended(), Ended::QuorumNotMet);
}

/// A breaker and a limiter that take their time, and know what is held.
#[derive(Default)]
struct Slow {
    breaker: Duration,
    limiter: Duration,
    held: Mutex<Vec<LeaseId>>,
    /// How many are being admitted, and how many were at most.
    admitting: Mutex<(usize, usize)>,
}

impl Slow {
    fn both(delay: Duration) -> Arc<Self> {
        Arc::new(Self { breaker: delay, limiter: delay, ..Self::default() })
    }

    async fn think(&self, delay: Duration) {
        {
            let mut now = self.admitting.lock();
            now.0 += 1;
            now.1 = now.1.max(now.0);
        }
        tokio::time::sleep(delay).await;
        self.admitting.lock().0 -= 1;
    }

    fn end(&self, lease: LeaseId) {
        self.held.lock().retain(|held| *held != lease);
    }
}

#[async_trait]
impl Breaker for Slow {
    async fn acquire(&self, _: &str, ask: &Ask) -> Result<Admission, Rejection> {
        self.held.lock().push(ask.lease);
        self.think(self.breaker).await;
        Ok(Admission::closed(1))
    }

    fn settle(&self, _: &str, lease: Option<LeaseId>, _: Admission, _: Settlement) {
        self.end(lease.unwrap());
    }

    fn abandon(&self, _: &str, lease: LeaseId, _: Option<Admission>) {
        self.end(lease);
    }

    async fn status(&self, _: &str) -> Status {
        Status::default()
    }
}

#[async_trait]
impl Limiter for Slow {
    async fn acquire(&self, _: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        self.held.lock().push(ask.lease);
        self.think(self.limiter).await;
        Ok(Reservation::new(*cost))
    }

    fn settle(&self, _: &str, lease: LeaseId, _: Reservation, _: &Cost) {
        self.end(lease);
    }

    fn abandon(&self, _: &str, lease: LeaseId, _: Option<Reservation>) {
        self.end(lease);
    }

    fn defer(&self, _: &str, _: Duration) {}
}

#[tokio::test(start_paused = true)]
async fn seats_are_admitted_side_by_side_too() {
    for (places, limiter, elapsed, beside) in
        [(5, 0, 100, 5), (9, 0, 100, 5), (5, 50, 150, 5), (2, 0, 300, 2), (2, 50, 450, 2), (1, 0, 500, 1)]
    {
        let store = Arc::new(Slow { breaker: ms(100), limiter: ms(limiter), ..Slow::default() });
        let models = ["p:a", "p:b", "p:c", "p:d", "p:e"].map(ScriptedModel::new);
        let client = builder(&models)
            .breaker(Arc::<Slow>::clone(&store))
            .limiter(Arc::<Slow>::clone(&store))
            .fan_out(FanOut::new(AtLeast(5)).concurrency(at_once(places)))
            .build()
            .unwrap();
        let report = client.fan_out("hi").await.unwrap();
        assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumMet, ms(elapsed)), "{places}");
        assert_eq!(store.admitting.lock().1, beside);
        assert!(store.held.lock().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_panel_that_is_looked_at_late_begins_late() {
    let store = Slow::both(ms(100));
    let models = [ScriptedModel::new("p:a")];
    let client = builder(&models).breaker(Arc::<Slow>::clone(&store)).build().unwrap();
    let mut panel = client.panel("hi").unwrap();
    tokio::time::advance(secs(10)).await;
    let attempt = panel.next().await.unwrap();
    assert_eq!(short(attempt), "p:a success @stream", "its store had its time");
    assert_eq!(attempt.start, secs(10));
}

/// Polls a call `polls` times, moving time on in between, and drops it then. Says whether it had ended by itself.
async fn drop_after<T>(polls: usize, call: impl Future<Output = T>) -> bool {
    let mut call = Box::pin(call);
    for _ in 0..polls {
        if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::time::advance(ms(50)).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_panel_may_be_dropped_at_every_poll() {
    let step = |step: Step| step.prepared_after(ms(60)).connected_after(ms(60)).delayed(ms(120));
    let rules = [
        FanOut::new(AtLeast(2)).grace(ms(500)),
        FanOut::new(Majority).cutoff(ms(700)),
        FanOut::new(AtLeast(3)).concurrency(at_once(2)),
        FanOut::new(First).seats(["p:b", "p:c"]).bench(["p:a", "p:d"]),
        FanOut::new(AtLeast(4)),
    ];
    for rules in rules {
        let mut polls = 0;
        loop {
            let models = [
                ScriptedModel::new("p:a").then(step(Step::answer("one two three").paced(ms(60)))),
                ScriptedModel::new("p:b").then(step(failing(ErrorKind::Overloaded))),
                ScriptedModel::new("p:c").then(step(Step::answer("half of").paced(ms(60)).then_end())),
                ScriptedModel::new("p:d").then(step(Step::answer("four").paced(ms(300)))),
            ];
            let (store, seen) = (Slow::both(ms(70)), Seen::default());
            let client = builder(&models)
                .breaker(Arc::<Slow>::clone(&store))
                .limiter(Arc::<Slow>::clone(&store))
                .observer(seen.clone())
                .fan_out(rules.clone())
                .build()
                .unwrap();
            let done = drop_after(polls, client.fan_out("hi")).await;
            let at = format!("{rules:?} after {polls} polls");
            assert!(models.iter().all(|model| model.in_flight() == 0), "{at}");
            assert!(store.held.lock().is_empty(), "{at}: something is held");
            let attempts = seen.attempts();
            let reached = attempts.iter().filter(|attempt| {
                let phase = attempt.phase.map(llm_reliability::Phase::as_str);
                phase.is_some_and(|phase| !matches!(phase, "prepare" | "connect"))
            });
            let started: usize = models.iter().map(ScriptedModel::started).sum();
            assert_eq!(reached.count(), started, "{at}");
            let mut ordinals: Vec<_> = attempts.iter().map(|attempt| attempt.ordinal).collect();
            ordinals.sort_unstable();
            assert_eq!(ordinals, (0..u32::try_from(attempts.len()).unwrap()).collect::<Vec<_>>(), "{at}");
            assert_eq!(attempts.is_empty(), polls == 0, "{at}");
            if done {
                break;
            }
            polls += 1;
            assert!(polls < 100, "{at}: it never ends");
        }
        assert!(polls > 8, "{rules:?} was dropped at {polls} points only");
    }
}

fn random_step(rng: &mut Rng) -> Step {
    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(rng.u64(1..9)));
    let step = match rng.u8(..11) {
        0 => failing(ErrorKind::Server),
        1 => failing(ErrorKind::Refusal),
        2 => Step::error(hinted),
        3 => Step::stall(),
        4 => Step::panic(),
        5 => Step::empty(FinishReason::Stop),
        6 => Step::prepare_error(Error::unsupported("seed")),
        7 => Step::answer("half of").then_end(),
        _ => Step::answer("one two").paced(ms(rng.u64(..900))),
    };
    step.delayed(ms(rng.u64(..4000)))
}

/// What a random panel was given, and the same in numbers.
struct Rules {
    given: FanOut,
    policy: QuorumPolicy,
    grace: Duration,
    cutoff: Duration,
    places: usize,
    substitutes: usize,
}

fn random_rules(rng: &mut Rng, keys: &[String]) -> Rules {
    let pick =
        |rng: &mut Rng, n| -> Vec<_> { (0..n).map(|_| keys[rng.usize(..keys.len())].clone()).collect() };
    let seats = rng.usize(1..6);
    let policy = [All, First, Majority, AtLeast(rng.usize(1..=seats))][rng.usize(..4)];
    let grace = if rng.bool() { ms(rng.u64(..3000)) } else { Duration::ZERO };
    let cutoff = if rng.u8(..3) == 0 { ms(rng.u64(..6000)) } else { Duration::MAX };
    let places = if rng.u8(..3) == 0 { rng.usize(1..4) } else { usize::MAX };
    let substitutes = rng.usize(..4);
    let given = FanOut::new(policy)
        .seats(pick(rng, seats))
        .bench(pick(rng, substitutes))
        .grace(grace)
        .cutoff(cutoff)
        .concurrency(at_once(places));
    Rules { given, policy, grace, cutoff, places, substitutes }
}

impl Rules {
    /// What these rules make of what the seats did.
    fn check(&self, report: &Report, at: &str) {
        let attempts = report.attempts();
        let end = |attempt: &Attempt| attempt.start + attempt.latency;
        let given_up = |attempt: &&Attempt| matches!(attempt.outcome, Outcome::Cancelled);
        let last = attempts.iter().filter(|attempt| !given_up(attempt)).map(end).max().unwrap_or_default();
        let mut answers: Vec<_> = attempts.iter().filter(|attempt| attempt.succeeded()).map(end).collect();
        answers.sort_unstable();
        let quorum = report.quorum().unwrap();
        let met = answers.get(quorum.required - 1).filter(|_| self.policy != All);
        let limit = met.map_or(self.cutoff, |met| self.cutoff.min(*met + self.grace));

        // When it is over: everyone has ended, or nobody is waited for any more, or it is in vain.
        let running = attempts.iter().filter(given_up).count();
        let under_way = attempts.iter().filter(given_up).any(|attempt| attempt.phase.is_some());
        let in_vain = self.policy != All && met.is_none() && answers.len() + running < quorum.required;
        let elapsed = if under_way && !in_vain { limit } else { last };
        assert_eq!(report.elapsed(), elapsed, "{at}");

        // Who came from the bench: one for each that gave no answer while there were too few.
        let wanting = attempts.iter().filter(|attempt| {
            let open = met.is_none_or(|met| end(attempt) < *met);
            !attempt.succeeded() && attempt.fallback_eligible && open
        });
        let called = attempts.len() - quorum.seats;
        // Those that end at the very moment at which it is met come before that or after it.
        let tied = attempts.iter().filter(|attempt| met.is_some_and(|met| end(attempt) == *met)).count();
        let wanting = wanting.count();
        assert!(called >= wanting.min(self.substitutes), "{at}: {called} for {wanting}");
        assert!(called <= (wanting + tied).min(self.substitutes), "{at}: {called} for {wanting}");

        // Nobody began after the end, and never more at once than there are places.
        for attempt in attempts.iter().filter(|attempt| attempt.phase.is_some()) {
            let beside = attempts.iter().filter(|other| {
                other.phase.is_some() && other.start <= attempt.start && attempt.start < end(other)
            });
            assert!(beside.count() <= self.places, "{at}");
            assert!(attempt.start < self.cutoff, "{at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_the_report_adds_up() {
    for seed in 0..1000 {
        let mut rng = Rng::with_seed(seed);
        let models: Vec<_> = (0..rng.usize(1..5))
            .map(|at| {
                let model = ScriptedModel::new(&format!("p:{at}")).repeat();
                (0..rng.u8(1..4)).fold(model, |model, _| model.then(random_step(&mut rng)))
            })
            .collect();
        let keys: Vec<_> = (0..models.len()).map(|at| format!("p:{at}")).collect();
        let rules = random_rules(&mut rng, &keys);
        let seen = Seen::default();
        let client = builder(&models).fan_out(rules.given.clone()).observer(seen.clone()).build().unwrap();
        let mut asked = 0;
        for _ in 0..2 {
            let report = client.fan_out("hi").await.unwrap();
            let at = format!("seed {seed}, {:?}: {:?}", rules.given, trail(&report));
            assert_eq!(sorted(seen.take()), sorted(trail(&report)), "{at}");
            asked += report.attempts().iter().filter(|attempt| attempt.phase.is_some()).count();
            assert_eq!(models.iter().map(ScriptedModel::started).sum::<usize>(), asked, "{at}");
            assert!(models.iter().all(|model| model.in_flight() == 0), "{at}");

            let json = serde_json::to_value(&report).unwrap();
            let back = serde_json::from_value(json.clone());
            let back: Report = back.unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(format!("{back:?}"), format!("{report:?}"), "{at}");
            assert_eq!(serde_json::to_value(&back).unwrap(), json, "{at}");

            let quorum = report.quorum().unwrap();
            assert_eq!(quorum.answered, report.responses().count(), "{at}");
            assert_eq!(quorum.is_met(), report.succeeded(), "{at}");
            for (ordinal, attempt) in report.attempts().iter().enumerate() {
                assert_eq!(attempt.ordinal as usize, ordinal, "{at}");
                let launch = if ordinal < quorum.seats { Launch::Panel } else { Launch::Failover };
                assert_eq!(attempt.launch, launch, "{at}");
            }
            rules.check(&report, &at);
        }
    }
}
