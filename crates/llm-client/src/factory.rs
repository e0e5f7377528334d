//! What a provider is to the registry: something that makes adapters.

use std::fmt;
use std::sync::Arc;

use llm_adapters::{Credentials, HttpClient};
use llm_protocol::{ModelAdapter, Secret};

use crate::config::CandidateSpec;

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

    /// Whether input that was read from a prompt cache counts against its limits; see
    /// [`Candidate::count_cache_reads`](llm_reliability::Candidate::count_cache_reads). `true`, the default, is the
    /// cautious answer.
    fn counts_cache_reads(&self) -> bool {
        true
    }
}

/// What a [`ProviderFactory`] makes an adapter of.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProviderContext<'a> {
    /// The candidate. Settings that the strategies see to themselves (`stream`, `timeouts`, `price`, `priority`, `quota_key`) are
    /// among them.
    pub spec: &'a CandidateSpec,
    /// Its credential; `None` where it needs none.
    pub credential: Option<Credential>,
    /// Further headers for every request. They may hold credentials too.
    pub headers: &'a [(String, Secret)],
    /// The HTTP client that all candidates share.
    pub http: &'a HttpClient,
}

/// What a provider is asked with. `Debug` does not show it.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// One that stays; never empty.
    Value(Secret),
    /// One that changes, to be asked for before each request.
    Rotating(Arc<dyn Credentials>),
}

impl Credential {
    /// The value, for adapters that know no other credential.
    ///
    /// # Errors
    ///
    /// It is one that changes. Not to take it is better than to keep asking with what it once was.
    pub fn value(self) -> Result<Secret, FactoryError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Rotating(_) => Err("it takes no credentials that change".into()),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value(***)",
            Self::Rotating(_) => "Rotating(***)",
        })
    }
}
