//! What all workers of one fleet share: where they meet, and by which rules.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    InProcessBreaker, InProcessLimiter, Limits, OnOutage, Percent, Quota, Rate, Rates, RedisBreaker,
    RedisLimiter, RedisRotation, RedisStore, Settings, Window,
};

/// The one key that everybody uses.
pub(crate) const KEY: &str = "upstream";
/// How old what a worker knows may be.
pub(crate) const STALE: Duration = Duration::from_millis(250);

/// How much a limiter lets through.
pub(crate) const REQUESTS_A_SECOND: u64 = 60;
pub(crate) const REQUESTS_AT_ONCE: u64 = 6;
pub(crate) const TOKENS_A_SECOND: u64 = 1500;
pub(crate) const TOKENS_AT_ONCE: u64 = 150;
pub(crate) const IN_FLIGHT: u32 = 8;

/// What opens a circuit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// So many failures in a row.
    Row(u32),
    /// Half of the last so many calls, once there are as many as the second number says.
    Calls(u32, u32),
    /// Half of the calls within so many milliseconds.
    Time(u32, u32),
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) rule: Rule,
    /// In milliseconds.
    pub(crate) cooldown: u64,
    /// Zero sets no bound.
    pub(crate) probes: u32,
}

/// Where a worker finds its plan.
pub(crate) const ENVIRONMENT: &str = "FLEET_PLAN";

impl Plan {
    pub(crate) const fn new(rule: Rule, cooldown: u64, probes: u32) -> Self {
        Self { url: String::new(), rule, cooldown, probes }
    }

    /// The plan of the process that this is, if it is a worker.
    pub(crate) fn from_environment() -> Option<Self> {
        let text = std::env::var(ENVIRONMENT).ok()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u32>().unwrap();
        let rule = match words[1] {
            "row" => Rule::Row(number(2)),
            "calls" => Rule::Calls(number(2), number(3)),
            _ => Rule::Time(number(2), number(3)),
        };
        Some(Self { url: words[0].to_owned(), rule, cooldown: number(4).into(), probes: number(5) })
    }

    /// A store of a worker's own. Whoever has no answer from it lets nothing through, and takes its time: this is
    /// about what is shared, not about what is done without a store.
    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::builder(&self.url).timeout(Duration::from_secs(10)).staleness(STALE).build().unwrap()
    }

    pub(crate) fn breaker(&self, store: &RedisStore) -> RedisBreaker {
        let half = Percent::new(50).unwrap();
        let some = |number| NonZeroU32::new(number).unwrap();
        let rates = |window, least| Rates::failures(half, window).minimum_calls(some(least));
        let settings = match self.rule {
            Rule::Row(failures) => Settings::default().failure_threshold(some(failures)),
            Rule::Calls(size, least) => Settings::default().trip(rates(Window::Calls(some(size)), least)),
            Rule::Time(size, least) => {
                Settings::default().trip(rates(Window::Time(Duration::from_millis(size.into())), least))
            }
        };
        let settings =
            settings.cooldown(Duration::from_millis(self.cooldown)).probes(NonZeroU32::new(self.probes));
        RedisBreaker::new(store, InProcessBreaker::new(settings)).on_outage(OnOutage::FailClosed)
    }

    pub(crate) fn quota(store: &RedisStore) -> Quota {
        let rate = |amount, burst| {
            Rate::per_second(NonZeroU64::new(amount).unwrap()).burst(NonZeroU64::new(burst).unwrap())
        };
        let limits = Limits::default()
            .requests(rate(REQUESTS_A_SECOND, REQUESTS_AT_ONCE))
            .input_tokens(rate(TOKENS_A_SECOND, TOKENS_AT_ONCE))
            .in_flight(NonZeroU32::new(IN_FLIGHT).unwrap());
        let limiter = RedisLimiter::new(store, InProcessLimiter::new(limits)).on_outage(OnOutage::FailClosed);
        Quota::new(Arc::new(limiter), KEY)
    }

    pub(crate) fn rotation(store: &RedisStore) -> RedisRotation {
        RedisRotation::new(store)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size, least) = match self.rule {
            Rule::Row(failures) => ("row", failures, 0),
            Rule::Calls(size, least) => ("calls", size, least),
            Rule::Time(size, least) => ("time", size, least),
        };
        write!(f, "{} {name} {size} {least} {} {}", self.url, self.cooldown, self.probes)
    }
}

/// How long the parts last that are random.
pub(crate) fn spell() -> Duration {
    let seconds = std::env::var("FLEET_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::from_secs(2), Duration::from_secs)
}
