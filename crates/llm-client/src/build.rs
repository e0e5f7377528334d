//! From a configuration to a client.

use circuit_breaker::Settings;
use llm_adapters::HttpClient;
use llm_reliability::{Candidate, ClientBuilder, Policy, Price, ResilientClient, Timeouts};

use crate::config::{CandidateSpec, Config, candidate_path};
use crate::error::ConfigError;
use crate::registry::{ProviderContext, Registry};

impl Config {
    /// The client, ready to be asked. Credentials are read now; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the first thing that is wrong.
    pub fn build(&self, registry: &Registry) -> Result<ResilientClient, ConfigError> {
        Ok(self.client_builder(registry)?.build()?)
    }

    /// The client with everything that the configuration says, for what only code can say: an observer, a breaker
    /// that others share, further candidates. A [`breaker`](ClientBuilder::breaker) that is handed in has settings of
    /// its own, and `[breaker]` is then without effect.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as in [`build`](Self::build).
    pub fn client_builder(&self, registry: &Registry) -> Result<ClientBuilder, ConfigError> {
        self.check()?;
        let http = self.http_client(registry)?;
        let mut builder = ResilientClient::builder()
            .timeouts(Timeouts::from(&self.timeouts))
            .policy(Policy::from(&self.failover))
            .breaker_settings(Settings::from(&self.breaker));
        for (at, spec) in self.candidates.iter().enumerate() {
            builder = builder.candidate(candidate(&candidate_path(at), spec, registry, &http)?);
        }
        Ok(builder)
    }

    /// One for all candidates, so that those of one host share their connections.
    fn http_client(&self, registry: &Registry) -> Result<HttpClient, ConfigError> {
        match (&registry.http, self.timeouts.connect) {
            (Some(_), Some(_)) => {
                let reason = "cannot be set: the HTTP client was given, and has a limit of its own";
                Err(ConfigError::invalid("timeouts.connect".to_owned(), reason))
            }
            (Some(given), None) => Ok(given.clone()),
            (None, Some(limit)) => HttpClient::connect_timeout(limit).map_err(ConfigError::HttpClient),
            (None, None) => HttpClient::new().map_err(ConfigError::HttpClient),
        }
    }
}

fn candidate(
    path: &str,
    spec: &CandidateSpec,
    registry: &Registry,
    http: &HttpClient,
) -> Result<Candidate, ConfigError> {
    let factory = registry.factory(path, spec)?;
    let credential = registry.credential(path, spec, factory)?;
    let refused =
        |cause| ConfigError::Provider { path: path.to_owned(), provider: spec.provider.clone(), cause };
    let adapter = factory.adapter(ProviderContext { spec, credential, http }).map_err(refused)?;
    if adapter.key() != spec.key() {
        let problem = format!("its adapter calls itself `{}` and not `{}`", adapter.key(), spec.key());
        return Err(refused(problem.into()));
    }
    let candidate =
        Candidate::new(adapter).timeouts(Timeouts::from(&spec.timeouts)).stream(spec.stream.into());
    Ok(match &spec.price {
        Some(price) => candidate.price(Price::from(price)),
        None => candidate,
    })
}
