//! The three ways to configure a client, compared row by row: from the environment, by the builder, by explicit specs.

use std::fs;
use std::process::Command;

use llm_client::llm_reliability::{Candidate, Ended, RoundRobin};
use llm_client::{Builder, CandidateSpec, Config, ConfigError, OpenAiProvider, Provider, Registry, from_env};
use llm_reliability::{Report, ResilientClient};
use llm_simulator::{Behaviour, Script, Simulator};
use llm_tests::{http, secs};

/// An environment in which these variables hold a key that is made of their name.
fn environment(variables: &'static [&'static str]) -> Registry {
    let lookup = |name: &str| variables.contains(&name).then(|| format!("key of {name}").into());
    Registry::new().credentials(lookup).http_client(http(secs(30)))
}

fn keys(client: &ResilientClient) -> Vec<String> {
    client.candidates().map(|candidate| candidate.key().to_owned()).collect()
}

fn models(report: &Report) -> Vec<&str> {
    report.attempts().iter().map(|attempt| &*attempt.model_key).collect()
}

/// The credentials that arrived with the requests for a model.
fn credentials(simulator: &Simulator, model: &str) -> Vec<String> {
    let requests = simulator.requests(model);
    requests.iter().map(|request| request.header("authorization").unwrap().to_owned()).collect()
}

fn host(simulator: &Simulator) -> String {
    format!("{}/v1", simulator.base_url())
}

/// A candidate at the simulator, from each of the three ways.
fn three_ways(simulator: &Simulator) -> [ResilientClient; 3] {
    let at_hand = OpenAiProvider::new().base_url(host(simulator)).api_key_env("OPENAI_API_KEY");
    let from_env = Builder::with_registry(environment(&["OPENAI_API_KEY"]).provider("openai", at_hand));
    let built =
        Provider::new("openai", "gpt-4o-mini").base_url(host(simulator)).api_key("key of OPENAI_API_KEY");
    let mut spec = CandidateSpec::new("openai", "gpt-4o-mini");
    spec.base_url = Some(host(simulator));
    spec.api_key_env = Some("OPENAI_API_KEY".into());
    let mut config = Config::default();
    config.candidates.push(spec);
    [
        from_env.add_from_env([("openai", "gpt-4o-mini")]).build().unwrap(),
        Builder::with_registry(environment(&[])).add(built).build().unwrap(),
        config.build(&environment(&["OPENAI_API_KEY"])).unwrap(),
    ]
}

#[tokio::test]
async fn one_model_of_a_provider_is_the_same_in_all_three() {
    let simulator = Simulator::start().await.unwrap();
    for client in three_ways(&simulator) {
        let report = client.failover("Hi").await.unwrap();
        assert_eq!((models(&report), report.succeeded()), (vec!["openai:gpt-4o-mini"], true));
    }
    assert_eq!(credentials(&simulator, "gpt-4o-mini"), ["Bearer key of OPENAI_API_KEY"; 3]);
}

/// Two keys of one vendor: turns between them, and one takes over when the other is throttled.
#[tokio::test]
async fn several_keys_of_one_provider_are_for_the_builder_and_for_specs() {
    let at = |simulator: &Simulator, id: &str| {
        let mut spec = CandidateSpec::new("openai", "gpt-4o-mini");
        spec.id = Some(id.into());
        spec.base_url = Some(host(simulator));
        spec
    };
    for explicit in [false, true] {
        let simulator = Simulator::start().await.unwrap();
        let steps =
            vec![Behaviour::default(), Behaviour::default(), Behaviour::status(429), Behaviour::default()];
        simulator.script("gpt-4o-mini", Script::from(steps));
        let of = |n: usize| {
            let spec = at(&simulator, &format!("openai-{n}"));
            let by_hand =
                Provider::new("openai", "gpt-4o-mini").id(format!("openai-{n}")).base_url(host(&simulator));
            (if explicit { spec.into() } else { by_hand }).api_key(format!("key-{n}"))
        };
        let builder =
            Builder::with_registry(environment(&[])).add(of(1)).add(of(2)).client_builder().unwrap();
        let client = builder.order(RoundRobin::default()).build().unwrap();
        let mut asked = Vec::new();
        for _ in 0..3 {
            asked.push(models(&client.failover("Hi").await.unwrap()).join(","));
        }
        assert_eq!(asked, ["openai-1", "openai-2", "openai-1,openai-2"]);
        let expected = ["Bearer key-1", "Bearer key-2", "Bearer key-1", "Bearer key-2"];
        assert_eq!(credentials(&simulator, "gpt-4o-mini"), expected);
    }
    let twice = [("openai", "gpt-4o-mini"), ("openai", "gpt-4o-mini")];
    let twice = Builder::with_registry(environment(&["OPENAI_API_KEY"])).add_from_env(twice);
    assert!(matches!(twice.build(), Err(ConfigError::Repeated { .. })), "one variable holds one key");
}

#[test]
fn several_models_of_one_provider_are_possible_in_all_three() {
    let expected = ["openai:gpt-4o-mini", "openai:gpt-4o"];
    let env = Builder::with_registry(environment(&["OPENAI_API_KEY"]));
    let env = env.add_from_env(["gpt-4o-mini", "gpt-4o"].map(|model| ("openai", model)));
    let of = |model| Provider::new("openai", model).api_key("key");
    let built = Builder::with_registry(environment(&[])).add(of("gpt-4o-mini")).add(of("gpt-4o"));
    let mut config = Config::default();
    config.candidates.extend(["gpt-4o-mini", "gpt-4o"].map(|model| CandidateSpec::new("openai", model)));
    let spelled = config.build(&environment(&["OPENAI_API_KEY"])).unwrap();
    for client in [env.build().unwrap(), built.build().unwrap(), spelled] {
        assert_eq!(keys(&client), expected);
    }
}

#[tokio::test]
async fn priorities_are_for_the_builder_and_for_specs() {
    let simulator = Simulator::start().await.unwrap();
    simulator.otherwise(Behaviour::status(529));
    let at_hand = OpenAiProvider::new().base_url(host(&simulator)).api_key_env("OPENAI_API_KEY");
    let registry = || environment(&["OPENAI_API_KEY"]).provider("openai", at_hand.clone());
    let spec = |model: &str, priority| {
        let mut spec = CandidateSpec::new("openai", model);
        spec.priority = priority;
        spec
    };
    let built = |model, priority| Provider::new("openai", model).priority(priority).api_key("key");
    let mut config = Config::default();
    config.candidates.extend([spec("last", 2), spec("first", 0), spec("second", 1)]);
    let by_priority = ["openai:first", "openai:second", "openai:last"];
    let builder = || Builder::with_registry(registry());
    let env = builder().add_from_env(["last", "first", "second"].map(|model| ("openai", model)));
    let hand = builder().add(built("last", 2)).add(built("first", 0)).add(built("second", 1));
    for (client, expected) in [
        (env.build().unwrap(), ["openai:last", "openai:first", "openai:second"]),
        (hand.build().unwrap(), by_priority),
        (config.build(&registry()).unwrap(), by_priority),
    ] {
        let report = client.failover("Hi").await.unwrap();
        assert_eq!((report.ended(), models(&report)), (Ended::Exhausted, expected.to_vec()));
    }
}

#[test]
fn a_missing_credential_is_skipped_from_the_environment_and_an_error_elsewhere() {
    let models = [("anthropic", "claude"), ("openai", "gpt")];
    let env = Builder::with_registry(environment(&["OPENAI_API_KEY"])).add_from_env(models);
    assert_eq!(env.skipped().len(), 1);
    assert_eq!(keys(&env.build().unwrap()), ["openai:gpt"]);

    let built =
        Builder::with_registry(environment(&["ANTHROPIC_API_KEY"])).add(Provider::new("anthropic", "claude"));
    assert!(matches!(built.build(), Err(ConfigError::MissingCredential { .. })), "nothing is looked up");
    let mut config = Config::default();
    config.candidates.push(CandidateSpec::new("anthropic", "claude"));
    let error = config.build(&environment(&["OPENAI_API_KEY"])).unwrap_err();
    assert!(matches!(&error, ConfigError::MissingVariable { .. }));
    assert!(error.to_string().contains("`ANTHROPIC_API_KEY`"), "it is named: {error}");
}

#[test]
fn each_provider_has_its_usual_variable() {
    const VARIABLES: [(&str, &[&str]); 3] = [
        ("anthropic", &["ANTHROPIC_API_KEY"]),
        ("openrouter", &["OPENROUTER_API_KEY"]),
        ("openai", &["OPENAI_API_KEY"]),
    ];
    for (provider, variable) in VARIABLES {
        let all = || VARIABLES.map(|(provider, _)| (provider, "m"));
        let builder = Builder::with_registry(environment(variable)).add_from_env(all());
        let skipped: Vec<_> = builder.skipped().iter().map(|skipped| skipped.provider.clone()).collect();
        let others: Vec<_> =
            all().iter().map(|(other, _)| *other).filter(|other| *other != provider).collect();
        assert_eq!(skipped, others);
        assert_eq!(keys(&builder.build().unwrap()), [format!("{provider}:m")]);
    }
}

/// Same prompt, another vendor's model: "we just need some answer".
#[tokio::test]
async fn another_vendors_model_answers_where_the_first_ones_does_not() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-haiku-4-5-20251001", Behaviour::status(529));
    simulator.on("gpt-4o-mini", Behaviour::answer("Some answer"));
    let claude = Provider::new("anthropic", "claude-haiku-4-5-20251001").base_url(simulator.base_url());
    let gpt = Provider::new("openai", "gpt-4o-mini").base_url(host(&simulator));
    let client = Builder::with_registry(environment(&[])).add(claude).add(gpt).build().unwrap();
    let report = client.failover("Tell me a joke.").await.unwrap();
    assert_eq!(models(&report), ["anthropic:claude-haiku-4-5-20251001", "openai:gpt-4o-mini"]);
    assert_eq!(report.into_result().unwrap().text, "Some answer");
    for model in ["claude-haiku-4-5-20251001", "gpt-4o-mini"] {
        let request = simulator.requests(model).remove(0);
        assert!(request.body["messages"].to_string().contains("Tell me a joke."), "{model}: the same prompt");
    }
}

/// A process of its own, where there is a `.env`: what it finds there is not in its environment.
#[test]
fn dotenv_files_are_left_to_the_application() {
    let folder = std::env::temp_dir().join(format!("needs-dotenv-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(".env"), "XAI_API_KEY=from-a-file\n").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ways_in::the_environment_is_read_by_this_process", "--nocapture"])
        .env_remove("XAI_API_KEY")
        .current_dir(&folder)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("asked ollama:llama alone"), "{said}");
}

#[test]
fn the_environment_is_read_by_this_process() {
    let ready = from_env([("xai", "grok"), ("ollama", "llama")]).unwrap();
    let asked: Vec<_> = ready.client.candidates().map(Candidate::key).collect();
    assert_eq!(asked.len() + ready.skipped.len(), 2);
    // For the test above, which runs this one in a process of its own.
    println!("\nasked {} alone", asked.join(" and "));
}
