//! The scenario that robust-llm-chain begins with, as a whole: Claude at Anthropic and at OpenRouter, turns between them,
//! and whoever stumbles is relieved by the other.

use llm_client::{Builder, Provider, Registry};
use llm_protocol::{Category, ErrorKind};
use llm_reliability::{
    Attempt, Call, Ended, Launch, Phase, Price, Report, ResilientClient, RoundRobin, Timeouts,
};
use llm_simulator::{Behaviour, Script, Simulator, Usage};
use llm_tests::{Strategy, ask, http, secs, trail};

const DIRECT: &str = "claude-haiku-4-5-20251001";
const ROUTED: &str = "anthropic/claude-haiku-4.5";
const KEYS: [&str; 2] = ["the-key-of-anthropic", "the-key-of-openrouter"];

/// Nobody looks anything up in the environment.
fn builder() -> Builder {
    let registry = Registry::new().credentials(|name| panic!("{name} was looked up"));
    Builder::with_registry(registry.http_client(http(secs(30))))
}

fn anthropic(simulator: &Simulator) -> Provider {
    Provider::new("anthropic", DIRECT).base_url(simulator.base_url()).api_key(KEYS[0]).id("anthropic-direct")
}

fn openrouter(simulator: &Simulator) -> Provider {
    let base = format!("{}/api/v1", simulator.base_url());
    Provider::new("openrouter", ROUTED).base_url(base).api_key(KEYS[1]).id("openrouter-claude").priority(1)
}

fn client(simulator: &Simulator) -> ResilientClient {
    let builder = builder().add(anthropic(simulator)).add(openrouter(simulator)).client_builder().unwrap();
    builder.order(RoundRobin::default()).build().unwrap()
}

fn outcomes(report: &Report) -> Vec<(&str, &str)> {
    report.attempts().iter().map(|attempt| (&*attempt.model_key, attempt.outcome.as_str())).collect()
}

#[tokio::test]
async fn two_paths_to_claude_take_turns_and_relieve_each_other() {
    const A: &str = "anthropic-direct";
    const O: &str = "openrouter-claude";
    for strategy in Strategy::ALL {
        let simulator = Simulator::start().await.unwrap();
        let fine = || Behaviour::answer("I am Claude.");
        let (busy, pending) = (Behaviour::status(529), Behaviour::stall());
        let throttled = Behaviour::status(429);
        simulator.script(DIRECT, Script::from(vec![fine(), busy, fine(), pending, fine()]));
        simulator.script(ROUTED, Script::from(vec![fine(), fine(), throttled, fine()]));
        let client = client(&simulator);
        for (call, expected) in [
            (1, &[(A, "success")][..]),
            (2, &[(O, "success")]),
            (3, &[(A, "failed"), (O, "success")]),
            (4, &[(O, "deferred_backpressure"), (A, "success")]),
            (5, &[(A, "failed"), (O, "success")]),
            (6, &[(O, "success")]),
        ] {
            let mut asked = Call::new("Introduce yourself in two lines.");
            if call == 5 {
                // Long enough for the other to answer on a busy machine.
                asked = asked.timeouts(Timeouts::new().first_token(secs(1)));
            }
            let asked = ask(&client, strategy, asked).await;
            assert_eq!(outcomes(&asked.report), expected, "call {call}, {strategy:?}");
            assert_eq!((asked.report.ended(), asked.text.as_str()), (Ended::Answered, "I am Claude."));
            let first = &asked.report.attempts()[0];
            let kind = match call {
                3 => Some(ErrorKind::Overloaded),
                4 => Some(ErrorKind::RateLimited),
                5 => Some(ErrorKind::Timeout(llm_protocol::Clock::FirstToken)),
                _ => None,
            };
            assert_eq!(first.error().map(llm_protocol::Error::kind), kind, "call {call}, {strategy:?}");
        }
        // Each path got its own credential, where its vendor looks for it.
        let sent = |model, header| {
            let keys = simulator.requests(model);
            keys.iter().map(|request| request.header(header).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(sent(DIRECT, "x-api-key"), [KEYS[0]; 4]);
        assert_eq!(sent(ROUTED, "authorization"), vec![format!("Bearer {}", KEYS[1]); 5]);
    }
}

#[tokio::test]
async fn a_result_has_all_there_is_to_log_of_a_good_call() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on(DIRECT, Behaviour::answer("I am Claude.").usage(Usage::new(18, 27)));
    let client = client(&simulator);
    let report = client.failover("Introduce yourself.").await.unwrap();
    assert_eq!(trail(&report), ["anthropic-direct success @stream"]);
    let [attempt] = report.attempts() else { panic!("{report:?}") };
    let Attempt { model_key, provider, model_id, launch, phase, .. } = attempt;
    assert_eq!((&**model_key, &**provider, &**model_id), ("anthropic-direct", "anthropic", DIRECT));
    assert_eq!((*launch, *phase, attempt.fallback_eligible), (Launch::Primary, Some(Phase::Stream), false));
    assert!(attempt.error().is_none() && !report.degraded());
    assert!(attempt.first_token.is_some_and(|first| first <= attempt.latency));
    assert!(attempt.latency <= report.elapsed());
    let usage = report.usage();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total()), (Some(18), Some(27), Some(45)));
    assert_eq!(
        (&attempt.cost, report.cost()),
        (&None, Vec::new()),
        "no price, no cost, though tokens are known"
    );
    assert_eq!(report.into_result().unwrap().text, "I am Claude.");
}

#[tokio::test]
async fn a_result_has_all_there_is_to_log_of_a_relief() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on(DIRECT, Behaviour::status(529).error_message("Overloaded"));
    simulator.on(ROUTED, Behaviour::answer("I am Claude.").usage(Usage::new(1_000_000, 500_000)));
    let priced = |provider: Provider, input: &str, output: &str| {
        provider.price(Price::new("USD", input.parse().unwrap(), output.parse().unwrap()))
    };
    let client = builder()
        .add(priced(anthropic(&simulator), "0.80", "4.00"))
        .add(priced(openrouter(&simulator), "1.00", "5.00"))
        .build()
        .unwrap();
    let report = client.failover("Introduce yourself.").await.unwrap();
    let [failed, relief] = report.attempts() else { panic!("{report:?}") };
    let error = failed.error().unwrap();
    assert_eq!((error.kind().as_str(), error.category()), ("overloaded", Category::Transient));
    assert_eq!((error.status(), error.message()), (Some(529), "Overloaded"));
    assert_eq!((failed.phase, failed.fallback_eligible), (Some(Phase::FirstToken), true));
    assert_eq!((&*relief.model_key, relief.launch), ("openrouter-claude", Launch::Failover));
    assert!(relief.start >= failed.latency);
    let cost = report.cost();
    let [cost] = &cost[..] else { panic!("{cost:?}") };
    let parts = [&cost.input, &cost.output, &cost.cache_read, &cost.cache_write, &cost.total];
    assert_eq!(cost.currency, "USD");
    assert_eq!(parts.map(ToString::to_string), ["1", "2.5", "0", "0", "3.5"]);
}
