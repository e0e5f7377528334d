//! What holds for every failover, hedged or not: who is asked, how often, and beside whom.

use std::time::Duration;

use llm_protocol::{Clock, ErrorKind};
use llm_reliability::{Ended, Launch, Outcome, llm_protocol};

use super::steps::exhausted;
use crate::play::Story;
use crate::stage::What;
use crate::tale::{Tale, Trace};
use crate::world::{Hedging, Kind, Ordering, ms};

/// Each candidate once; who is asked again has been asked before, and after the answer nobody is.
pub(crate) fn each_candidate_is_asked_once_apart_from_retries(tale: &Tale<'_>) {
    if !tale.call.is_failover() {
        return;
    }
    for (at, trace) in tale.traces.iter().enumerate() {
        let mut earlier = tale.traces[..at].iter().filter(|earlier| earlier.member == trace.member);
        // Who was unavailable may be asked beside another that was waited for, and who lost beside the next.
        let there = earlier.clone().all(|earlier| earlier.asked.is_none() || earlier.is_cancelled());
        let before = earlier.next().is_some();
        match trace.attempt.launch {
            Launch::Primary => assert!(at == 0),
            Launch::Retry => assert!(before),
            Launch::Failover => assert!(at > 0 && !before),
            Launch::Hedge => assert!(at > 0 && there && tale.hedge().is_some()),
            other => panic!("{other:?}"),
        }
    }
    let too_long = tale.traces.iter().any(|trace| trace.kind() == Some(ErrorKind::ContextLength));
    let asked: Vec<_> = tale.firsts().map(|trace| trace.member).collect();
    assert!(too_long || tale.line.starts_with(&asked), "{asked:?} of {:?}", tale.line);
    assert!(tale.traces.is_sorted_by_key(|trace| trace.attempt.start), "in the order in which they began");
    let answers: Vec<_> = tale.traces.iter().filter(|trace| trace.attempt.succeeded()).collect();
    assert!(answers.len() <= 1);
    for answer in answers {
        let later =
            tale.traces.iter().filter(|trace| trace.asked.is_some_and(|(place, ..)| place > answer.place));
        assert_eq!(later.count(), 0, "the first answer ends it");
    }
}

/// Two at the most are under way at a time, and one where nothing is hedged.
pub(crate) fn two_at_the_most_run_side_by_side(tale: &Tale<'_>) {
    if !tale.call.is_failover() {
        return;
    }
    let most = if tale.hedge().is_some() { 2 } else { 1 };
    for (place, ..) in tale.traces.iter().filter_map(|trace| trace.asked) {
        let running =
            |trace: &&Trace<'_>| trace.asked.is_some_and(|(asked, ..)| asked <= place) && trace.place > place;
        assert!(tale.traces.iter().filter(running).count() <= most);
    }
}

/// A hedge goes out beside one that has outlasted its delay, and whoever is given up had no token when another had.
pub(crate) fn hedges_follow_on_slowness(tale: &Tale<'_>) {
    for trace in tale.traces.iter().filter(|trace| trace.attempt.launch == Launch::Hedge) {
        let start = trace.attempt.start;
        let Some(Hedging::After(delay)) = tale.hedge() else { continue };
        let slow = |other: &Trace<'_>| {
            other.attempt.ordinal < trace.attempt.ordinal
                && tale.since(other.at) >= start
                && other.attempt.start + delay <= start
        };
        assert!(tale.traces.iter().any(slow), "nobody was slow: {}", tale.trail());
    }
    if !tale.call.is_failover() || tale.call.report().is_none() || !tale.call.was_awaited(tale.call.over) {
        return;
    }
    for loser in tale.traces.iter().filter(|trace| trace.is_cancelled() && !trace.attempt.handed_out) {
        let now = loser.at;
        let token = |trace: &Trace<'_>| {
            let (_, asked, _) = trace.asked?;
            Some(asked + tale.course(trace)?.token?)
        };
        assert!(token(loser).is_none_or(|token| token >= now), "it had its token: {:?}", loser.attempt);
        let won = |trace: &Trace<'_>| token(trace).is_some_and(|token| token == now);
        let ended = |trace: &Trace<'_>| {
            let over =
                trace.kind() == Some(ErrorKind::Timeout(Clock::Total)) || !trace.attempt.fallback_eligible;
            trace.at == now && over && matches!(trace.attempt.outcome, Outcome::Failed(_))
        };
        assert!(
            tale.traces.iter().any(|trace| won(trace) || ended(trace)),
            "given up for nothing: {}",
            tale.trail()
        );
    }
}

/// How it ended follows from the attempts.
pub(crate) fn the_end_follows_from_the_attempts(tale: &Tale<'_>) {
    let Some(report) = tale.call.report().filter(|_| tale.call.is_failover()) else { return };
    let any = |found: &dyn Fn(&Trace<'_>) -> bool| tale.traces.iter().any(found);
    let handed_out = any(&|trace| trace.attempt.handed_out);
    let timed_out = any(&|trace| trace.kind() == Some(ErrorKind::Timeout(Clock::Total)));
    let out_of_time = timed_out || tale.total().is_some_and(|total| report.elapsed() >= total);
    assert_eq!(any(&|trace| trace.attempt.succeeded()), report.ended() == Ended::Answered);
    match report.ended() {
        Ended::Answered => {}
        Ended::Interrupted => assert!(handed_out),
        _ if handed_out => panic!("{}", tale.trail()),
        Ended::Stopped => {
            let stopping = |trace: &Trace<'_>| {
                matches!(trace.attempt.outcome, Outcome::Failed(_)) && !trace.attempt.fallback_eligible
            };
            assert!(any(&stopping));
        }
        Ended::TotalTimeout => assert!(out_of_time, "{}", tale.trail()),
        Ended::StoreUnavailable => assert!(tale.traces.is_empty()),
        ended => {
            assert_eq!(ended, exhausted(&tale.traces));
            assert_eq!(tale.firsts().count(), tale.line.len(), "everyone was asked: {}", tale.trail());
        }
    }
}

/// Retries and hedges stay within what the calls have earned, whatever the order of things.
pub(crate) fn budgets_are_kept(story: &Story, tales: &[Tale<'_>]) {
    let world = &story.stage.world;
    for member in 0..world.members.len() {
        let Some((share, reserve)) = world.budget else { continue };
        let (mut earned, mut spent) = (0_u32, 0_u32);
        for tale in tales.iter().filter(|tale| tale.call.is_failover() && tale.rules().retries > 0) {
            let own: Vec<_> = tale.traces.iter().filter(|trace| trace.member == member).collect();
            // Its first request, also where it had to be waited for.
            let first = |trace: &&Trace<'_>| trace.asked.is_some() && trace.attempt.launch != Launch::Panel;
            earned += u32::from(own.iter().any(first));
            let charged = |pair: &&[&Trace<'_>]| {
                pair[1].attempt.launch == Launch::Retry
                    && matches!(pair[0].attempt.outcome, Outcome::Failed(_))
            };
            spent += u32::try_from(own.windows(2).filter(charged).count()).unwrap();
        }
        let most = f64::from(reserve) + share * f64::from(earned);
        assert!(f64::from(spent) <= most, "m{member}: {spent} retries of {most}: {}", trails(tales));
    }
    let with_hedges = tales.iter().filter(|tale| tale.hedge().is_some());
    let (mut calls, mut sent_beside) = (0_u32, 0_u32);
    for tale in with_hedges {
        calls += u32::from(!tale.traces.is_empty());
        let sent =
            |trace: &&Trace<'_>| trace.attempt.launch == Launch::Hedge && trace.attempt.phase.is_some();
        sent_beside += u32::try_from(tale.traces.iter().filter(sent).count()).unwrap();
    }
    assert!(
        f64::from(sent_beside) <= world.hedges * f64::from(calls),
        "{sent_beside} hedges of {calls} calls"
    );
}

fn trails(tales: &[Tale<'_>]) -> String {
    tales.iter().map(Tale::trail).collect()
}

/// Each order puts those first that it says it does, and leaves the others as they stood.
pub(crate) fn orders_do_what_they_say(story: &Story) {
    let (members, mut turn) = (&story.stage.world.members, 0);
    for entry in &story.log {
        let What::Arranged { before, line, in_flight, speeds } = &entry.what else { continue };
        let mut ranked: Vec<_> = (0..members.len()).collect();
        ranked.sort_by_key(|member| members[*member].priority);
        assert_eq!(*before, ranked, "by priority, and as listed");
        let first = line[0];
        match story.stage.world.order {
            Ordering::Unset | Ordering::Panics => unreachable!(),
            Ordering::Listed => assert_eq!(*line, ranked),
            Ordering::RoundRobin => {
                assert_eq!(first, turn % members.len());
                turn += 1;
            }
            Ordering::Weighted => {
                let all: u32 = members.iter().map(|member| member.weight).sum();
                assert!(members[first].weight > 0 || (all == 0 && first == ranked[0]));
            }
            Ordering::LeastInFlight => {
                assert_eq!(Some(first), ranked.iter().copied().min_by_key(|member| in_flight[*member]));
            }
            Ordering::Fastest { samples: 1, explore } if explore <= 0.0 => {
                let known = ranked.iter().filter(|member| speeds[**member].is_some());
                let fastest = known.min_by_key(|member| speeds[**member]);
                assert_eq!(first, *fastest.unwrap_or(&ranked[0]));
            }
            // One may have been drawn.
            Ordering::Fastest { .. } => {}
            Ordering::Backwards | Ordering::Refuses | Ordering::TakesTime(_) => {
                assert!(line.iter().rev().copied().eq(0..members.len()));
                continue;
            }
        }
        ranked.retain(|member| *member != first);
        assert_eq!(line[1..], ranked, "the fallback is left to the priorities");
    }
}

/// Pauses between attempts are never longer than the policy lets a call wait in all.
pub(crate) fn waits_have_an_end(tale: &Tale<'_>) {
    if !tale.call.is_failover() || !tale.call.was_awaited(tale.call.over) || tale.hedge().is_some() {
        return;
    }
    let (rules, mut waited) = (tale.rules(), Duration::ZERO);
    for pair in tale.traces.windows(2) {
        let passed_over = matches!(
            pair[0].attempt.outcome,
            Outcome::PreemptedOpen { .. }
                | Outcome::PreemptedLimited { .. }
                | Outcome::PreemptedUnsupported(_)
        );
        if passed_over && pair[1].attempt.launch == Launch::Retry {
            waited += pair[1].attempt.start.saturating_sub(tale.since(pair[0].at));
        }
    }
    assert!(waited < rules.wait + ms(1) || waited.is_zero(), "{waited:?} of {:?}", rules.wait);
    assert!(matches!(tale.call.ask.kind, Kind::Failover | Kind::Stream { .. }));
}
