//! OpenAI, and every host that speaks its chat completions.

use std::sync::Arc;

use llm_adapters::{Dialect, OpenAi, TokenLimitField};
use llm_protocol::{Capability, ModelAdapter};

use super::{refuse, with_context};
use crate::factory::{FactoryError, ProviderContext, ProviderFactory};

/// A host that speaks OpenAI's chat completions.
///
/// The built-in ones are made of it, and so is one of your own that a configuration shall know by name:
///
/// ```
/// use llm_client::{Config, OpenAiProvider, Registry};
///
/// let registry = Registry::new().provider("inhouse", OpenAiProvider::new().base_url("https://llm.example.com/v1"));
/// let config: Config = "[[candidate]]\nprovider = 'inhouse'\nmodel = 'large'".parse()?;
/// config.build(&registry)?;
/// # Ok::<(), llm_client::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenAiProvider {
    base_url: Option<String>,
    api_key_env: Option<String>,
    dialect: Option<Dialect>,
    include_usage: Option<bool>,
    token_limit_field: Option<TokenLimitField>,
    cache_marks: Option<bool>,
    lacks: Vec<Capability>,
}

impl OpenAiProvider {
    /// A host without a base URL, so that its candidates need one, and without a credential unless they name one.
    pub fn new() -> Self {
        Self {
            base_url: None,
            api_key_env: None,
            dialect: None,
            include_usage: None,
            token_limit_field: None,
            cache_marks: None,
            lacks: Vec::new(),
        }
    }

    /// Where it is, for candidates that do not say.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The environment variable that usually holds its credential.
    pub fn api_key_env(mut self, variable: impl Into<String>) -> Self {
        self.api_key_env = Some(variable.into());
        self
    }

    /// Whose manner it has, for candidates that do not say; that of its name unless set, as in [`Dialect::of`]. What
    /// follows can be set otherwise.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Whether streams ask for the count of tokens, for candidates that do not say; on unless set, but for Mistral. Some
    /// hosts refuse to be asked.
    pub fn include_usage(mut self, include: bool) -> Self {
        self.include_usage = Some(include);
        self
    }

    /// What the host calls the most tokens of an answer, for candidates that do not say. `max_completion_tokens` for
    /// OpenAI and `max_tokens` for any other, unless set.
    pub fn token_limit_field(mut self, field: TokenLimitField) -> Self {
        self.token_limit_field = Some(field);
        self
    }

    /// Whether the conversation's marks for the prompt cache are sent, for candidates that do not say; off unless set,
    /// but for OpenRouter.
    pub fn cache_marks(mut self, send: bool) -> Self {
        self.cache_marks = Some(send);
        self
    }

    /// Declares that all models of the host lack this: requests that need it go to another candidate.
    pub fn lacks(mut self, capability: Capability) -> Self {
        self.lacks.push(capability);
        self
    }
}

impl Default for OpenAiProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl ProviderFactory for OpenAiProvider {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        let spec = context.spec;
        refuse([("api_version", spec.api_version.is_some())])?;
        // Otherwise the adapter would ask OpenAI itself.
        if spec.base_url.is_none() && self.base_url.is_none() {
            return Err("it needs a `base_url`".into());
        }
        let mut builder = OpenAi::builder(&spec.model);
        if let Some(dialect) = spec.dialect.map(Dialect::from).or(self.dialect) {
            builder = builder.dialect(dialect);
        }
        if let Some(include) = spec.include_usage.or(self.include_usage) {
            builder = builder.include_usage(include);
        }
        if let Some(send) = spec.cache_marks.or(self.cache_marks) {
            builder = builder.cache_marks(send);
        }
        if let Some(field) = spec.token_limit_field.map(TokenLimitField::from).or(self.token_limit_field) {
            builder = builder.token_limit_field(field);
        }
        builder = self.lacks.iter().fold(builder, |builder, capability| builder.lacks(*capability));
        Ok(Arc::new(with_context(builder, self.base_url(), context).build()?))
    }

    fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref()
    }

    fn api_key_env(&self) -> Option<&str> {
        self.api_key_env.as_deref()
    }
}
