//! OpenAI's answers, streamed and whole.

mod calls;
mod thoughts;

use std::collections::VecDeque;
use std::mem;

use calls::Calls;
use llm_protocol::{Placed, Response, Started, StreamEvent, ToolCall};
use serde_json::value::RawValue;
use thoughts::Thoughts;

use super::wire::{Answer, Choice, Counts, Turn};
use super::{Dialect, classify};
use crate::call_ids::CallIds;
use crate::failure::Failure;
use crate::sse::Event;
use crate::vendor::{Decode, Flow};
use crate::wire;

/// Reads a stream: chunks, one of which tells the finish reason, then perhaps a count of tokens, then `[DONE]`.
/// Some hosts never send `[DONE]`: a finish reason and a clean end is complete. `[DONE]` alone is not.
///
/// After the finish only tokens and errors count. What cannot be read there ends the stream: the answer is whole.
pub(super) struct Decoder {
    model: Option<String>,
    finished: bool,
    calls: Calls,
    thoughts: Thoughts,
    counts: Counts,
}

impl Decode for Decoder {
    fn event(&mut self, event: Event<'_>, out: &mut VecDeque<StreamEvent>) -> Result<Flow, Failure> {
        let data = event.data.trim();
        if data == "[DONE]" {
            return if self.finished {
                Ok(Flow::Done)
            } else {
                Err(Failure::truncated("the stream is done without a finish reason"))
            };
        }
        let json = wire::mended(data);
        let mut answer = Answer::default();
        if let Err(error) = wire::read_into(&mut answer, &json) {
            return self.unreadable(event, &error);
        }
        // Any object with an error is one, whatever its event is called.
        let choice = answer.choices.first.as_ref();
        if let Some(error) = answer.error.or_else(|| choice.and_then(|choice| choice.error)) {
            return Err(failure(error));
        }
        if event.name == "error" || answer.is_error() {
            return Err(classify::in_answer(&wire::explanation(&json)));
        }
        if answer.is_odd() {
            // What comes under a name of the host's own may be anything.
            if !matches!(event.name, "" | "message") {
                return Ok(Flow::More);
            }
            return if self.finished { Ok(Flow::Done) } else { Err(odd("an event of the stream")) };
        }
        self.chunk(&mut answer, out)
    }

    fn is_complete(&self) -> bool {
        self.finished
    }
}

impl Decoder {
    pub(super) fn new(provider: &str, dialect: Dialect) -> Self {
        Self {
            model: None,
            finished: false,
            calls: Calls::default(),
            thoughts: Thoughts::new(provider, dialect),
            counts: Counts::default(),
        }
    }

    fn chunk(&mut self, answer: &mut Answer<'_>, out: &mut VecDeque<StreamEvent>) -> Result<Flow, Failure> {
        let counts = answer.counts();
        if self.finished {
            self.report(&counts, out);
            return Ok(Flow::More);
        }
        if !answer.model.text.is_empty() && self.model.is_none() {
            self.model = Some(mem::take(&mut answer.model.text).into_owned());
            out.push_back(StreamEvent::Started(Started {
                model_id: self.model.clone(),
                ..Started::default()
            }));
        }
        let finish = answer.choices.first.as_ref().and_then(Choice::finish_reason);
        if let Some(choice) = &mut answer.choices.first {
            self.delta(&mut choice.delta, out)?;
        }
        self.report(&counts, out);
        if let Some(reason) = finish {
            self.finished = true;
            out.extend(self.calls.end().into_iter().map(StreamEvent::ToolCall));
            out.extend(self.thoughts.end(self.calls.ids()).map(StreamEvent::Opaque));
            out.push_back(StreamEvent::Finish(reason));
        }
        Ok(Flow::More)
    }

    fn delta(&mut self, delta: &mut Turn<'_>, out: &mut VecDeque<StreamEvent>) -> Result<(), Failure> {
        let calls = delta.take_calls();
        self.thoughts.content(delta.reasoning_content());
        let details = delta.reasoning_details.take();
        let thinks = details.map_or(Ok(false), |details| self.thoughts.details(details.get()))?;
        let reasoning = delta.take_reasoning();
        // It thinks, if not aloud.
        if thinks && reasoning.is_empty() {
            out.push_back(StreamEvent::Working);
        }
        let mut say = |text: String, event: fn(String) -> StreamEvent| {
            if !text.is_empty() {
                out.push_back(event(text));
            }
        };
        say(reasoning, StreamEvent::Reasoning);
        say(mem::take(&mut delta.content.said), StreamEvent::Text);
        say(mem::take(&mut delta.refusal.said), StreamEvent::Refusal);
        for call in calls {
            let extra_content = call.extra_content;
            let Some(delta) = self.calls.delta(call)? else { continue };
            self.thoughts.call(delta.index, extra_content)?;
            out.push_back(StreamEvent::ToolCall(delta));
        }
        Ok(())
    }

    fn report(&mut self, counts: &Counts, out: &mut VecDeque<StreamEvent>) {
        if !counts.to_usage().is_unknown() {
            self.counts.merge(counts);
            out.push_back(StreamEvent::Usage(self.counts.to_usage()));
        }
    }

    /// An event that is no JSON: an error in plain words, an event of the host's own that is skipped, or nonsense.
    fn unreadable(&self, event: Event<'_>, error: &serde_json::Error) -> Result<Flow, Failure> {
        let is_blank = event.data.trim().is_empty();
        match event.name {
            "error" if self.finished && is_blank => Ok(Flow::Done),
            "error" => Err(classify::in_answer(&wire::explanation(event.data))),
            "" | "message" if is_blank => Ok(Flow::More),
            "" | "message" if self.finished => Ok(Flow::Done),
            "" | "message" => Err(Failure::not_json("an event of the stream", error)),
            _ => Ok(Flow::More),
        }
    }
}

fn failure(error: &RawValue) -> Failure {
    classify::in_answer(&wire::explanation(error.get()))
}

fn odd(what: &str) -> Failure {
    Failure::protocol(format!("{what} has an unexpected shape"))
}

/// Reads an answer that came whole. An error in it is one, and an answer without a choice is none.
pub(super) fn whole(provider: &str, dialect: Dialect, body: &[u8]) -> Result<Response, Failure> {
    let json = wire::text(body)?;
    let mut answer = Answer::default();
    wire::read_into(&mut answer, &json).map_err(|error| wire::unreadable(&json, &error))?;
    let choice = answer.choices.first.as_ref();
    if let Some(error) = answer.error.or_else(|| choice.and_then(|choice| choice.error)) {
        return Err(failure(error));
    }
    if answer.is_error() {
        return Err(classify::in_answer(&wire::explanation(&json)));
    }
    if answer.is_odd() {
        return Err(odd("the answer"));
    }
    let usage = answer.counts().to_usage();
    let choice = answer.choices.first.as_mut();
    let choice = choice.ok_or_else(|| Failure::protocol("the answer holds no choice"))?;
    let mut response = Response::default();
    response.finish_reason = choice.finish_reason().unwrap_or_default();
    let turn = &mut choice.message;
    if !turn.is_object {
        return Err(Failure::protocol("the answer holds no message"));
    }
    let mut thoughts = Thoughts::new(provider, dialect);
    thoughts.content(turn.reasoning_content());
    // What has no name is no call, and would make an empty answer a success.
    let calls = turn.take_calls().into_iter().filter(|call| !call.function.name.is_empty());
    for (index, call) in (0..).zip(calls) {
        thoughts.call(index, call.extra_content)?;
        let arguments = call.function.arguments();
        response.tool_calls.push(ToolCall { arguments, name: call.function.name, id: call.id });
    }
    CallIds::default().complete(&mut response.tool_calls);
    let ids: Vec<_> = response.tool_calls.iter().map(|call| call.id.clone()).collect();
    let part = thoughts.whole(turn.reasoning_details, &ids);
    let after_calls = ids.len();
    response.opaque.extend(part.map(|part| Placed::new(turn.content.said.len(), after_calls, part)));
    response.reasoning = Some(turn.take_reasoning()).filter(|text| !text.is_empty());
    response.text = mem::take(&mut turn.content.said);
    response.refusal = Some(mem::take(&mut turn.refusal.said)).filter(|text| !text.is_empty());
    response.usage = usage;
    response.model_id = Some(answer.model.text.into_owned()).filter(|model| !model.is_empty());
    Ok(response)
}

#[cfg(test)]
mod tests;
