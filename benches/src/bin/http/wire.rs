//! What goes over the wire: the models that the server knows by name, and its answers, which are made beforehand.

use std::fmt::Write;

/// What a model does, told from its name in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// Answers with [`SHORT`] tokens: as JSON, or as a stream if asked for one.
    Short,
    /// Refuses with status 429, and does not say when to come back.
    Busy,
    /// Streams [`LONG`] tokens in one write.
    Long,
    /// Streams them with a write for each.
    Drip,
    /// Is [`Short`](Self::Short), after ten milliseconds.
    Slow,
    /// Sends the head of a stream, and nothing more.
    Silent,
    /// Sends one token too, and nothing more.
    Stalled,
}

impl Model {
    pub(crate) const ALL: [Self; 7] =
        [Self::Short, Self::Busy, Self::Long, Self::Drip, Self::Slow, Self::Silent, Self::Stalled];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Busy => "busy",
            Self::Long => "long",
            Self::Drip => "drip",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
        }
    }

    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name().as_bytes() == name)
    }

    /// The tokens of a whole answer.
    pub(crate) const fn tokens(self) -> usize {
        match self {
            Self::Long | Self::Drip => LONG,
            _ => SHORT,
        }
    }
}

/// The tokens of a short answer, and of a long one.
pub(crate) const SHORT: usize = 16;
pub(crate) const LONG: usize = 64;

/// A token of every answer.
pub(crate) const TOKEN: &str = " token";

/// What is asked: about a kilobyte as it goes out.
pub(crate) const SYSTEM: &str = "You are a careful assistant. Answer briefly and in plain words. Say so where you do not \
    know something, and never make a source up. Keep names, numbers and dates as they are given to you.";
pub(crate) const PROMPT: &str = "Here is a message from a customer. Sum it up in one sentence, and say whether it needs \
    an answer today. 'Hello, I ordered two lamps three weeks ago, and one of them came with a broken switch. I wrote to \
    you last Monday and have not heard from you since. The other one works, and it is just what I wanted, so I would \
    like to keep both, if you can send me a switch that I can put in myself; I have done this before. If that is not \
    possible I would send the broken one back and take a new one, as long as it does not take another three weeks, since \
    we are moving at the end of the month and I do not yet know the number of the new house. Many thanks in advance, and \
    please do not call me before noon.'";

/// Heads as a large provider sends them, shortened.
const HEAD: &str = "date: Mon, 24 Nov 2025 10:00:00 GMT\r\n\
    x-request-id: req_0123456789abcdef0123456789abcdef\r\n\
    openai-version: 2020-10-01\r\n\
    openai-processing-ms: 321\r\n\
    x-ratelimit-limit-requests: 10000\r\n\
    x-ratelimit-remaining-requests: 9999\r\n\
    strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n";

/// An answer that comes whole.
pub(crate) fn json() -> Vec<u8> {
    let text = TOKEN.repeat(SHORT);
    whole(
        "200 OK",
        &format!(
            "{{\"id\":\"chatcmpl-C0ffee\",\"object\":\"chat.completion\",\"created\":1763978400,\"model\":\"short-1\",\
            \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\",\"refusal\":null,\
            \"annotations\":[]}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{},\
            \"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\"}}",
            usage(SHORT)
        ),
    )
}

/// A refusal. It says nothing of when to come back, so that the next call is asked of this provider again.
pub(crate) fn busy() -> Vec<u8> {
    whole(
        "429 Too Many Requests",
        "{\"error\":{\"message\":\"Rate limit reached for requests.\",\"type\":\"requests\",\"param\":null,\
        \"code\":\"rate_limit_exceeded\"}}",
    )
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    format!("{head}{HEAD}\r\n{body}").into_bytes()
}

/// A stream in the pieces in which it is written: its head with what comes before the first token, its tokens, and its
/// end.
pub(crate) struct Streamed {
    pub(crate) head: Vec<u8>,
    pub(crate) token: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl Streamed {
    pub(crate) fn new(tokens: usize) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n";
        let choice = |delta: &str, finish: &str| {
            format!("[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]")
        };
        let opening = choice("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null");
        let token = choice(&format!("{{\"content\":\"{TOKEN}\"}}"), "null");
        let mut end = event(&choice("{}", "\"stop\""), "null");
        end.push_str(&event("[]", &usage(tokens)));
        end.push_str(&chunk("data: [DONE]\n\n"));
        end.push_str("0\r\n\r\n");
        Self {
            head: format!("{head}{HEAD}\r\n{}", event(&opening, "null")).into_bytes(),
            token: event(&token, "null").into_bytes(),
            end: end.into_bytes(),
        }
    }

    /// All of it.
    pub(crate) fn joined(&self, tokens: usize) -> Vec<u8> {
        [&self.head, &self.token.repeat(tokens), &self.end].into_iter().flatten().copied().collect()
    }
}

/// An event, in an HTTP chunk of its own, as providers send it.
fn event(choices: &str, usage: &str) -> String {
    chunk(&format!(
        "data: {{\"id\":\"chatcmpl-C0ffee\",\"object\":\"chat.completion.chunk\",\"created\":1763978400,\
        \"model\":\"short-1\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\
        \"choices\":{choices},\"usage\":{usage}}}\n\n"
    ))
}

fn chunk(data: &str) -> String {
    let mut chunk = String::new();
    let _ = write!(chunk, "{:x}\r\n{data}\r\n", data.len());
    chunk
}

fn usage(tokens: usize) -> String {
    format!(
        "{{\"prompt_tokens\":221,\"completion_tokens\":{tokens},\"total_tokens\":{},\
        \"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\
        \"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0,\
        \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}",
        221 + tokens
    )
}
