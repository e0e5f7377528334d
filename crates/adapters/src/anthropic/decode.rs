//! Anthropic's answers, streamed and whole.

use std::collections::VecDeque;

use llm_protocol::{FinishReason, Response, Started, StreamEvent, ToolCall, ToolCallDelta};
use serde_json::Value;

use super::classify;
use super::wire::{self, Block, Delta, Event, Message, REFUSAL};
use crate::failure::Failure;
use crate::sse;
use crate::vendor::{Decode, Flow};

/// Reads a stream: `message_start`, content blocks one after another, `message_delta` with the stop reason, and
/// `message_stop`, without which it is not complete.
#[derive(Default)]
pub struct Decoder {
    finish: FinishReason,
    stopped: bool,
    /// The block of each tool call, in order.
    calls: Vec<u32>,
    /// The input with which the current call began, as long as no piece of it has come. Most begin with `{}` and
    /// bring the input in pieces; a call without arguments brings none.
    first_input: Option<Value>,
}

impl Decode for Decoder {
    fn event(&mut self, event: sse::Event<'_>, out: &mut VecDeque<StreamEvent>) -> Result<Flow, Failure> {
        let parsed = match serde_json::from_str::<Event>(event.data) {
            Ok(parsed) => parsed,
            Err(_) if event.name == "error" => return Err(classify::in_answer(&error_value(event.data))),
            Err(error) => return Err(Failure::not_json("an event of the stream", &error)),
        };
        match parsed {
            Event::MessageStart { message } => {
                out.push_back(StreamEvent::Started(Started { model_id: message.model, ..Started::default() }));
                report(message.usage.as_ref(), out);
            }
            Event::ContentBlockStart { index, content_block } => self.begin(index, content_block, out),
            Event::ContentBlockDelta { index, delta } => self.delta(index, delta, out),
            Event::ContentBlockStop { index } => self.end(index, out),
            Event::MessageDelta { delta, usage } => {
                if let Some(reason) = delta.stop_reason {
                    if reason == REFUSAL {
                        out.push_back(StreamEvent::Refusal(String::new()));
                    }
                    self.finish = wire::finish_reason(&reason);
                }
                report(usage.as_ref(), out);
            }
            Event::MessageStop => {
                self.stopped = true;
                out.push_back(StreamEvent::Finish(self.finish));
                return Ok(Flow::Done);
            }
            Event::Error => return Err(classify::in_answer(&error_value(event.data))),
            Event::Other if event.name == "error" => return Err(classify::in_answer(&error_value(event.data))),
            Event::Other => {}
        }
        Ok(Flow::More)
    }

    fn is_complete(&self) -> bool {
        self.stopped
    }
}

impl Decoder {
    fn begin(&mut self, block: u32, content: Block, out: &mut VecDeque<StreamEvent>) {
        self.first_input = None;
        match content {
            Block::Text { text } => say(text, StreamEvent::Text, out),
            Block::Thinking { thinking } => say(thinking, StreamEvent::Reasoning, out),
            Block::ToolUse { id, name, input } => {
                self.calls.push(block);
                self.first_input = Some(input);
                self.call(block, ToolCallDelta { id: Some(id), name: Some(name), ..ToolCallDelta::default() }, out);
            }
            Block::Other => {}
        }
    }

    fn delta(&mut self, block: u32, delta: Delta, out: &mut VecDeque<StreamEvent>) {
        match delta {
            Delta::TextDelta { text } => say(text, StreamEvent::Text, out),
            Delta::ThinkingDelta { thinking } => say(thinking, StreamEvent::Reasoning, out),
            Delta::InputJsonDelta { partial_json } if !partial_json.is_empty() => {
                self.first_input = None;
                self.call(block, ToolCallDelta { arguments: partial_json, ..ToolCallDelta::default() }, out);
            }
            Delta::InputJsonDelta { .. } | Delta::Other => {}
        }
    }

    fn end(&mut self, block: u32, out: &mut VecDeque<StreamEvent>) {
        if let Some(input) = self.first_input.take() {
            self.call(block, ToolCallDelta { arguments: arguments(&input), ..ToolCallDelta::default() }, out);
        }
    }

    /// A piece of the call in this block. The vendor's own tools have blocks too, which are no calls of ours.
    fn call(&self, block: u32, delta: ToolCallDelta, out: &mut VecDeque<StreamEvent>) {
        if let Some(index) = self.calls.iter().rposition(|call| *call == block) {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            out.push_back(StreamEvent::ToolCall(ToolCallDelta { index, ..delta }));
        }
    }
}

fn say(text: String, event: fn(String) -> StreamEvent, out: &mut VecDeque<StreamEvent>) {
    if !text.is_empty() {
        out.push_back(event(text));
    }
}

fn report(usage: Option<&wire::Tokens>, out: &mut VecDeque<StreamEvent>) {
    let usage = usage.map(wire::Tokens::to_usage).unwrap_or_default();
    if !usage.is_unknown() {
        out.push_back(StreamEvent::Usage(usage));
    }
}

/// The arguments' JSON text: an object, whatever the wire says.
fn arguments(input: &Value) -> String {
    if input.is_null() { "{}".to_owned() } else { input.to_string() }
}

/// What an error event says, which may be no JSON.
fn error_value(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()))
}

/// Reads an answer that came whole. An error in it is one.
pub(super) fn whole(body: &[u8]) -> Result<Response, Failure> {
    let message: Message =
        serde_json::from_slice(body).map_err(|error| Failure::not_json("the answer", &error))?;
    if message.kind.as_deref() == Some("error") || message.error.is_some() {
        return Err(classify::in_answer(&serde_json::from_slice(body).unwrap_or(Value::Null)));
    }
    let content = message.content.ok_or_else(|| Failure::protocol("the answer holds no content"))?;
    let mut response = Response::default();
    for block in content {
        match block {
            Block::Text { text } => response.text.push_str(&text),
            Block::Thinking { thinking } => response.reasoning.get_or_insert_default().push_str(&thinking),
            Block::ToolUse { id, name, input } => {
                response.tool_calls.push(ToolCall { id, name, arguments: arguments(&input) });
            }
            Block::Other => {}
        }
    }
    let stop_reason = message.stop_reason.as_deref();
    response.refusal = (stop_reason == Some(REFUSAL)).then(String::new);
    response.finish_reason = stop_reason.map(wire::finish_reason).unwrap_or_default();
    response.usage = message.usage.as_ref().map(wire::Tokens::to_usage).unwrap_or_default();
    response.model_id = message.model;
    Ok(response)
}

#[cfg(test)]
mod tests;
