//! What holds of every report, whatever went wrong.

use llm_protocol::ErrorKind;
use llm_reliability::{Attempt, Outcome, Phase, Report};
use llm_simulator::Simulator;

/// The trail in short: `key outcome`, with the kind of an error and the phase.
pub fn trail(report: &Report) -> Vec<String> {
    report.attempts().iter().map(short).collect()
}

/// An attempt in short: `key outcome`, with the kind of an error and the phase.
pub fn short(attempt: &Attempt) -> String {
    attempt.to_string()
}

/// How many of these attempts got past connecting to this candidate: that many requests its provider received.
pub fn reached<'a>(attempts: impl IntoIterator<Item = &'a Attempt>, key: &str) -> usize {
    let past_connecting = |attempt: &&Attempt| {
        &*attempt.model_key == key
            && matches!(attempt.phase, Some(Phase::FirstToken | Phase::Stream | Phase::Response))
    };
    attempts.into_iter().filter(past_connecting).count()
}

/// The simulator received the requests that the trail tells of, no fewer and no more.
#[track_caller]
pub fn assert_received(simulator: &Simulator, attempts: &[Attempt], models: &[&str]) {
    for model in models {
        let (received, told) = (simulator.received(model), reached(attempts, model));
        assert_eq!(received, told, "requests that {model} received, and attempts that tell of one");
    }
    let total: usize = models.iter().map(|model| simulator.received(model)).sum();
    assert_eq!(simulator.received_total(), total as u64, "requests under names that nobody has");
}

/// The times of attempts that were made one after the other make sense.
#[track_caller]
pub fn assert_times(report: &Report) {
    let mut free = std::time::Duration::ZERO;
    for attempt in report.attempts() {
        let short = short(attempt);
        assert!(attempt.start >= free, "{short}: it began at {:?}, before {free:?}", attempt.start);
        free = attempt.start + attempt.latency;
        assert!(free <= report.elapsed(), "{short}: it ended after the call");
        assert!(attempt.first_token.is_none_or(|first| first <= attempt.latency), "{short}: {attempt:?}");
        let without_token = matches!(attempt.outcome, Outcome::Empty { .. })
            || attempt
                .error()
                .is_some_and(|error| matches!(error.kind(), ErrorKind::Refusal | ErrorKind::ContentFilter));
        let expected = attempt.phase == Some(Phase::Stream) && !without_token;
        assert_eq!(attempt.first_token.is_some(), expected, "{short}: {:?}", attempt.first_token);
    }
}
