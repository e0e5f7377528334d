//! Requests in Anthropic's words, to the letter.

use llm_protocol::{
    CacheTtl, ErrorKind, Image, Message, Opaque, Part, ResponseFormat, Role, Tool, ToolCall, ToolChoice,
};
use serde_json::json;

use super::*;

const TARGET: Target<'static> = Target { provider: "anthropic", model: "claude-x", max_output_tokens: None };

fn encoded(request: &Request, stream: bool) -> String {
    String::from_utf8(body(&TARGET, request, stream).unwrap().body).unwrap()
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
    let json: Value =
        serde_json::from_slice(&body(&target, &Request::from("x"), false).unwrap().body).unwrap();
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
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"text","text":"c"},{"type":"text","text":"d"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"e"}]},"#,
            r#"{"role":"user","content":[{"type":"text","text":"f"}]}],"temperature":0.0,"stop_sequences":["END"]}"#,
        )
    );
}

#[test]
fn extra_parameters_are_merged() {
    let request = Request::from("x").extra("anthropic", "top_k", json!(3)).extra("openai", "top_k", json!(4));
    let json: Value = serde_json::from_slice(&body(&TARGET, &request, false).unwrap().body).unwrap();
    assert_eq!(json["top_k"], 3);
    let replaced = Request::from("x").max_tokens(1).extra("anthropic", "max_tokens", json!(2));
    assert_eq!(encoded(&replaced, false).matches("max_tokens").count(), 1);
    for name in RESERVED {
        let error = body(&TARGET, &Request::from("x").extra("anthropic", name, json!(1)), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRequest);
    }
}

fn cat() -> Image {
    Image::url("https://example.com/cat.png")
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.into(), name: "weather".into(), arguments: arguments.into() })
}

fn called(arguments: &str) -> Message {
    Message::new(Role::Assistant, vec![call("1", arguments)])
}

fn result() -> Message {
    Message::tool("1", "weather", "sunny")
}

fn thinking(request: Request) -> Request {
    request.extra("anthropic", "thinking", json!({"type": "enabled", "budget_tokens": 1024}))
}

fn json_of(request: &Request) -> Value {
    serde_json::from_slice(&body(&TARGET, request, false).unwrap().body).unwrap()
}

#[test]
fn tools_are_offered_in_the_vendors_words() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tools = Request::from("x")
        .tool(Tool::new("weather", schema.clone()).description("Tells it.").strict(true))
        .tool(Tool::new("time", json!({"type": "object"})).cached(CacheTtl::OneHour));
    let body = json_of(&tools);
    assert_eq!(
        body["tools"],
        json!([
            {"name": "weather", "description": "Tells it.", "input_schema": schema, "strict": true},
            {"name": "time", "input_schema": {"type": "object", "properties": {}},
             "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ])
    );
    assert!(body.get("tool_choice").is_none());
    for (choice, parallel, written) in [
        (None, Some(true), Value::Null),
        (None, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::Auto), None, json!({"type": "auto"})),
        (Some(ToolChoice::None), Some(false), json!({"type": "none"})),
        (Some(ToolChoice::Required), None, json!({"type": "any"})),
        (
            Some(ToolChoice::Named("time".into())),
            Some(false),
            json!({"type": "tool", "name": "time", "disable_parallel_tool_use": true}),
        ),
    ] {
        let mut request = tools.clone();
        request.tool_choice = choice;
        request.parallel_tool_calls = parallel;
        assert_eq!(json_of(&request).get("tool_choice").cloned().unwrap_or_default(), written);
    }
}

#[test]
fn a_conversation_with_tools_is_told_in_the_vendors_words() {
    let calls = vec![Part::text(" "), call("call|1", r#"{"n":1.50}"#), call("ok", " ")];
    let request = Request::new([
        Message::user("weather?"),
        Message::assistant("Let me see."),
        Message::new(Role::Assistant, calls),
        Message::user("hurry"),
        Message::tool("ok", "weather", ""),
        Message::tool("call|1", "weather", "sunny").image(cat()).cached(CacheTtl::FiveMinutes),
    ]);
    assert_eq!(
        json_of(&request)["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "call00001", "name": "weather", "input": {"n": 1.50}},
                {"type": "tool_use", "id": "ok", "name": "weather", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "ok"},
                {"type": "tool_result", "tool_use_id": "call00001", "cache_control": {"type": "ephemeral"},
                 "content": [
                    {"type": "text", "text": "sunny"},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
                ]},
                {"type": "text", "text": "hurry"},
            ]},
        ])
    );
    // Numbers are written as the model wrote them.
    assert!(encoded(&request, false).contains(r#""input":{"n":1.50}"#));
}

#[test]
fn images_marks_and_own_parts_stand_in_their_places() {
    let document = json!({"type": "document", "source": {"type": "text", "data": "…"}});
    let thought = |provider: &str| Part::Opaque(Opaque::new(provider, r#"{"type":"thinking"}"#));
    let request = Request::new([
        Message::system("a"),
        Message::system("b").cached(CacheTtl::FiveMinutes),
        Message::user("what").image(Image::bytes("image/png", *b"\x00cat")).cached(CacheTtl::OneHour),
        Message::new(Role::Assistant, vec![thought("openai"), thought("anthropic"), Part::text("hm")]),
        Message::new(Role::User, vec![Part::Opaque(Opaque::new("anthropic", document.to_string()))]),
        Message::new(Role::Assistant, vec![thought("openai")]),
        Message::user("go on"),
    ]);
    let body = json_of(&request);
    assert_eq!(
        body["system"],
        json!([
            {"type": "text", "text": "a"},
            {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
        ])
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [
                {"type": "text", "text": "what"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AGNhdA=="},
                 "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": [{"type": "thinking"}, {"type": "text", "text": "hm"}]},
            {"role": "user", "content": [document, {"type": "text", "text": "go on"}]},
        ])
    );
}

#[test]
fn only_a_thought_makes_a_turn_thoughtful() {
    let own = |kind: &str| Part::Opaque(Opaque::new("anthropic", format!(r#"{{"type":"{kind}"}}"#)));
    for (kind, thoughtful) in [("thinking", true), ("redacted_thinking", true), ("server_tool_use", false)] {
        let turn = Message::new(Role::Assistant, vec![own(kind), call("1", "{}")]);
        let request = thinking(Request::new([Message::user("a"), turn, result()]));
        assert_eq!(body(&TARGET, &request, true).is_ok(), thoughtful, "{kind}");
    }
}

#[test]
fn addresses_that_hold_the_image_are_read_as_such() {
    for url in ["data:image/png;base64,AAAA", "DATA:image/png;charset=utf-8;base64,AAAA"] {
        let request = Request::new([Message::user("a").image(Image::url(url))]);
        assert_eq!(
            json_of(&request)["messages"][0]["content"][1]["source"],
            json!({"type": "base64", "media_type": "image/png", "data": "AAAA"})
        );
    }
}

#[test]
fn the_form_of_the_answer_is_asked_for_and_owned_up_to() {
    let schema = json!({"type": "object"});
    let named = Request::from("x").response_format(ResponseFormat::json_schema("n", schema.clone()));
    assert_eq!(
        json_of(&named)["output_config"],
        json!({"format": {"type": "json_schema", "schema": schema}})
    );
    let honored = |request: &Request| body(&TARGET, request, true).unwrap().structured_output_honored;
    assert_eq!(honored(&named), Some(true));
    assert_eq!(honored(&Request::from("x")), None);
    let beside = named.clone().extra("anthropic", "output_config", json!({"effort": "low"}));
    assert_eq!(honored(&beside), Some(true));
    assert_eq!(
        json_of(&beside)["output_config"],
        json!({"format": {"type": "json_schema", "schema": schema}, "effort": "low"})
    );
    let replaced = named.extra("anthropic", "output_config", json!({"format": null}));
    assert_eq!(honored(&replaced), Some(false));
    assert_eq!(json_of(&replaced)["output_config"], json!({"format": null}));
}

#[test]
fn what_cannot_be_carried_is_said() {
    for (request, kind) in [
        (Request::default(), ErrorKind::BadRequest),
        (Request::from("x").temperature(f64::NAN), ErrorKind::BadRequest),
        (Request::from("x").seed(1), ErrorKind::Unsupported),
        (Request::from("x").tool_choice(ToolChoice::Required), ErrorKind::BadRequest),
        (Request::new([Message::user("a"), called("{}")]), ErrorKind::BadRequest),
        (Request::new([Message::user("a"), Message::tool("id", "t", "42")]), ErrorKind::BadRequest),
        (Request::new([Message::user("a"), called("[1]"), result()]), ErrorKind::Unsupported),
        (Request::new([Message::user("a"), called("{\"city\":"), result()]), ErrorKind::Unsupported),
        (thinking(Request::new([Message::user("a"), called("{}"), result()])), ErrorKind::Unsupported),
        (Request::new([Message::user("a"), Message::assistant("b").image(cat())]), ErrorKind::Unsupported),
        (Request::new([Message::system("a").image(cat()), Message::user("b")]), ErrorKind::Unsupported),
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
