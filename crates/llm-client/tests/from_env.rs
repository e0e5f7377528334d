//! Models whose credentials are in an environment: who is there, who is left out, and why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[cfg(all(feature = "openai", any(feature = "rustls", feature = "native-tls")))]
use llm_client::llm_reliability::Candidate;
use llm_client::{Builder, ConfigError, Registry};

const KEY: &str = "sk-hunter2-hunter2";

/// An environment in which these variables hold a key, and `GROQ_API_KEY` is empty.
fn with(variables: &'static [&'static str]) -> Builder {
    Builder::with_registry(Registry::new().credentials(move |name| match name {
        "GROQ_API_KEY" => Some(" \n".into()),
        name => variables.contains(&name).then(|| KEY.into()),
    }))
}

fn reasons(builder: &Builder) -> Vec<String> {
    builder.skipped().iter().map(ToString::to_string).collect()
}

#[test]
fn vendors_that_are_still_to_come_are_skipped() {
    let models = [("bedrock", "claude"), ("gemini", "flash"), ("azure", "gpt")];
    let missing = |variable: &str| format!("the environment variable `{variable}` is not set or empty");
    let not_built = || "not built yet".to_owned();
    for (variables, bedrock, gemini) in [
        (&[][..], missing("AWS_ACCESS_KEY_ID"), missing("GEMINI_API_KEY")),
        (&["AWS_ACCESS_KEY_ID", "GEMINI_API_KEY"], missing("AWS_SECRET_ACCESS_KEY"), not_built()),
        (&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], missing("AWS_REGION"), missing("GEMINI_API_KEY")),
        (
            &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"],
            not_built(),
            missing("GEMINI_API_KEY"),
        ),
    ] {
        let builder = with(variables).add_from_env(models);
        let expected = [
            format!("bedrock:claude: {bedrock}"),
            format!("gemini:flash: {gemini}"),
            "azure:gpt: not built yet".to_owned(),
        ];
        assert_eq!(reasons(&builder), expected);
        let error = builder.build().unwrap_err();
        assert_eq!(error.to_string(), format!("none of the models can be asked: {}", expected.join("; ")));
        assert!(matches!(error, ConfigError::AllSkipped { skipped } if skipped.len() == 3));
    }
}

#[test]
fn unknown_providers_are_skipped() {
    let builder = with(&[]).add_from_env([("acme\n", "large\u{2029}1"), ("Anthropic", "claude")]);
    let expected = [
        "acme :large 1: there is no provider of this name",
        "Anthropic:claude: there is no provider of this name",
    ];
    assert_eq!(reasons(&builder), expected);
}

#[test]
fn no_models_are_no_candidates() {
    let none: [(&str, &str); 0] = [];
    assert_eq!(llm_client::from_env(none).unwrap_err().to_string(), "there are no candidates");
}

#[cfg(not(feature = "openai"))]
#[test]
fn vendors_that_this_build_leaves_out_are_skipped() {
    let builder = with(&["OPENAI_API_KEY"]).add_from_env([("openai", "gpt"), ("ollama", "llama")]);
    let reason = "not in this build: compile llm-client with the feature `openai`";
    assert_eq!(reasons(&builder), [format!("openai:gpt: {reason}"), format!("ollama:llama: {reason}")]);
}

#[cfg(all(feature = "openai", any(feature = "rustls", feature = "native-tls")))]
#[test]
fn the_others_stay_in_their_order() {
    let builder = with(&["OPENROUTER_API_KEY", "OPENAI_API_KEY"]).add_from_env([
        ("openrouter".to_owned(), "anthropic/claude"),
        ("groq".to_owned(), "llama"),
        ("ollama".to_owned(), "llama"),
        ("deepseek".to_owned(), "chat"),
        ("openai".to_owned(), "gpt"),
    ]);
    let missing =
        |it: &str, variable: &str| format!("{it}: the environment variable `{variable}` is not set or empty");
    let expected = [missing("groq:llama", "GROQ_API_KEY"), missing("deepseek:chat", "DEEPSEEK_API_KEY")];
    assert_eq!(reasons(&builder), expected);
    let client = builder.build().unwrap();
    let keys: Vec<_> = client.candidates().map(Candidate::key).collect();
    assert_eq!(keys, ["openrouter:anthropic/claude", "ollama:llama", "openai:gpt"]);
}

/// A process of its own says whom it would ask, as the variables of this one are the machine's affair.
#[cfg(all(feature = "openai", any(feature = "rustls", feature = "native-tls")))]
#[test]
fn the_process_environment_is_what_from_env_reads() {
    use std::ffi::OsString;
    let asked = |key: Option<OsString>| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "everyone_is_asked_or_skipped", "--nocapture"]).env_remove("XAI_API_KEY");
        let output = child.envs(key.map(|key| ("XAI_API_KEY", key))).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let shown = String::from_utf8(output.stdout).unwrap();
        shown.lines().find_map(|line| line.split_once("would ask ").map(|(_, rest)| rest.to_owned())).unwrap()
    };
    let without =
        "[\"ollama:llama\"] but [\"xai:grok: the environment variable `XAI_API_KEY` is not set or empty\"]";
    assert_eq!(asked(Some(KEY.into())), "[\"xai:grok\", \"ollama:llama\"] but []");
    assert_eq!(asked(Some(" \n".into())), without);
    assert_eq!(asked(Some("".into())), without);
    assert_eq!(asked(None), without);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        // It could be sent to nobody.
        assert_eq!(asked(Some(OsString::from_vec(b"sk-\xff\xfe".to_vec()))), without);
    }
}

#[cfg(all(feature = "openai", any(feature = "rustls", feature = "native-tls")))]
#[test]
fn everyone_is_asked_or_skipped() {
    let ready = llm_client::from_env([("xai", "grok"), ("ollama", "llama")]).unwrap();
    let keys: Vec<_> = ready.client.candidates().map(Candidate::key).collect();
    let skipped: Vec<_> = ready.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(keys.len() + skipped.len(), 2);
    // For the test above, which runs this one in processes of its own.
    println!("\nwould ask {keys:?} but {skipped:?}");
}

#[cfg(all(feature = "openai", any(feature = "rustls", feature = "native-tls")))]
#[test]
fn errors_say_which_model_it_was() {
    // Those that are left out do not count.
    let models = [("groq", "llama"), ("openai", "gpt"), ("openai", "gpt")];
    let twice = with(&["OPENAI_API_KEY"]).add_from_env(models).build().unwrap_err();
    let message =
        "`openai:gpt` is there already: name it once (several keys of one provider need a `Builder` and ids)";
    assert_eq!(twice.to_string(), message);
    let broken = Registry::new().credentials(|_| Some("a\nkey".into()));
    let models = [("gemini", "flash"), ("ollama", "llama"), ("openai", "gpt")];
    let error = Builder::with_registry(broken).add_from_env(models).build().unwrap_err();
    assert!(error.to_string().starts_with("`openai:gpt` (openai): "), "{error}");
}

#[cfg(feature = "openai")]
#[tokio::test]
async fn the_key_that_was_found_is_sent() {
    use llm_client::{OpenAiProvider, Provider};
    let simulator = llm_simulator::Simulator::start().await.unwrap();
    let inhouse = OpenAiProvider::new().base_url(simulator.base_url()).api_key_env("INHOUSE_API_KEY");
    let registry = Registry::new()
        .provider("gemini", inhouse)
        .credentials(|name| Some(format!("{name} of the vault").into()));
    let client = Builder::with_registry(registry)
        .add_from_env([("gemini", "large")])
        .add(Provider::new("ollama", "never"))
        .build()
        .unwrap();
    client.failover("Hi").await.unwrap().into_result().unwrap();
    let request = &simulator.requests("large")[0];
    assert_eq!(request.header("authorization"), Some("Bearer INHOUSE_API_KEY of the vault"));
}
