//! Requests in OpenAI's words, to the letter.

use llm_protocol::{
    CacheTtl, ErrorKind, Image, Message, Opaque, Part, ResponseFormat, Role, Tool, ToolCall, ToolChoice,
};
use serde_json::json;

use super::*;

const PLAIN: OpenAi =
    OpenAi { dialect: None, token_limit_field: None, include_usage: None, cache_marks: None };

fn target(provider: &str) -> Target<'_> {
    Target { provider, model: "gpt-x", max_output_tokens: None }
}

fn encoded(vendor: &OpenAi, target: &Target<'_>, request: &Request, stream: bool) -> String {
    String::from_utf8(body(vendor, target, request, stream).unwrap().body).unwrap()
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
    let quiet = OpenAi { include_usage: Some(false), ..PLAIN };
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
            r#"{"role":"user","content":"a\n\"b\""},{"role":"user","content":"c"}],"#,
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
        let json: Value =
            serde_json::from_slice(&body(vendor, &target, &request, false).unwrap().body).unwrap();
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
    let call = Part::ToolCall(ToolCall { id: "1".into(), ..ToolCall::default() });
    let image = || Part::Image(Image::url("https://example.com/cat.png"));
    let turn = |role, part| Request::new([Message::new(role, vec![Part::text("x"), part])]);
    let tool = Tool::new("t", json!({}));
    for (request, kind) in [
        (Request::default(), ErrorKind::BadRequest),
        (Request::from(" \n"), ErrorKind::BadRequest),
        (Request::from("x").temperature(f64::NAN), ErrorKind::BadRequest),
        (Request::from("x").temperature(f64::INFINITY), ErrorKind::BadRequest),
        (Request::from("x").tool_choice(ToolChoice::Required), ErrorKind::BadRequest),
        (Request::from("x").tool(Tool::new("t", json!([]))), ErrorKind::BadRequest),
        (Request::from("x").tool(tool.clone()).tool(tool.clone()), ErrorKind::BadRequest),
        (turn(Role::Assistant, call.clone()), ErrorKind::BadRequest),
        (Request::from("x").tool(tool).tool_choice(ToolChoice::Named("u".into())), ErrorKind::BadRequest),
        (Request::new([Message::tool("id", "t", "42")]), ErrorKind::BadRequest),
        (turn(Role::User, call), ErrorKind::BadRequest),
        (turn(Role::Assistant, Part::Opaque(Opaque::new("openai", "[]"))), ErrorKind::BadRequest),
        (turn(Role::User, Part::Opaque(Opaque::new("openai", "{"))), ErrorKind::BadRequest),
        (turn(Role::User, Part::Opaque(Opaque::new("acme", "{}"))), ErrorKind::Unsupported),
        (turn(Role::Assistant, image()), ErrorKind::Unsupported),
        (
            Request::new([Message::new(Role::Assistant, vec![Part::Opaque(Opaque::new("acme", "{}"))])]),
            ErrorKind::Unsupported,
        ),
        (turn(Role::System, image()), ErrorKind::Unsupported),
    ] {
        let error = body(&PLAIN, &target("openai"), &request, true).unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}");
    }
}

fn json_of(vendor: &OpenAi, provider: &str, request: &Request) -> Value {
    serde_json::from_slice(&body(vendor, &target(provider), request, false).unwrap().body).unwrap()
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.into(), name: "weather".into(), arguments: arguments.into() })
}

#[test]
fn tools_are_offered_in_the_vendors_words() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tools = Request::from("x")
        .tool(Tool::new("weather", schema.clone()).description("Tells it.").strict(true))
        .tool(Tool::new("time", json!({"type": "object"})).cached(CacheTtl::FiveMinutes));
    let body = json_of(&PLAIN, "openai", &tools);
    assert_eq!(
        body["tools"],
        json!([
            {"type": "function", "function": {
                "name": "weather", "description": "Tells it.", "parameters": schema, "strict": true,
            }},
            {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}},
        ])
    );
    assert!(body.get("tool_choice").is_none() && body.get("parallel_tool_calls").is_none());
    for (choice, written) in [
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::Required, json!("required")),
        (ToolChoice::Named("time".into()), json!({"type": "function", "function": {"name": "time"}})),
    ] {
        let request = tools.clone().tool_choice(choice).parallel_tool_calls(false);
        let body = json_of(&PLAIN, "openai", &request);
        assert_eq!((&body["tool_choice"], &body["parallel_tool_calls"]), (&written, &json!(false)));
    }
    let without = json_of(&PLAIN, "openai", &Request::from("x").parallel_tool_calls(true));
    assert!(without.get("parallel_tool_calls").is_none());
}

#[test]
fn a_conversation_with_tools_is_told_in_the_vendors_words() {
    let request = Request::new([
        Message::user("weather?"),
        Message::new(Role::Assistant, vec![call("call_1", r#"{"city":"Ulm"}"#), call("call_2", " ")]),
        Message::user("hurry"),
        Message::tool("call_2", "weather", ""),
        Message::tool("call_1", "weather", "sunny"),
        Message::new(Role::Assistant, vec![Part::text("It is "), Part::text("sunny.")]),
    ]);
    let function = |id, arguments| json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}});
    assert_eq!(
        json_of(&PLAIN, "openai", &request)["messages"],
        json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": null,
             "tool_calls": [function("call_1", r#"{"city":"Ulm"}"#), function("call_2", "{}")]},
            {"role": "tool", "tool_call_id": "call_2", "content": ""},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "user", "content": "hurry"},
            {"role": "assistant", "content": "It is sunny."},
        ])
    );
}

#[test]
fn mistral_gets_ids_of_nine_letters() {
    let request = Request::new([
        Message::user("weather?"),
        Message::new(Role::Assistant, vec![call("toolu_01", "{}"), call("abcDEF123", "{}")]),
        Message::tool("toolu_01", "weather", "a"),
        Message::tool("abcDEF123", "weather", "b"),
    ]);
    let messages = json_of(&PLAIN, "mistral", &request)["messages"].clone();
    let ids = [&messages[1]["tool_calls"][0]["id"], &messages[1]["tool_calls"][1]["id"]];
    assert_eq!(ids, ["call00001", "abcDEF123"]);
    assert_eq!([&messages[2]["tool_call_id"], &messages[3]["tool_call_id"]], ids);
}

#[test]
fn images_and_own_parts_stand_among_the_text() {
    let audio = json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}});
    let question = Message::user("what")
        .image(Image::url("https://example.com/cat.png"))
        .image(Image::bytes("image/png", *b"\x00cat"))
        .part(Part::text(""))
        .part(Part::Opaque(Opaque::new("openai", audio.to_string())));
    assert_eq!(
        json_of(&PLAIN, "openai", &Request::new([question]))["messages"][0]["content"],
        json!([
            {"type": "text", "text": "what"},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AGNhdA=="}},
            audio,
        ])
    );
}

#[test]
fn marks_are_for_hosts_that_know_them() {
    let request = Request::new([
        Message::system("long").cached(CacheTtl::OneHour),
        Message::user("a").cached(CacheTtl::FiveMinutes).part(Part::text("b")),
    ]);
    let plain = json!([{"role": "system", "content": "long"}, {"role": "user", "content": "ab"}]);
    assert_eq!(json_of(&PLAIN, "openai", &request)["messages"], plain);
    let marking = OpenAi { cache_marks: Some(true), ..PLAIN };
    assert_eq!(
        json_of(&marking, "openrouter", &request)["messages"],
        json!([
            {"role": "system", "content": [
                {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "b"},
            ]},
        ])
    );
}

#[test]
fn thoughts_go_back_to_the_host_that_had_them() {
    let details =
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "…"}], "role": "system"});
    let thought = |provider: &str| Part::Opaque(Opaque::new(provider, details.to_string()));
    let turn = Message::new(Role::Assistant, vec![thought("openrouter"), Part::text("hm")]);
    let request = Request::new([Message::user("a"), turn, Message::user("b")]);
    assert_eq!(
        json_of(&PLAIN, "openrouter", &request)["messages"][1],
        json!({"role": "assistant", "content": "hm", "reasoning_details": details["reasoning_details"]})
    );
    assert_eq!(
        json_of(&PLAIN, "groq", &request)["messages"][1],
        json!({"role": "assistant", "content": "hm"})
    );
}

#[test]
fn thoughts_of_turns_that_become_one_are_put_together() {
    let thought = |json: &str| Part::Opaque(Opaque::new("openrouter", json));
    let turn = |parts| Message::new(Role::Assistant, parts);
    let request = Request::new([
        Message::user("a"),
        turn(vec![
            thought(r#"{"reasoning_details":[1],"reasoning_content":"Hm. ","x":1}"#),
            Part::text("Let me"),
            Part::text(" look."),
        ]),
        turn(vec![
            thought(r#"{"reasoning_details":[2,3],"reasoning_content":"So.","x":2}"#),
            Part::text("Well."),
        ]),
    ]);
    assert_eq!(
        json_of(&PLAIN, "openrouter", &request)["messages"][1],
        json!({"role": "assistant", "content": "Let me look.\n\nWell.",
               "reasoning_details": [1, 2, 3], "reasoning_content": "Hm. So.", "x": 1})
    );
    let call = call("1", "{}");
    let request = Request::new([
        Message::user("a"),
        turn(vec![call]),
        turn(vec![Part::text("Let me"), Part::text(" look.")]),
        Message::tool("1", "weather", "b"),
    ]);
    assert_eq!(json_of(&PLAIN, "openai", &request)["messages"][1]["content"], "Let me look.");
}

#[test]
fn marks_that_are_not_written_take_no_ones_place() {
    let texts = ["a", "b", "c", "d"].map(|text| Message::user(text).cached(CacheTtl::OneHour));
    let tool = Tool::new("t", json!({"type": "object"})).cached(CacheTtl::FiveMinutes);
    let body = json_of(&PLAIN, "openrouter", &Request::new(texts).tool(tool)).to_string();
    assert_eq!(body.matches(r#""ttl":"1h""#).count(), 4, "{body}");
}

#[test]
fn the_form_of_the_answer_is_asked_for_and_owned_up_to() {
    let schema = json!({"type": "object"});
    let encoded = |request: &Request| {
        let Encoded { body, structured_output_honored } =
            body(&PLAIN, &target("openai"), request, false).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        (body.get("response_format").cloned(), structured_output_honored)
    };
    let request = Request::from("x");
    assert_eq!(encoded(&request), (None, None));
    assert_eq!(encoded(&request.clone().response_format(ResponseFormat::Text)), (None, None));
    let object = request.clone().response_format(ResponseFormat::JsonObject);
    assert_eq!(encoded(&object), (Some(json!({"type": "json_object"})), Some(true)));
    let named = request.response_format(ResponseFormat::json_schema("n", schema.clone()));
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
    assert_eq!(encoded(&named), (Some(format), Some(true)));
    let replaced = named.extra("openai", "response_format", json!({"type": "text"}));
    assert_eq!(encoded(&replaced), (Some(json!({"type": "text"})), Some(false)));
}
