//! Requests in Anthropic's words, to the letter.

use llm_protocol::{ErrorKind, Message, Part, ResponseFormat, Tool};
use serde_json::json;

use super::*;

const TARGET: Target<'static> = Target { provider: "anthropic", model: "claude-x", max_output_tokens: None };

fn encoded(request: &Request, stream: bool) -> String {
    String::from_utf8(body(&TARGET, request, stream).unwrap()).unwrap()
}

#[test]
fn nothing_is_sent_that_nobody_set_but_the_limit() {
    assert_eq!(
        encoded(&Request::from("hello"), false),
        r#"{"model":"claude-x","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}]}"#
    );
    assert_eq!(
        encoded(&Request::from("hello").max_tokens(5), true),
        r#"{"model":"claude-x","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}],"stream":true}"#
    );
    let target = Target { max_output_tokens: Some(77), ..TARGET };
    let json: Value = serde_json::from_slice(&body(&target, &Request::from("x"), false).unwrap()).unwrap();
    assert_eq!(json["max_tokens"], 77);
}

#[test]
fn instructions_go_apart_and_turns_alternate() {
    let request = Request::new([
        Message::system("be brief"),
        Message::user(" "),
        Message::system("be kind"),
        Message::user("a"),
        Message::user("b"),
        Message::assistant(" "),
        Message::new(Role::User, vec![Part::text("c"), Part::text("d")]),
        Message::system(""),
        Message::assistant("e"),
        Message::user("f"),
    ])
    .temperature(0.0)
    .stop("END");
    assert_eq!(
        encoded(&request, false),
        concat!(
            r#"{"model":"claude-x","max_tokens":4096,"system":"be brief\n\nbe kind","messages":["#,
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"text","text":"cd"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"e"}]},"#,
            r#"{"role":"user","content":[{"type":"text","text":"f"}]}],"temperature":0.0,"stop_sequences":["END"]}"#,
        )
    );
}

#[test]
fn extra_parameters_are_merged() {
    let request = Request::from("x").extra("anthropic", "top_k", json!(3)).extra("openai", "top_k", json!(4));
    let json: Value = serde_json::from_slice(&body(&TARGET, &request, false).unwrap()).unwrap();
    assert_eq!(json["top_k"], 3);
    let replaced = Request::from("x").max_tokens(1).extra("anthropic", "max_tokens", json!(2));
    assert_eq!(encoded(&replaced, false).matches("max_tokens").count(), 1);
    for name in RESERVED {
        let error = body(&TARGET, &Request::from("x").extra("anthropic", name, json!(1)), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRequest);
    }
}

#[test]
fn what_cannot_be_carried_is_said() {
    for (request, kind) in [
        (Request::default(), ErrorKind::BadRequest),
        (Request::from("x").temperature(f64::NAN), ErrorKind::BadRequest),
        (Request::from("x").seed(1), ErrorKind::Unsupported),
        (Request::from("x").tool(Tool::new("t", json!({}))), ErrorKind::Unsupported),
        (Request::new([Message::tool("id", "t", "42")]), ErrorKind::Unsupported),
        (Request::from("x").response_format(ResponseFormat::JsonObject), ErrorKind::Unsupported),
        (Request::new([Message::assistant("a"), Message::user("b")]), ErrorKind::Unsupported),
        (Request::new([Message::system("a")]), ErrorKind::Unsupported),
        (
            Request::new([Message::user("a"), Message::system("b"), Message::user("c")]),
            ErrorKind::Unsupported,
        ),
        (Request::new([Message::user("a"), Message::system("b")]), ErrorKind::Unsupported),
    ] {
        assert_eq!(body(&TARGET, &request, true).unwrap_err().kind(), kind, "{request:?}");
    }
}
