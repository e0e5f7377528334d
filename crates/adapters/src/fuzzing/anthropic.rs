//! Answers as Anthropic writes them.

use std::collections::VecDeque;

use llm_protocol::{ErrorKind, FinishReason, Opaque, Placed, Response, ToolCall, Usage};
use serde_json::{Value, json};

use super::json::ascii;
use super::meant::{Frame, Meant};
use super::source::Source;

const REASONS: [(&str, FinishReason); 6] = [
    ("end_turn", FinishReason::Stop),
    ("max_tokens", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("refusal", FinishReason::ContentFilter),
    ("pause_turn", FinishReason::Unknown),
    ("brand_new", FinishReason::Unknown),
];

/// An answer while it is made up.
#[derive(Default)]
struct Draft {
    response: Response,
    frames: Vec<Frame>,
    /// Calls that stream side by side.
    calls: Vec<VecDeque<Frame>>,
    /// The JSON of every block.
    blocks: Vec<String>,
}

pub(super) fn meant(source: &mut Source<'_>) -> Meant {
    let ascii_only = source.flag();
    let model = source.pick(&["claude-x", "", "m \"ö\" 2"]);
    let usage = Usage {
        input_tokens: source.tokens(),
        output_tokens: source.tokens(),
        cache_read_tokens: source.tokens(),
        cache_write_tokens: source.tokens(),
        reasoning_tokens: source.tokens(),
    };
    let mut draft = Draft::default();
    let count = source.below(7);
    for at in 0..count {
        draft.block(at, at + 1 == count, ascii_only, source);
    }
    draft.flush(source);
    let (word, reason) = source.pick(&REASONS);

    let at_start = json!({
        "input_tokens": usage.input_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens.map(|_| 1),
    });
    let thinking = json!({"thinking_tokens": usage.reasoning_tokens});
    let at_end = json!({"output_tokens": usage.output_tokens, "output_tokens_details": thinking});
    let message = json!({"type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": null, "usage": at_start});
    let start = Frame::new("message_start", json!({"type": "message_start", "message": message}));
    let end = json!({"type": "message_delta", "delta": {"stop_reason": word, "stop_sequence": null}, "usage": at_end});
    draft.frames.insert(0, start);
    draft.frames.push(Frame::new("message_delta", end));
    draft.frames.push(Frame::new("message_stop", json!({"type": "message_stop"})).completing().last());

    let mut response = draft.response;
    response.model_id = Some(model.to_owned()).filter(|model| !model.is_empty());
    response.reasoning = response.reasoning.filter(|text| !text.is_empty());
    response.refusal = (word == "refusal").then(String::new);
    response.finish_reason = reason;
    response.usage = usage;
    let mut counts = at_start;
    counts["output_tokens"] = json!(usage.output_tokens);
    counts["output_tokens_details"] = thinking;
    let (model, blocks) = (json!(model), draft.blocks.join(","));
    let whole = format!(
        r#"{{"type":"message","model":{model},"content":[{blocks}],"stop_reason":"{word}","usage":{counts}}}"#
    );
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}});
    let error = (Frame::new("error", error), ErrorKind::Overloaded);
    Meant { response, ascii: ascii_only, frames: draft.frames, whole, error, noise: noise() }
}

fn noise() -> Vec<Frame> {
    vec![
        Frame::new("ping", r#"{"type":"ping"}"#),
        Frame::new("ping", "no JSON"),
        Frame::new("", "{}"),
        Frame::new("brand_new", r#"{"type":"brand_new","delta":{"type":"x","text":5},"message":[]}"#),
        Frame::new("", ""),
    ]
}

impl Draft {
    fn block(&mut self, at: usize, is_last: bool, ascii_only: bool, source: &mut Source<'_>) {
        let text = source.text();
        let object = source.object();
        let object = if ascii_only { ascii(&object) } else { object };
        let kind = source.below(7);
        if kind != 4 {
            self.flush(source);
        }
        let frames = match kind {
            0 | 1 => self.text(at, &text, source),
            2 | 3 => self.thought(at, &text, kind == 2, source),
            4 => {
                let mut frames = self.call(at, object, source);
                if !is_last || source.flag() {
                    frames.push_back(stop(at));
                }
                self.frames.extend(frames.pop_front());
                self.calls.push(frames);
                return;
            }
            5 => self.own(
                at,
                json!({"type": "server_tool_use", "id": "s", "name": "web_search"}),
                &object,
                source,
            ),
            _ => {
                let found = json!([{"type": "web_search_result", "title": text, "text": {"no": "text"}}]);
                let block = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": found});
                self.keep(&block);
                self.blocks.push(block.to_string());
                vec![begin(at, &block.to_string())]
            }
        };
        self.frames.extend(frames);
        // One that is never stopped is at its end with the answer.
        if !is_last || source.flag() {
            self.frames.push(stop(at));
        }
    }

    /// The rest of the calls that are under way, side by side.
    fn flush(&mut self, source: &mut Source<'_>) {
        loop {
            self.calls.retain(|call| !call.is_empty());
            if self.calls.is_empty() {
                return;
            }
            let call = source.below(self.calls.len());
            self.frames.extend(self.calls[call].pop_front());
        }
    }

    fn text(&mut self, at: usize, text: &str, source: &mut Source<'_>) -> Vec<Frame> {
        let mut pieces = VecDeque::from(source.pieces(text));
        let first = if source.flag() { pieces.pop_front().unwrap_or_default() } else { String::new() };
        let mut frames = vec![begin(at, &json!({"type": "text", "text": first}).to_string())];
        for piece in pieces {
            if source.one_in(4) {
                let citation = json!({"type": "char_location", "cited_text": "no", "text": {}});
                frames.push(delta(at, &json!({"type": "citations_delta", "citation": citation})));
            }
            frames.push(delta(at, &json!({"type": "text_delta", "text": piece})));
        }
        self.blocks.push(json!({"type": "text", "citations": null, "text": text}).to_string());
        self.response.text.push_str(text);
        frames
    }

    fn thought(&mut self, at: usize, text: &str, signed: bool, source: &mut Source<'_>) -> Vec<Frame> {
        if !signed && source.flag() {
            let block = json!({"type": "redacted_thinking", "data": text});
            self.keep(&block);
            self.blocks.push(block.to_string());
            return vec![begin(at, &block.to_string())];
        }
        let signature = if signed { "s+/=" } else { "" };
        let block = |text: &str, signature: &str| json!({"type": "thinking", "thinking": text, "signature": signature});
        let mut frames = vec![begin(at, &block("", "").to_string())];
        let pieces = source.pieces(text).into_iter();
        frames.extend(pieces.map(|piece| delta(at, &json!({"type": "thinking_delta", "thinking": piece}))));
        if signed {
            frames.push(delta(at, &json!({"type": "signature_delta", "signature": signature})));
            self.keep(&block(text, signature));
        }
        self.response.reasoning.get_or_insert_default().push_str(text);
        self.blocks.push(block(text, signature).to_string());
        frames
    }

    fn call(&mut self, at: usize, arguments: String, source: &mut Source<'_>) -> VecDeque<Frame> {
        let (given, name) = (source.pick(&["", "toolu", "call_1", "call_2"]), format!("f{at}"));
        let given = if source.flag() { format!("toolu_{at}") } else { given.to_owned() };
        let place = self.response.tool_calls.len();
        // Every call has an id of its own.
        let mut id = given.clone();
        let taken = |id: &str| self.response.tool_calls.iter().any(|call| call.id == id);
        if id.is_empty() || taken(&id) {
            id = format!("call_{}", place + 1);
            while taken(&id) {
                id.push('_');
            }
        }
        let block =
            |input: &str| format!(r#"{{"type":"tool_use","id":"{given}","name":"{name}","input":{input}}}"#);
        let mut frames = VecDeque::new();
        if source.one_in(4) {
            frames.push_back(begin(at, &block(&arguments)));
        } else {
            frames.push_back(begin(at, &block("{}")));
            frames.push_back(input(at, ""));
            frames.extend(source.pieces(&arguments).iter().map(|piece| input(at, piece)));
        }
        self.blocks.push(block(&arguments));
        self.response.tool_calls.push(ToolCall { id, name, arguments });
        frames
    }

    /// A call of one of the vendor's own tools, whose input comes in pieces.
    fn own(&mut self, at: usize, mut block: Value, object: &str, source: &mut Source<'_>) -> Vec<Frame> {
        block["input"] = json!({});
        let mut frames = vec![begin(at, &block.to_string())];
        frames.extend(source.pieces(object).iter().map(|piece| input(at, piece)));
        block["input"] = serde_json::from_str(object).unwrap();
        self.keep(&block);
        self.blocks.push(block.to_string());
        frames
    }

    fn keep(&mut self, block: &Value) {
        let (text, calls) = (self.response.text.len(), self.response.tool_calls.len());
        self.response.opaque.push(Placed::new(text, calls, Opaque::new("acme", block.to_string())));
    }
}

fn begin(at: usize, block: &str) -> Frame {
    let json = format!(r#"{{"type":"content_block_start","index":{at},"content_block":{block}}}"#);
    Frame::new("content_block_start", json)
}

fn delta(at: usize, delta: &Value) -> Frame {
    Frame::new("content_block_delta", json!({"type": "content_block_delta", "index": at, "delta": delta}))
}

fn input(at: usize, piece: &str) -> Frame {
    delta(at, &json!({"type": "input_json_delta", "partial_json": piece}))
}

fn stop(at: usize) -> Frame {
    Frame::new("content_block_stop", json!({"type": "content_block_stop", "index": at}))
}
