//! What the vendors refuse to read.

use std::collections::HashSet;

use serde_json::Value;

use super::made::list;

/// The ids of the calls, in their order.
pub(super) fn openai_calls(body: &Value) -> Vec<String> {
    list(&body["messages"]).iter().flat_map(|message| ids(&message["tool_calls"], "id")).collect()
}

pub(super) fn anthropic_calls(body: &Value) -> Vec<String> {
    let blocks = list(&body["messages"]).iter().flat_map(|turn| list(&turn["content"]));
    blocks.filter(|block| block["type"] == "tool_use").map(|block| word(&block["id"])).collect()
}

/// What the call of this name is given, in either vendor's words.
pub(super) fn arguments(body: &Value, name: &str) -> Option<Value> {
    list(&body["messages"]).iter().find_map(|message| {
        let calls = list(&message["tool_calls"]).iter().map(|call| &call["function"]);
        let blocks = list(&message["content"]).iter().filter(|block| block["type"] == "tool_use");
        let call = calls.chain(blocks).find(|call| call["name"] == name)?;
        Some(match call["arguments"].as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            None => call["input"].clone(),
        })
    })
}

fn ids(items: &Value, name: &str) -> Vec<String> {
    list(items).iter().map(|item| word(&item[name])).collect()
}

fn word(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

fn unique(ids: &[String]) {
    let distinct: HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
}

pub(super) fn openai(body: &Value, provider: &str) {
    let calls = openai_calls(body);
    let is_particular = matches!(provider, "openai" | "mistral");
    if is_particular {
        unique(&calls);
    }
    for id in &calls {
        let length = id.chars().count();
        let fits = match provider {
            "mistral" => length == 9 && id.chars().all(|letter| letter.is_ascii_alphanumeric()),
            "openai" => (1..=40).contains(&length),
            _ => length > 0,
        };
        assert!(fits, "{provider} refuses {id:?}");
    }
    // Calls of the model's latest turn that have no result.
    let mut open: Vec<String> = Vec::new();
    let mut before = "";
    for message in list(&body["messages"]) {
        let role = message["role"].as_str().expect("there is a role");
        match role {
            "assistant" => {
                assert!(open.is_empty() && before != "assistant", "{body}");
                open = ids(&message["tool_calls"], "id");
                unique(&open);
                let thought = message["reasoning_content"].is_string();
                assert!(provider != "deepseek" || open.is_empty() || thought, "{body}");
            }
            "tool" => {
                let id = word(&message["tool_call_id"]);
                let at = open.iter().position(|call| *call == id);
                open.remove(at.unwrap_or_else(|| panic!("{id} answers nothing: {body}")));
                assert!(matches!(before, "assistant" | "tool"), "{id} comes late: {body}");
            }
            _ => {}
        }
        for call in list(&message["tool_calls"]) {
            assert!(
                call["function"]["arguments"].as_str().is_some_and(|text| !text.trim().is_empty()),
                "{body}"
            );
        }
        let has_content = match &message["content"] {
            Value::Null => role == "assistant" && !list(&message["tool_calls"]).is_empty(),
            Value::String(_) => true,
            items => list(items).iter().all(|item| item["text"] != ""),
        };
        assert!(has_content, "{message}");
        before = role;
    }
    assert!(open.is_empty(), "{body}");
    marked(body);
}

pub(super) fn anthropic(body: &Value) {
    let calls = anthropic_calls(body);
    unique(&calls);
    for id in &calls {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        assert!((1..=64).contains(&id.len()) && id.chars().all(letters), "{id:?} is refused");
    }
    let mut open: Vec<String> = Vec::new();
    for (at, turn) in list(&body["messages"]).iter().enumerate() {
        let content = list(&turn["content"]);
        assert!(!content.is_empty(), "an empty turn: {body}");
        assert_eq!(turn["role"], ["user", "assistant"][at % 2], "{body}");
        let mut may_answer = true;
        for block in content {
            match block["type"].as_str().expect("there is a type") {
                "tool_result" => {
                    let id = word(&block["tool_use_id"]);
                    let call = open.iter().position(|call| *call == id);
                    open.remove(call.unwrap_or_else(|| panic!("{id} answers nothing: {body}")));
                    assert!(may_answer, "{id} comes late: {body}");
                    speaks(list(&block["content"]));
                }
                "tool_use" => assert!(block["input"].is_object(), "{block}"),
                _ => may_answer = false,
            }
        }
        speaks(content);
        assert!(open.is_empty(), "a call has no result: {body}");
        open = content
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .map(|block| word(&block["id"]))
            .collect();
    }
    assert!(open.is_empty(), "a call has no result: {body}");
    marked(body);
    speaks(list(&body["system"]));
    assert!(body["system"].as_str().is_none_or(|text| !text.trim().is_empty()), "{body}");
}

/// There are so many marks for the prompt cache and no more, and none for an hour behind one for less.
fn marked(body: &Value) {
    let mut marks = Vec::new();
    for part in ["tools", "system", "messages"] {
        gather(&body[part], &mut marks);
    }
    assert!(marks.len() <= 4 && marks.is_sorted(), "{marks:?}: {body}");
}

/// Whether each mark is one for the usual time.
fn gather(value: &Value, marks: &mut Vec<bool>) {
    if let Some(mark) = value.get("cache_control") {
        marks.push(mark["ttl"] != "1h");
    }
    let members = value.as_object().into_iter().flat_map(|object| object.values());
    members.chain(list(value)).for_each(|inner| gather(inner, marks));
}

/// A blank text is refused.
fn speaks(blocks: &[Value]) {
    for block in blocks.iter().filter(|block| block["type"] == "text") {
        assert!(block["text"].as_str().is_some_and(|text| !text.trim().is_empty()), "{block}");
    }
}
