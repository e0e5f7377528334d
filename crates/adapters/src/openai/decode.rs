//! OpenAI's answers, streamed and whole.

use std::collections::{BTreeMap, VecDeque};

use llm_protocol::{Response, Started, StreamEvent, ToolCall, ToolCallDelta};
use serde_json::Value;

use super::classify;
use super::wire::{Answer, Call, Choice, Turn};
use crate::failure::Failure;
use crate::sse::Event;
use crate::vendor::{Decode, Flow};

/// Reads a stream: chunks, one of which tells the finish reason, then perhaps a count of tokens, then `[DONE]`.
/// Some hosts never send `[DONE]`: a finish reason and a clean end is complete. `[DONE]` alone is not.
#[derive(Default)]
pub(super) struct Decoder {
    model: Option<String>,
    finished: bool,
    calls: Calls,
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
        let answer = match serde_json::from_str::<Answer<'_>>(data) {
            Ok(answer) => answer,
            Err(error) => return unreadable(event, &error),
        };
        // Any object with an error is one, whatever its event is called.
        if let Some(error) = &answer.error {
            return Err(classify::in_answer(error));
        }
        if event.name == "error" || answer.is_error() {
            return Err(classify::in_answer(&serde_json::from_str(data).unwrap_or(Value::Null)));
        }
        self.chunk(answer, out)
    }

    fn is_complete(&self) -> bool {
        self.finished
    }
}

impl Decoder {
    fn chunk(&mut self, answer: Answer<'_>, out: &mut VecDeque<StreamEvent>) -> Result<Flow, Failure> {
        let usage = answer.usage();
        if let Some(model) = answer.model.filter(|model| !model.0.is_empty() && self.model.is_none()) {
            self.model = Some(model.0.into_owned());
            out.push_back(StreamEvent::Started(Started {
                model_id: self.model.clone(),
                ..Started::default()
            }));
        }
        let choice = answer.choices.0;
        if let Some(error) = choice.as_ref().and_then(|choice| choice.error.as_ref()) {
            return Err(classify::in_answer(error));
        }
        let finish = choice.as_ref().and_then(Choice::finish_reason).filter(|_| !self.finished);
        if let Some(delta) = choice.and_then(|choice| choice.delta) {
            self.delta(delta, out);
        }
        if !usage.is_unknown() {
            out.push_back(StreamEvent::Usage(usage));
        }
        if let Some(reason) = finish {
            self.finished = true;
            out.push_back(StreamEvent::Finish(reason));
        }
        Ok(Flow::More)
    }

    fn delta(&mut self, mut delta: Turn, out: &mut VecDeque<StreamEvent>) {
        let mut say = |text: String, event: fn(String) -> StreamEvent| {
            if !text.is_empty() {
                out.push_back(event(text));
            }
        };
        say(delta.take_reasoning(), StreamEvent::Reasoning);
        say(delta.content.said, StreamEvent::Text);
        say(delta.refusal.said, StreamEvent::Refusal);
        for (at, call) in (0..).zip(delta.tool_calls.into_iter().flatten()) {
            out.push_back(StreamEvent::ToolCall(self.calls.delta(at, call)));
        }
    }
}

/// An event that is no chunk: an error in plain words, an event of the host's own that is skipped, or nonsense.
fn unreadable(event: Event<'_>, error: &serde_json::Error) -> Result<Flow, Failure> {
    match event.name {
        "error" => Err(classify::in_answer(&Value::String(event.data.to_owned()))),
        "" | "message" if event.data.trim().is_empty() => Ok(Flow::More),
        "" | "message" => Err(Failure::not_json("an event of the stream", error)),
        _ => Ok(Flow::More),
    }
}

/// The tool calls of a stream, told apart by index and id.
#[derive(Default)]
struct Calls {
    /// The latest call under each index of the wire.
    latest: BTreeMap<u32, Known>,
    begun: u32,
}

struct Known {
    index: u32,
    id: String,
}

impl Calls {
    /// A piece of a call. Ids and names are passed on once, since some hosts repeat them with every piece; a new id
    /// begins a new call, since some hosts send every call with the same index.
    fn delta(&mut self, at: u32, call: Call) -> ToolCallDelta {
        let wire_index = call.index.unwrap_or(at);
        let id = call.id.unwrap_or_default();
        let known = self.latest.get(&wire_index);
        let is_new = known.is_none_or(|known| !id.is_empty() && !known.id.is_empty() && known.id != id);
        if is_new {
            self.latest.insert(wire_index, Known { index: self.begun, id: String::new() });
            self.begun = self.begun.saturating_add(1);
        }
        let name = call.function.name.clone().filter(|_| is_new);
        let arguments = call.function.arguments();
        let mut delta = ToolCallDelta { name, arguments, ..ToolCallDelta::default() };
        if let Some(known) = self.latest.get_mut(&wire_index) {
            delta.index = known.index;
            if known.id.is_empty() && !id.is_empty() {
                known.id.clone_from(&id);
                delta.id = Some(id);
            }
        }
        delta
    }
}

/// Reads an answer that came whole. An error in it is one, and an answer without a choice is none.
pub(super) fn whole(body: &[u8]) -> Result<Response, Failure> {
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|error| Failure::not_json("the answer", &error))?;
    if let Some(error) = &answer.error {
        return Err(classify::in_answer(error));
    }
    if answer.is_error() {
        return Err(classify::in_answer(&serde_json::from_slice(body).unwrap_or(Value::Null)));
    }
    let usage = answer.usage();
    let choice = answer.choices.0.ok_or_else(|| Failure::protocol("the answer holds no choice"))?;
    if let Some(error) = &choice.error {
        return Err(classify::in_answer(error));
    }
    let mut response = Response::default();
    response.finish_reason = choice.finish_reason().unwrap_or_default();
    let mut turn = choice.message.ok_or_else(|| Failure::protocol("the answer holds no message"))?;
    response.reasoning = Some(turn.take_reasoning()).filter(|text| !text.is_empty());
    response.text = turn.content.said;
    response.refusal = Some(turn.refusal.said).filter(|text| !text.is_empty());
    response.tool_calls = turn.tool_calls.into_iter().flatten().map(call).collect();
    response.usage = usage;
    response.model_id = answer.model.map(|model| model.0.into_owned());
    Ok(response)
}

fn call(call: Call) -> ToolCall {
    ToolCall {
        id: call.id.unwrap_or_default(),
        name: call.function.name.clone().unwrap_or_default(),
        arguments: call.function.arguments(),
    }
}

#[cfg(test)]
mod tests;
