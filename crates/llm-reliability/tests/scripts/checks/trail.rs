//! The trail, the observer, the models' logs and the report tell one story.

use circuit_breaker::{LimitReason, Limits};
use llm_protocol::testing::Ending;
use llm_protocol::{ResponseBuilder, StreamEvent, Usage};
use llm_reliability::{
    Ended, InputError, Outcome, Phase, QuorumPolicy, Report, Strategy, circuit_breaker, llm_protocol,
};
use rust_decimal::Decimal;

use crate::play::Came;
use crate::stage::{call_of, price};
use crate::tale::Tale;
use crate::world::Kind;

/// A provider has received as many requests as there are attempts that got past connecting, and no more.
pub(crate) fn providers_received_what_the_trail_says(tale: &Tale<'_>) {
    for (member, model) in tale.story.stage.models.iter().enumerate() {
        let calls = model.calls();
        let received: Vec<_> = calls.iter().filter(|call| call_of(&call.request) == tale.number).collect();
        let mut traces: Vec<_> =
            tale.traces.iter().filter(|trace| trace.member == member && trace.was_received()).collect();
        assert_eq!(received.len(), traces.len(), "requests at m{member}");
        assert!(received.iter().all(|call| call.ending != Ending::Open), "a request at m{member} is open");
        let streamed = |call: &&&llm_protocol::testing::Call| call.streamed;
        let trail = traces.iter().filter(|trace| trace.attempt.phase != Some(Phase::Response)).count();
        assert_eq!(received.iter().filter(streamed).count(), trail, "streamed at m{member}");
        traces.sort_by_key(|trace| trace.asked.map(|(place, ..)| place));
        assert!(traces.is_sorted_by_key(|trace| trace.attempt.start), "in order: {traces:#?}");
        let whole = traces.iter().filter(|trace| trace.attempt.succeeded()).count();
        let refused = received.iter().filter(|call| call.ending == Ending::Failed).count();
        let at_most = traces.iter().filter(|trace| !trace.attempt.succeeded()).count();
        assert!(whole + at_most == received.len() && refused <= received.len());
    }
}

/// The observer was told of each attempt once, and of the same as the report.
pub(crate) fn the_observer_saw_the_attempts_of_the_report(tale: &Tale<'_>) {
    let ordinals: Vec<_> = tale.traces.iter().map(|trace| trace.attempt.ordinal as usize).collect();
    assert!(ordinals.is_sorted_by(|one, next| one < next), "each once: {ordinals:?}");
    let Some(report) = tale.call.report() else { return };
    assert!(ordinals.iter().copied().eq(0..ordinals.len()), "without a gap: {ordinals:?}");
    assert_eq!(report.attempts().len(), tale.traces.len());
    for (attempt, trace) in report.attempts().iter().zip(&tale.traces) {
        assert_eq!(format!("{attempt:?}"), format!("{:?}", trace.attempt));
        assert_eq!(attempt.response(), trace.attempt.response());
        assert_eq!(attempt.partial(), trace.attempt.partial());
    }
}

/// Wrong input is refused, nothing else, and nobody is asked then.
pub(crate) fn only_wrong_input_is_refused(tale: &Tale<'_>) {
    let ask = &tale.call.ask;
    let seats = seats(tale).len();
    let required = match ask.seating.quorum {
        QuorumPolicy::AtLeast(answers) => answers,
        QuorumPolicy::Majority => seats / 2 + 1,
        _ => 1,
    };
    let wrong = match () {
        () if tale.call.is_failover() => None,
        () if seats == 0 => Some(InputError::NoCandidates.to_string()),
        () if required == 0 || required > seats => {
            Some(format!("{required} of {seats} answers cannot be a quorum"))
        }
        () => None,
    };
    match &tale.call.came {
        Came::Refused(error) => {
            assert_eq!(Some(error.to_string()), wrong);
            assert!(tale.traces.is_empty());
        }
        Came::Report(_) => assert_eq!(wrong, None),
        Came::Dropped => {}
    }
}

/// The members that have a seat.
pub(crate) fn seats(tale: &Tale<'_>) -> Vec<usize> {
    let seating = &tale.call.ask.seating;
    let all = 0..tale.story.stage.models.len();
    seating.seats.clone().unwrap_or_else(|| all.filter(|member| !seating.bench.contains(member)).collect())
}

/// Tokens and costs are those that the attempts tell of, added up.
pub(crate) fn the_report_adds_up_its_attempts(tale: &Tale<'_>) {
    let Some(report) = tale.call.report() else { return };
    let mut usage = Usage::default();
    let mut totals: Vec<(String, Decimal)> = Vec::new();
    for trace in &tale.traces {
        usage.add(&trace.attempt.usage.unwrap_or_default());
        let price = price(&tale.story.stage.world.members[trace.member]);
        let known = |price: llm_reliability::Price| {
            let usage = trace.attempt.usage?;
            let of = |tokens: Option<u64>| Decimal::from(tokens.unwrap_or(0));
            let input = Decimal::from(usage.input_tokens?)
                + of(usage.cache_read_tokens) * Decimal::new(1, 1)
                + of(usage.cache_write_tokens) * Decimal::new(125, 2);
            let cost = input * price.input_per_1m + of(Some(usage.output_tokens?)) * price.output_per_1m;
            Some((price.currency, cost / Decimal::from(1_000_000)))
        };
        let cost = price.and_then(known);
        let told = trace.attempt.cost.as_ref().map(|cost| (cost.currency.clone(), cost.total));
        assert_eq!(told, cost, "cost of {}", trace.attempt);
        if let Some((currency, cost)) = cost {
            match totals.iter_mut().find(|(found, _)| *found == currency) {
                Some((_, total)) => *total += cost,
                None => totals.push((currency, cost)),
            }
        }
    }
    assert_eq!(report.usage(), usage);
    let told: Vec<_> = report.cost().into_iter().map(|cost| (cost.currency, cost.total)).collect();
    assert_eq!(told, totals);
}

/// As JSON it goes both ways: what a call has made is never taken for a forgery, and loses nothing.
pub(crate) fn the_report_survives_json(tale: &Tale<'_>) {
    let Some(report) = tale.call.report() else { return };
    let json = serde_json::to_string(report).unwrap();
    let back: Report = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
    assert_eq!(format!("{report:?}"), format!("{back:?}"));
}

/// What a report derives from its attempts.
pub(crate) fn the_report_derives_what_its_attempts_say(tale: &Tale<'_>) {
    let Some(report) = tale.call.report() else { return };
    let strategy = if tale.call.is_failover() { Strategy::Failover } else { Strategy::FanOut };
    assert_eq!(report.strategy(), strategy);
    let fine = |outcome: &Outcome| matches!(outcome, Outcome::Success(_) | Outcome::Cancelled);
    assert_eq!(report.degraded(), tale.traces.iter().any(|trace| !fine(&trace.attempt.outcome)));
    assert_eq!(report.succeeded(), matches!(report.ended(), Ended::Answered | Ended::QuorumMet));
    let answers: Vec<_> = tale.traces.iter().filter_map(|trace| trace.attempt.response()).collect();
    assert_eq!(report.responses().map(|(_, response)| response).collect::<Vec<_>>(), answers);
    assert_eq!(report.response(), answers.first().copied().filter(|_| tale.call.is_failover()));
    let result = report.clone().into_result();
    match (report.succeeded(), answers.first()) {
        (true, Some(first)) => assert_eq!(result.ok().as_ref(), Some(*first)),
        _ => assert_eq!(result.unwrap_err().ended(), report.ended()),
    }

    // Only where nobody was worth waiting for in vain.
    let unavailable = |outcome: &Outcome| {
        matches!(
            outcome,
            Outcome::PreemptedOpen { .. }
                | Outcome::PreemptedLimited { .. }
                | Outcome::PreemptedUnsupported(_)
                | Outcome::DeferredBackpressure(_)
        )
    };
    let all = tale.traces.iter().all(|trace| unavailable(&trace.attempt.outcome));
    // Of a candidate that was asked again the last word counts; the seats of a fan-out are asked at the same time.
    let again =
        |at: usize, member: usize| tale.traces.iter().skip(at + 1).any(|later| later.member == member);
    let last_words = tale
        .traces
        .iter()
        .enumerate()
        .filter(|(at, trace)| !tale.call.is_failover() || !again(*at, trace.member));
    let earliest = last_words.filter_map(|(_, trace)| trace.attempt.retry_after()).min();
    assert_eq!(report.retry_after(), earliest.filter(|_| all));
}

/// What a reader had of a stream is what the report has of it, and a clean end follows on a whole answer only.
pub(crate) fn readers_had_what_the_report_says(tale: &Tale<'_>) {
    let Kind::Stream { stop, .. } = tale.call.ask.kind else { return };
    let mut builder = ResponseBuilder::default();
    let read = &tale.call.read;
    read.events.iter().for_each(|event| builder.absorb(event));
    let discards = read.events.iter().filter(|event| matches!(event, StreamEvent::Discard)).count();
    let handed_out = tale.traces.iter().filter(|trace| trace.attempt.handed_out).count();
    if !matches!(tale.call.came, Came::Refused(_)) && read.since.is_some() {
        let begun = usize::from(!read.events.is_empty() || handed_out > 0);
        assert_eq!(discards, handed_out.saturating_sub(1), "each but the first is announced");
        assert!(begun <= handed_out);
    }
    let (Some(report), Some(end)) = (tale.call.report(), &read.end) else { return };
    assert!(stop.is_none_or(|(after, _)| after > 0 || read.events.is_empty()));
    let had = builder.is_finished().then(|| builder.response().clone());
    match end {
        Ok(()) => {
            assert_eq!(report.ended(), Ended::Answered);
            assert_eq!(report.response(), had.as_ref());
        }
        Err(error) => {
            assert!(!report.succeeded());
            assert_eq!(error.ended, report.ended());
            if report.ended() == Ended::Interrupted {
                assert_eq!(report.partial(), Some(builder.response()), "what the reader was left with");
                let last = tale.traces.iter().rev().find(|trace| trace.attempt.handed_out).unwrap();
                assert_eq!(error.error.as_ref().map(llm_protocol::Error::kind), last.kind());
            } else {
                assert!(read.events.is_empty());
            }
        }
    }
}

/// Nothing of it is shared between limiters that have bounds and those that have none.
pub(crate) fn nobody_is_limited_without_limits(tale: &Tale<'_>) {
    let limits = tale.story.stage.world.limits.unwrap_or_default();
    for trace in &tale.traces {
        let Outcome::PreemptedLimited { reason, .. } = trace.attempt.outcome else { continue };
        let Limits { requests, input_tokens, output_tokens, in_flight, .. } = limits;
        let possible = match reason {
            LimitReason::Deferred => true,
            LimitReason::RequestRate => requests.is_some(),
            LimitReason::InputTokenRate => input_tokens.is_some(),
            LimitReason::OutputTokenRate => output_tokens.is_some(),
            LimitReason::InFlight => in_flight.is_some(),
            LimitReason::NeverFits => input_tokens.is_some() || output_tokens.is_some(),
            _ => false,
        };
        assert!(possible, "{reason:?}");
    }
}
