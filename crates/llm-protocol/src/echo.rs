//! Taking what was asked out of what a provider says of it: error messages quote prompts.

use crate::part::{Image, Part};
use crate::request::Request;

/// A quotation shorter than this (bytes) is let stand: any sentence shares short words with any other.
const SHORTEST: usize = 12;

/// How much of a conversation is looked through, from its end (bytes): it may be megabytes long.
const LOOKED_THROUGH: usize = 256 * 1024;

/// The message without what it quotes of the request; `None` when it quotes nothing.
pub(crate) fn hidden(message: &str, request: &Request) -> Option<String> {
    if message.len() < SHORTEST {
        return None;
    }
    let words: Vec<&str> = message.split_whitespace().collect();
    if !may_quote(&words, request) {
        return None;
    }
    let mut quoted = vec![false; words.len()];
    let texts = texts(request);
    for from in 0..words.len() {
        let Some(to) = shortest_span(&words, from) else { break };
        let span = words.get(from..=to).unwrap_or_default().join(" ");
        if quotes(&texts, &span) {
            quoted.iter_mut().take(to + 1).skip(from).for_each(|quoted| *quoted = true);
        }
    }
    let mut kept = Vec::new();
    for (word, quoted) in words.iter().zip(&quoted) {
        if !quoted {
            kept.push(*word);
        } else if kept.last() != Some(&"[…]") {
            kept.push("[…]");
        }
    }
    quoted.contains(&true).then(|| kept.join(" "))
}

/// Whether any span may be found: nothing is copied or folded before this is so. A text that holds a span holds its words,
/// and the longest of them is the least common. It is often that of the next span too, and looked for once.
fn may_quote(words: &[&str], request: &Request) -> bool {
    let bare: Vec<&str> =
        words.iter().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let mut missing = None;
    (0..words.len()).any(|from| {
        let Some(to) = shortest_span(words, from) else { return false };
        let span = bare.get(from..=to).unwrap_or_default();
        let longest = span.iter().copied().max_by_key(|word| word.len()).unwrap_or_default();
        if missing == Some(longest) {
            return false;
        }
        missing = Some(longest);
        said(request).any(|text| text.contains(longest))
    })
}

/// The first word from which on the words from `from` are long enough to be a quotation.
fn shortest_span(words: &[&str], from: usize) -> Option<usize> {
    let mut length = 0;
    words.iter().enumerate().skip(from).find_map(|(at, word)| {
        length += word.len() + usize::from(at > from);
        (length >= SHORTEST).then_some(at)
    })
}

/// Whether a text of the request holds the span, with or without the punctuation around it.
fn quotes(texts: &[String], span: &str) -> bool {
    let bare = span.trim_matches(|c: char| !c.is_alphanumeric());
    bare.len() >= SHORTEST / 2 && texts.iter().any(|text| text.contains(bare))
}

/// What the request says, the end of the conversation first.
fn said(request: &Request) -> impl Iterator<Item = &String> {
    let parts = request.messages.iter().rev().flat_map(|message| message.content.iter().rev());
    let said = parts.filter_map(|part| match part {
        Part::Text { text } => Some(text),
        Part::ToolCall(call) => Some(&call.arguments),
        Part::Opaque(part) => Some(&part.json),
        Part::Image(Image::Url { url }) => Some(url),
        Part::Image(Image::Bytes { .. }) | Part::CacheMark { .. } => None,
    });
    let described = request.tools.iter().filter_map(|tool| tool.description.as_ref());
    request.stop.iter().chain(described).chain(said)
}

/// The same with its white space folded, as far as it is looked through.
fn texts(request: &Request) -> Vec<String> {
    let mut left = LOOKED_THROUGH;
    let mut texts = Vec::new();
    for text in said(request) {
        let from = (text.len().saturating_sub(left)..=text.len()).find(|at| text.is_char_boundary(*at));
        let tail = text.get(from.unwrap_or(text.len())..).unwrap_or_default();
        left -= tail.len();
        texts.push(tail.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::part::Opaque;
    use crate::tool::Tool;

    fn hide(message: &str, prompt: &str) -> String {
        hidden(message, &Request::from(prompt)).unwrap_or_else(|| message.to_owned())
    }

    #[test]
    fn quotations_go_and_the_vendors_own_words_stay() {
        let prompt = "Translate for me:\n  The quick brown fox jumps\tover the lazy dog";
        for (message, shown) in [
            (
                "Invalid input: 'The quick brown fox jumps over' is not allowed",
                "Invalid input: […] is not allowed",
            ),
            ("quick brown fox", "[…]"),
            ("rejected \"the lazy dog\" and \"brown fox jumps\" too", "rejected […] and […] too"),
            ("Overloaded", "Overloaded"),
            (
                "This model's maximum context length is 8192 tokens",
                "This model's maximum context length is 8192 tokens",
            ),
            ("", ""),
        ] {
            assert_eq!(hide(message, prompt), shown, "{message}");
        }
    }

    #[test]
    fn every_message_of_the_conversation_counts() {
        let request =
            Request::new([Message::system("Be kind to marmalade-lovers"), Message::user("hello there")]);
        assert_eq!(hidden("refused: marmalade-lovers", &request).unwrap(), "refused: […]");
    }

    #[test]
    fn what_is_said_elsewhere_in_a_request_counts_too() {
        let document = Opaque::new("acme", r#"{"data":"the secret merger with Acme"}"#);
        let request = Request::new([Message::user("?").part(Part::Opaque(document))])
            .stop("when marmalade is mentioned")
            .tool(Tool::new("t", serde_json::Value::Null).description("Buys shares of Quince Ltd."));
        for told in ["the secret merger", "marmalade is mentioned", "Buys shares of Quince"] {
            assert_eq!(hidden(&format!("no: {told}"), &request).unwrap(), "no: […]");
        }
    }

    #[test]
    fn endless_conversations_are_looked_through_from_their_end() {
        let prompt = format!("secret-beginning {} secret-ending", "ü".repeat(LOOKED_THROUGH));
        assert_eq!(hide("why secret-ending", &prompt), "why […]");
        assert_eq!(hide("why secret-beginning", &prompt), "why secret-beginning");
    }
}
