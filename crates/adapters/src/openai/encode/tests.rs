//! Requests in OpenAI's words, to the letter.

use llm_protocol::{ErrorKind, Message, Part, ResponseFormat, Tool, ToolCall, ToolChoice};
use serde_json::json;

use super::*;

const PLAIN: OpenAi = OpenAi { token_limit_field: None, include_usage: true };

fn target(provider: &str) -> Target<'_> {
    Target { provider, model: "gpt-x", max_output_tokens: None }
}

fn encoded(vendor: &OpenAi, target: &Target<'_>, request: &Request, stream: bool) -> String {
    String::from_utf8(body(vendor, target, request, stream).unwrap()).unwrap()
}

#[test]
fn nothing_is_sent_that_nobody_set() {
    let request = Request::from("hello");
    assert_eq!(
        encoded(&PLAIN, &target("openai"), &request, false),
        r#"{"model":"gpt-x","messages":[{"role":"user","content":"hello"}]}"#
    );
    assert_eq!(
        encoded(&PLAIN, &target("openai"), &request, true),
        r#"{"model":"gpt-x","messages":[{"role":"user","content":"hello"}],"stream":true,"stream_options":{"include_usage":true}}"#
    );
    let quiet = OpenAi { include_usage: false, ..PLAIN };
    assert_eq!(
        encoded(&quiet, &target("openai"), &request, true),
        r#"{"model":"gpt-x","messages":[{"role":"user","content":"hello"}],"stream":true}"#
    );
}

#[test]
fn everything_that_was_set_is_sent() {
    let parts = Message::new(Role::User, vec![Part::text("a"), Part::text("\n\"b\"")]);
    let request =
        Request::new([Message::system("be brief"), parts, Message::assistant(""), Message::user("c")])
            .temperature(0.5)
            .max_tokens(9)
            .stop("END")
            .stop("FIN")
            .seed(-7)
            .response_format(ResponseFormat::Text);
    assert_eq!(
        encoded(&PLAIN, &target("openai"), &request, false),
        concat!(
            r#"{"model":"gpt-x","messages":[{"role":"system","content":"be brief"},"#,
            r#"{"role":"user","content":"a\n\"b\""},{"role":"assistant","content":""},{"role":"user","content":"c"}],"#,
            r#""temperature":0.5,"max_completion_tokens":9,"stop":["END","FIN"],"seed":-7}"#,
        )
    );
}

#[test]
fn the_limit_has_the_name_that_the_host_knows() {
    let tokens = |vendor: &OpenAi, provider, own: Option<u32>, of_model| {
        let mut request = Request::from("x");
        request.max_tokens = own;
        let target = Target { max_output_tokens: of_model, ..target(provider) };
        let json: Value = serde_json::from_slice(&body(vendor, &target, &request, false).unwrap()).unwrap();
        (json.get("max_tokens").cloned(), json.get("max_completion_tokens").cloned())
    };
    let old = OpenAi { token_limit_field: Some(TokenLimitField::MaxTokens), ..PLAIN };
    let new = OpenAi { token_limit_field: Some(TokenLimitField::MaxCompletionTokens), ..PLAIN };
    assert_eq!(tokens(&PLAIN, "openai", None, None), (None, None));
    assert_eq!(tokens(&PLAIN, "openai", Some(5), Some(9)), (None, Some(json!(5))));
    assert_eq!(tokens(&PLAIN, "openai", None, Some(9)), (None, Some(json!(9))));
    assert_eq!(tokens(&PLAIN, "groq", Some(5), None), (Some(json!(5)), None));
    assert_eq!(tokens(&old, "openai", Some(5), None), (Some(json!(5)), None));
    assert_eq!(tokens(&new, "groq", Some(5), None), (None, Some(json!(5))));
}

#[test]
fn extra_parameters_go_to_their_provider_only() {
    let request = Request::from("x")
        .temperature(1.0)
        .extra("groq", "service_tier", "flex")
        .extra("groq", "temperature", json!(0))
        .extra("openai", "user", "u");
    assert_eq!(
        encoded(&PLAIN, &target("groq"), &request, false),
        r#"{"model":"gpt-x","messages":[{"role":"user","content":"x"}],"service_tier":"flex","temperature":0}"#
    );
    for name in ["stream", "messages", "model"] {
        let error = body(&PLAIN, &target("groq"), &Request::from("x").extra("groq", name, json!(1)), false)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRequest);
        assert!(error.message().contains(name));
        assert!(
            body(&PLAIN, &target("openai"), &Request::from("x").extra("groq", name, json!(1)), false).is_ok()
        );
    }
}

#[test]
fn there_is_one_answer_a_call() {
    for (choices, refused) in [(json!(2), true), (json!(2.0), true), (json!(1), false), (json!(null), false)]
    {
        let request = Request::from("x").extra("openai", "n", choices);
        let kind = body(&PLAIN, &target("openai"), &request, false).err().map(|error| error.kind());
        assert_eq!(kind, refused.then_some(ErrorKind::BadRequest));
    }
}

#[test]
fn what_cannot_be_carried_is_said() {
    let call = Message::new(Role::Assistant, vec![Part::ToolCall(ToolCall::default())]);
    for (request, kind) in [
        (Request::default(), ErrorKind::BadRequest),
        (Request::from(" \n"), ErrorKind::BadRequest),
        (Request::from("x").temperature(f64::NAN), ErrorKind::BadRequest),
        (Request::from("x").temperature(f64::INFINITY), ErrorKind::BadRequest),
        (Request::from("x").tool(Tool::new("t", json!({}))), ErrorKind::Unsupported),
        (Request::from("x").tool_choice(ToolChoice::Auto), ErrorKind::Unsupported),
        (Request::new([Message::tool("id", "t", "42")]), ErrorKind::Unsupported),
        (Request::new([call]), ErrorKind::Unsupported),
        (Request::from("x").response_format(ResponseFormat::JsonObject), ErrorKind::Unsupported),
    ] {
        let error = body(&PLAIN, &target("openai"), &request, true).unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}");
    }
}
