//! A tool that two vendors take turns with: one asks for it and fails before it hears the result, the other answers.
//!
//! `cargo run --bin tools` needs no key and no network: a simulator on loopback plays the vendors. With `-- --live` the
//! real ones answer whose keys are in `ANTHROPIC_API_KEY` and `OPENAI_API_KEY`.

use std::error::Error;
use std::io::Write;

use clap::Parser;
use llm_client::{Builder, Provider};
use llm_protocol::{Message, Request, Tool};
use llm_reliability::ResilientClient;
use llm_simulator::{Behaviour, Simulator};
use serde_json::{Value, json};

/// How often the model may ask for tools before it has to have an answer.
const TURNS: usize = 5;

/// Shows a conversation with tools that goes on with another vendor.
#[derive(Parser)]
struct Options {
    /// Let the real vendors answer whose keys are in `ANTHROPIC_API_KEY` and `OPENAI_API_KEY`.
    #[arg(long)]
    live: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::start().await?;
    let client = if Options::parse().live { real()? } else { simulated(&simulator)? };
    let mut out = anstream::stdout();

    let parameters = json!({
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    });
    let mut request = Request::from("Is it warmer in Ulm or in Bonn?")
        .tool(Tool::new("weather", parameters).description("Tells the weather in a city."));
    for _ in 0..TURNS {
        let report = client.failover(request.clone()).await?;
        for attempt in report.attempts() {
            writeln!(out, "  [{attempt}]")?;
        }
        let answer = report.into_result()?;
        if !answer.text.is_empty() {
            writeln!(out, "model: {}", answer.text)?;
        }
        if answer.tool_calls.is_empty() {
            break;
        }
        // Whoever is asked next takes it from here: ids, order and what only one vendor can read are its adapter's matter.
        request.messages.push(Message::from(&answer));
        for call in &answer.tool_calls {
            let result = weather(&call.arguments);
            writeln!(out, "model: {}({}) -> {result}", call.name, call.arguments)?;
            request.messages.push(Message::tool(&call.id, &call.name, result));
        }
    }
    Ok(())
}

/// The tool itself. What a model asks for may be anything, so what is wrong with it is an answer too.
fn weather(arguments: &str) -> String {
    let city = serde_json::from_str::<Value>(arguments).ok();
    match city.as_ref().and_then(|arguments| arguments.get("city")).and_then(Value::as_str) {
        Some("Ulm") => "24 °C, sunny".to_owned(),
        Some("Bonn") => "21 °C, clouds".to_owned(),
        Some(_) => "nobody knows".to_owned(),
        None => "the argument `city` is missing".to_owned(),
    }
}

fn real() -> Result<ResilientClient, llm_client::ConfigError> {
    let vendors = llm_client::from_env([("anthropic", "claude-haiku-4-5"), ("openai", "gpt-5-mini")])?;
    Ok(vendors.client)
}

/// One vendor calls the tool and is overloaded from then on; the other answers.
fn simulated(simulator: &Simulator) -> Result<ResilientClient, llm_client::ConfigError> {
    let calls = Behaviour::answer("Let me look both up.")
        .reasoning("Two cities, two calls.")
        .tool_call("weather", r#"{"city":"Ulm"}"#)
        .tool_call("weather", r#"{"city":"Bonn"}"#);
    simulator.script("claude-haiku-4-5", [calls, Behaviour::status(529)]);
    simulator.on("gpt-5-mini", Behaviour::answer("In Ulm: 24 °C, and 21 °C in Bonn."));
    let host = simulator.base_url();
    Builder::new()
        .add(Provider::new("anthropic", "claude-haiku-4-5").base_url(&host).api_key("a key"))
        .add(Provider::new("openai", "gpt-5-mini").base_url(format!("{host}/v1")).api_key("a key"))
        .build()
}
