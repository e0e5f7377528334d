//! Answers and events in a line, for tables: their own `Debug` hides what is said.

use llm_protocol::{Response, ResponseBuilder, StreamEvent, ToolCallDelta, Usage};
use serde_json::Value;

/// What is in an answer: `thinks hm; says hi; ends Stop; in 3`.
pub(super) fn answer(answer: &Response) -> String {
    let mut parts = Vec::new();
    parts.extend(answer.reasoning.iter().map(|text| format!("thinks {text}")));
    parts.extend(Some(&answer.text).filter(|text| !text.is_empty()).map(|text| format!("says {text}")));
    parts.extend(answer.refusal.iter().map(|text| format!("declines {text}")));
    parts
        .extend(answer.tool_calls.iter().map(|call| format!("{}: {}{}", call.id, call.name, call.arguments)));
    parts.push(format!("ends {:?}", answer.finish_reason));
    parts.extend(Some(usage(&answer.usage)).filter(|usage| !usage.is_empty()));
    parts.join("; ")
}

/// The same of a stream, if it came to its end.
pub(super) fn collected(events: &[StreamEvent]) -> String {
    let mut builder = ResponseBuilder::default();
    for event in events {
        builder.absorb(event);
    }
    if builder.is_finished() {
        answer(builder.response())
    } else {
        format!("unfinished: {}", self::events(events))
    }
}

/// Every event, in order.
pub(super) fn events(events: &[StreamEvent]) -> String {
    events.iter().map(event).collect::<Vec<_>>().join("; ")
}

/// Every event but that the answer began.
pub(super) fn content(came: &[StreamEvent]) -> String {
    let content = came.iter().filter(|event| !matches!(event, StreamEvent::Started(_)));
    content.map(event).collect::<Vec<_>>().join("; ")
}

fn event(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Started(_) => "started".into(),
        StreamEvent::Reasoning(text) => format!("thinks {text}"),
        StreamEvent::Text(text) => format!("says {text}"),
        StreamEvent::Refusal(text) => format!("declines {text}"),
        StreamEvent::ToolCall(ToolCallDelta { index, id, name, arguments }) => {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            format!("call {index} {} {} {arguments}", text(id), text(name)).trim_end().to_owned()
        }
        StreamEvent::Opaque(part) => {
            let value: Value = serde_json::from_str(&part.json).unwrap();
            format!("keeps {}", value["type"].as_str().unwrap_or_default())
        }
        StreamEvent::Working => "works".into(),
        StreamEvent::Usage(counted) => usage(counted),
        StreamEvent::Finish(reason) => format!("ends {reason:?}"),
        other => format!("{other:?}"),
    }
}

fn usage(usage: &Usage) -> String {
    let counts = [
        ("in", usage.input_tokens),
        ("out", usage.output_tokens),
        ("read", usage.cache_read_tokens),
        ("wrote", usage.cache_write_tokens),
        ("thought", usage.reasoning_tokens),
    ];
    let told = counts.into_iter().filter_map(|(what, count)| Some(format!("{what} {}", count?)));
    told.collect::<Vec<_>>().join(" ")
}
