//! What a scripted model does in one call.

use std::sync::Arc;
use std::time::Duration;

use super::plan::{Beat, Gate, Plan, Then};
use crate::error::Error;
use crate::event::{Started, StreamEvent};
use crate::response::{FinishReason, Response};
use crate::tool::{ToolCall, ToolCallDelta};
use crate::usage::Usage;

/// What a scripted model does in one call: how it gets there, and what comes back.
///
/// A call prepares, connects, waits for the provider to answer, and then gets the answer piece by piece (or whole,
/// when it is not streamed; the time is the same). A step is made by one of the constructors and changed by the
/// methods, which read in the order in which things happen:
///
/// ```
/// use std::time::Duration;
/// use llm_protocol::testing::Step;
/// use llm_protocol::{Error, ErrorKind};
///
/// let slow = Step::answer("Here you are.").delayed(Duration::from_secs(3));
/// let cut = Step::answer("Here you").then_end();
/// let quiet = Step::reasoning("Let me see.").after(Duration::from_secs(2)).then_text("Well").then_stall();
/// let broken = Step::answer("Here").then_error(Error::new(ErrorKind::Connection, "reset"));
/// # let _ = (slow, cut, quiet, broken);
/// ```
#[derive(Clone, Debug)]
pub struct Step {
    prepare: Gate,
    connect: Gate,
    opening: Gate,
    beats: Vec<Beat>,
    usage: Option<Usage>,
    end: End,
    /// Whether the model names itself where a piece of the answer could say who made it.
    names_model: bool,
}

#[derive(Clone, Debug)]
enum End {
    Finish(FinishReason),
    Cut,
    Beat(Beat),
}

/// Answers "ok".
impl Default for Step {
    fn default() -> Self {
        Self::answer("ok")
    }
}

impl Step {
    /// Answers with this text, streamed word by word, with a usage of 10 tokens in and one per word out.
    pub fn answer(text: impl Into<String>) -> Self {
        let response = Response::new(text);
        let words = u64::try_from(words(&response.text).count()).unwrap_or(u64::MAX);
        let usage = Usage { input_tokens: Some(10), output_tokens: Some(words), ..Usage::default() };
        Self::response(Response { usage, ..response })
    }

    /// Answers with this: text and reasoning are streamed word by word, tool calls in two pieces each.
    pub fn response(response: Response) -> Self {
        let mut step = Self::events([]).finishing(response.finish_reason).usage(response.usage);
        step.names_model = true;
        for event in response.into_events() {
            match event {
                StreamEvent::Text(text) => step.push_words(&text, StreamEvent::Text),
                StreamEvent::Reasoning(text) => step.push_words(&text, StreamEvent::Reasoning),
                StreamEvent::ToolCall(delta) => step.push_call(delta),
                StreamEvent::Usage(_) | StreamEvent::Finish(_) => {}
                other => step.beats.push(Beat::Event(other)),
            }
        }
        step
    }

    /// Answers with nothing but a finish reason.
    pub fn empty(reason: FinishReason) -> Self {
        Self::answer("").finishing(reason)
    }

    /// Declines in these words. The finish reason is [`FinishReason::ContentFilter`] unless it is changed.
    pub fn refusal(words: impl Into<String>) -> Self {
        let refusal = Some(words.into());
        Self::response(Response {
            refusal,
            finish_reason: FinishReason::ContentFilter,
            ..Response::default()
        })
    }

    /// Asks for these tool calls.
    pub fn tool_calls(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        let tool_calls = calls.into_iter().collect();
        Self::response(Response { tool_calls, finish_reason: FinishReason::ToolCalls, ..Response::default() })
    }

    /// Thinks aloud, word by word. What comes after it is up to the methods; by itself it breaks off.
    pub fn reasoning(text: impl AsRef<str>) -> Self {
        Self::events([]).then_reasoning(text)
    }

    /// Streams exactly these, and ends. Without a [`StreamEvent::Finish`] among them the answer is cut.
    pub fn events(events: impl IntoIterator<Item = StreamEvent>) -> Self {
        Self {
            prepare: Gate::default(),
            connect: Gate::default(),
            opening: Gate::default(),
            beats: events.into_iter().map(Beat::Event).collect(),
            usage: None,
            end: End::Cut,
            names_model: false,
        }
    }

    /// Answers "ok" after this long; the same as `Step::answer("ok").delayed(delay)`.
    pub fn delay(delay: Duration) -> Self {
        Self::default().delayed(delay)
    }

    /// Receives the request and answers with this error, returned by the call itself.
    pub fn error(error: Error) -> Self {
        Self::at_opening(Then::Fail(error))
    }

    /// Receives the request and never answers.
    pub fn stall() -> Self {
        Self::at_opening(Then::Stall)
    }

    /// Receives the request and panics.
    pub fn panic() -> Self {
        Self::at_opening(Then::Panic)
    }

    /// Fails with this error while it prepares: nothing is sent.
    pub fn prepare_error(error: Error) -> Self {
        let mut step = Self::default();
        step.prepare.then = Then::Fail(error);
        step
    }

    /// Never gets done preparing: nothing is sent.
    pub fn prepare_stall() -> Self {
        let mut step = Self::default();
        step.prepare.then = Then::Stall;
        step
    }

    /// Fails with this error while it connects: nothing is sent.
    pub fn connect_error(error: Error) -> Self {
        let mut step = Self::default();
        step.connect.then = Then::Fail(error);
        step
    }

    /// Never gets a connection: nothing is sent.
    pub fn connect_stall() -> Self {
        let mut step = Self::default();
        step.connect.then = Then::Stall;
        step
    }

    fn at_opening(then: Then) -> Self {
        let mut step = Self::default();
        step.opening.then = then;
        step
    }

    /// Prepares for this long first.
    pub fn prepared_after(mut self, delay: Duration) -> Self {
        self.prepare.delay = delay;
        self
    }

    /// Connects for this long first.
    pub fn connected_after(mut self, delay: Duration) -> Self {
        self.connect.delay = delay;
        self
    }

    /// Waits this long, once it has the request, before it answers (or fails, or panics).
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.opening.delay = delay;
        self
    }

    /// Waits this long before whatever comes next.
    pub fn after(mut self, pause: Duration) -> Self {
        self.beats.push(Beat::Pause(pause));
        self
    }

    /// Waits this long before every piece that the step has so far.
    pub fn paced(mut self, pause: Duration) -> Self {
        self.beats = self.beats.into_iter().flat_map(|beat| [Beat::Pause(pause), beat]).collect();
        self
    }

    /// Goes on with this.
    pub fn then_event(mut self, event: StreamEvent) -> Self {
        self.beats.push(Beat::Event(event));
        self
    }

    /// Goes on with this text, in one piece.
    pub fn then_text(self, text: impl Into<String>) -> Self {
        self.then_event(StreamEvent::Text(text.into()))
    }

    /// Goes on thinking aloud, word by word.
    pub fn then_reasoning(mut self, text: impl AsRef<str>) -> Self {
        self.push_words(text.as_ref(), StreamEvent::Reasoning);
        self
    }

    /// Goes on with this text, word by word, and finishes.
    pub fn then_answer(mut self, text: impl AsRef<str>) -> Self {
        self.push_words(text.as_ref(), StreamEvent::Text);
        self.finishing(FinishReason::Stop)
    }

    /// Finishes for this reason in the end.
    pub fn finishing(mut self, reason: FinishReason) -> Self {
        self.end = End::Finish(reason);
        self
    }

    /// Reports this usage in the end; where the answer breaks off, there is no report.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Never ends: nothing comes any more, in place of the end of the answer.
    pub fn then_stall(self) -> Self {
        self.ending(End::Beat(Beat::Stall))
    }

    /// Fails with this error, in place of the end of the answer.
    pub fn then_error(self, error: Error) -> Self {
        self.ending(End::Beat(Beat::Fail(error)))
    }

    /// Breaks off without a word, in place of the end of the answer.
    pub fn then_end(self) -> Self {
        self.ending(End::Cut)
    }

    /// Panics, in place of the end of the answer.
    pub fn then_panic(self) -> Self {
        self.ending(End::Beat(Beat::Panic))
    }

    fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    fn push_words(&mut self, text: &str, event: impl Fn(String) -> StreamEvent) {
        self.beats.extend(words(text).map(|word| Beat::Event(event(word.to_owned()))));
    }

    fn push_call(&mut self, delta: ToolCallDelta) {
        let arguments =
            ToolCallDelta { index: delta.index, arguments: delta.arguments, ..ToolCallDelta::default() };
        let head = ToolCallDelta { arguments: String::new(), ..delta };
        self.beats.extend([head, arguments].map(|piece| Beat::Event(StreamEvent::ToolCall(piece))));
    }

    /// Makes the step ready for the model of this key and name.
    pub(super) fn into_plan(self, key: &Arc<str>, model: &str) -> Plan {
        let mut beats = self.beats;
        if self.names_model {
            for beat in &mut beats {
                if let Beat::Event(StreamEvent::Started(Started { model_id, .. })) = beat {
                    model_id.get_or_insert_with(|| model.to_owned());
                }
            }
        }
        match self.end {
            End::Finish(reason) => {
                beats.extend(self.usage.map(|usage| Beat::Event(StreamEvent::Usage(usage))));
                beats.push(Beat::Event(StreamEvent::Finish(reason)));
            }
            End::Cut => {}
            End::Beat(beat) => beats.push(beat),
        }
        Plan::new([self.prepare, self.connect, self.opening], beats, key)
    }
}

/// The words of a text, each with the blank after it: together they are the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}
