//! Conversations from anywhere, as they are taken over.

use llm_protocol::Opaque;
use serde_json::json;

use super::*;

const ANY: Ids = Ids { shortest: 1, longest: 8, takes: |c| c.is_ascii_lowercase() };

fn call(id: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.into(), name: format!("tool-{id}"), arguments: String::new() })
}

fn asks(ids: &[&str]) -> Message {
    Message::new(Role::Assistant, ids.iter().map(|id| call(id)).collect())
}

fn result(id: &str) -> Message {
    Message::tool(id, "", format!("result of {id}"))
}

/// Each turn as `role:ids:text`.
fn told(messages: &[Message]) -> Result<Vec<String>, Error> {
    let request = Request::new(messages);
    let turns = turns(&request, "acme", &ANY)?;
    let told = turns.iter().map(|turn| {
        let ids = turn.pieces().filter_map(|piece| match piece {
            Piece::Call(id, _) => Some(id.into_owned()),
            _ => None,
        });
        let ids: Vec<_> = ids.chain(turn.answers.clone().map(Cow::into_owned)).collect();
        format!("{:?}:{}:{}", turn.role(), ids.join(","), turn.message.text())
    });
    Ok(told.collect())
}

#[test]
fn ids_that_the_vendor_takes_stay_and_others_are_replaced_in_call_and_result() {
    let conversation = [
        Message::user("q"),
        asks(&["a", "B", ""]),
        result("B"),
        result("a"),
        result(""),
        Message::assistant("so"),
        // The same ids again, as vendors that count within an answer have them.
        asks(&["a", "muchtoolong"]),
        result("a"),
        result("muchtoolong"),
    ];
    assert_eq!(
        told(&conversation).unwrap(),
        [
            "User::q",
            "Assistant:a,call00001,call00002:",
            "Tool:call00001:result of B",
            "Tool:a:result of a",
            "Tool:call00002:result of ",
            "Assistant::so",
            "Assistant:call00003,call00004:",
            "Tool:call00003:result of a",
            "Tool:call00004:result of muchtoolong",
        ]
    );
}

#[test]
fn an_id_that_is_made_is_nobody_elses() {
    let conversation = [Message::user("q"), asks(&["A", "call00001"]), result("call00001"), result("A")];
    assert_eq!(
        told(&conversation).unwrap()[1..],
        [
            "Assistant:call00001,call00002:",
            "Tool:call00002:result of call00001",
            "Tool:call00001:result of A"
        ]
    );
}

#[test]
fn a_conversation_that_goes_on_keeps_its_ids() {
    let mut conversation = vec![Message::user("q"), asks(&["A"]), result("A")];
    let before = told(&conversation).unwrap();
    conversation.extend([asks(&["B", "a"]), result("a"), result("B"), Message::user("and?")]);
    conversation.extend([asks(&["call00001"]), result("call00001")]);
    assert_eq!(told(&conversation).unwrap()[..3], before);
}

#[test]
fn results_come_right_after_their_calls() {
    let conversation = [
        Message::user("q"),
        asks(&["a"]),
        asks(&["b"]),
        Message::user("hurry"),
        result("b"),
        Message::system("be brief"),
        result("a"),
    ];
    assert_eq!(
        told(&conversation).unwrap()[1..],
        [
            "Assistant:a:",
            "Assistant:b:",
            "Tool:b:result of b",
            "Tool:a:result of a",
            "User::hurry",
            "System::be brief",
        ]
    );
}

#[test]
fn results_without_ids_go_by_name_and_order() {
    let nameless = |name: Option<&str>| {
        let mut message = Message::tool("", "", "r");
        message.tool_call_id = None;
        message.name = name.map(str::to_owned);
        message
    };
    let conversation = [
        Message::user("q"),
        asks(&["a", "b", "c"]),
        nameless(Some("tool-b")),
        nameless(None),
        nameless(None),
    ];
    assert_eq!(told(&conversation).unwrap()[2..], ["Tool:b:r", "Tool:a:r", "Tool:c:r"]);
}

#[test]
fn results_of_nothing_are_refused() {
    for conversation in [
        vec![result("a")],
        vec![Message::user("q"), result("a")],
        vec![asks(&["a"]), result("a"), result("a")],
        vec![asks(&["a"]), result("b")],
        vec![asks(&["a"]), result("a"), Message::assistant("so"), result("a")],
        vec![asks(&["a"]), Message::user("never mind"), Message::assistant("so"), result("a")],
    ] {
        let error = told(&conversation).unwrap_err();
        assert_eq!(
            error.message(),
            "a tool result answers no call of the turn before it",
            "{conversation:?}"
        );
    }
}

#[test]
fn opaque_parts_are_left_out_of_the_models_turns_and_nowhere_else() {
    let part = |provider: &str| Part::Opaque(Opaque::new(provider, json!(provider)));
    let request = Request::new([Message::new(Role::Assistant, vec![part("acme"), part("other")])]);
    let turns = turns(&request, "acme", &ANY).unwrap();
    let kept: Vec<_> =
        turns[0].pieces().map(|piece| matches!(piece, Piece::Own(own) if own == "acme")).collect();
    assert_eq!(kept, [true]);
    assert!(told(&[Message::user("q").part(part("acme"))]).is_ok());
    let error = told(&[Message::user("q").part(part("other"))]).unwrap_err();
    assert_eq!(error.kind(), llm_protocol::ErrorKind::Unsupported);
}

#[test]
fn arguments_are_an_object_or_none() {
    let written = |text: &str| {
        let call = ToolCall { arguments: text.into(), ..ToolCall::default() };
        arguments(&call).ok().map(|object| object.get().to_owned())
    };
    for (text, object) in [
        ("", Some("{}")),
        (" \n", Some("{}")),
        (" {\"n\": 1.0} ", Some("{\"n\": 1.0}")),
        ("{\"n\":", None),
        ("[1]", None),
        ("null", None),
        ("{} {}", None),
    ] {
        assert_eq!(written(text).as_deref(), object, "{text}");
    }
}
