//! From providers to a client, with credentials as values. The other two ways in end here.

use std::fmt;

#[cfg(feature = "redis")]
use circuit_breaker::InProcessLimiter;
use llm_adapters::HttpClient;
use llm_reliability::{Candidate, ClientBuilder, Price, ResilientClient, Timeouts};

use crate::config::{CandidateSpec, Place};
use crate::error::{ConfigError, one_line};
use crate::factory::{Credential, ProviderContext, ProviderFactory};
use crate::from_env::Skipped;
use crate::provider::{Origin, Provider, Source};
use crate::registry::{self, Registry};
#[cfg(feature = "redis")]
use crate::shared::SharedState;

/// Makes a client of [`Provider`]s, in the order in which they are added. Nothing is read from the environment, except
/// by [`add_from_env`](Self::add_from_env). The [crate page](crate) has an example, and says what the other two ways in
/// are for.
pub struct Builder {
    pub(crate) registry: Registry,
    members: Vec<Member>,
    pub(crate) skipped: Vec<Skipped>,
    #[cfg(feature = "redis")]
    shared: Option<SharedState>,
}

/// Whoever a [`Builder`] can add: a [`Provider`], and whatever makes a [`Candidate`], such as any adapter.
///
/// ```
/// use llm_client::{Builder, Provider};
/// use llm_client::llm_protocol::testing::ScriptedModel; // in place of an adapter of your own
/// use llm_client::llm_reliability::Candidate;
///
/// let client = Builder::new()
///     .add(Provider::new("ollama", "llama3.2"))
///     .add(ScriptedModel::new("a"))
///     .add(Candidate::from(ScriptedModel::new("b")).priority(1))
///     .build()?;
/// assert!(client.candidates().map(Candidate::key).eq(["ollama:llama3.2", "a", "b"]));
/// # Ok::<(), llm_client::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Member(Kind);

#[derive(Debug)]
enum Kind {
    Provider(Box<Provider>),
    Ready(Box<Candidate>),
}

impl From<Provider> for Member {
    fn from(provider: Provider) -> Self {
        Self(Kind::Provider(Box::new(provider)))
    }
}

impl<C: Into<Candidate>> From<C> for Member {
    fn from(candidate: C) -> Self {
        Self(Kind::Ready(Box::new(candidate.into())))
    }
}

impl Builder {
    /// With the built-in providers.
    pub fn new() -> Self {
        Self::with_registry(Registry::new())
    }

    /// With these providers, and their HTTP client.
    pub fn with_registry(registry: Registry) -> Self {
        Self {
            registry,
            members: Vec::new(),
            skipped: Vec::new(),
            #[cfg(feature = "redis")]
            shared: None,
        }
    }

    /// Adds a provider, a candidate or an adapter, after those that are already there.
    #[expect(clippy::should_implement_trait, reason = "nothing is summed up")]
    pub fn add(mut self, member: impl Into<Member>) -> Self {
        self.members.push(member.into());
        self
    }

    /// Shares circuits and retry hints with all clients that use this store. What the client builder is given later
    /// counts: [limits](ClientBuilder::limiter) and [turns](ClientBuilder::order) are shared where they are set to
    /// [those of the store](SharedState::limiter).
    #[cfg(feature = "redis")]
    pub fn store(mut self, shared: impl Into<SharedState>) -> Self {
        self.shared = Some(shared.into());
        self
    }

    /// The client, ready to be asked. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the first thing that is wrong. Errors call those who were added by their ids, or
    /// `provider:model`.
    pub fn build(self) -> Result<ResilientClient, ConfigError> {
        Ok(self.client_builder()?.build()?)
    }

    /// The client with all that were added, for what else there is to set: clocks, policy, order, hedges, fan-out, breaker,
    /// limiter, observer.
    /// What is set there is not looked at as a configuration's settings are: with a clock of zero, for one, every call
    /// is too late.
    ///
    /// ```
    /// use std::time::Duration;
    /// use llm_client::{Builder, Provider};
    /// use llm_client::llm_reliability::{Attempt, FanOut, Hedge, Policy, QuorumPolicy, Timeouts, Weighted};
    ///
    /// let client = Builder::new()
    ///     .add(Provider::new("ollama", "llama3.2").weight(3))
    ///     .add(Provider::new("lmstudio", "llama-3.2-3b-instruct"))
    ///     .client_builder()?
    ///     .timeouts(Timeouts::new().first_token(Duration::from_secs(5)))
    ///     .order(Weighted)
    ///     .policy(Policy::robust().hedge(Hedge::observed(0.95)))
    ///     .hedge_budget(0.02)
    ///     .fan_out(FanOut::new(QuorumPolicy::First))
    ///     .observer(|attempt: &Attempt| eprintln!("{attempt}"))
    ///     .build()?;
    /// # Ok::<(), llm_client::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as in [`build`](Self::build).
    pub fn client_builder(self) -> Result<ClientBuilder, ConfigError> {
        let Self { registry, members, skipped, .. } = self;
        if members.is_empty() && !skipped.is_empty() {
            return Err(ConfigError::AllSkipped { skipped });
        }
        // One for all candidates, so that those of one host share their connections.
        let http = match &registry.http {
            Some(given) => given.clone(),
            None => HttpClient::new().map_err(ConfigError::HttpClient)?,
        };
        let mut candidates: Vec<Candidate> = Vec::with_capacity(members.len());
        for (at, Member(kind)) in members.into_iter().enumerate() {
            let mut from_env = false;
            let candidate = match kind {
                Kind::Provider(provider) => {
                    let place = match provider.origin {
                        Origin::Settings => Place::at(at),
                        Origin::Code | Origin::Environment => Place::of(&provider.spec),
                    };
                    from_env = provider.origin == Origin::Environment;
                    candidate(&place, *provider, &registry, &http)?
                }
                Kind::Ready(candidate) => *candidate,
            };
            if candidates.iter().any(|earlier| earlier.key() == candidate.key()) {
                let id = one_line(candidate.key());
                return Err(if from_env {
                    ConfigError::Repeated { id }
                } else {
                    ConfigError::DuplicateId { id }
                });
            }
            candidates.push(candidate);
        }
        let client = ResilientClient::builder().candidates(candidates);
        #[cfg(feature = "redis")]
        if let Some(shared) = self.shared {
            return Ok(shared.set_up(client, InProcessLimiter::default()));
        }
        Ok(client)
    }
}

/// The one way from settings and a credential to a candidate.
fn candidate(
    place: &Place,
    provider: Provider,
    registry: &Registry,
    http: &HttpClient,
) -> Result<Candidate, ConfigError> {
    let Provider { spec, source, headers, misplaced, origin: _ } = provider;
    spec.check(place)?;
    if let Some(clock) = misplaced {
        let reason = "is no candidate's own: set it on the client, or on the call";
        return Err(ConfigError::invalid(place.setting(&format!("timeouts.{clock}")), reason));
    }
    let factory = registry.factory(place, &spec)?;
    let credential = credential(place, &spec, source, registry, factory)?;
    let refused = |cause| {
        let provider = registry.shown(&spec.provider).to_owned();
        ConfigError::Provider { path: place.name.clone(), provider, cause }
    };
    let context = ProviderContext { spec: &spec, credential, headers: &headers, http };
    let adapter = factory.adapter(context).map_err(refused)?;
    if adapter.key() != spec.key() {
        let problem = format!("its adapter calls itself `{}` and not `{}`", adapter.key(), spec.key());
        return Err(refused(problem.into()));
    }
    let candidate = Candidate::new(adapter)
        .timeouts(Timeouts::from(&spec.timeouts))
        .stream(spec.stream.into())
        .priority(spec.priority)
        .quota_key(spec.quota_key())
        .count_cache_reads(factory.counts_cache_reads());
    let candidate = match spec.weight {
        Some(weight) => candidate.weight(weight),
        None => candidate,
    };
    Ok(match &spec.price {
        Some(price) => candidate.price(Price::from(price)),
        None => candidate,
    })
}

fn credential(
    place: &Place,
    spec: &CandidateSpec,
    source: Source,
    registry: &Registry,
    factory: &dyn ProviderFactory,
) -> Result<Option<Credential>, ConfigError> {
    let missing = || ConfigError::MissingCredential { id: spec.key() };
    match source {
        Source::Variable => Ok(registry.credential(place, spec, factory)?.map(Credential::Value)),
        Source::Given(Credential::Value(key)) => {
            registry::trimmed(&key).map(|key| Some(Credential::Value(key))).ok_or_else(missing)
        }
        Source::Given(credential) => Ok(Some(credential)),
        Source::None if registry::variable(spec, factory).is_some() => Err(missing()),
        Source::None => Ok(None),
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("members", &self.members)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}
