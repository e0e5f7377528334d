//! Which providers there are, and where credentials come from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use llm_adapters::HttpClient;
use llm_adapters::reqwest::Url;
use llm_protocol::Secret;

use crate::config::{CandidateSpec, Place, shown, shown_variable};
use crate::error::ConfigError;
use crate::factory::ProviderFactory;
use crate::from_env::SkipReason;
use crate::providers::{self, NOT_BUILT};

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
    #[cfg(any(feature = "redis", feature = "memcached"))]
    pub(crate) store_listener: Option<Arc<StoreListener>>,
}

/// Finds a credential by the name of a variable.
type Lookup = dyn Fn(&str) -> Option<Secret> + Send + Sync;

/// Hears that a store is lost, or back.
#[cfg(any(feature = "redis", feature = "memcached"))]
type StoreListener = dyn Fn(&circuit_breaker::StoreEvent) + Send + Sync;

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
        Self {
            providers: BTreeMap::new(),
            hosts: None,
            credentials: Arc::new(variable),
            http: None,
            #[cfg(any(feature = "redis", feature = "memcached"))]
            store_listener: None,
        }
    }

    /// Adds a provider under this name.
    pub fn provider(mut self, name: impl Into<String>, factory: impl ProviderFactory + 'static) -> Self {
        self.providers.insert(name.into(), Entry::Factory(Arc::new(factory)));
        self
    }

    /// Takes credentials from here in place of the environment: `lookup` is asked by the variable's name, for each
    /// candidate that has one. A [`Config`](crate::Config) asks when a client is made of it,
    /// [`Builder::add_from_env`](crate::Builder::add_from_env) when it is called. Otherwise a
    /// [`Builder`](crate::Builder) has its credentials as values, and asks for none.
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

    /// Tells `listener` when a store of a [`Config`](crate::Config) is lost and when it is back, in the thread that found
    /// out. When it panics, the panic ends there. A store that is made in code has a listener of its own.
    #[cfg(any(feature = "redis", feature = "memcached"))]
    pub fn on_store_event(
        mut self,
        listener: impl Fn(&circuit_breaker::StoreEvent) + Send + Sync + 'static,
    ) -> Self {
        self.store_listener = Some(Arc::new(listener));
        self
    }

    /// The names under which providers are registered, in alphabetical order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// A provider's name. One that is not registered may be a key that was put in its place.
    pub(crate) fn shown<'a>(&self, provider: &'a str) -> &'a str {
        if self.providers.contains_key(provider) { provider } else { shown(provider) }
    }

    /// The provider of a candidate.
    pub(crate) fn factory(
        &self,
        place: &Place,
        spec: &CandidateSpec,
    ) -> Result<&dyn ProviderFactory, ConfigError> {
        self.find(&spec.provider, spec.base_url.is_some()).map_err(|absent| {
            let (path, provider) = (place.setting("provider"), shown(&spec.provider).to_owned());
            match absent {
                Absent::NotBuilt(_) => ConfigError::NotBuilt { setting: format!("{path} = {provider:?}") },
                Absent::NotCompiled(feature) => ConfigError::ProviderNotCompiled { path, provider, feature },
                Absent::Unknown => {
                    let known = self.providers().map(str::to_owned).collect();
                    ConfigError::UnknownProvider { path, provider, known }
                }
            }
        })
    }

    fn find(&self, name: &str, has_base_url: bool) -> Result<&dyn ProviderFactory, Absent> {
        let entry = match self.providers.get(name) {
            Some(entry) => Some(entry),
            None => match NOT_BUILT.iter().find(|(not_built, _)| *not_built == name) {
                Some((_, variables)) => return Err(Absent::NotBuilt(variables)),
                None => self.hosts.as_ref().filter(|_| has_base_url && is_host_name(name)),
            },
        };
        match entry {
            Some(Entry::Factory(factory)) => Ok(factory.as_ref()),
            Some(Entry::NotCompiled(feature)) => Err(Absent::NotCompiled(feature)),
            None => Err(Absent::Unknown),
        }
    }

    /// The credential of a candidate whose settings alone are known, where it has one.
    pub(crate) fn credential(
        &self,
        place: &Place,
        spec: &CandidateSpec,
        factory: &dyn ProviderFactory,
    ) -> Result<Option<Secret>, ConfigError> {
        let Some(variable) = variable(spec, factory) else { return Ok(None) };
        self.value_of(&place.name, variable).map(Some)
    }

    /// What stands in a variable, for whatever is at `path`.
    pub(crate) fn value_of(&self, path: &str, variable: &str) -> Result<Secret, ConfigError> {
        self.look_up(variable).ok_or_else(|| {
            let variable = shown_variable(variable).map(str::to_owned);
            ConfigError::MissingVariable { path: path.to_owned(), variable }
        })
    }

    /// The credential of a provider that only its name makes known, where it wants one.
    pub(crate) fn credential_by_name(&self, provider: &str) -> Result<Option<Secret>, SkipReason> {
        let found = |variable: &str| {
            let missing = || SkipReason::MissingVariable { variable: variable.to_owned() };
            self.look_up(variable).ok_or_else(missing)
        };
        match self.find(provider, false) {
            Ok(factory) => factory.api_key_env().map(found).transpose(),
            Err(Absent::NotBuilt(variables)) => {
                variables.iter().try_for_each(|variable| found(variable).map(drop))?;
                Err(SkipReason::NotBuilt)
            }
            Err(Absent::NotCompiled(feature)) => Err(SkipReason::NotCompiled { feature }),
            Err(Absent::Unknown) => Err(SkipReason::UnknownProvider),
        }
    }

    fn look_up(&self, variable: &str) -> Option<Secret> {
        trimmed(&(self.credentials)(variable)?)
    }
}

/// Why there is no provider of a name.
enum Absent {
    /// It is still to come; the variables that will hold its credential.
    NotBuilt(&'static [&'static str]),
    /// This build leaves it out; the feature that brings it.
    NotCompiled(&'static str),
    Unknown,
}

/// The variable for the credential of a candidate, where it has one.
pub(crate) fn variable<'a>(spec: &'a CandidateSpec, factory: &'a dyn ProviderFactory) -> Option<&'a str> {
    let usual = || factory.api_key_env().filter(|_| is_at_home(spec, factory));
    spec.api_key_env.as_deref().or_else(usual)
}

/// A credential without what files and shells leave around it: a line feed at the end is never part of a key.
pub(crate) fn trimmed(secret: &Secret) -> Option<Secret> {
    Some(secret.expose().trim()).filter(|key| !key.is_empty()).map(Secret::from)
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
