//! What each category of error comes to, by both strategies: whom is asked next, what the circuit hears, and that nobody
//! waits.

use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Category, Error, ErrorKind};
use llm_reliability::{Candidate, Ended, Outcome, Report, ResilientClient, Timeouts};
use llm_simulator::{Behaviour, Wire};
use llm_tests::{Lab, SHORT, WIRES, assert_received, other, secs, trail, within};
use tokio::time::Instant;

/// What a provider does, and what the attempt at it is to tell.
struct Row {
    behaviour: Behaviour,
    outcome: &'static str,
    category: Category,
    /// Whether its circuit counts a failure.
    counts: bool,
}

fn rows(wire: Wire) -> Vec<Row> {
    use Category::{Backpressure, Terminal, Transient};
    let too_long = match wire {
        Wire::OpenAi => Behaviour::status(400).error_code("context_length_exceeded"),
        _ => Behaviour::status(400).error_message("prompt is too long: 210000 tokens > 200000 maximum"),
    };
    let filtered = match wire {
        Wire::OpenAi => Behaviour::empty().finish("content_filter"),
        _ => Behaviour::status(400).error_message("Output blocked by content filtering policy"),
    };
    let row = |behaviour, outcome, category, counts| Row { behaviour, outcome, category, counts };
    vec![
        row(Behaviour::status(429), "deferred_backpressure", Backpressure, false),
        row(Behaviour::status(500), "failed", Transient, true),
        row(Behaviour::status(503), "failed", Transient, true),
        row(Behaviour::status(529), "failed", Transient, true),
        row(Behaviour::stall(), "failed", Transient, true),
        row(Behaviour::status(400), "failed", Terminal, false),
        row(too_long, "failed", Terminal, false),
        row(filtered, "failed", Terminal, false),
        // What no call can succeed with until a person acts is held against the candidate.
        row(Behaviour::status(401), "failed", Terminal, true),
    ]
}

/// A client of the row's candidate and of one that answers, asked once.
async fn asked(wire: Wire, row: &Row, fan_out: bool) -> (Lab, ResilientClient, Report) {
    let lab = Lab::start().await;
    lab.simulator.on("row", row.behaviour.clone());
    lab.simulator.on("rescue", Behaviour::answer("Here"));
    // Only who is silent has to be hurried: whatever else there is comes at once, or when the machine has time.
    let silent = (row.behaviour == Behaviour::stall()).then_some(SHORT);
    let timeouts = silent.into_iter().fold(Timeouts::new(), Timeouts::first_token);
    let client = ResilientClient::builder()
        .candidate(lab.candidate(wire, "row").timeouts(timeouts))
        .candidate(lab.candidate(other(wire), "rescue"))
        .build()
        .unwrap();
    let report = if fan_out { client.fan_out("Well?").await } else { client.failover("Well?").await };
    (lab, client, report.unwrap())
}

async fn each_row(fan_out: bool) {
    for wire in WIRES {
        for row in rows(wire) {
            let named = format!("{:?} {wire}", row.behaviour);
            let (lab, client, report) = within(asked(wire, &row, fan_out)).await;
            let [attempt, rescue] = report.attempts() else { panic!("{named}: {report:?}") };
            let (outcome, error) = (attempt.outcome.as_str(), attempt.error().unwrap());
            assert_eq!((outcome, error.category()), (row.outcome, row.category), "{named}");
            assert_eq!((&*attempt.model_key, attempt.fallback_eligible), ("row", true), "{named}");
            assert!(rescue.succeeded() && !rescue.fallback_eligible, "{named}: {rescue}");
            let ended = if fan_out { Ended::QuorumMet } else { Ended::Answered };
            assert_eq!((report.ended(), report.degraded()), (ended, true), "{named}");
            let answers: Vec<_> = report.responses().map(|(key, answer)| (&**key, &*answer.text)).collect();
            assert_eq!(answers, [("rescue", "Here")], "{named}: it contributes nothing");
            let status = client.status().await;
            assert_eq!((status[0].1.failures, status[1].1.failures), (row.counts.into(), 0), "{named}");
            lab.simulator.wait_idle().await;
            assert_received(&lab.simulator, report.attempts(), &["row", "rescue"]);
        }
    }
}

#[tokio::test]
async fn failover_goes_by_the_category() {
    each_row(false).await;
}

#[tokio::test]
async fn fan_out_goes_by_the_category() {
    each_row(true).await;
}

/// Every way to fail at once, with hints that somebody could be tempted to wait for.
fn hopeless() -> Vec<ScriptedModel> {
    let kinds = [ErrorKind::RateLimited, ErrorKind::Overloaded, ErrorKind::Server, ErrorKind::BadRequest];
    let hinted = |kind| Step::error(Error::new(kind, "no").with_retry_after(secs(2)));
    let failing = kinds.into_iter().enumerate();
    failing.map(|(at, kind)| ScriptedModel::new(&format!("p:{at}")).then(hinted(kind))).collect()
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_who_was_not_asked_to() {
    let begun = Instant::now();
    let client = ResilientClient::builder().candidates(hopeless()).build().unwrap();
    let first = client.failover("Well?").await.unwrap();
    assert_eq!((first.ended(), first.response().is_none()), (Ended::Exhausted, true));
    let second = client.failover("Well?").await.unwrap();
    assert_eq!((second.ended(), second.retry_after()), (Ended::Unavailable, Some(secs(2))));
    assert!(
        second.attempts().iter().all(|attempt| matches!(attempt.outcome, Outcome::PreemptedLimited { .. }))
    );

    let client = ResilientClient::builder().candidates(hopeless()).build().unwrap();
    let all = client.fan_out("Well?").await.unwrap();
    assert_eq!((all.ended(), all.responses().count()), (Ended::QuorumNotMet, 0));
    assert_eq!((begun.elapsed(), all.attempts().len()), (secs(0), 4), "all of it took no time");
}

/// The case that the distinction is for: with three throttled calls in a row taken for failures, the other seven would
/// find an open circuit.
#[tokio::test(start_paused = true)]
async fn who_is_throttled_stays_in_and_answers_when_he_can() {
    let busy = ScriptedModel::new("p:busy")
        .then_times(4, Step::error(Error::new(ErrorKind::RateLimited, "slow down")))
        .then(Step::answer("Here"));
    let rescue = Candidate::from(ScriptedModel::new("p:rescue"));
    let client = ResilientClient::builder().candidate(busy.clone()).candidate(rescue).build().unwrap();
    let mut told = Vec::new();
    for _ in 0..10 {
        let report = client.failover("Well?").await.unwrap();
        assert!(report.succeeded(), "ten of ten: {}", trail(&report).join(", "));
        told.push(report.attempts()[0].outcome.as_str());
    }
    let expected = [["deferred_backpressure"; 4].as_slice(), &["success"; 6]].concat();
    assert_eq!((told, busy.started()), (expected, 10));
}
