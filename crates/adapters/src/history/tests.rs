//! Conversations from anywhere, as they are taken over.

use llm_protocol::Opaque;

use super::*;

const RULES: Rules = Rules {
    ids: Ids { shortest: 1, longest: 8, takes: |c| c.is_ascii_lowercase(), once: true },
    longest_name: 8,
    marks: Some(|what| matches!(what, What::Text(_))),
    tool_marks: false,
};

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
    told_by(RULES, messages)
}

fn told_by(rules: Rules, messages: &[Message]) -> Result<Vec<String>, Error> {
    let request = Request::new(messages);
    let history = History::new(&request, "acme", rules)?;
    let told = history.turns.iter().map(|turn| {
        let (mut ids, mut text) = (Vec::new(), String::new());
        for piece in &turn.pieces {
            match &piece.what {
                What::Call(call) => ids.push(&*call.id),
                What::Text(more) => text.push_str(more),
                What::Break => text.push('|'),
                What::Own(_) => text.push('*'),
                What::Image(_) => {}
            }
            if let Some(ttl) = piece.mark {
                text.push_str(if ttl == CacheTtl::OneHour { "^h" } else { "^" });
            }
        }
        ids.extend(turn.answers.as_deref());
        format!("{:?}:{}:{text}", turn.role, ids.join(","))
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
            "Assistant:call00003,call00004:so|",
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
        ["Assistant:a,b:|", "Tool:b:result of b", "Tool:a:result of a", "User::hurry", "System::be brief",]
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
        vec![asks(&["a"]), result("a"), Message::user("so?"), result("a")],
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
    let part = |provider: &str| Part::Opaque(Opaque::new(provider, "{}"));
    let turn = Message::new(Role::Assistant, vec![part("acme"), part("other"), Part::text("so")]);
    assert_eq!(told(&[turn]).unwrap(), ["Assistant::*so"]);
    assert!(told(&[Message::user("q").part(part("acme"))]).is_ok());
    let error = told(&[Message::user("q").part(part("other"))]).unwrap_err();
    assert_eq!(error.kind(), llm_protocol::ErrorKind::Unsupported);
}

#[test]
fn calls_without_results_are_refused() {
    for conversation in [
        vec![asks(&["a"])],
        vec![Message::user("q"), asks(&["a", "b"]), result("a"), Message::user("never mind")],
        vec![asks(&["a"]), Message::user("never mind"), Message::assistant("so")],
    ] {
        let error = told(&conversation).unwrap_err();
        assert_eq!(error.message(), "a tool call has no result", "{conversation:?}");
    }
}

#[test]
fn turns_of_the_model_are_one_and_blank_ones_are_none() {
    let conversation = [
        Message::system(" "),
        Message::user("q"),
        Message::assistant("Let me see."),
        Message::assistant(" "),
        asks(&["a"]),
        result("a"),
        Message::user(""),
        Message::assistant("So."),
        Message::assistant("Yes."),
    ];
    assert_eq!(
        told(&conversation).unwrap(),
        ["User::q", "Assistant:a:Let me see.|", "Tool:a:result of a", "Assistant::So.|Yes."]
    );
}

#[test]
fn ids_may_come_again_where_the_vendor_lets_them() {
    let rules = Rules { ids: Ids { once: false, ..RULES.ids }, ..RULES };
    let conversation =
        [asks(&["a", "a"]), result("a"), result("a"), Message::user("q"), asks(&["a"]), result("a")];
    let told = told_by(rules, &conversation).unwrap();
    assert_eq!((&*told[0], &*told[4]), ("Assistant:a,call00001:", "Assistant:a:"));
}

#[test]
fn names_that_nobody_takes_back_are_rewritten() {
    let call = |name: &str| ToolCall { id: name.into(), name: name.into(), arguments: String::new() };
    let names = ["ok_1-A", "multi_tool_use.parallel", "", "fs.read"].map(call);
    let rules = Rules { longest_name: 12, ..RULES };
    let mut request = Request::new([Message::new(Role::Assistant, names.clone().map(Part::ToolCall).into())])
        .tool(llm_protocol::Tool::new("fs.read", serde_json::json!({})));
    request.messages.extend(names.iter().map(|call| Message::tool(&call.id, "", "r")));
    let history = History::new(&request, "acme", rules).unwrap();
    let written = history.turns[0].pieces.iter().filter_map(|piece| match &piece.what {
        What::Call(call) => Some(&*call.name),
        _ => None,
    });
    // Whether a name can be sent that is offered now is for the vendor to say.
    assert_eq!(written.collect::<Vec<_>>(), ["ok_1-A", "multi_tool_u", "unnamed", "fs.read"]);
}

#[test]
fn marks_stand_behind_what_takes_them_and_no_more_than_may_be() {
    use CacheTtl::{FiveMinutes, OneHour};
    let mark = |ttl| Part::CacheMark { ttl };
    // Behind nothing in its turn: behind what came before.
    let conversation = [
        Message::user("q"),
        asks(&["a"]),
        result("a").part(Part::Image(Image::url("https://example.com"))).part(mark(FiveMinutes)),
        Message::new(Role::User, vec![mark(OneHour), Part::text("so?")]),
    ];
    assert_eq!(
        told(&conversation).unwrap(),
        ["User::q", "Assistant:a:", "Tool:a:result of a^h", "User::so?"]
    );
    assert_eq!(told(&[Message::user("").cached(OneHour), Message::user("q")]).unwrap(), ["User::q"]);
    // Those of the instructions count first, then the latest; what is kept longer comes first.
    let mut conversation =
        vec![Message::system("a").cached(OneHour), Message::system("b").cached(FiveMinutes)];
    conversation.extend(["c", "d", "e", "f"].map(|text| Message::user(text).cached(OneHour)));
    assert_eq!(
        told(&conversation).unwrap(),
        ["System::a^h", "System::b^", "User::c", "User::d", "User::e^", "User::f^"]
    );
}

#[cfg(feature = "anthropic")]
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
        // Half a letter, which no parser takes.
        (r#"{"a":"\ud83d"}"#, Some(r#"{"a":"\ufffd"}"#)),
    ] {
        assert_eq!(written(text).as_deref(), object, "{text}");
    }
}
