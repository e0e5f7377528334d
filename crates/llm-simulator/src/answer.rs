//! What a well-behaved model says: text, reasoning, tool calls, why it stopped and what it counted.

use crate::host::Host;

/// Why the model stopped, in words that every wire format can express.
///
/// Converts from a string: `stop`, `length`, `content_filter`, `refusal` and `tool_calls` (or `tool_use`) mean the
/// variants, anything else is sent to the client as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model was done: OpenAI `stop`, Anthropic `end_turn`.
    #[default]
    Stop,
    /// The token limit was reached: OpenAI `length`, Anthropic `max_tokens`.
    Length,
    /// A filter cut the answer off: OpenAI `content_filter`, Anthropic `refusal`.
    ContentFilter,
    /// The model declined: OpenAI `stop` (the text is in its `refusal` field), Anthropic `refusal`.
    Refusal,
    /// The model waits for the results of its tool calls: OpenAI `tool_calls`, Anthropic `tool_use`.
    ToolCalls,
    /// The model came to this stop sequence: OpenAI `stop`, Anthropic `stop_sequence` with the sequence.
    StopSequence(String),
    /// Any other reason, sent verbatim.
    Other(String),
}

impl From<&str> for Finish {
    fn from(reason: &str) -> Self {
        match reason {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            "refusal" => Self::Refusal,
            "tool_calls" | "tool_use" => Self::ToolCalls,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Token counts in a neutral form; each wire format converts them to its vendor's way of counting.
///
/// For example OpenAI's `prompt_tokens` includes what was read from the cache while Anthropic's `input_tokens`
/// does not.
///
/// ```
/// let usage = llm_simulator::Usage { cache_read_tokens: 100, ..llm_simulator::Usage::new(18, 27) };
/// assert_eq!(usage.input_tokens, 18);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input that was neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Everything that was generated, reasoning included.
    pub output_tokens: u64,
    /// Input that was read from the prompt cache.
    pub cache_read_tokens: u64,
    /// Input that was written to the prompt cache.
    pub cache_write_tokens: u64,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Input and output without cache or reasoning.
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self { input_tokens, output_tokens, ..Self::default() }
    }
}

/// What is counted when the behaviour does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Twelve tokens in, one token out for each delta.
    #[default]
    Deltas,
    Given(Usage),
    /// The vendor says nothing about usage.
    Unknown,
}

/// A tool call as the behaviour has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// `None`: one in the vendor's manner.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// What the behaviour says about the answer; the rest is found when the request is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// `None` and no calls: what a faithful model would say.
    pub(crate) text: Option<Vec<String>>,
    pub(crate) reasoning: Vec<String>,
    /// Reasoning that the vendor keeps secret, one block each.
    pub(crate) redacted: Vec<String>,
    pub(crate) calls: Vec<Called>,
    pub(crate) finish: Option<Finish>,
    pub(crate) counted: Counted,
    /// What is written to the cache is kept for an hour rather than for five minutes.
    pub(crate) cached_for_an_hour: bool,
    pub(crate) host: Host,
}

/// What a faithful model says unasked, because the request wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A call of this tool; why the model stopped, where the vendor does not say that it was for the call.
    Call {
        name: String,
        arguments: String,
        finish: Option<Finish>,
    },
    Json(String),
}

/// A tool call of an answer, with the pieces in which a stream sends its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    /// What the first delta of the call has of the arguments.
    pub(crate) first: String,
    pub(crate) pieces: Vec<String>,
}

/// The block to which a delta belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Text,
    Call(usize),
}

/// The answer itself, without any misbehaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The text, already cut into what a stream sends as one delta each.
    pub(crate) text: Vec<String>,
    pub(crate) reasoning: Vec<String>,
    pub(crate) redacted: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Finish,
    pub(crate) counted: Counted,
    pub(crate) cached_for_an_hour: bool,
    pub(crate) host: Host,
}

impl Said {
    /// The answer to a request; `wanted` is asked what it wants where the behaviour does not say, and `id` makes the
    /// id of the call with this number.
    pub(crate) fn answer(
        &self,
        wanted: impl FnOnce() -> Option<Wanted>,
        id: impl Fn(usize) -> String,
    ) -> Answer {
        let mut text = self.text.clone().unwrap_or_default();
        let (mut calls, mut finish) = (self.calls.clone(), self.finish.clone());
        if self.text.is_none() && calls.is_empty() {
            match wanted() {
                None => text = words("Hello! How can I help you today?"),
                Some(Wanted::Json(json)) => text = pieces(&json),
                Some(Wanted::Call { name, arguments, finish: why }) => {
                    calls.push(Called { id: None, name, arguments });
                    finish = finish.or(why);
                }
            }
        }
        let usual = if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        let call = |(number, called): (usize, Called)| {
            // Mistral sends a call whole, all others send its arguments in pieces.
            let whole = self.host == Host::Mistral;
            Call {
                id: called.id.unwrap_or_else(|| id(number)),
                name: called.name,
                first: if whole { called.arguments.clone() } else { String::new() },
                pieces: if whole { Vec::new() } else { pieces(&called.arguments) },
                arguments: called.arguments,
            }
        };
        Answer {
            text,
            reasoning: self.reasoning.clone(),
            redacted: self.redacted.clone(),
            calls: calls.into_iter().enumerate().map(call).collect(),
            finish: finish.unwrap_or(usual),
            counted: self.counted,
            cached_for_an_hour: self.cached_for_an_hour,
            host: self.host,
        }
    }
}

impl Answer {
    /// How many deltas a stream has after the reasoning: those of the text, and for every call its start and each
    /// piece of its arguments.
    pub(crate) fn deltas(&self) -> usize {
        self.text.len() + self.calls.iter().map(Call::deltas).sum::<usize>()
    }

    /// Where a stream is after so many deltas. One that has only calls begins with the first of them.
    pub(crate) fn place(&self, deltas: usize) -> Place {
        let mut seen = self.text.len();
        let mut place = if seen == 0 && !self.calls.is_empty() { Place::Call(0) } else { Place::Text };
        for (number, call) in self.calls.iter().enumerate() {
            if deltas > seen {
                place = Place::Call(number);
            }
            seen += call.deltas();
        }
        place
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        match self.counted {
            Counted::Given(usage) => Some(usage),
            Counted::Unknown => None,
            Counted::Deltas => {
                let (said, reasoning) = (self.deltas() as u64, self.reasoning.len() as u64);
                Some(Usage { reasoning_tokens: reasoning, ..Usage::new(12, said + reasoning) })
            }
        }
    }
}

impl Call {
    fn deltas(&self) -> usize {
        1 + self.pieces.len()
    }
}

/// Cuts JSON into short pieces, as tokenizers do; they end anywhere but within a character.
pub(crate) fn pieces(json: &str) -> Vec<String> {
    const LENGTH: usize = 6;
    let characters: Vec<char> = json.chars().collect();
    characters.chunks(LENGTH).map(|piece| piece.iter().collect()).collect()
}

/// Cuts a text before each run of white space, as tokenizers mostly do, so that a live stream looks alive.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.chars() {
        if character.is_whitespace() && !word.trim().is_empty() {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Called, Said, Wanted, words};

    #[test]
    fn what_a_request_wants_is_looked_for_only_where_it_is_said() {
        let asked = |said: &Said| {
            let mut asked = false;
            let wanted = || {
                asked = true;
                Some(Wanted::Json("{}".to_owned()))
            };
            let answer = said.answer(wanted, |_| String::new());
            (asked, answer.text.concat())
        };
        let call = Called { id: None, name: "f".to_owned(), arguments: "{}".to_owned() };
        assert_eq!(asked(&Said::default()), (true, "{}".to_owned()));
        assert_eq!(asked(&Said { text: Some(vec![]), ..Said::default() }), (false, String::new()));
        assert_eq!(asked(&Said { calls: vec![call], ..Said::default() }), (false, String::new()));
    }

    #[test]
    fn words_keep_every_character() {
        assert_eq!(words("one  two\nthree "), ["one", "  two", "\nthree", " "]);
        assert_eq!(words(" lead"), [" lead"]);
        assert!(words("").is_empty());
    }
}
