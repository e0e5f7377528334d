//! Models by the names of their providers, with credentials from the environment.

use std::fmt;

use llm_reliability::ResilientClient;

use crate::builder::Builder;
use crate::error::{ConfigError, one_line};
use crate::factory::Credential;
use crate::provider::{Origin, Provider, Source};

/// A client of those models whose providers have their credentials in the environment, each in its usual variable (the
/// [crate page](crate#providers) lists them). The others are left out, and listed. The order is kept.
///
/// For further settings, see [`Builder::add_from_env`].
///
/// ```
/// let ready = llm_client::from_env([("anthropic", "claude-haiku-4-5"), ("ollama", "llama3.2")])?;
/// for skipped in &ready.skipped {
///     eprintln!("{skipped}");
/// }
/// # Ok::<(), llm_client::ConfigError>(())
/// ```
///
/// # Errors
///
/// [`ConfigError::AllSkipped`] when nobody is left; otherwise [`ConfigError`], for the first thing that is wrong with
/// those who are.
pub fn from_env<P: Into<String>, M: Into<String>>(
    models: impl IntoIterator<Item = (P, M)>,
) -> Result<FromEnv, ConfigError> {
    let builder = Builder::new().add_from_env(models);
    let skipped = builder.skipped.clone();
    Ok(FromEnv { client: builder.build()?, skipped })
}

/// What [`from_env`] has made.
#[derive(Debug)]
#[non_exhaustive]
pub struct FromEnv {
    /// The client, ready to be asked.
    pub client: ResilientClient,
    /// Who is not among its candidates, and why.
    pub skipped: Vec<Skipped>,
}

impl Builder {
    /// Adds those models whose providers have their credentials in the environment, or wherever else
    /// [`Registry::credentials`](crate::Registry::credentials) looks; that is read now. Providers that need no
    /// credential are added too. The others are [`skipped`](Self::skipped).
    ///
    /// ```
    /// use llm_client::llm_reliability::Candidate;
    /// use llm_client::{Builder, Provider, Registry};
    ///
    /// let vault = Registry::new().credentials(|name| (name == "OPENAI_API_KEY").then(|| "its-key".into()));
    /// let builder = Builder::with_registry(vault)
    ///     .add_from_env([("anthropic", "claude-haiku-4-5"), ("openai", "gpt-5-mini")])
    ///     .add(Provider::new("ollama", "llama3.2"));
    /// assert_eq!(
    ///     builder.skipped()[0].to_string(),
    ///     "anthropic:claude-haiku-4-5: the environment variable `ANTHROPIC_API_KEY` is not set or empty"
    /// );
    /// let client = builder.build()?;
    /// assert!(client.candidates().map(Candidate::key).eq(["openai:gpt-5-mini", "ollama:llama3.2"]));
    /// # Ok::<(), llm_client::ConfigError>(())
    /// ```
    pub fn add_from_env<P: Into<String>, M: Into<String>>(
        self,
        models: impl IntoIterator<Item = (P, M)>,
    ) -> Self {
        models
            .into_iter()
            .fold(self, |builder, (provider, model)| builder.add_or_skip(Provider::new(provider, model)))
    }

    fn add_or_skip(mut self, mut provider: Provider) -> Self {
        match self.registry.credential_by_name(&provider.spec.provider) {
            Ok(credential) => {
                let given = |key| Source::Given(Credential::Value(key));
                provider.source = credential.map_or(Source::None, given);
                provider.origin = Origin::Environment;
                self.add(provider)
            }
            Err(reason) => {
                let spec = provider.spec;
                self.skipped.push(Skipped { provider: spec.provider, model: spec.model, reason });
                self
            }
        }
    }

    /// Who was not added by [`add_from_env`](Self::add_from_env), and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

/// A model that is not among the candidates. `Display` is one line, without a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Why.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, model, reason } = self;
        write!(f, "{}: {reason}", one_line(format_args!("{provider}:{model}")))
    }
}

/// Why a model is not among the candidates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// The provider's credential, or a part of it, is not in the environment.
    #[error("the environment variable `{variable}` is not set or empty")]
    MissingVariable {
        /// The variable; the first of several that are missing.
        variable: String,
    },
    /// Nobody has registered a provider of this name.
    #[error("there is no provider of this name")]
    UnknownProvider,
    /// The provider exists, and this build leaves it out.
    #[error("not in this build: compile llm-client with the feature `{feature}`")]
    NotCompiled {
        /// The cargo feature of llm-client that brings it.
        feature: &'static str,
    },
    /// The provider is still to come.
    #[error("not built yet")]
    NotBuilt,
}
