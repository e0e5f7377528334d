//! Anthropic's answers, streamed and whole.

mod own;

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use llm_protocol::{FinishReason, Opaque, Placed, Response, Started, StreamEvent, ToolCallDelta};

use self::own::Own;

use super::classify;
use super::wire::{self, Counts, Event, Message, Piece, REFUSAL, Said};
use crate::call_ids::CallIds;
use crate::failure::Failure;
use crate::opaque::Left;
use crate::sse;
use crate::vendor::{Decode, Flow};
use crate::wire::{MAX_CALLS, explanation, mended, read, text, unreadable};

/// The names of events that an answer is made of. What comes under any other name, `ping` say, may be anything.
const NAMES: [&str; 8] = [
    "",
    "message",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];

/// Reads a stream: `message_start`, content blocks one after another, `message_delta` with the stop reason, and
/// `message_stop`, without which it is not complete. `ping` and what is not known may come anywhere.
pub(super) struct Decoder {
    finish: FinishReason,
    stopped: bool,
    /// The block of each tool call, in order.
    calls: Vec<u64>,
    ids: CallIds,
    /// The input with which the call in a block began, as long as no piece of it has come. Most begin with `{}` and
    /// bring the input in pieces; a call without arguments brings none.
    first_inputs: BTreeMap<u64, String>,
    /// The vendor's own blocks that are not at their end.
    own: BTreeMap<u64, Own>,
    provider: String,
    left: Left,
}

impl Decode for Decoder {
    fn event(&mut self, event: sse::Event<'_>, out: &mut VecDeque<StreamEvent>) -> Result<Flow, Failure> {
        let data = event.data.trim();
        if event.name == "error" {
            return Err(classify::in_answer(&explanation(data)));
        }
        if data.is_empty() || data == "[DONE]" {
            return Ok(Flow::More);
        }
        let json = mended(data);
        match read::<Event<'_>>(&json) {
            Ok(parsed) if parsed.error.is_some() || parsed.kind() == "error" => {
                Err(classify::in_answer(&explanation(&json)))
            }
            Ok(parsed) if parsed.is_object => self.take(parsed, out),
            _ if !NAMES.contains(&event.name) => Ok(Flow::More),
            Ok(_) => Err(nonsense("an event of the stream")),
            Err(error) => Err(Failure::not_json("an event of the stream", &error)),
        }
    }

    fn is_complete(&self) -> bool {
        self.stopped
    }
}

impl Decoder {
    pub(super) fn new(provider: &str) -> Self {
        Self {
            finish: FinishReason::default(),
            stopped: false,
            calls: Vec::new(),
            ids: CallIds::default(),
            first_inputs: BTreeMap::new(),
            own: BTreeMap::new(),
            provider: provider.to_owned(),
            left: Left::default(),
        }
    }

    fn take(&mut self, event: Event<'_>, out: &mut VecDeque<StreamEvent>) -> Result<Flow, Failure> {
        let block = event.index.0.unwrap_or(0);
        match event.kind() {
            "message_start" => start(event.message, out),
            "content_block_start" => self.begin(block, event.content_block, out)?,
            "content_block_delta" => self.delta(block, event.delta, out)?,
            "content_block_stop" => self.end(block, out)?,
            "message_delta" => {
                let reason = event.delta.stop_reason.text;
                if reason == REFUSAL {
                    out.push_back(StreamEvent::Refusal(String::new()));
                }
                if !reason.is_empty() {
                    self.finish = wire::finish_reason(&reason);
                }
                report(&event.usage, out);
            }
            "message_stop" => {
                // A block that was never stopped is at its end too.
                let mut open: Vec<u64> = self.first_inputs.keys().chain(self.own.keys()).copied().collect();
                open.sort_unstable();
                open.into_iter().try_for_each(|block| self.end(block, out))?;
                self.stopped = true;
                out.push_back(StreamEvent::Finish(self.finish));
                return Ok(Flow::Done);
            }
            _ => {}
        }
        Ok(Flow::More)
    }

    fn begin(
        &mut self,
        block: u64,
        piece: Piece<'_>,
        out: &mut VecDeque<StreamEvent>,
    ) -> Result<(), Failure> {
        self.end(block, out)?;
        if piece.is_own() {
            if self.own.len() >= MAX_CALLS {
                return Err(Failure::protocol(format!("the answer has more than {MAX_CALLS} open blocks")));
            }
            self.own.insert(block, Own::begin(piece.json, &mut self.left)?);
            // Some models keep their thoughts to themselves: that one begins is all there is to see of it.
            out.push_back(StreamEvent::Working);
        }
        match piece.said() {
            Said::Text(text) => say(text, StreamEvent::Text, out),
            Said::Thinking(text) => say(text, StreamEvent::Reasoning, out),
            Said::Call { .. } if self.calls.len() >= MAX_CALLS => {
                return Err(Failure::protocol(format!("the answer has more than {MAX_CALLS} tool calls")));
            }
            Said::Call { id, name, input } => {
                let id = self.ids.claim_or_make(id, self.calls.len());
                self.calls.push(block);
                self.first_inputs.insert(block, input);
                self.call(
                    block,
                    ToolCallDelta { id: Some(id), name: Some(name), ..ToolCallDelta::default() },
                    out,
                );
            }
            Said::Nonsense => return Err(nonsense("an event of the stream")),
            Said::Input(_) | Said::Other => {}
        }
        Ok(())
    }

    fn delta(
        &mut self,
        block: u64,
        piece: Piece<'_>,
        out: &mut VecDeque<StreamEvent>,
    ) -> Result<(), Failure> {
        let json = piece.json;
        let said = piece.said();
        match (self.own.get_mut(&block), &said) {
            (Some(own), Said::Input(input)) => {
                own.input(input);
                out.push_back(StreamEvent::Working);
            }
            (Some(own), _) if json.starts_with('{') => own.delta(json, &mut self.left)?,
            _ => {}
        }
        match said {
            Said::Text(text) => say(text, StreamEvent::Text, out),
            Said::Thinking(text) => say(text, StreamEvent::Reasoning, out),
            Said::Input(arguments) if !arguments.is_empty() => {
                self.first_inputs.remove(&block);
                self.call(block, ToolCallDelta { arguments, ..ToolCallDelta::default() }, out);
            }
            Said::Nonsense => return Err(nonsense("an event of the stream")),
            Said::Input(_) | Said::Call { .. } | Said::Other => {}
        }
        Ok(())
    }

    fn end(&mut self, block: u64, out: &mut VecDeque<StreamEvent>) -> Result<(), Failure> {
        if let Some(arguments) = self.first_inputs.remove(&block) {
            self.call(block, ToolCallDelta { arguments, ..ToolCallDelta::default() }, out);
        }
        if let Some(own) = self.own.remove(&block) {
            out.extend(own.end(&self.provider, &mut self.left)?.map(StreamEvent::Opaque));
        }
        Ok(())
    }

    /// A piece of the call in this block. The vendor's own tools have blocks too, which are no calls of ours.
    fn call(&self, block: u64, delta: ToolCallDelta, out: &mut VecDeque<StreamEvent>) {
        if let Some(index) = self.calls.iter().rposition(|call| *call == block) {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            out.push_back(StreamEvent::ToolCall(ToolCallDelta { index, ..delta }));
        }
    }
}

fn start(message: Message<'_>, out: &mut VecDeque<StreamEvent>) {
    out.push_back(StreamEvent::Started(Started { model_id: some(message.model), ..Started::default() }));
    report(&message.usage, out);
}

fn say(text: String, event: fn(String) -> StreamEvent, out: &mut VecDeque<StreamEvent>) {
    if !text.is_empty() {
        out.push_back(event(text));
    }
}

fn report(counts: &Counts, out: &mut VecDeque<StreamEvent>) {
    let usage = counts.to_usage();
    if !usage.is_unknown() {
        out.push_back(StreamEvent::Usage(usage));
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn nonsense(what: &str) -> Failure {
    Failure::protocol(format!("{what} has an unexpected shape"))
}

/// Reads an answer that came whole. An error in it is one.
pub(super) fn whole(provider: &str, body: &[u8]) -> Result<Response, Failure> {
    let json = text(body)?;
    let message = read::<Message<'_>>(&json).map_err(|error| unreadable(&json, &error))?;
    if message.error.is_some() || message.kind.text == "error" {
        return Err(classify::in_answer(&explanation(&json)));
    }
    let content = message.content;
    if !content.is_list {
        return Err(Failure::protocol("the answer holds no content"));
    }
    if content.odd {
        return Err(nonsense("the answer"));
    }
    let stop_reason = Some(&*message.stop_reason.text).filter(|reason| !reason.is_empty());
    let mut response = Response::default();
    response.text = content.text;
    response.reasoning = content.reasoning;
    response.tool_calls = content.calls;
    let mut ids = CallIds::default();
    for (place, call) in response.tool_calls.iter_mut().enumerate() {
        call.id = ids.claim_or_make(mem::take(&mut call.id), place);
    }
    let own = content.own.into_iter();
    let own = own.map(|(text, calls, json)| Placed::new(text, calls, Opaque::new(provider, json)));
    response.opaque = own.collect();
    response.refusal = (stop_reason == Some(REFUSAL)).then(String::new);
    response.finish_reason = stop_reason.map(wire::finish_reason).unwrap_or_default();
    response.usage = message.usage.to_usage();
    response.model_id = some(message.model);
    Ok(response)
}

#[cfg(test)]
mod tests;
