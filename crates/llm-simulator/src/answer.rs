//! What a well-behaved model says: text, reasoning, why it stopped and what it counted.

/// Why the model stopped, in words that every wire format can express.
///
/// Converts from a string: `stop`, `length`, `content_filter` and `refusal` mean the variants, anything else is
/// sent to the client as it is.
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
    /// Input that was written to the prompt cache (OpenAI has no word for it and counts it as plain input).
    pub cache_write_tokens: u64,
    /// The part of the output that was reasoning (Anthropic does not report it).
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

/// The answer itself, without any misbehaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The text, already cut into what a stream sends as one delta each.
    pub(crate) text: Vec<String>,
    pub(crate) reasoning: Vec<String>,
    pub(crate) finish: Finish,
    pub(crate) counted: Counted,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            text: words("Hello! How can I help you today?"),
            reasoning: Vec::new(),
            finish: Finish::Stop,
            counted: Counted::Deltas,
        }
    }
}

impl Answer {
    pub(crate) fn usage(&self) -> Option<Usage> {
        match self.counted {
            Counted::Given(usage) => Some(usage),
            Counted::Unknown => None,
            Counted::Deltas => {
                let (text, reasoning) = (self.text.len() as u64, self.reasoning.len() as u64);
                Some(Usage { reasoning_tokens: reasoning, ..Usage::new(12, text + reasoning) })
            }
        }
    }
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
    use super::words;

    #[test]
    fn words_keep_every_character() {
        assert_eq!(words("one  two\nthree "), ["one", "  two", "\nthree", " "]);
        assert_eq!(words(" lead"), [" lead"]);
        assert!(words("").is_empty());
    }
}
