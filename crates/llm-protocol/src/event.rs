//! An answer while it streams in, and how it becomes a whole one.

use std::collections::BTreeMap;
use std::fmt;

use crate::part::{Opaque, Placed};
use crate::redact::Redacted;
use crate::response::{FinishReason, Response};
use crate::tool::{ToolCall, ToolCallDelta};
use crate::usage::Usage;

/// What the provider said of an answer before its content. May come in several pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// The model, as the provider names it.
    pub model_id: Option<String>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// Whether the asked-for response format went to the vendor as such.
    pub structured_output_honored: Option<bool>,
}

/// A piece of an answer.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The provider took the request up.
    Started(Started),
    /// The model thinks aloud.
    Reasoning(String),
    /// The model says something.
    Text(String),
    /// The model declines, in these words (which may be none).
    Refusal(String),
    /// A piece of a tool call.
    ToolCall(ToolCallDelta),
    /// Something that only the vendor itself can read, whole.
    Opaque(Opaque),
    /// The model is at work on something that does not show: a thought that its vendor keeps to itself, a tool of the
    /// vendor's own.
    Working,
    /// What the provider sent, as it came, ahead of what it was read as; only where
    /// [`Request::keep_raw`](crate::Request::keep_raw) asked for it.
    Raw(String),
    /// Tokens so far; later reports replace what they mention.
    Usage(Usage),
    /// The terminal marker: a stream that ends without it was cut.
    Finish(FinishReason),
    /// Everything so far is void: the answer starts anew, with another candidate. Only strategies say so, and only
    /// where the caller has asked for it; adapters never do.
    Discard,
}

impl StreamEvent {
    /// Whether it is what people call the first token when nothing came before it: visible text or a tool call.
    pub fn is_token(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::ToolCall(_) => true,
            _ => false,
        }
    }

    /// How many bytes of an answer it brings.
    pub fn len(&self) -> usize {
        match self {
            Self::Reasoning(text) | Self::Text(text) | Self::Refusal(text) => text.len(),
            Self::ToolCall(delta) => {
                let text = |part: &Option<String>| part.as_ref().map_or(0, String::len);
                delta.arguments.len() + text(&delta.id) + text(&delta.name)
            }
            // Small ones cost more than they say.
            Self::Raw(data) => data.len() + size_of::<String>(),
            Self::Opaque(part) => part.json.len() + size_of::<Placed>(),
            Self::Started(_) | Self::Usage(_) | Self::Finish(_) | Self::Working | Self::Discard => 0,
        }
    }

    /// Whether it brings nothing of an answer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it shows that the model is at work: a token, reasoning, a refusal's words, something that does not show.
    pub fn is_progress(&self) -> bool {
        match self {
            Self::Working | Self::Opaque(_) => true,
            Self::Reasoning(text) | Self::Refusal(text) => !text.is_empty(),
            _ => self.is_token(),
        }
    }
}

impl fmt::Debug for StreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(started) => f.debug_tuple("Started").field(started).finish(),
            Self::Reasoning(text) => f.debug_tuple("Reasoning").field(&Redacted(text)).finish(),
            Self::Text(text) => f.debug_tuple("Text").field(&Redacted(text)).finish(),
            Self::Refusal(text) => f.debug_tuple("Refusal").field(&Redacted(text)).finish(),
            Self::ToolCall(delta) => f.debug_tuple("ToolCall").field(delta).finish(),
            Self::Opaque(part) => part.fmt(f),
            Self::Raw(data) => f.debug_tuple("Raw").field(&Redacted(data)).finish(),
            Self::Usage(usage) => f.debug_tuple("Usage").field(usage).finish(),
            Self::Finish(reason) => f.debug_tuple("Finish").field(reason).finish(),
            Self::Working => f.write_str("Working"),
            Self::Discard => f.write_str("Discard"),
        }
    }
}

/// Collects the events of a stream into a [`Response`].
#[derive(Clone, Debug, Default)]
pub struct ResponseBuilder {
    response: Response,
    /// Where the tool call with this index of the stream is.
    calls: BTreeMap<u32, usize>,
    finished: bool,
}

impl ResponseBuilder {
    /// An answer that has come whole.
    pub fn whole(response: Response) -> Self {
        Self { response, calls: BTreeMap::new(), finished: true }
    }

    /// Takes in the next event.
    pub fn absorb(&mut self, event: &StreamEvent) {
        let response = &mut self.response;
        match event {
            StreamEvent::Started(started) => {
                replace(&mut response.model_id, started.model_id.as_ref());
                replace(&mut response.request_id, started.request_id.as_ref());
                replace(&mut response.structured_output_honored, started.structured_output_honored.as_ref());
            }
            StreamEvent::Reasoning(text) => response.reasoning.get_or_insert_default().push_str(text),
            StreamEvent::Text(text) => response.text.push_str(text),
            StreamEvent::Refusal(text) => response.refusal.get_or_insert_default().push_str(text),
            StreamEvent::ToolCall(delta) => self.absorb_call(delta),
            StreamEvent::Opaque(part) => {
                let (text, calls) = (response.text.len(), response.tool_calls.len());
                response.opaque.push(Placed::new(text, calls, part.clone()));
            }
            StreamEvent::Working => {}
            StreamEvent::Raw(data) => response.raw.push(data.clone()),
            StreamEvent::Discard => *self = Self::default(),
            StreamEvent::Usage(usage) => response.usage.merge(usage),
            StreamEvent::Finish(reason) => {
                response.finish_reason = *reason;
                self.finished = true;
            }
        }
    }

    fn absorb_call(&mut self, delta: &ToolCallDelta) {
        let calls = &mut self.response.tool_calls;
        let at = *self.calls.entry(delta.index).or_insert_with(|| {
            calls.push(ToolCall::default());
            calls.len() - 1
        });
        if let Some(call) = calls.get_mut(at) {
            call.id.push_str(delta.id.as_deref().unwrap_or_default());
            call.name.push_str(delta.name.as_deref().unwrap_or_default());
            call.arguments.push_str(&delta.arguments);
        }
    }

    /// Whether the terminal marker came.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The answer as far as it has come.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The answer as far as it has come, to keep.
    pub fn into_response(self) -> Response {
        self.response
    }

    /// The answer as far as it has come, to keep; what comes next begins another one.
    pub fn take_response(&mut self) -> Response {
        (self.calls, self.finished) = (BTreeMap::new(), false);
        std::mem::take(&mut self.response)
    }
}

fn replace<T: Clone>(slot: &mut Option<T>, later: Option<&T>) {
    if let Some(value) = later {
        *slot = Some(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(events: &[StreamEvent]) -> ResponseBuilder {
        let mut builder = ResponseBuilder::default();
        for event in events {
            builder.absorb(event);
        }
        builder
    }

    fn delta(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> StreamEvent {
        StreamEvent::ToolCall(ToolCallDelta {
            index,
            id: id.map(Into::into),
            name: name.map(Into::into),
            arguments: arguments.into(),
        })
    }

    #[test]
    fn an_answer_survives_its_own_events() {
        let response = Response {
            text: "hello".into(),
            reasoning: Some("hm".into()),
            refusal: Some("no".into()),
            tool_calls: vec![
                ToolCall { id: "a".into(), name: "f".into(), arguments: "{}".into() },
                ToolCall { id: "b".into(), name: "g".into(), arguments: "[1]".into() },
            ],
            finish_reason: FinishReason::ToolCalls,
            usage: Usage { input_tokens: Some(3), output_tokens: Some(4), ..Usage::default() },
            model_id: Some("m".into()),
            request_id: Some("r".into()),
            structured_output_honored: Some(true),
            opaque: [(0, 0), (2, 0), (5, 1)]
                .map(|(text, calls)| Placed::new(text, calls, Opaque::new("acme", "{}")))
                .into(),
            raw: vec!["{}".into()],
        };
        let events = response.clone().into_events();
        assert_eq!(response.content_len(), events.iter().map(StreamEvent::len).sum::<usize>());
        let mut builder = collect(&events);
        assert!(builder.is_finished());
        assert_eq!(builder.take_response(), response);
        assert_eq!((builder.is_finished(), builder.response()), (false, &Response::default()));
        let whole = ResponseBuilder::whole(response.clone());
        assert!(whole.is_finished());
        assert_eq!(whole.into_response(), response);
    }

    #[test]
    fn what_comes_after_an_answer_was_taken_is_another_answer() {
        let mut builder = collect(&[delta(0, Some("x"), Some("f"), "{}")]);
        builder.take_response();
        builder.absorb(&delta(0, Some("y"), Some("g"), "[]"));
        let calls = &builder.response().tool_calls;
        assert_eq!(calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["y"]);
    }

    #[test]
    fn interleaved_tool_calls_are_told_apart_by_index() {
        let builder = collect(&[
            delta(4, Some("x"), Some("f"), ""),
            delta(1, Some("y"), Some("g"), "{"),
            delta(4, None, None, "{}"),
            delta(1, None, None, "}"),
        ]);
        let calls = &builder.response().tool_calls;
        assert_eq!(calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(calls.iter().map(|call| call.arguments.as_str()).collect::<Vec<_>>(), ["{}", "{}"]);
        assert!(!builder.is_finished());
    }

    #[test]
    fn only_what_a_person_sees_is_a_token() {
        let table = [
            (StreamEvent::Text("a".into()), true, true),
            (delta(0, None, None, ""), true, true),
            (StreamEvent::Text(String::new()), false, false),
            (StreamEvent::Reasoning("a".into()), false, true),
            (StreamEvent::Reasoning(String::new()), false, false),
            (StreamEvent::Refusal("a".into()), false, true),
            (StreamEvent::Opaque(Opaque::new("acme", "{}")), false, true),
            (StreamEvent::Working, false, true),
            (StreamEvent::Raw("{}".into()), false, false),
            (StreamEvent::Started(Started::default()), false, false),
            (StreamEvent::Usage(Usage::default()), false, false),
            (StreamEvent::Finish(FinishReason::Stop), false, false),
        ];
        for (event, token, progress) in table {
            assert_eq!((event.is_token(), event.is_progress()), (token, progress), "{event:?}");
        }
    }

    #[test]
    fn an_answer_that_starts_anew_has_nothing_of_the_old_one() {
        let mut events = Response::new("old").into_events();
        events.pop();
        events.push(StreamEvent::Discard);
        events.extend(Response::new("new").into_events());
        assert_eq!(collect(&events).into_response(), Response::new("new"));
    }

    #[test]
    fn debug_shows_no_answer() {
        let mut response = Response { refusal: Some("marmalade".into()), ..Response::new("marmalade") };
        response.raw.push("marmalade".into());
        response.opaque.push(Placed::new(0, 0, Opaque::new("acme", "marmalade")));
        let events = response.clone().into_events();
        assert!(!format!("{response:?}{events:?}{:?}", collect(&events)).contains("marmalade"));
    }
}
