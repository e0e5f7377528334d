//! `[store]`: what clients share, and through which store.

use std::fmt;
use std::time::Duration;

use llm_adapters::reqwest::Url;
use serde::{Deserialize, Serialize};

use super::words::{self, Words};
use super::{OrderName, duration, shown, shown_variable, variable};
use crate::error::{ConfigError, breaks_lines};

/// `[store]`: the store through which clients share their circuits, their limits and, where `failover.order` is
/// `"round_robin"`, their turns. Without one each client has its own.
///
/// `Debug` leaves the URLs out, as somebody may have put a password there by mistake.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct StoreConfig {
    /// The URL of a Redis or Valkey, without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<Nodes>,
    /// The environment variable that holds the URL, which may have a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_env: Option<Nodes>,
    /// `host:port` of a Memcached for the turns alone: breaker and limiter share nothing through it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memcached: Option<String>,
    /// What the names of all entries begin with. `circuit-breaker` unless set. Clients with the same prefix share what
    /// has the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How long a call waits for the store at most, below 5 s. 50 ms unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How old what is known of the store may be that calls are let out by. 250 ms unless set; with zero, every call asks.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub staleness: Option<Duration>,
    /// What breaker and limiter do while the store is out of reach. [`OutageName::LocalFallback`] unless set.
    #[serde(deserialize_with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub on_outage: Option<OutageName>,
    /// What the rotation does then. [`OutageName::FailClosed`] unless set.
    #[serde(deserialize_with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub rotation_on_outage: Option<OutageName>,
}

/// One server, or the nodes of a Cluster: one text, or a list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a string, or a list of strings for a Cluster")]
pub enum Nodes {
    /// One server.
    Server(String),
    /// Some nodes of a Cluster, which know of the others.
    Cluster(Vec<String>),
}

impl Nodes {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::Server(node) => std::slice::from_ref(node),
            Self::Cluster(nodes) => nodes,
        }
    }
}

impl From<&str> for Nodes {
    fn from(server: &str) -> Self {
        Self::Server(server.to_owned())
    }
}

/// What is done while the store is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutageName {
    /// Each client goes on alone, by the same rules; turns are drawn at random.
    LocalFallback,
    /// Everything is let through; turns are drawn at random.
    FailOpen,
    /// Nothing is: calls end as [`Ended::StoreUnavailable`](llm_reliability::Ended::StoreUnavailable).
    FailClosed,
}

impl Words for OutageName {
    const EXPECTED: &'static str = "`\"local_fallback\"`, `\"fail_open\"` or `\"fail_closed\"`";
}

#[cfg(any(feature = "redis", feature = "memcached"))]
impl From<OutageName> for circuit_breaker::OnOutage {
    fn from(name: OutageName) -> Self {
        match name {
            OutageName::LocalFallback => Self::LocalFallback,
            OutageName::FailOpen => Self::FailOpen,
            OutageName::FailClosed => Self::FailClosed,
        }
    }
}

impl StoreConfig {
    /// Where the Redis is, and the full path of the setting that says so; `None` where there is none.
    pub(crate) fn place(&self) -> Option<(&'static str, &Nodes)> {
        let urls = self.redis.as_ref().map(|nodes| ("store.redis", nodes));
        urls.or_else(|| self.redis_env.as_ref().map(|nodes| ("store.redis_env", nodes)))
    }

    pub(super) fn check(&self, order: OrderName) -> Result<(), ConfigError> {
        if self.redis.is_some() && self.redis_env.is_some() {
            return Err(invalid("redis_env", "contradicts `redis`: set one of the two"));
        }
        self.check_places()?;
        let no_redis = self.place().is_none();
        let nothing = no_redis && self.memcached.is_none();
        for (setting, is_idle) in [
            ("prefix", nothing && self.prefix.is_some()),
            ("timeout", nothing && self.timeout.is_some()),
            ("rotation_on_outage", nothing && self.rotation_on_outage.is_some()),
        ] {
            if is_idle {
                return Err(invalid(setting, "does nothing without `redis`, `redis_env` or `memcached`"));
            }
        }
        for (setting, is_set) in
            [("staleness", self.staleness.is_some()), ("on_outage", self.on_outage.is_some())]
        {
            if is_set && no_redis {
                return Err(invalid(setting, "does nothing without `redis` or `redis_env`"));
            }
        }
        if self.memcached.is_some() && order != OrderName::RoundRobin {
            return Err(invalid("memcached", "does nothing without `failover.order = \"round_robin\"`"));
        }
        self.check_rules()
    }

    fn check_places(&self) -> Result<(), ConfigError> {
        let is_blank = |text: &String| text.trim().is_empty();
        for (setting, nodes) in [("redis", &self.redis), ("redis_env", &self.redis_env)] {
            if nodes
                .as_ref()
                .map(Nodes::as_slice)
                .is_some_and(|all| all.is_empty() || all.iter().any(is_blank))
            {
                return Err(invalid(setting, "is empty"));
            }
        }
        if self.memcached.as_ref().is_some_and(is_blank) {
            return Err(invalid("memcached", "is empty"));
        }
        // What is wrong is not shown, here and below: it may be the password.
        if self.redis.iter().flat_map(Nodes::as_slice).any(|url| has_credential(url)) {
            let reason = "has a user or a password in it, which do not belong here: put the URL into an environment \
                          variable, and the variable's name into `redis_env`";
            return Err(invalid("redis", reason));
        }
        // It would switch off the check of who answers, which nobody should do in passing.
        if self.redis.iter().flat_map(Nodes::as_slice).any(|url| url.contains('#')) {
            return Err(invalid("redis", "has a `#` in it, which is not for a configuration"));
        }
        if !self.redis_env.iter().flat_map(Nodes::as_slice).all(|name| variable::is_name(name)) {
            let reason = "is not the name of an environment variable; the URL itself belongs into `redis`, if it has no \
                          password";
            return Err(invalid("redis_env", reason));
        }
        Ok(())
    }

    fn check_rules(&self) -> Result<(), ConfigError> {
        match self.prefix.as_deref() {
            Some(prefix) if prefix.trim().is_empty() => return Err(invalid("prefix", "is empty")),
            Some(prefix) if prefix.contains(breaks_lines) => {
                return Err(invalid("prefix", "has a control character in it"));
            }
            Some(prefix) if prefix.contains(['{', '}']) => {
                return Err(invalid("prefix", "has a brace in it, which a Cluster would distribute keys by"));
            }
            _ => {}
        }
        if self.timeout.is_some_and(|timeout| timeout < SHORTEST) {
            return Err(invalid("timeout", "is below 1 ms: the store could never be in time"));
        }
        if self.staleness.is_some_and(|staleness| staleness > STALEST) {
            return Err(invalid("staleness", "is above 1 min: what others find out would come too late"));
        }
        if self.timeout.is_some_and(|timeout| timeout >= LONGEST) {
            return Err(invalid("timeout", "is not below 5 s: calls give up on any store by then"));
        }
        Ok(())
    }
}

/// No answer of any store comes sooner.
const SHORTEST: Duration = Duration::from_millis(1);

/// What is older is of no use to anybody.
const STALEST: Duration = Duration::from_secs(60);

/// How long a call of a client waits for any store. What is to be done without the store would come too late.
const LONGEST: Duration = Duration::from_secs(5);

/// Whether there is, or could be, a user or a password in it.
fn has_credential(url: &str) -> bool {
    let in_query = |url: &Url| url.query_pairs().any(|(name, _)| name == "pass" || name == "user");
    url.contains('@') || Url::parse(url.trim()).is_ok_and(|url| in_query(&url))
}

fn invalid(setting: &str, reason: &str) -> ConfigError {
    ConfigError::invalid(format!("store.{setting}"), reason)
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.redis_env.iter().flat_map(Nodes::as_slice);
        let variables: Vec<_> = variables.map(|name| shown_variable(name).unwrap_or("***")).collect();
        f.debug_struct("StoreConfig")
            .field("redis", &self.redis)
            .field("redis_env", &variables)
            .field("memcached", &self.memcached.as_deref().map(shown))
            .field("prefix", &self.prefix.as_deref().map(shown))
            .field("timeout", &self.timeout)
            .field("staleness", &self.staleness)
            .field("on_outage", &self.on_outage)
            .field("rotation_on_outage", &self.rotation_on_outage)
            .finish()
    }
}

/// Without what they are: it may have a password in it.
impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(_) => f.write_str("Server(***)"),
            Self::Cluster(nodes) => write!(f, "Cluster({} nodes)", nodes.len()),
        }
    }
}
