//! Conversations from anywhere, as the encoders write them.

mod made;
mod rules;

use llm_protocol::{ErrorKind, Part, Request, Role};
use serde_json::Value;

use self::made::Made;
use super::json;
use super::source::Source;
use crate::vendor::{Codec, Target};
use crate::{Anthropic, OpenAi};

/// The encoders: what is written keeps the vendor's rules and says all that was said; what cannot be written is a typed
/// error; a conversation that goes on keeps its ids.
pub fn requests(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let stream = source.flag();
    let made = made::request(&mut source);
    let openai = OpenAi::builder("m").cache_marks(source.flag()).vendor;
    for provider in ["openai", "mistral", "deepseek", "openrouter"] {
        if let Some(body) = encoded(&openai, provider, &made, stream) {
            rules::openai(&body, provider);
            let prefix = prefix(&openai, provider, &made.request, &mut source);
            same_beginning(prefix.map(|body| rules::openai_calls(&body)), &rules::openai_calls(&body));
        }
    }
    let anthropic = Anthropic::builder("m").vendor;
    if let Some(body) = encoded(&anthropic, "anthropic", &made, stream) {
        rules::anthropic(&body);
        let prefix = prefix(&anthropic, "anthropic", &made.request, &mut source);
        same_beginning(prefix.map(|body| rules::anthropic_calls(&body)), &rules::anthropic_calls(&body));
    }
}

/// The body; none where it is refused, which what is well-formed never is.
fn encoded<C: Codec>(codec: &C, provider: &str, made: &Made, stream: bool) -> Option<Value> {
    let target = Target { provider, model: "m", max_output_tokens: None };
    let request = &made.request;
    match codec.encode(&target, request, stream) {
        Ok(encoded) => {
            let again = codec.encode(&target, request, stream).expect("it was written before");
            assert_eq!(encoded.body, again.body);
            let body = serde_json::from_slice(&encoded.body).expect("it is JSON");
            complete(&body, request, provider);
            Some(body)
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::BadRequest | ErrorKind::Unsupported), "{error:?}");
            // Not everybody lets the user speak right after a tool.
            let interrupted = provider == "mistral" && error.kind() == ErrorKind::Unsupported;
            assert!(
                made.is_odd || interrupted,
                "{provider} refuses a conversation that is in order: {error:?}"
            );
            None
        }
    }
}

/// Whether everything is in the body that was said to this provider, and nothing that was not.
fn complete(body: &Value, request: &Request, provider: &str) {
    let texts = json::texts(body);
    let mut images = 0;
    for message in &request.messages {
        for part in &message.content {
            match part {
                Part::Text { text } if text.trim().is_empty() => {}
                Part::Text { text } => {
                    assert!(
                        texts.iter().any(|written| written.contains(text)),
                        "{text:?} is missing: {body}"
                    );
                }
                Part::Opaque(own) => {
                    let value = serde_json::from_str(&own.json).expect("it is JSON");
                    let marks = json::texts(&value);
                    let mark = marks.iter().find(|text| text.starts_with("<<")).unwrap();
                    let (least, most) = if own.provider == provider { told(request, part) } else { (0, 0) };
                    let written = copies(&texts, mark);
                    assert!((least..=most).contains(&written), "{mark} of {}: {body}", own.provider);
                }
                Part::ToolCall(call) => {
                    let text = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
                    let given = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                    assert_eq!(rules::arguments(body, &call.name), Some(given), "{}: {body}", call.name);
                }
                Part::Image(_) => images += 1,
                _ => {}
            }
        }
    }
    let image = |text: &&&str| text.ends_with("cat.png") || text.ends_with("AGNhdA==");
    assert_eq!(texts.iter().filter(image).count(), images, "{body}");
    let said = |role| request.messages.iter().filter(|message| message.role == role).count();
    let results = body["messages"].to_string();
    let written = results.matches("\"tool_use_id\":").count() + results.matches("\"tool_call_id\":").count();
    assert_eq!(written, said(Role::Tool), "{body}");
}

/// How often its own provider is told this part, at least and at most. Turns may stand twice in a conversation.
fn told(request: &Request, part: &Part) -> (usize, usize) {
    let Part::Opaque(own) = part else { return (0, 0) };
    let (mut least, mut most) = (0, 0);
    for message in &request.messages {
        let count = message.content.iter().filter(|other| *other == part).count();
        // Thoughts alone are no message with OpenAI's format.
        let says = message.content.iter().any(|part| match part {
            Part::Text { text } => !text.trim().is_empty(),
            part => matches!(part, Part::ToolCall(_) | Part::Image(_)),
        });
        let may_go = message.role == Role::Assistant && own.provider != "anthropic" && !says;
        least += if may_go { 0 } else { count };
        most += count;
    }
    (least, most)
}

/// How often this mark is written. In a field of a turn that was two, it stands as often behind itself.
fn copies(texts: &[&str], mark: &str) -> usize {
    let copies = |text: &&str| {
        let count = text.matches(mark).count();
        assert!(count == 0 || count * mark.len() == text.len(), "{mark} became {text:?}");
        count
    };
    texts.iter().map(copies).sum()
}

/// The body of the conversation as it was some turns ago.
fn prefix<C: Codec>(codec: &C, provider: &str, request: &Request, source: &mut Source<'_>) -> Option<Value> {
    let mut earlier = request.clone();
    earlier.messages.truncate(source.below(request.messages.len() + 1));
    let target = Target { provider, model: "m", max_output_tokens: None };
    let encoded = codec.encode(&target, &earlier, false).ok()?;
    Some(serde_json::from_slice(&encoded.body).expect("it is JSON"))
}

fn same_beginning(earlier: Option<Vec<String>>, now: &[String]) {
    if let Some(earlier) = earlier {
        assert!(now.starts_with(&earlier), "the ids were {earlier:?}, and are {now:?}");
    }
}
