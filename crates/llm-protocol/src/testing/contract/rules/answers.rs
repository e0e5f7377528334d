//! Rules about answers that arrive whole.

use serde_json::Value;

use crate::event::StreamEvent;
use crate::response::{FinishReason, Response};
use crate::testing::contract::evidence::{Evidence, TEXT, USAGE};
use crate::testing::contract::harness::Scenario;
use crate::testing::contract::observe::{Mode, Observation};
use crate::testing::contract::summary::{Finding, Verdict, require, skipped};
use crate::tool::ToolCall;

/// The answer that a call must have given.
fn answer(seen: &Observation) -> Result<Response, Finding> {
    seen.response().ok_or_else(|| {
        let what = seen.error().map_or("it ends without its terminal marker".to_owned(), ToString::to_string);
        Finding::Broken(format!("{}: no answer: {what}", seen.place()))
    })
}

pub(super) fn arrives(evidence: &Evidence) -> Verdict {
    for seen in evidence.of("Answers")? {
        let response = answer(seen)?;
        let place = seen.place();
        require(response.text == TEXT, || format!("{place}: {:?} became {:?}", TEXT, response.text))?;
        finishes(seen, &response, FinishReason::Stop)?;
        let told = response.usage;
        let counts = [
            ("input_tokens", told.input_tokens, USAGE.input_tokens),
            ("output_tokens", told.output_tokens, USAGE.output_tokens),
            ("cache_read_tokens", told.cache_read_tokens, USAGE.cache_read_tokens),
            (
                "cache_write_tokens",
                told.cache_write_tokens.filter(|tokens| *tokens > 0),
                USAGE.cache_write_tokens,
            ),
            ("reasoning_tokens", told.reasoning_tokens, USAGE.reasoning_tokens),
        ];
        for (name, told, given) in counts {
            // What a wire format cannot say is unknown; what it says must be right.
            require(told.is_none() || told == given, || {
                format!("{place}: {name} is {told:?}, not {given:?}")
            })?;
        }
    }
    Ok(())
}

fn finishes(seen: &Observation, response: &Response, reason: FinishReason) -> Verdict {
    let told = response.finish_reason;
    require(told == reason, || format!("{}: the finish reason is {told:?}, not {reason:?}", seen.place()))
}

pub(super) fn token_limit(evidence: &Evidence) -> Verdict {
    for seen in evidence.of("ReachesTokenLimit")? {
        let response = answer(seen)?;
        require(response.text == TEXT, || format!("{}: the text became {:?}", seen.place(), response.text))?;
        finishes(seen, &response, FinishReason::Length)?;
    }
    Ok(())
}

pub(super) fn empty(evidence: &Evidence) -> Verdict {
    for seen in evidence.of("Empty")? {
        let response = answer(seen)?;
        require(response.is_empty(), || format!("{}: there is text or a tool call", seen.place()))?;
    }
    Ok(())
}

pub(super) fn tool_calls(evidence: &Evidence) -> Verdict {
    for seen in evidence.of("CallsTools")? {
        let Scenario::CallsTools { calls } = &seen.scenario else { continue };
        let response = answer(seen)?;
        let place = seen.place();
        let (told, given) = (meaning(&response.tool_calls), meaning(calls));
        require(told == given, || format!("{place}: {given:?} became {told:?}"))?;
        let mut ids: Vec<_> = response.tool_calls.iter().map(|call| &call.id).collect();
        ids.sort();
        ids.dedup();
        let unique = ids.len() == calls.len() && ids.iter().all(|id| !id.is_empty());
        require(unique, || format!("{place}: the calls need an id each, and have {ids:?}"))?;
        finishes(seen, &response, FinishReason::ToolCalls)?;
    }
    Ok(())
}

/// What calls mean: their ids and the spelling of their JSON aside. Arguments that are not JSON mean nothing.
fn meaning(calls: &[ToolCall]) -> Vec<(String, Option<Value>)> {
    calls.iter().map(|call| (call.name.clone(), serde_json::from_str(&call.arguments).ok())).collect()
}

pub(super) fn same(evidence: &Evidence) -> Verdict {
    if !evidence.streams {
        return skipped("the adapter does not stream");
    }
    let mut compared = false;
    for name in ["Answers", "ReachesTokenLimit", "Empty", "CallsTools"] {
        let seen = evidence.of(name).unwrap_or_default();
        let of = |mode| seen.iter().find(|seen| seen.mode == mode).and_then(|seen| seen.response());
        let (Some(whole), Some(streamed)) = (of(Mode::Whole), of(Mode::Streamed)) else { continue };
        compared = true;
        let differs = |what: &str| format!("provider {name}: {what} differs between generate and stream");
        require(whole.text == streamed.text, || differs("the text"))?;
        require(whole.refusal == streamed.refusal, || differs("the refusal"))?;
        require(whole.finish_reason == streamed.finish_reason, || differs("the finish reason"))?;
        require(whole.usage == streamed.usage, || differs("the usage"))?;
        require(whole.model_id == streamed.model_id, || differs("the model id"))?;
        require(meaning(&whole.tool_calls) == meaning(&streamed.tool_calls), || differs("the tool calls"))?;
    }
    if compared { Ok(()) } else { skipped("no answer came both ways") }
}

pub(super) fn marker(evidence: &Evidence) -> Verdict {
    if !evidence.streams {
        return skipped("the adapter does not stream");
    }
    for name in ["Answers", "ReachesTokenLimit", "Empty", "CallsTools"] {
        for seen in evidence.of(name).unwrap_or_default() {
            if seen.mode == Mode::Whole || seen.error().is_some() {
                continue;
            }
            let place = seen.place();
            let is_marker = |event: &&StreamEvent| matches!(event, StreamEvent::Finish(_));
            let markers = seen.events().filter(is_marker).count();
            require(markers == 1, || format!("{place}: {markers} terminal markers"))?;
            let mut after = seen.events().skip_while(|event| !is_marker(event)).skip(1);
            let late = after.find(|event| !matches!(event, StreamEvent::Usage(_)));
            require(late.is_none(), || format!("{place}: {late:?} after the terminal marker"))?;
        }
    }
    Ok(())
}
