//! Behaviours as text, and what the README says about it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use llm_simulator::{Behaviour, Fault, Finish, Host, ParseBehaviourError, Script, Usage};

#[test]
fn every_directive_means_its_method() {
    let ms = Duration::from_millis;
    for (text, expected) in vec![
        ("", Behaviour::default()),
        ("text=Hello!! you", Behaviour::answer("Hello! you")),
        ("text=a=b", Behaviour::answer("a=b")),
        ("text=Oh!!!!!finish=length", Behaviour::answer("Oh!!").finish("length")),
        ("empty", Behaviour::empty()),
        ("reasoning=a b", Behaviour::default().reasoning("a b")),
        ("refusal=No", Behaviour::default().refusal("No")),
        ("redacted=a!redacted=b", Behaviour::default().redacted_reasoning("a").redacted_reasoning("b")),
        ("tool-call=f", Behaviour::default().tool_call("f", "{}")),
        (
            "tool-call=f,{\"a\":1,\"b\":\"Oh!!\"}!tool-call=g,",
            Behaviour::default().tool_call("f", r#"{"a":1,"b":"Oh!"}"#).tool_call("g", ""),
        ),
        ("tool-call-with-id=c_1,f", Behaviour::default().tool_call_with_id("c_1", "f", "{}")),
        (
            "tool-call-with-id=c_1,f,{\"a\": 1}",
            Behaviour::default().tool_call_with_id("c_1", "f", "{\"a\": 1}"),
        ),
        ("stop-sequence=END", Behaviour::default().stop_sequence("END")),
        ("finish=tool_use", Behaviour::default().finish(Finish::ToolCalls)),
        ("host=openai", Behaviour::default()),
        ("host=groq", Behaviour::default().host(Host::Groq)),
        ("host=openrouter", Behaviour::default().host(Host::OpenRouter)),
        ("host=deepseek", Behaviour::default().host(Host::DeepSeek)),
        ("host=mistral", Behaviour::default().host(Host::Mistral)),
        ("cached-for-an-hour", Behaviour::default().cached_for_an_hour()),
        ("lenient!refuses=a!refuses=b", Behaviour::default().lenient().refuses("a").refuses("b")),
        ("key=hush", Behaviour::default().key("hush")),
        ("usage=1,2", Behaviour::default().usage(Usage::new(1, 2))),
        (
            "usage=1,2,3,4,5",
            Behaviour::default().usage(Usage {
                input_tokens: 1,
                output_tokens: 2,
                cache_read_tokens: 3,
                cache_write_tokens: 4,
                reasoning_tokens: 5,
            }),
        ),
        ("no-usage!model-id=x", Behaviour::default().no_usage().model_id("x")),
        ("status=529", Behaviour::status(529)),
        ("error-body", Behaviour::error_body(500)),
        ("error-body=429", Behaviour::error_body(429)),
        ("body=oops", Behaviour::default().body("oops")),
        ("html", Behaviour::html()),
        ("header=x-a: b:c", Behaviour::default().header("x-a", "b:c")),
        ("retry-after=7", Behaviour::default().header("retry-after", "7")),
        ("type=t!code=c!message=m", Behaviour::default().error_type("t").error_code("c").error_message("m")),
        ("json!no-done", Behaviour::default().ignore_stream().no_done()),
        ("delay=2s", Behaviour::default().delay(ms(2000))),
        ("first-token=500ms", Behaviour::default().first_token(ms(500))),
        ("no-first-token", Behaviour::default().no_first_token()),
        ("keep-alive=1s", Behaviour::default().keep_alive(ms(1000))),
        ("keep-alives-only=1s", Behaviour::keep_alives_only(ms(1000))),
        ("text-delay=1s!token-delay=2s", Behaviour::default().text_delay(ms(1000)).token_delay(ms(2000))),
        ("drip=3,10ms", Behaviour::default().drip(3, ms(10))),
        ("split-utf8", Behaviour::default().split_utf8()),
        ("stall", Behaviour::stall()),
        ("reset", Behaviour::reset()),
        ("close", Behaviour::close()),
        ("stall-after=1", Behaviour::default().stall_after(1)),
        ("reset-after=1", Behaviour::default().reset_after(1)),
        ("close-after=1", Behaviour::default().close_after(1)),
        ("truncate-after=1", Behaviour::default().truncate_after(1)),
        ("error-after=1", Behaviour::default().error_after(1, 529)),
        ("error-after=1,429", Behaviour::default().error_after(1, 429)),
        ("malformed-after=1", Behaviour::default().fault_after(1, Fault::Malformed)),
        ("invalid-utf8-after=1", Behaviour::default().fault_after(1, Fault::InvalidUtf8)),
        ("endless-event-after=1", Behaviour::default().fault_after(1, Fault::EndlessEvent)),
        ("endless-after=1", Behaviour::default().fault_after(1, Fault::Endless)),
    ] {
        assert_eq!(text.parse::<Behaviour>().as_ref(), Ok(&expected), "{text}");
    }
}

#[test]
fn what_is_no_directive_is_named() {
    let parse = |text: &str| text.parse::<Behaviour>().unwrap_err();
    assert_eq!(parse("status=500!explode=1"), ParseBehaviourError::Unknown { name: "explode".to_owned() });
    assert_eq!(parse("Status=500"), ParseBehaviourError::Unknown { name: "Status".to_owned() });
    assert_eq!(parse("text=a!then!text=b"), ParseBehaviourError::NotOne { name: "then".to_owned() });
    for (text, says) in [
        ("status", "directive `status` takes a status from 200 to 599, not ``"),
        ("status=99", "not `99`"),
        ("status=100", "not `100`"),
        ("status=70000", "not `70000`"),
        ("delay=soon", "takes a duration such as 500ms or 5s, not `soon`"),
        ("first-token=5", "not `5`"),
        ("stall=1", "takes no value, not `1`"),
        ("reset-after=x", "a number of deltas"),
        ("error-after=1,x", "not `1,x`"),
        ("drip=0,1ms", "not `0,1ms`"),
        ("drip=3", "not `3`"),
        ("usage=1", "not `1`"),
        ("usage=1,2,3,4,5,6", "tokens"),
        ("header=x", "a name and a value"),
        ("header=a b:c", "a name and a value"),
        ("header=a:b\r\nc: d", "a name and a value"),
        ("text", "a text"),
        ("tool-call", "a tool and perhaps its arguments"),
        ("tool-call=,{}", "not `,{}`"),
        ("tool-call-with-id=c", "an id, a tool"),
        ("tool-call-with-id=c,", "an id, a tool"),
        ("host=mine", "openai, groq, openrouter, deepseek or mistral"),
        ("lenient=1", "takes no value"),
        ("refuses", "a text"),
        ("key", "a text"),
    ] {
        let error = parse(text);
        assert!(matches!(error, ParseBehaviourError::Value { .. }), "{text}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    let error = "text=a!then!bogus".parse::<Script>().unwrap_err();
    assert_eq!(error, ParseBehaviourError::Unknown { name: "bogus".to_owned() });
}

#[test]
fn every_directive_in_the_readme_parses() {
    let readme = include_str!("../README.md");
    let (_, readme) = readme.split_once("## Behaviours").unwrap();
    let rows = readme.lines().filter(|line| line.starts_with('|') && line.matches('|').count() == 4);
    let mut directives = 0;
    for row in rows {
        for directive in row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2) {
            assert!(directive.parse::<Behaviour>().is_ok(), "{directive}");
            directives += 1;
        }
    }
    assert!(directives > 40, "the table has moved: {directives}");
}
