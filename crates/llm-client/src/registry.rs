//! Which providers there are, and where credentials come from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use llm_adapters::HttpClient;
use llm_adapters::reqwest::Url;
use llm_protocol::{ModelAdapter, Secret};

use crate::config::{CandidateSpec, NOT_BUILT_PROVIDERS, shown_variable};
use crate::error::ConfigError;
use crate::providers;

/// Why a provider cannot make an adapter, in its own words.
pub type FactoryError = Box<dyn std::error::Error + Send + Sync>;

/// A provider: makes the adapter of each candidate that names it.
///
/// ```
/// use std::sync::Arc;
/// use llm_client::{Config, FactoryError, ProviderContext, ProviderFactory, Registry};
/// use llm_client::llm_protocol::ModelAdapter;
/// use llm_client::llm_protocol::testing::ScriptedModel; // in place of an adapter of your own
///
/// struct Acme;
///
/// impl ProviderFactory for Acme {
///     fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
///         Ok(Arc::new(ScriptedModel::new(&context.spec.key())))
///     }
/// }
///
/// let config: Config = "[[candidate]]\nprovider = 'acme'\nmodel = 'large'".parse()?;
/// let client = config.build(&Registry::new().provider("acme", Acme))?;
/// assert_eq!(client.candidates().next().unwrap().key(), "acme:large");
/// # Ok::<(), llm_client::ConfigError>(())
/// ```
pub trait ProviderFactory: Send + Sync {
    /// The adapter of a candidate. Its [key](ModelAdapter::key) is the candidate's.
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError>;

    /// The environment variable that usually holds the credential. It is used for candidates that name neither a
    /// variable nor the base URL of another host than [`base_url`](Self::base_url)'s. `None`, the default: no
    /// credential unless the candidate names a variable.
    fn api_key_env(&self) -> Option<&str> {
        None
    }

    /// Where it is, for candidates that do not say. `None`, the default: no base URL that a candidate gives is known
    /// to be this provider's own, and the usual variable goes to none of them.
    fn base_url(&self) -> Option<&str> {
        None
    }
}

/// What a [`ProviderFactory`] makes an adapter of.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProviderContext<'a> {
    /// The candidate. Settings that the strategies see to themselves (`stream`, `timeouts`, `price`) are among them.
    pub spec: &'a CandidateSpec,
    /// Its credential, never empty; `None` where it needs none.
    pub credential: Option<Secret>,
    /// The HTTP client that all candidates share.
    pub http: &'a HttpClient,
}

/// Which providers there are, and where credentials come from.
///
/// Providers of your own are registered as the built-in ones are, and replace those of the same name.
#[derive(Clone)]
pub struct Registry {
    providers: BTreeMap<String, Entry>,
    /// Makes the adapters of hosts that only their base URL makes known.
    hosts: Option<Entry>,
    credentials: Arc<Lookup>,
    pub(crate) http: Option<HttpClient>,
}

/// Finds a credential by the name that `api_key_env` gives.
type Lookup = dyn Fn(&str) -> Option<Secret> + Send + Sync;

#[derive(Clone)]
pub(crate) enum Entry {
    Factory(Arc<dyn ProviderFactory>),
    /// Left out of this build; the feature that brings it.
    #[cfg_attr(
        all(feature = "anthropic", feature = "openai"),
        allow(dead_code, reason = "nothing is left out")
    )]
    NotCompiled(&'static str),
}

impl Registry {
    /// The built-in providers. Credentials come from the process's environment variables.
    pub fn new() -> Self {
        let mut registry = Self::empty();
        registry.providers.extend(providers::built_in().map(|(name, entry)| (name.to_owned(), entry)));
        registry.hosts = Some(providers::hosts());
        registry
    }

    /// No providers at all. Credentials come from the process's environment variables.
    pub fn empty() -> Self {
        // What is no text cannot be sent as a credential, so it counts as not set.
        let variable = |name: &str| std::env::var(name).ok().map(Secret::from);
        Self { providers: BTreeMap::new(), hosts: None, credentials: Arc::new(variable), http: None }
    }

    /// Adds a provider under this name.
    pub fn provider(mut self, name: impl Into<String>, factory: impl ProviderFactory + 'static) -> Self {
        self.providers.insert(name.into(), Entry::Factory(Arc::new(factory)));
        self
    }

    /// Takes credentials from here in place of the environment: `lookup` is asked by the name that `api_key_env`
    /// gives, once for each candidate when a client is made.
    pub fn credentials(mut self, lookup: impl Fn(&str) -> Option<Secret> + Send + Sync + 'static) -> Self {
        self.credentials = Arc::new(lookup);
        self
    }

    /// Uses this HTTP client (with a proxy or certificates of its own, say) for every candidate. Its connect limit
    /// holds, so that `timeouts.connect` may not be set then.
    pub fn http_client(mut self, client: impl Into<HttpClient>) -> Self {
        self.http = Some(client.into());
        self
    }

    /// The names under which providers are registered, in alphabetical order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// The provider of a candidate.
    pub(crate) fn factory(
        &self,
        path: &str,
        spec: &CandidateSpec,
    ) -> Result<&dyn ProviderFactory, ConfigError> {
        let name = spec.provider.as_str();
        let entry = match self.providers.get(name) {
            Some(entry) => Some(entry),
            None if NOT_BUILT_PROVIDERS.contains(&name) => {
                return Err(ConfigError::NotBuilt { setting: format!("{path}.provider = {name:?}") });
            }
            None if spec.base_url.is_some() && is_host_name(name) => self.hosts.as_ref(),
            None => None,
        };
        match entry {
            Some(Entry::Factory(factory)) => Ok(factory.as_ref()),
            Some(Entry::NotCompiled(feature)) => {
                let (path, provider) = (path.to_owned(), name.to_owned());
                Err(ConfigError::ProviderNotCompiled { path, provider, feature })
            }
            None => Err(ConfigError::UnknownProvider {
                path: path.to_owned(),
                provider: name.to_owned(),
                known: self.providers().map(str::to_owned).collect(),
            }),
        }
    }

    /// The credential of a candidate, where it has one.
    pub(crate) fn credential(
        &self,
        path: &str,
        spec: &CandidateSpec,
        factory: &dyn ProviderFactory,
    ) -> Result<Option<Secret>, ConfigError> {
        let usual = || factory.api_key_env().filter(|_| is_at_home(spec, factory));
        let Some(variable) = spec.api_key_env.as_deref().or_else(usual) else { return Ok(None) };
        let held = (self.credentials)(variable);
        // A line feed at the end is what files and shells leave behind, never part of a key.
        let credential = held.as_ref().map(|secret| secret.expose().trim()).filter(|key| !key.is_empty());
        if let Some(key) = credential {
            return Ok(Some(Secret::from(key)));
        }
        let variable = shown_variable(variable).map(str::to_owned);
        Err(ConfigError::MissingVariable { path: path.to_owned(), variable })
    }
}

/// Whether the candidate is asked where its provider is at home: the same scheme, host and port.
fn is_at_home(spec: &CandidateSpec, factory: &dyn ProviderFactory) -> bool {
    let Some(given) = spec.base_url.as_deref() else { return true };
    // Read as the adapter reads it.
    let origin = |url: &str| Url::parse(url.trim()).ok().map(|url| url.origin());
    let home = factory.base_url().and_then(origin);
    home.is_some_and(|home| home.is_tuple() && origin(given) == Some(home))
}

/// A misspelt `Anthropic` shall not pass for the name of an unknown host.
fn is_host_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    name.chars().all(plain)
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("providers", &self.providers().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
