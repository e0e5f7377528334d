//! A budget for retries, so that they cannot make an outage worse.
//!
//! A retry helps when a failure is a matter of luck. When a provider is down it is one request more for someone who
//! cannot serve the ones he has, and every caller sends it at the same moment. A limit per call does not help there:
//! with three retries each, a provider in trouble gets four times its usual load. And it multiplies: where a service
//! that retries three times calls another that does the same, one click can become sixteen requests.
//!
//! So what is limited is the share of retries in all that a client sends. The budget is a bucket of tokens:
//!
//! - Every call that may retry adds `ratio` of a token, whatever becomes of it. At a ratio of 0.2, five calls pay for
//!   one retry, so in the worst of outages a candidate gets a fifth more than its calls, not three times more.
//! - Every retry takes one token, also one that waits out backpressure. Without a token there is none, and the strategy
//!   goes on as after the last one.
//! - The bucket starts full, with `reserve` tokens. A client with one call a minute would otherwise have failed five
//!   times before it could retry at all.
//! - It never holds more than that (or, if that is more, than what one call adds and a token beside). What a busy, healthy
//!   hour saves up must not be spent at once when the outage comes.
//!
//! After any number of calls there have been at most `reserve + ratio * calls` retries. Sizes: as `ratio`, the extra
//! load that a provider in trouble can bear, a tenth to a fifth; as `reserve`, as many retries as a client that has been
//! quiet may send in one go. Each process has a budget of its own, so reserves add up over a fleet and ratios do not.
//!
//! There is no clock in it. The budget of [tower](https://docs.rs/tower/latest/tower/retry/budget/) lets deposits expire
//! after some seconds, so that old calls do not pay for new retries; here the cap does that, and a token costs one
//! atomic operation. The token bucket in the [standard retry mode of the AWS SDKs][aws] and the retry throttling of
//! gRPC ([A6: Client Retries][a6]) have no clock either. These two are filled by successes alone, which stops retries
//! altogether while everything fails; here every call counts, as what a candidate receives is to be bounded by a number
//! that can be told beforehand. Whoever is down for longer is left alone by its circuit.
//!
//! [aws]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
//! [a6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One retry. Tokens are counted in thousandths, so that ratios add up exactly.
const TOKEN: u64 = 1000;

/// How many retries there may be, as a share of the calls: so that they cannot multiply an outage.
///
/// Every call that may [retry](crate::Policy::transient_retries) adds `ratio` of a token, every retry takes a whole one,
/// and where there is none the strategy moves on to the next candidate. It starts with `reserve` tokens and holds
/// hardly more than that. So `n` calls bring at most `reserve + ratio * n` retries.
///
/// Clones share the tokens. A client has one of its own unless it is [given one](crate::ClientBuilder::retry_budget),
/// which several clients may share. Nothing here waits or reads a clock. The token of a retry is spent when the retry is
/// decided on; dropping the call during the pause before it does not give it back.
///
/// ```
/// use llm_reliability::llm_protocol::testing::{ScriptedModel, Step};
/// use llm_reliability::llm_protocol::{Error, ErrorKind};
/// use llm_reliability::{Policy, ResilientClient, RetryBudget};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let down = ScriptedModel::new("one:down").then(Step::error(Error::new(ErrorKind::Connection, "refused")));
/// let client = ResilientClient::builder()
///     .candidate(down.clone())
///     .candidate(ScriptedModel::new("two:up"))
///     .policy(Policy::default().transient_retries(1))
///     .retry_budget(RetryBudget::new(0.0, 1))
///     .build()?;
/// for _ in 0..2 {
///     assert!(client.failover("hi").await?.succeeded());
/// }
/// assert_eq!(down.started(), 3, "two calls, and the one retry that there was");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget(Option<Arc<Bucket>>);

#[derive(Debug)]
struct Bucket {
    tokens: AtomicU64,
    per_call: u64,
    most: u64,
}

impl RetryBudget {
    /// A budget that grows by `ratio` tokens with every call, and starts with `reserve` of them.
    ///
    /// The ratio counts in thousandths. One that is negative or not a number is 0: then there is the reserve and no more.
    /// An infinite one is no bound. However small the reserve, there is room for what one call adds and one token more.
    pub fn new(ratio: f64, reserve: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates: as documented"
        )]
        let per_call = (ratio * 1000.0).round() as u64;
        let reserve = u64::from(reserve) * TOKEN;
        // With room for what is left of a token when the next call adds to it, so that no ratio is rounded down.
        let most = reserve.max(per_call.saturating_add(TOKEN));
        Self(Some(Arc::new(Bucket { tokens: AtomicU64::new(reserve), per_call, most })))
    }

    /// No bound but the policy's own.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// A call begins that may retry.
    pub(crate) fn earn(&self) {
        if let Some(bucket) = &self.0 {
            let add = |tokens: u64| {
                (tokens < bucket.most).then(|| tokens.saturating_add(bucket.per_call).min(bucket.most))
            };
            // One that is full is not written to.
            let _ = bucket.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    /// Takes the token of one retry. Says whether there was one.
    pub(crate) fn spend(&self) -> bool {
        let take = |tokens: u64| tokens.checked_sub(TOKEN);
        self.0.as_ref().is_none_or(|bucket| {
            bucket.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
        })
    }
}

/// A fifth of the calls, and ten to begin with.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(0.2, 10)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Retries granted, when each of `calls` calls asks for `each` of them.
    fn granted(budget: &RetryBudget, calls: usize, each: usize) -> usize {
        let call = || {
            budget.earn();
            (0..each).filter(|_| budget.spend()).count()
        };
        (0..calls).map(|_| call()).sum()
    }

    #[test]
    fn retries_are_a_share_of_the_calls_after_the_reserve() {
        // The first call adds nothing to a budget that is full.
        for (ratio, reserve, calls, each, expected) in [
            (0.2, 10, 1000, 3, 209),
            (0.2, 0, 1000, 3, 200),
            (0.1, 10, 100, 1, 19),
            (0.0, 10, 1000, 3, 10),
            (0.0, 0, 1000, 3, 0),
            (1.0, 0, 1000, 3, 1000),
            (2.0, 0, 1000, 3, 2000),
            (2.0, 1, 1000, 3, 2001),
            // Thousandths add up without a rest.
            (0.001, 0, 3000, 1, 3),
            (0.333, 0, 1000, 1, 333),
            // Nonsense has a meaning too.
            (-1.0, 2, 1000, 3, 2),
            (f64::NAN, 2, 1000, 3, 2),
            (f64::NEG_INFINITY, 2, 1000, 3, 2),
            (f64::INFINITY, 0, 1000, 3, 3000),
            (f64::MAX, u32::MAX, 1000, 3, 3000),
        ] {
            let budget = RetryBudget::new(ratio, reserve);
            assert_eq!(granted(&budget, calls, each), expected, "{ratio} {reserve}");
        }
        assert_eq!(granted(&RetryBudget::unlimited(), 10, 100), 1000);
        assert_eq!(granted(&RetryBudget::default(), 0, 0), 0);
    }

    #[test]
    fn what_a_healthy_hour_earns_is_not_saved_up() {
        for (ratio, reserve, most) in [(0.2, 10, 10), (0.2, 0, 1), (0.0, 0, 0), (3.0, 2, 4), (0.5, 2, 2)] {
            let budget = RetryBudget::new(ratio, reserve);
            granted(&budget, 10_000, 0);
            let at_once = (0..100).filter(|_| budget.spend()).count();
            assert_eq!(at_once, most, "{ratio} {reserve}");
        }
    }

    #[test]
    fn clones_share_the_tokens_and_threads_never_overspend() {
        let (budget, spent) = (RetryBudget::new(0.25, 100), AtomicUsize::new(0));
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 100);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (budget, spent) = (budget.clone(), &spent);
                scope.spawn(move || spent.fetch_add(granted(&budget, 1000, 3), Ordering::Relaxed));
            }
        });
        // Each asks for more than it adds, so nothing is left, and there was always room for what was added.
        assert_eq!(spent.into_inner(), 8 * 250);
        assert!(!budget.spend());
    }
}
