//! What holds for every fan-out: seats, substitutes, the quorum, and when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use llm_reliability::{Ended, Launch, Outcome, QuorumPolicy};

use super::steps::exhausted;
use super::trail::seats;
use crate::play::Came;
use crate::tale::{Tale, Trace};
use crate::world::Kind;

/// A seat for each, and then the substitutes as they sit on the bench; each place is taken by one at a time.
pub(crate) fn seats_and_substitutes_are_those_that_were_named(tale: &Tale<'_>) {
    if tale.call.is_failover() || tale.call.report().is_none() {
        return;
    }
    let of = |launch: Launch| {
        let traces = tale.traces.iter().filter(move |trace| trace.attempt.launch == launch);
        traces.map(|trace| trace.member).collect::<Vec<_>>()
    };
    assert_eq!(of(Launch::Panel), seats(tale));
    let substitutes = of(Launch::Failover);
    let bench = &tale.call.ask.seating.bench;
    assert!(bench.starts_with(&substitutes), "{substitutes:?} of {bench:?}");
    assert_eq!(seats(tale).len() + substitutes.len(), tale.traces.len());
    let behind =
        tale.traces.iter().skip(seats(tale).len()).all(|trace| trace.attempt.launch == Launch::Failover);
    assert!(behind, "the substitutes come after the seats: {}", tale.trail());
}

/// No more of them are under way at once than there are places.
pub(crate) fn no_more_run_than_there_are_places(tale: &Tale<'_>) {
    let Some(places) = tale.call.ask.seating.concurrency.filter(|_| !tale.call.is_failover()) else { return };
    for (place, ..) in tale.traces.iter().filter_map(|trace| trace.asked) {
        let running =
            |trace: &&Trace<'_>| trace.asked.is_some_and(|(asked, ..)| asked <= place) && trace.place > place;
        assert!(tale.traces.iter().filter(running).count() <= places.get());
    }
}

/// How a fan-out stands, told from the attempts that have landed.
struct Count {
    answered: usize,
    pending: usize,
    benched: usize,
    /// When there were enough.
    met: Option<Duration>,
}

/// It is over with the last answer that is needed and the grace, when the quorum is out of reach, at the cutoff, or
/// when everyone is through; and not before.
pub(crate) fn it_is_over_when_the_quorum_is_decided(tale: &Tale<'_>) {
    let Came::Report(report) = &tale.call.came else { return };
    if tale.call.is_failover() {
        return;
    }
    let seating = &tale.call.ask.seating;
    let quorum = report.quorum().expect("a fan-out has a quorum");
    let all = seats(tale).len();
    let required = match seating.quorum {
        QuorumPolicy::AtLeast(answers) => answers,
        QuorumPolicy::Majority => all / 2 + 1,
        _ => 1,
    };
    let answered = tale.traces.iter().filter(|trace| trace.attempt.succeeded()).count();
    assert_eq!((quorum.required, quorum.seats, quorum.answered), (required, all, answered));
    let ended = match exhausted(&tale.traces) {
        _ if answered >= required => Ended::QuorumMet,
        Ended::Exhausted => Ended::QuorumNotMet,
        unavailable => unavailable,
    };
    assert_eq!(report.ended(), ended);
    if !matches!(tale.call.ask.kind, Kind::FanOut | Kind::Panel { pause: 0, stop: None }) {
        return;
    }

    let mut count = Count { answered: 0, pending: all, benched: 0, met: None };
    let (mut over, mut unclear) = (None, 0);
    let mut instants: BTreeMap<Duration, Vec<&Trace<'_>>> = BTreeMap::new();
    tale.traces.iter().for_each(|trace| instants.entry(tale.since(trace.at)).or_default().push(trace));
    for (now, batch) in instants {
        assert_eq!(over, None, "it was over: {}", tale.trail());
        let limit = count.met.map(|met| met + seating.grace).into_iter().chain(seating.cutoff).min();
        assert!(limit.is_none_or(|limit| now <= limit), "it was to be over: {}", tale.trail());
        let mut vacated = 0;
        for trace in batch.iter().filter(|trace| !trace.is_cancelled()) {
            let eligible = trace.attempt.fallback_eligible && count.met.is_none();
            if trace.attempt.succeeded() {
                (count.answered, count.pending) = (count.answered + 1, count.pending - 1);
            } else if eligible && count.benched + vacated < seating.bench.len() {
                vacated += 1;
            } else {
                count.pending -= 1;
            }
        }
        let enough =
            count.answered >= required && (seating.quorum != QuorumPolicy::All || count.pending == 0);
        let out_of_reach = count.answered + count.pending < required || count.pending == 0;
        let time_is_up = limit == Some(now) || tale.total().is_some_and(|total| now >= total);
        let idle = tale.traces.iter().all(|trace| trace.asked.is_none() || tale.since(trace.at) <= now);
        let decided = out_of_reach || (enough && (idle || seating.grace.is_zero()));
        if decided || time_is_up {
            // Whether those of this very moment found a substitute is not for the clock to say.
            (over, unclear) = (Some(now), unclear + vacated);
            continue;
        }
        let given_up = batch.iter().any(|trace| trace.is_cancelled());
        assert!(!given_up, "given up for nothing: {}", tale.trail());
        if enough {
            count.met.get_or_insert(now);
            unclear += vacated;
        } else {
            count.benched += vacated;
        }
    }
    let substitutes = tale.traces.iter().filter(|trace| trace.attempt.launch == Launch::Failover).count();
    let due = count.benched..=count.benched + unclear;
    assert!(due.contains(&substitutes), "a substitute for each that gave no answer: {}", tale.trail());
    assert_eq!(Some(report.elapsed()), over, "{}", tale.trail());
    assert_eq!(tale.since(tale.call.over), report.elapsed());
}

/// Nobody that sits in a fan-out is asked again, and nothing of it is handed out.
pub(crate) fn seats_are_asked_once(tale: &Tale<'_>) {
    if tale.call.is_failover() {
        return;
    }
    for trace in &tale.traces {
        assert!(matches!(trace.attempt.launch, Launch::Panel | Launch::Failover));
        assert!(!trace.attempt.handed_out && !matches!(trace.attempt.outcome, Outcome::Interrupted { .. }));
    }
}
