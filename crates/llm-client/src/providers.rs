//! The providers that come with the crate.

#[cfg(feature = "anthropic")]
mod anthropic;
#[cfg(feature = "openai")]
mod openai;

#[cfg(any(feature = "anthropic", feature = "openai"))]
use llm_adapters::{Builder, Vendor};
#[cfg(feature = "openai")]
use llm_protocol::Capability;

#[cfg(feature = "anthropic")]
pub use self::anthropic::AnthropicProvider;
#[cfg(feature = "openai")]
pub use self::openai::OpenAiProvider;
#[cfg(any(feature = "anthropic", feature = "openai"))]
use crate::factory::{Credential, FactoryError, ProviderContext};
use crate::registry::Entry;

/// A host that speaks the OpenAI format: its name, its base URL, and the variable that usually holds its key.
type Host = (&'static str, &'static str, Option<&'static str>);

/// The hosts that are known by name.
const HOSTS: [Host; 13] = [
    ("cerebras", "https://api.cerebras.ai/v1", Some("CEREBRAS_API_KEY")),
    ("deepseek", "https://api.deepseek.com", Some("DEEPSEEK_API_KEY")),
    ("fireworks", "https://api.fireworks.ai/inference/v1", Some("FIREWORKS_API_KEY")),
    ("groq", "https://api.groq.com/openai/v1", Some("GROQ_API_KEY")),
    ("llamacpp", "http://127.0.0.1:8080/v1", None),
    ("lmstudio", "http://127.0.0.1:1234/v1", None),
    ("mistral", "https://api.mistral.ai/v1", Some("MISTRAL_API_KEY")),
    ("ollama", "http://127.0.0.1:11434/v1", None),
    ("openai", "https://api.openai.com/v1", Some("OPENAI_API_KEY")),
    ("openrouter", "https://openrouter.ai/api/v1", Some("OPENROUTER_API_KEY")),
    ("together", "https://api.together.xyz/v1", Some("TOGETHER_API_KEY")),
    ("vllm", "http://127.0.0.1:8000/v1", None),
    ("xai", "https://api.x.ai/v1", Some("XAI_API_KEY")),
];

/// The vendors that are still to come, and the variables that will hold their credentials.
pub(crate) const NOT_BUILT: [(&str, &[&str]); 3] = [
    ("azure", &[]),
    ("bedrock", &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]),
    ("gemini", &["GEMINI_API_KEY"]),
];

/// All of them, by name.
pub(crate) fn built_in() -> impl Iterator<Item = (&'static str, Entry)> {
    HOSTS.into_iter().map(|host| (host.0, named(host))).chain([("anthropic", anthropic())])
}

/// Hosts that only their base URL makes known.
pub(crate) fn hosts() -> Entry {
    #[cfg(feature = "openai")]
    return Entry::Factory(std::sync::Arc::new(OpenAiProvider::new()));
    #[cfg(not(feature = "openai"))]
    return Entry::NotCompiled("openai");
}

fn named(host: Host) -> Entry {
    #[cfg(feature = "openai")]
    {
        let (name, base_url, variable) = host;
        let provider = OpenAiProvider::new().base_url(base_url);
        let provider = match variable {
            Some(variable) => provider.api_key_env(variable),
            None => provider,
        };
        let provider = match name {
            "deepseek" => provider.lacks(Capability::JsonSchema),
            _ => provider,
        };
        Entry::Factory(std::sync::Arc::new(provider))
    }
    #[cfg(not(feature = "openai"))]
    {
        let _ = host;
        Entry::NotCompiled("openai")
    }
}

fn anthropic() -> Entry {
    #[cfg(feature = "anthropic")]
    return Entry::Factory(std::sync::Arc::new(AnthropicProvider::new()));
    #[cfg(not(feature = "anthropic"))]
    return Entry::NotCompiled("anthropic");
}

/// What every vendor's adapter takes from its candidate.
#[cfg(any(feature = "anthropic", feature = "openai"))]
fn with_context<V: Vendor>(
    mut builder: Builder<V>,
    base_url: Option<&str>,
    context: ProviderContext<'_>,
) -> Builder<V> {
    let spec = context.spec;
    builder = builder.provider(&spec.provider).key(spec.key()).http_client(context.http.clone());
    if let Some(url) = spec.base_url.as_deref().or(base_url) {
        builder = builder.base_url(url);
    }
    if spec.allow_plain_http {
        builder = builder.allow_plain_http();
    }
    builder = match context.credential {
        Some(Credential::Value(key)) => builder.api_key(key),
        Some(Credential::Rotating(credentials)) => builder.credentials(credentials),
        None => builder,
    };
    for (name, value) in context.headers {
        builder = builder.header(name, value.clone());
    }
    for capability in &spec.lacks {
        builder = builder.lacks(*capability);
    }
    if let Some(tokens) = spec.max_output_tokens {
        builder = builder.max_output_tokens(tokens);
    }
    if let Some(tokens) = spec.context_window {
        builder = builder.context_window(tokens);
    }
    builder
}

/// Refuses the settings that are set, for a provider that has no use for them.
#[cfg(any(feature = "anthropic", feature = "openai"))]
fn refuse<const N: usize>(settings: [(&str, bool); N]) -> Result<(), FactoryError> {
    match settings.into_iter().find(|(_, is_set)| *is_set) {
        Some((setting, _)) => Err(format!("`{setting}` is not a setting of this provider").into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_host() {
        let readme = include_str!("../README.md");
        for (name, base_url, variable) in HOSTS {
            let variable = variable.map_or(String::new(), |variable| format!("`{variable}` "));
            let row = format!("| `{name}` | `{base_url}` | {variable}|");
            assert!(readme.contains(&row), "{row}");
        }
    }
}
