//! What a request can hold beside text: who is asked for it in the vendor's words, who is passed over because it
//! cannot carry it, and what the answer owns up to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use llm_adapters::OpenAi;
use llm_protocol::{
    CacheTtl, Capability, FinishReason, Image, Message, Request, ResponseFormat, Tool, ToolChoice, Usage,
};
use llm_reliability::{Candidate, ResilientClient};
use llm_simulator::{Behaviour, Wire};
use llm_tests::{Lab, Strategy, WIRES, ask, trail};
use serde_json::{Value, json};

fn client(candidates: impl IntoIterator<Item = Candidate>) -> ResilientClient {
    ResilientClient::builder().candidates(candidates).build().unwrap()
}

fn both(lab: &Lab) -> ResilientClient {
    client([lab.candidate(Wire::Anthropic, "claude"), lab.candidate(Wire::OpenAi, "gpt")])
}

fn city() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["name", "people"],
        "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    })
}

#[tokio::test]
async fn an_answer_follows_the_schema_and_says_that_it_was_asked_to() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            let client = client([lab.candidate(wire, "m")]);
            let request = Request::from("Name a city, as JSON.");
            let plain = ask(&client, strategy, request.clone()).await;
            assert_eq!(plain.report.response().unwrap().structured_output_honored, None);
            let asked = request.response_format(ResponseFormat::json_schema("city", city()));
            let asked = ask(&client, strategy, asked).await;
            let answer = asked.report.response().unwrap();
            assert_eq!(answer.structured_output_honored, Some(true), "{wire}");
            let told: Value = serde_json::from_str(&answer.text).unwrap();
            assert!(told["name"].is_string() && told["people"].is_i64(), "{told}");
        }
    }
}

#[tokio::test]
async fn a_format_that_the_users_own_words_replace_is_not_honored() {
    let lab = Lab::start().await;
    let plain =
        Request::from("Name a city, as JSON.").response_format(ResponseFormat::json_schema("city", city()));
    let format = json!({"type": "json_schema", "schema": city()});
    let replaced = plain.clone().extra("openai", "response_format", json!({"type": "json_object"})).extra(
        "anthropic",
        "output_config",
        json!({"format": format}),
    );
    let beside = plain.extra("openai", "verbosity", "low").extra(
        "anthropic",
        "output_config",
        json!({"effort": "low"}),
    );
    for (request, honored) in [(replaced, false), (beside, true)] {
        for wire in WIRES {
            let asked = ask(&client([lab.candidate(wire, "m")]), Strategy::Failover, request.clone()).await;
            let answer = asked.report.response().unwrap_or_else(|| panic!("{:?}", asked.report));
            assert_eq!(answer.structured_output_honored, Some(honored), "{wire}");
        }
    }
}

#[tokio::test]
async fn who_cannot_do_what_is_asked_is_passed_over() {
    for strategy in Strategy::ALL {
        let lab = Lab::start().await;
        let adapter = OpenAi::builder("plain").base_url(lab.simulator.base_url()).key("plain");
        let adapter = adapter.lacks(Capability::Tools).lacks(Capability::Images);
        let adapter = adapter.http_client(lab.http.clone()).build().unwrap();
        let plain = || Candidate::new(Arc::new(adapter.clone()));
        let object = Request::from("Name a city, as JSON.").response_format(ResponseFormat::JsonObject);
        let picture = Message::user("What is this?").image(Image::url("https://example.com/cat.png"));
        let tool = Tool::new("weather", city());
        for (candidate, request) in [
            (lab.candidate(Wire::Anthropic, "claude"), object),
            (plain(), Request::new([picture])),
            (plain(), Request::from("weather?").tool(tool)),
        ] {
            let name = candidate.key().to_owned();
            let client = client([candidate, lab.candidate(Wire::OpenAi, "gpt")]);
            let asked = ask(&client, strategy, request).await;
            let told = trail(&asked.report);
            assert_eq!(told.len(), 2, "{told:?}");
            assert_eq!(told[0], format!("{name} preempted_unsupported unsupported"));
            assert!(told[1].starts_with("gpt success"), "{told:?}");
            assert_eq!(lab.simulator.received(&name), 0);
        }
    }
}

#[tokio::test]
async fn images_are_seen_by_address_and_as_bytes() {
    let png = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
    let question = Message::user("What changed?")
        .image(Image::url("https://example.com/before.png"))
        .image(Image::bytes("image/png", png));
    let lab = Lab::start().await;
    for wire in WIRES {
        let model = wire.to_string();
        let client = client([lab.candidate(wire, &model)]);
        let asked = ask(&client, Strategy::Failover, Request::new([question.clone()])).await;
        assert!(asked.report.succeeded(), "{:?}", trail(&asked.report));
        let body = lab.simulator.requests(&model)[0].body.to_string();
        assert!(body.contains("https://example.com/before.png") && body.contains("iVBORw0KGgo="), "{body}");
    }
}

/// Only one of the two takes a picture as a tool's result.
#[tokio::test]
async fn an_image_in_a_result_goes_to_who_can_take_it() {
    let lab = Lab::start().await;
    lab.simulator.on("gpt", Behaviour::empty().tool_call("screenshot", "{}"));
    let tool = Tool::new("screenshot", json!({"type": "object"}));
    let mut request = Request::from("What is on the screen?").tool(tool).tool_choice(ToolChoice::Required);
    let gpt = || lab.candidate(Wire::OpenAi, "gpt");
    let first = ask(&client([gpt()]), Strategy::Failover, request.clone()).await;
    let answer = first.report.response().unwrap();
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
    request.messages.push(Message::from(answer));
    let shot = Message::tool(&answer.tool_calls[0].id, "screenshot", "");
    request.messages.push(shot.image(Image::bytes("image/png", *b"\x89PNG")));
    request.tool_choice = None;
    let client = client([gpt(), lab.candidate(Wire::Anthropic, "claude")]);
    let asked = ask(&client, Strategy::Failover, request).await;
    assert_eq!(trail(&asked.report), ["gpt preempted_unsupported unsupported", "claude success @stream"],);
}

#[tokio::test]
async fn a_tool_that_must_be_called_is_called() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            let client = client([lab.candidate(wire, "m")]);
            let request = Request::from("How is it in Ulm?")
                .tool(Tool::new("weather", city()))
                .tool(Tool::new("time", json!({"type": "object"})));
            for (choice, called) in [
                (ToolChoice::Auto, None),
                (ToolChoice::None, None),
                (ToolChoice::Required, Some("weather")),
                (ToolChoice::Named("time".into()), Some("time")),
            ] {
                let request = request.clone().tool_choice(choice).parallel_tool_calls(false);
                let asked = ask(&client, strategy, request).await;
                let answer = asked.report.response().unwrap();
                let name = answer.tool_calls.first().map(|call| call.name.as_str());
                assert_eq!(name, called, "{wire} {strategy:?}");
            }
        }
    }
}

#[tokio::test]
async fn marks_and_counts_of_the_prompt_cache_go_both_ways() {
    let lab = Lab::start().await;
    let counted = llm_simulator::Usage {
        cache_read_tokens: 100,
        cache_write_tokens: 7,
        ..llm_simulator::Usage::new(18, 27)
    };
    lab.simulator
        .otherwise(Behaviour::answer("ok").usage(llm_simulator::Usage { reasoning_tokens: 9, ..counted }));
    let request = Request::new([
        Message::system("Very long instructions.").cached(CacheTtl::OneHour),
        Message::user("Hello").cached(CacheTtl::FiveMinutes),
    ]);
    let usage = async |wire| {
        let asked = ask(&client([lab.candidate(wire, "m")]), Strategy::FailoverStream, request.clone()).await;
        asked.report.usage()
    };
    let told = Usage {
        input_tokens: Some(18),
        output_tokens: Some(27),
        cache_read_tokens: Some(100),
        cache_write_tokens: Some(7),
        reasoning_tokens: Some(9),
    };
    assert_eq!(told.total(), Some(152));
    assert_eq!(usage(Wire::Anthropic).await, told);
    // OpenAI counts the cache's part in the prompt, and so in another sum.
    assert_eq!(usage(Wire::OpenAi).await, told);
    let bodies = lab.simulator.requests("m");
    assert_eq!(bodies[0].body["system"][0]["cache_control"], json!({"type": "ephemeral", "ttl": "1h"}));
    assert_eq!(bodies[0].body["messages"][0]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
    assert!(!bodies[1].body.to_string().contains("cache_control"));
}

#[tokio::test]
async fn what_the_provider_sent_is_kept_when_it_is_asked_for() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            lab.simulator.otherwise(Behaviour::answer("Hello there"));
            let client = client([lab.candidate(wire, "m")]);
            let asked = ask(&client, strategy, Request::from("Hi")).await;
            assert!(asked.report.response().unwrap().raw.is_empty());
            let asked = ask(&client, strategy, Request::from("Hi").keep_raw()).await;
            let raw = &asked.report.response().unwrap().raw;
            assert!(raw.len() > 2 && raw.iter().any(|data| data.contains(" there")), "{wire}: {raw:?}");
            let json = raw.iter().filter(|data| *data != "[DONE]");
            assert!(json.clone().all(|data| serde_json::from_str::<Value>(data).is_ok()), "{raw:?}");
        }
    }
}

#[tokio::test]
async fn tools_and_thoughts_survive_in_the_report() {
    let lab = Lab::start().await;
    lab.simulator
        .otherwise(Behaviour::answer("So.").reasoning("Hm.").tool_call("weather", r#"{"name":"Ulm"}"#));
    let request = Request::from("How is it?").tool(Tool::new("weather", city()));
    let asked = ask(&both(&lab), Strategy::Failover, request).await;
    let json = serde_json::to_string(&asked.report).unwrap();
    let read: llm_reliability::Report = serde_json::from_str(&json).unwrap();
    let (before, after) = (asked.report.response().unwrap(), read.response().unwrap());
    assert_eq!(before, after);
    assert_eq!((before.tool_calls.len(), before.opaque.len()), (1, 1));
}
