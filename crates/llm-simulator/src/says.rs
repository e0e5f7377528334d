//! What a behaviour has the model say.

use crate::{
    answer::{Called, Counted, Finish, Usage, words},
    behaviour::Behaviour,
    host::Host,
};

/// What the model says. A behaviour with neither a text nor tool calls says what the request asks for: a call of a tool
/// that it must call, JSON that follows the schema, or else a greeting.
impl Behaviour {
    /// The text of the answer; a stream sends it word by word. An empty text is an answer without any.
    pub fn text(mut self, text: impl AsRef<str>) -> Self {
        self.said.text = Some(words(text.as_ref()));
        self
    }

    /// The text of the answer, one delta each.
    pub fn deltas<T: Into<String>>(mut self, deltas: impl IntoIterator<Item = T>) -> Self {
        self.said.text = Some(deltas.into_iter().map(Into::into).collect());
        self
    }

    /// Reasoning before the text: OpenAI's `reasoning_content` (or what the [host](Self::host) calls it), Anthropic's
    /// thinking blocks.
    pub fn reasoning(mut self, reasoning: impl AsRef<str>) -> Self {
        self.said.reasoning = words(reasoning.as_ref());
        self
    }

    /// Reasoning that the vendor does not show: Anthropic's `redacted_thinking` blocks, whose `data` stands for this
    /// text. Can be given several times. Of OpenAI's hosts only OpenRouter has it.
    pub fn redacted_reasoning(mut self, text: impl Into<String>) -> Self {
        self.said.redacted.push(text.into());
        self
    }

    /// The model calls this tool, after its text if there is any; without a text there is none. Can be given several
    /// times, for calls in parallel. The arguments are JSON and sent as they are; where the wire needs an object and
    /// they are none, `{}` is sent.
    ///
    /// ```
    /// use llm_simulator::Behaviour;
    ///
    /// // Breaks off within the arguments.
    /// let built = Behaviour::answer("I look").tool_call("look_up", r#"{"word": "a"}"#).reset_after(4);
    /// assert_eq!(built, r#"text=I look!tool-call=look_up,{"word": "a"}!reset-after=4"#.parse()?);
    /// # Ok::<(), llm_simulator::ParseBehaviourError>(())
    /// ```
    pub fn tool_call(self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        self.call(None, name.into(), arguments.into())
    }

    /// A [tool call](Self::tool_call) with this id instead of one in the vendor's manner.
    pub fn tool_call_with_id(
        self,
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        self.call(Some(id.into()), name.into(), arguments.into())
    }

    fn call(mut self, id: Option<String>, name: String, arguments: String) -> Self {
        self.said.calls.push(Called { id, name, arguments });
        self
    }

    /// The model declines with this text: OpenAI's `refusal` field, Anthropic's stop reason `refusal`.
    pub fn refusal(mut self, text: impl AsRef<str>) -> Self {
        self.said.finish = Some(Finish::Refusal);
        self.text(text)
    }

    /// Why the model stopped. Without this: for its tool calls, or because it was done.
    pub fn finish(mut self, finish: impl Into<Finish>) -> Self {
        self.said.finish = Some(finish.into());
        self
    }

    /// The model came to this stop sequence, which Anthropic tells.
    pub fn stop_sequence(self, sequence: impl Into<String>) -> Self {
        self.finish(Finish::StopSequence(sequence.into()))
    }

    /// What the answer cost. Without this: twelve tokens of input, and a token of output for each delta.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.said.counted = Counted::Given(usage);
        self
    }

    /// What was written to the prompt cache is kept for an hour rather than for five minutes, which Anthropic tells.
    pub fn cached_for_an_hour(mut self) -> Self {
        self.said.cached_for_an_hour = true;
        self
    }

    /// The vendor does not say what the answer cost.
    pub fn no_usage(mut self) -> Self {
        self.said.counted = Counted::Unknown;
        self
    }

    /// The model id to report, where it differs from the one that was asked for.
    pub fn model_id(mut self, id: impl Into<String>) -> Self {
        self.model_id = Some(id.into());
        self
    }

    /// Whose manner of OpenAI's wire format the answer has.
    pub fn host(mut self, host: Host) -> Self {
        self.said.host = host;
        self
    }
}
