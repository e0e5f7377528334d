//! Anthropic's answers, streamed and whole.

use std::collections::VecDeque;

use llm_protocol::{FinishReason, Response, Started, StreamEvent, ToolCall, ToolCallDelta};
use serde_json::Value;

use super::classify;
use super::wire::{self, Counts, Event, Message, Piece, REFUSAL, Said};
use crate::failure::Failure;
use crate::sse;
use crate::vendor::{Decode, Flow};

/// Reads a stream: `message_start`, content blocks one after another, `message_delta` with the stop reason, and
/// `message_stop`, without which it is not complete. `ping` and what is not known may come anywhere.
#[derive(Default)]
pub(super) struct Decoder {
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
        if event.name == "error" {
            return Err(classify::in_answer(&error_value(event.data)));
        }
        let parsed: Event<'_> = serde_json::from_str(event.data)
            .map_err(|error| Failure::not_json("an event of the stream", &error))?;
        match parsed.kind.as_ref().map_or("", |kind| &kind.0) {
            "message_start" => start(parsed.message.unwrap_or_default(), out),
            "content_block_start" => self.begin(parsed.index, parsed.content_block.unwrap_or_default(), out),
            "content_block_delta" => self.delta(parsed.index, parsed.delta.unwrap_or_default(), out),
            "content_block_stop" => self.end(parsed.index, out),
            "message_delta" => {
                if let Some(reason) = parsed.delta.and_then(|delta| delta.stop_reason) {
                    if reason.0 == REFUSAL {
                        out.push_back(StreamEvent::Refusal(String::new()));
                    }
                    self.finish = wire::finish_reason(&reason.0);
                }
                report(parsed.usage.as_ref(), out);
            }
            "message_stop" => {
                self.stopped = true;
                out.push_back(StreamEvent::Finish(self.finish));
                return Ok(Flow::Done);
            }
            "error" => return Err(classify::in_answer(&error_value(event.data))),
            _ => {}
        }
        Ok(Flow::More)
    }

    fn is_complete(&self) -> bool {
        self.stopped
    }
}

impl Decoder {
    fn begin(&mut self, block: u32, piece: Piece<'_>, out: &mut VecDeque<StreamEvent>) {
        self.first_input = None;
        match piece.said() {
            Said::Text(text) => say(text, StreamEvent::Text, out),
            Said::Thinking(text) => say(text, StreamEvent::Reasoning, out),
            Said::Call { id, name, input } => {
                self.calls.push(block);
                self.first_input = Some(input);
                self.call(
                    block,
                    ToolCallDelta { id: Some(id), name: Some(name), ..ToolCallDelta::default() },
                    out,
                );
            }
            Said::Input(_) | Said::Other => {}
        }
    }

    fn delta(&mut self, block: u32, piece: Piece<'_>, out: &mut VecDeque<StreamEvent>) {
        match piece.said() {
            Said::Text(text) => say(text, StreamEvent::Text, out),
            Said::Thinking(text) => say(text, StreamEvent::Reasoning, out),
            Said::Input(arguments) if !arguments.is_empty() => {
                self.first_input = None;
                self.call(block, ToolCallDelta { arguments, ..ToolCallDelta::default() }, out);
            }
            Said::Input(_) | Said::Call { .. } | Said::Other => {}
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

fn start(message: Message<'_>, out: &mut VecDeque<StreamEvent>) {
    out.push_back(StreamEvent::Started(Started { model_id: message.model.some(), ..Started::default() }));
    report(message.usage.as_ref(), out);
}

fn say(text: String, event: fn(String) -> StreamEvent, out: &mut VecDeque<StreamEvent>) {
    if !text.is_empty() {
        out.push_back(event(text));
    }
}

fn report(counts: Option<&Counts>, out: &mut VecDeque<StreamEvent>) {
    let usage = counts.map(Counts::to_usage).unwrap_or_default();
    if !usage.is_unknown() {
        out.push_back(StreamEvent::Usage(usage));
    }
}

/// The arguments' JSON text: an object, also where the wire leaves it out.
fn arguments(input: &Value) -> String {
    if input.is_null() { "{}".to_owned() } else { input.to_string() }
}

/// What an error event says, which may be no JSON.
fn error_value(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()))
}

/// Reads an answer that came whole. An error in it is one.
pub(super) fn whole(body: &[u8]) -> Result<Response, Failure> {
    let message: Message<'_> =
        serde_json::from_slice(body).map_err(|error| Failure::not_json("the answer", &error))?;
    if message.error.is_some() || message.kind.is_some_and(|kind| kind.0 == "error") {
        return Err(classify::in_answer(&serde_json::from_slice(body).unwrap_or(Value::Null)));
    }
    let mut response = Response::default();
    for piece in message.content.ok_or_else(|| Failure::protocol("the answer holds no content"))? {
        match piece.said() {
            Said::Text(text) => response.text.push_str(&text),
            Said::Thinking(text) => response.reasoning.get_or_insert_default().push_str(&text),
            Said::Call { id, name, input } => {
                response.tool_calls.push(ToolCall { id, name, arguments: arguments(&input) });
            }
            Said::Input(_) | Said::Other => {}
        }
    }
    let stop_reason = message.stop_reason.as_ref().map(|reason| reason.0.as_ref());
    response.refusal = (stop_reason == Some(REFUSAL)).then(String::new);
    response.finish_reason = stop_reason.map(wire::finish_reason).unwrap_or_default();
    response.usage = message.usage.as_ref().map(Counts::to_usage).unwrap_or_default();
    response.model_id = message.model.some();
    Ok(response)
}

#[cfg(test)]
mod tests;
