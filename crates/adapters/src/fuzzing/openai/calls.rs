//! Tool calls as OpenAI and hosts like it write them.

use std::collections::VecDeque;

use llm_protocol::ToolCall;
use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use crate::fuzzing::json::ascii;
use crate::fuzzing::source::Source;

/// How a host streams its calls.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Calls {
    ByIndex,
    /// All with the same index.
    ById,
    AllAtOnce,
    /// As before there were tools.
    AsFunction,
}

pub(super) fn made(style: Calls, ascii_only: bool, source: &mut Source<'_>) -> Vec<ToolCall> {
    let count = if style == Calls::AsFunction { source.below(2) } else { source.below(4) };
    let mut calls = Vec::new();
    for at in 0..count {
        let arguments = match source.below(6) {
            0 => String::new(),
            1 => "{\"broken\":".to_owned(),
            _ => source.object(),
        };
        let arguments = if ascii_only { ascii(&arguments) } else { arguments };
        let id = match (style, source.below(5)) {
            (Calls::AsFunction, _) => String::new(),
            (Calls::ById, _) | (_, 0 | 1) => format!("call|{at}"),
            (_, 2) => String::new(),
            (_, 3) => "call_1".to_owned(),
            _ => "call_2".to_owned(),
        };
        calls.push(ToolCall { id, name: format!("f{at}"), arguments });
    }
    calls
}

/// Every call has an id of its own: an earlier one keeps what several have.
pub(super) fn with_ids(mut calls: Vec<ToolCall>) -> Vec<ToolCall> {
    let given: Vec<String> = calls.iter().map(|call| call.id.clone()).collect();
    let mut made: Vec<String> = Vec::new();
    for (at, call) in calls.iter_mut().enumerate() {
        if call.id.is_empty() || given[..at].contains(&call.id) {
            call.id = format!("call_{}", at + 1);
            while given.contains(&call.id) || made.contains(&call.id) {
                call.id.push('_');
            }
            made.push(call.id.clone());
        }
    }
    calls
}

pub(super) fn function(name: Option<&str>, arguments: &str) -> Value {
    name.map_or_else(|| json!({"arguments": arguments}), |name| json!({"name": name, "arguments": arguments}))
}

/// The deltas of the calls.
pub(super) fn called(style: Calls, calls: &[ToolCall], source: &mut Source<'_>) -> VecDeque<String> {
    if calls.is_empty() {
        return VecDeque::new();
    }
    if style == Calls::AllAtOnce {
        return VecDeque::from([format!("{{\"tool_calls\":{}}}", list(calls))]);
    }
    let queues: Vec<VecDeque<String>> =
        calls.iter().enumerate().map(|(at, call)| pieces(style, at, call, source)).collect();
    if style != Calls::ByIndex {
        return queues.into_iter().flatten().collect();
    }
    // They begin in their order, and go on in any.
    let (mut waiting, mut begun) = (VecDeque::from(queues), Vec::<VecDeque<String>>::new());
    let mut deltas = VecDeque::new();
    loop {
        begun.retain(|queue| !queue.is_empty());
        let choices = begun.len() + usize::from(!waiting.is_empty());
        if choices == 0 {
            return deltas;
        }
        let choice = source.below(choices);
        if choice == begun.len() {
            let mut queue = waiting.pop_front().unwrap();
            deltas.extend(queue.pop_front());
            begun.push(queue);
        } else {
            deltas.extend(begun[choice].pop_front());
        }
    }
}

/// One call, in pieces.
fn pieces(style: Calls, at: usize, call: &ToolCall, source: &mut Source<'_>) -> VecDeque<String> {
    let mut fragments = VecDeque::from(source.pieces(&call.arguments));
    let first = if source.flag() { fragments.pop_front().unwrap_or_default() } else { String::new() };
    let index = if style == Calls::ById { 0 } else { at };
    let mut deltas = VecDeque::new();
    for (n, fragment) in std::iter::once(first).chain(fragments).enumerate() {
        let repeats = n == 0 || source.one_in(4);
        let function = function(repeats.then_some(&call.name), &fragment);
        if style == Calls::AsFunction {
            deltas.push_back(json!({"function_call": function}).to_string());
            continue;
        }
        let mut delta = json!({"index": index, "function": function});
        if repeats && !call.id.is_empty() {
            delta["id"] = json!(call.id);
        }
        if n == 0 && source.one_in(4) {
            // The name comes late, after the id and the first of the arguments.
            let late = json!({"index": index, "function": {"name": call.name}});
            delta["function"]["name"] = Value::Null;
            deltas.push_back(json!({"tool_calls": [delta, late]}).to_string());
            continue;
        }
        deltas.push_back(json!({"tool_calls": [delta]}).to_string());
    }
    deltas
}

/// Calls that are whole. Some hosts send the JSON of the arguments itself.
pub(super) fn list(calls: &[ToolCall]) -> String {
    let items = calls.iter().map(|call| {
        let itself = call.name != "f1" && serde_json::from_str::<&RawValue>(&call.arguments).is_ok();
        let arguments = if itself { call.arguments.clone() } else { json!(call.arguments).to_string() };
        let (name, id) = (json!(call.name), json!(Some(&call.id).filter(|id| !id.is_empty())));
        format!(r#"{{"id":{id},"type":"function","function":{{"name":{name},"arguments":{arguments}}}}}"#)
    });
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}
