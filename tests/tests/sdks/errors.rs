//! Errors of every kind: the SDKs raise what they should, and our errors say the same.

use std::time::Duration;

use llm_protocol::{Error, ErrorKind};
use llm_simulator::{Behaviour, Simulator, Wire};
use llm_tests::{WIRES, id_header};
use serde_json::{Value, json};

use crate::judge::{Differences, Exhibit, Read, read};
use crate::said::Said;

/// What becomes of an error: the class of the SDK's exception (none: the SDK notices nothing) and the kind of our error.
type Becomes = (Option<&'static str>, ErrorKind);

/// A behaviour that ends in an error, and what becomes of it with OpenAI and with Anthropic, where they have it.
struct Case {
    name: String,
    behaviour: Behaviour,
    openai: Option<Becomes>,
    anthropic: Option<Becomes>,
}

impl Case {
    fn new(name: &str, behaviour: Behaviour, class: &'static str, kind: ErrorKind) -> Self {
        let becomes = Some((Some(class), kind));
        Self { name: name.to_owned(), behaviour, openai: becomes, anthropic: becomes }
    }

    fn status(status: u16, class: &'static str, kind: ErrorKind) -> Self {
        Self::new(&format!("status {status}"), Behaviour::status(status), class, kind)
    }

    fn openai(self, class: &'static str, kind: ErrorKind) -> Self {
        Self { openai: Some((Some(class), kind)), ..self }
    }

    fn openai_only(self) -> Self {
        Self { anthropic: None, ..self }
    }

    fn anthropic_only(self) -> Self {
        Self { openai: None, ..self }
    }

    fn becomes(&self, wire: Wire) -> Option<Becomes> {
        if wire == Wire::OpenAi { self.openai } else { self.anthropic }
    }
}

fn statuses() -> Vec<Case> {
    use ErrorKind::{
        Authentication, BadRequest, Billing, ContextLength, ModelNotFound, Overloaded, Permission,
        RateLimited, Server, TooLarge,
    };
    let later = Behaviour::status(429).header("retry-after", "7");
    let (wrong, too_many) = (|| Behaviour::status(400), || Behaviour::status(429));
    let long = "prompt is too long: 200001 tokens > 200000 maximum";
    let (no_money, poor) =
        ("insufficient_quota", "Your credit balance is too low to access the Anthropic API.");
    let spent = "enforced_spend_limit_reached";
    vec![
        Case::status(400, "BadRequestError", BadRequest),
        Case::status(401, "AuthenticationError", Authentication),
        Case::status(402, "PaymentRequiredError", Billing).openai("APIStatusError", Billing),
        Case::status(403, "PermissionDeniedError", Permission),
        Case::status(404, "NotFoundError", ModelNotFound),
        Case::status(413, "ContentTooLargeError", TooLarge).openai("APIStatusError", TooLarge),
        Case::status(422, "UnprocessableEntityError", BadRequest),
        Case::status(429, "RateLimitError", RateLimited),
        Case::new("later", later, "RateLimitError", RateLimited),
        Case::status(500, "InternalServerError", Server),
        Case::status(503, "ServiceUnavailableError", Server).openai("InternalServerError", Overloaded),
        Case::status(529, "OverloadedError", Overloaded).openai("InternalServerError", Overloaded),
        Case::new(
            "too long for OpenAI",
            wrong().error_code("context_length_exceeded"),
            "BadRequestError",
            ContextLength,
        )
        .openai_only(),
        Case::new("too long for Anthropic", wrong().error_message(long), "BadRequestError", ContextLength)
            .anthropic_only(),
        Case::new("no money", too_many().error_code(no_money), "RateLimitError", Billing).openai_only(),
        Case::new("no credit", wrong().error_message(poor), "BadRequestError", Billing).anthropic_only(),
        Case::new("a limit", too_many().error_code(spent), "EnforcedSpendLimitReachedError", Billing)
            .anthropic_only(),
    ]
}

fn in_streams() -> Vec<Case> {
    use ErrorKind::{Overloaded, RateLimited, Server, Truncated};
    let answer = || Behaviour::answer("One two three").reasoning("Hm");
    let call = || answer().tool_call_with_id("call_1", "weather", r#"{"city":"Oslo"}"#);
    // What came with a 200 is of no class of its own for the SDKs.
    let inside =
        |name, behaviour, kind| Case::new(name, behaviour, "APIStatusError", kind).openai("APIError", kind);
    // And a connection that breaks is of the HTTP client's class for Anthropic's.
    let cut = |name, behaviour| {
        Case::new(name, behaviour, "RemoteProtocolError", Truncated).openai("APIConnectionError", Truncated)
    };
    // An SDK takes the end of the bytes for the end of the answer.
    let unnoticed = Some((None, Truncated));
    let early = cut("ended too early", answer().truncate_after(2));
    vec![
        inside("429 inside", answer().error_after(2, 429), RateLimited),
        inside("500 inside", answer().error_after(2, 500), Server),
        inside("529 inside", answer().error_after(2, 529), Overloaded),
        inside("529 at once", answer().error_after(0, 529), Overloaded),
        inside("529 in a call", call().error_after(5, 529), Overloaded),
        cut("cut", answer().close_after(2)),
        cut("cut in a call", call().close_after(5)),
        Case { openai: unnoticed, anthropic: unnoticed, ..early },
    ]
}

/// Every case of every vendor, asked for in these ways.
async fn exhibits(cases: &[Case], streams: &[bool]) -> Vec<(Exhibit, Becomes)> {
    let simulator = Simulator::start().await.unwrap();
    let mut exhibits = Vec::new();
    for case in cases {
        simulator.on(&case.name, case.behaviour.clone());
        for wire in WIRES {
            let Some(becomes) = case.becomes(wire) else { continue };
            for stream in streams {
                let exhibit = Exhibit::of(&simulator, wire, &case.name, *stream).await;
                exhibits.push((exhibit, becomes));
            }
        }
    }
    exhibits
}

/// Compares what the vendor said in the words of the SDK with what our error says, and returns the latter.
fn compare<'a>(
    differences: &mut Differences,
    exhibit: &Exhibit,
    read: &'a Read,
    (class, kind): Becomes,
) -> Option<&'a Error> {
    let raised = &read.raised;
    differences.note(exhibit, "the class of the exception", raised["class"].as_str(), class);
    let error = read.ours.error.as_ref();
    differences.note(exhibit, "the kind of our error", error.map(Error::kind), Some(kind));
    // Anthropic documents `request_too_large`, and its SDK has no type for it.
    if (class, exhibit.wire) != (Some("ContentTooLargeError"), Wire::Anthropic) {
        differences.note(exhibit, "what pydantic says", &read.invalid, &json!([]));
    }
    differences.note(exhibit, "fields that the SDK does not know", unknown(&read.strange), vec![]);
    let error = error?;
    let envelope = if exhibit.wire == Wire::OpenAi { &raised["body"] } else { &raised["body"]["error"] };
    // Our code is the most exact word that the vendor has for it.
    let words = ["error_code", "code", "type"].map(|word| raised[word].as_str());
    differences.note(
        exhibit,
        "the code (expected: the SDK's)",
        error.code(),
        words.into_iter().flatten().next(),
    );
    // OpenAI's SDK does not tell it of an error inside of a stream.
    if let Some(id) = raised["request_id"].as_str() {
        differences.note(exhibit, "the request id (expected: the SDK's)", error.request_id(), Some(id));
    }
    if let Some(message) = envelope["message"].as_str() {
        differences.note(exhibit, "the message (expected: the SDK's)", error.message(), message);
    }
    let param = envelope["param"].as_str();
    differences.note(exhibit, "the field that is wrong", raised["param"].as_str(), param);
    Some(error)
}

/// The fields that the SDK does not know and should: not OpenAI's hosts' reasoning, and not the details of an error,
/// which Anthropic's SDK has in its exceptions alone.
fn unknown(strange: &Value) -> Vec<&str> {
    let strange = strange.as_array().unwrap().iter().filter_map(Value::as_str);
    strange.filter(|field| !["choices.delta.reasoning_content", "error.details"].contains(field)).collect()
}

/// Of the arguments of half a call Anthropic's SDK reads what is whole, and our adapter hands out the text.
fn without_half_calls(said: &Said, ours: &Said) -> Said {
    let mut said = said.clone();
    for (call, ours) in said.calls.iter_mut().zip(&ours.calls).filter(|(_, ours)| ours.2.is_string()) {
        call.2 = ours.2.clone();
    }
    said
}

#[tokio::test]
async fn refusals_become_the_exceptions_of_the_sdks_and_our_errors_with_the_same_words() {
    let (exhibits, expected): (Vec<_>, Vec<_>) =
        exhibits(&statuses(), &[false, true]).await.into_iter().unzip();
    let mut differences = Differences::default();
    for ((exhibit, expected), read) in exhibits.iter().zip(&expected).zip(read(&exhibits).await) {
        let Some(error) = compare(&mut differences, exhibit, &read, *expected) else { continue };
        let (raised, sent) = (&read.raised, exhibit.header(id_header(exhibit.wire)));
        assert!(sent.is_some(), "{}: the vendor's id of the request", exhibit.name);
        differences.note(
            exhibit,
            "the request id of the exception",
            raised["request_id"].as_str(),
            sent.as_deref(),
        );
        let status = raised["status_code"].as_u64();
        differences.note(exhibit, "the status (expected: the SDK's)", error.status().map(u64::from), status);
        let hint =
            raised["retry_after"].as_str().map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
        differences.note(exhibit, "how long to wait (expected: the SDK's)", error.retry_after(), hint);
    }
    differences.none();
}

#[tokio::test]
async fn streams_that_break_end_with_an_exception_and_our_error_after_the_same_beginning() {
    let (exhibits, expected): (Vec<_>, Vec<_>) = exhibits(&in_streams(), &[true]).await.into_iter().unzip();
    let mut differences = Differences::default();
    for ((exhibit, expected), read) in exhibits.iter().zip(&expected).zip(read(&exhibits).await) {
        compare(&mut differences, exhibit, &read, *expected);
        let beginning = match exhibit.wire {
            Wire::Anthropic => &without_half_calls(&read.sdk, &read.ours.said),
            _ => &read.sdk,
        };
        differences.note(exhibit, "the beginning (expected: the SDK's)", &read.ours.said, beginning);
        let begun = !read.sdk.reasoning.is_empty() && read.sdk.finish.is_none();
        differences.note(exhibit, "a beginning and no end", begun, true);
    }
    differences.none();
}
