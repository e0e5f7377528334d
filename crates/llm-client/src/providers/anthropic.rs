//! Anthropic.

use std::sync::Arc;

use llm_adapters::Anthropic;
use llm_protocol::ModelAdapter;

use super::{refuse, with_context};
use crate::factory::{FactoryError, ProviderContext, ProviderFactory};

/// A host that speaks Anthropic's messages; Anthropic itself where a candidate has no base URL.
///
/// ```
/// use llm_client::{AnthropicProvider, Registry};
///
/// // Under a name of its own, so that its attempts and costs can be told apart.
/// let registry = Registry::new().provider("claude-proxy", AnthropicProvider::new());
/// assert!(registry.providers().any(|name| name == "claude-proxy"));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AnthropicProvider;

impl AnthropicProvider {
    /// With `ANTHROPIC_API_KEY` for a credential where a candidate names neither a variable nor another host.
    pub const fn new() -> Self {
        Self
    }
}

impl ProviderFactory for AnthropicProvider {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        let spec = context.spec;
        refuse([
            ("dialect", spec.dialect.is_some()),
            ("cache_marks", spec.cache_marks.is_some()),
            ("include_usage", spec.include_usage.is_some()),
            ("token_limit_field", spec.token_limit_field.is_some()),
        ])?;
        let mut builder = Anthropic::builder(&spec.model);
        if let Some(version) = &spec.api_version {
            builder = builder.version(version);
        }
        Ok(Arc::new(with_context(builder, self.base_url(), context).build()?))
    }

    fn base_url(&self) -> Option<&str> {
        Some("https://api.anthropic.com")
    }

    fn api_key_env(&self) -> Option<&str> {
        Some("ANTHROPIC_API_KEY")
    }

    /// Anthropic leaves them out of its rates, but for a few old models.
    fn counts_cache_reads(&self) -> bool {
        false
    }
}
