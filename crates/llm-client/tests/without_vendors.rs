//! Builds that leave vendors out say so.
#![allow(clippy::unwrap_used, missing_docs)]

use llm_client::{Config, ConfigError, Registry};

fn refusal(candidate: &str) -> ConfigError {
    let config: Config =
        format!("[[candidate]]\nmodel = 'm'\nbase_url = 'http://127.0.0.1:1'\n{candidate}").parse().unwrap();
    config.build(&Registry::new()).unwrap_err()
}

#[cfg(not(feature = "openai"))]
#[test]
fn hosts_that_speak_the_openai_format() {
    for provider in ["openai", "groq", "acme"] {
        let error = refusal(&format!("provider = '{provider}'"));
        assert!(matches!(error, ConfigError::ProviderNotCompiled { feature: "openai", .. }), "{error}");
        let message = format!(
            "`candidate[0].provider`: `{provider}` is not in this build: compile llm-client with the feature `openai`"
        );
        assert_eq!(error.to_string(), message);
    }
}

#[cfg(not(feature = "anthropic"))]
#[test]
fn anthropic() {
    let error = refusal("provider = 'anthropic'");
    assert!(matches!(error, ConfigError::ProviderNotCompiled { feature: "anthropic", .. }), "{error}");
}

#[test]
fn what_no_build_has() {
    assert!(matches!(refusal("provider = 'azure'"), ConfigError::NotBuilt { .. }));
    assert!(matches!(refusal("provider = 'OpenAI'"), ConfigError::UnknownProvider { .. }));
}
