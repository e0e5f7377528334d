//! Answers of every kind: the SDK, our adapter and the script of the simulator agree on what they say.

use llm_protocol::{FinishReason, Usage};
use llm_simulator::{Behaviour, Host, Simulator, Wire};
use llm_tests::WIRES;
use serde_json::{Value, json};

use crate::judge::{Differences, Exhibit, Read, read};
use crate::said::Said;

/// A behaviour, and what there is to be read of it with OpenAI and with Anthropic, where they have it. Usage and ids
/// that are not set are not looked at.
struct Case {
    name: &'static str,
    behaviour: Behaviour,
    openai: Option<Said>,
    anthropic: Option<Said>,
}

impl Case {
    fn new(name: &'static str, behaviour: Behaviour, says: Said) -> Self {
        Self { name, behaviour, openai: Some(says.clone()), anthropic: Some(says) }
    }

    fn openai_only(self) -> Self {
        Self { anthropic: None, ..self }
    }

    fn openai(mut self, own: impl FnOnce(&mut Said)) -> Self {
        self.openai.as_mut().map(own);
        self
    }

    fn anthropic(mut self, own: impl FnOnce(&mut Said)) -> Self {
        self.anthropic.as_mut().map(own);
        self
    }

    fn says(&self, wire: Wire) -> Option<&Said> {
        if wire == Wire::OpenAi { self.openai.as_ref() } else { self.anthropic.as_ref() }
    }
}

fn says(text: &str, finish: FinishReason) -> Said {
    Said { text: text.to_owned(), finish: Some(finish), ..Said::default() }
}

fn calls<const N: usize>(text: &str, calls: [(&str, &str, Value); N]) -> Said {
    let calls = calls.map(|(id, name, arguments)| (id.to_owned(), name.to_owned(), arguments)).to_vec();
    Said { calls, ..says(text, FinishReason::ToolCalls) }
}

fn cases() -> Vec<Case> {
    use FinishReason::{ContentFilter, Length, Stop};
    let (oslo, json) = (r#"{"city": "Oslo \"Ø\" \n 🌧"}"#, r#"{"city":"Oslo","degrees":-7.5,"wet":true}"#);
    let city = || json!({"city": "Oslo \"Ø\" \n 🌧"});
    let call = |behaviour: Behaviour| behaviour.tool_call_with_id("call_1", "weather", oslo);
    let counted = llm_simulator::Usage {
        cache_read_tokens: 100,
        cache_write_tokens: 7,
        reasoning_tokens: 9,
        ..llm_simulator::Usage::new(18, 27)
    };
    let usage = Usage {
        input_tokens: Some(18),
        output_tokens: Some(27),
        cache_read_tokens: Some(100),
        cache_write_tokens: Some(7),
        reasoning_tokens: Some(9),
    };
    let international = "Grüß dich, 世界 🌍 \u{301}\r\n\t\"\\ \u{2028}";
    vec![
        Case::new("text", Behaviour::answer(international), says(international, Stop)),
        Case::new("characters in halves", Behaviour::answer("é 😀 世").split_utf8(), says("é 😀 世", Stop)),
        Case::new("nothing", Behaviour::empty(), says("", Stop)),
        Case::new("cut off", Behaviour::answer("So it").finish("length"), says("So it", Length)),
        Case::new("filtered", Behaviour::answer("So").finish("content_filter"), says("So", ContentFilter))
            .anthropic(|said| said.refusal = Some(String::new())),
        Case::new("refused", Behaviour::refusal(Behaviour::default(), "I will not"), says("", Stop))
            .openai(|said| said.refusal = Some("I will not".to_owned()))
            .anthropic(|said| {
                *said = Said { refusal: Some(String::new()), ..says("I will not", ContentFilter) };
            }),
        Case::new(
            "reasoning",
            Behaviour::answer("It rains").reasoning("Grau und naß …"),
            Said { reasoning: "Grau und naß …".to_owned(), ..says("It rains", Stop) },
        ),
        Case::new(
            "secret reasoning",
            Behaviour::answer("It rains").reasoning("Let me see").redacted_reasoning("hush"),
            Said { reasoning: "Let me see".to_owned(), ..says("It rains", Stop) },
        ),
        Case::new("a call", call(Behaviour::default()), calls("", [("call_1", "weather", city())])),
        Case::new(
            "calls in parallel",
            call(Behaviour::default()).tool_call_with_id("call_2", "weather", r#"{"city": "Rio"}"#),
            calls("", [("call_1", "weather", city()), ("call_2", "weather", json!({"city": "Rio"}))]),
        ),
        Case::new(
            "reasoning, text and calls",
            call(Behaviour::answer("Let me look.").reasoning("Hm")).tool_call("now", "{}"),
            Said {
                reasoning: "Hm".to_owned(),
                ..calls("Let me look.", [("call_1", "weather", city()), ("", "now", json!({}))])
            },
        ),
        Case::new(
            "a call without arguments",
            Behaviour::default().tool_call("now", ""),
            calls("", [("", "now", json!({}))]),
        )
        .openai(|said| said.calls[0].2 = json!("")),
        Case::new("counts", Behaviour::answer("Five").usage(counted), Said { usage, ..says("Five", Stop) }),
        Case::new("no counts", Behaviour::answer("Five").no_usage(), says("Five", Stop)).openai_only(),
        Case::new("no last marker", Behaviour::answer("Five").no_done(), says("Five", Stop)).openai_only(),
        Case::new("a stop sequence", Behaviour::answer("Five").stop_sequence("END"), says("Five", Stop)),
        Case::new("JSON", Behaviour::answer(json), says(json, Stop)),
        Case::new("another id", Behaviour::answer("Hi").model_id("model-2026"), says("Hi", Stop))
            .openai(|said| said.model = Some("model-2026".to_owned()))
            .anthropic(|said| said.model = Some("model-2026".to_owned())),
    ]
}

fn hosts() -> Vec<Case> {
    let hosts = [
        ("groq", Host::Groq),
        ("openrouter", Host::OpenRouter),
        ("deepseek", Host::DeepSeek),
        ("mistral", Host::Mistral),
    ];
    let case = |(name, host)| {
        let behaviour =
            Behaviour::answer("Let me look.").reasoning("Hm hm").tool_call("now", r#"{"zone": 1}"#);
        let said = calls("Let me look.", [("", "now", json!({"zone": 1}))]);
        Case::new(name, behaviour.host(host), Said { reasoning: "Hm hm".to_owned(), ..said }).openai_only()
    };
    hosts.map(case).into()
}

/// Every case of every vendor, streamed and whole.
async fn exhibits(cases: &[Case]) -> Vec<(Exhibit, Said)> {
    let simulator = Simulator::start().await.unwrap();
    let mut exhibits = Vec::new();
    for case in cases {
        simulator.on(case.name, case.behaviour.clone());
        for wire in WIRES {
            let Some(says) = case.says(wire) else { continue };
            for stream in [false, true] {
                let exhibit = Exhibit::of(&simulator, wire, case.name, stream).await;
                let model = says.model.clone().or(Some(case.name.to_owned()));
                exhibits.push((exhibit, Said { model, ..says.clone() }));
            }
        }
    }
    exhibits
}

fn compare(differences: &mut Differences, exhibit: &Exhibit, expected: &Said, read: &Read) {
    differences.note(exhibit, "an exception of the SDK", &read.raised, &Value::Null);
    let error = read.ours.error.as_ref().map(ToString::to_string);
    differences.note(exhibit, "an error of ours", error, None);
    differences.note(exhibit, "our adapter (expected: the SDK)", &read.ours.said, &read.sdk);
    let mut expected = expected.clone();
    if expected.usage.is_unknown() {
        expected.usage = read.sdk.usage;
    }
    for (expected, found) in
        expected.calls.iter_mut().zip(&read.sdk.calls).filter(|(call, _)| call.0.is_empty())
    {
        expected.0.clone_from(&found.0);
    }
    differences.note(exhibit, "the SDK (expected: the script)", &read.sdk, &expected);
    differences.note(exhibit, "what pydantic says", &read.invalid, &json!([]));
}

#[tokio::test]
async fn the_sdks_and_our_adapters_make_the_same_of_every_answer() {
    let (exhibits, expected): (Vec<_>, Vec<_>) = exhibits(&cases()).await.into_iter().unzip();
    let mut differences = Differences::default();
    for ((exhibit, expected), read) in exhibits.iter().zip(&expected).zip(read(&exhibits).await) {
        compare(&mut differences, exhibit, expected, &read);
        // The one field that OpenAI itself does not have.
        let reasoning = exhibit.wire == Wire::OpenAi && !expected.reasoning.is_empty();
        let place = if exhibit.stream { "choices.delta" } else { "choices.message" };
        let unknown = if reasoning { json!([format!("{place}.reasoning_content")]) } else { json!([]) };
        differences.note(exhibit, "fields that the SDK does not know", &read.strange, &unknown);
    }
    differences.none();
}

#[tokio::test]
async fn the_sdk_of_openai_and_our_adapter_make_the_same_of_its_compatible_hosts() {
    let (mut exhibits, expected): (Vec<_>, Vec<_>) = exhibits(&hosts()).await.into_iter().unzip();
    for exhibit in &mut exhibits {
        exhibit.provider = exhibit.name.split(' ').next().unwrap().to_owned();
    }
    let mut differences = Differences::default();
    for ((exhibit, expected), read) in exhibits.iter().zip(&expected).zip(read(&exhibits).await) {
        compare(&mut differences, exhibit, expected, &read);
    }
    differences.none();
}
