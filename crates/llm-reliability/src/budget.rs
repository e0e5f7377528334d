//! A budget for retries, so that they cannot make an outage worse.
//!
//! A retry helps when a failure is a matter of luck. When a provider is down it is one request more for someone who
//! cannot serve the ones he has, and every caller sends it at the same moment. A limit per call does not help there:
//! with three retries each, a provider in trouble gets four times its usual load. And it multiplies: where a service
//! that retries three times calls another that does the same, one click can become sixteen requests.
//!
//! So what is limited is the share of retries in all that a candidate receives. Each has a bucket of tokens:
//!
//! - Every call that may retry adds `ratio` of a token when its first request goes to the candidate, whatever becomes
//!   of it. At a ratio of 0.2, five calls pay for one retry, so in the worst of outages a candidate gets a fifth more
//!   than its calls, not three times more. The calls that others receive pay for nothing here: a candidate that is only
//!   asked when another has failed has few calls, and few retries.
//! - Every retry takes one token. Without a token there is none, and the strategy goes on as after the last one. Only
//!   where a throttling provider itself said when to come back, and the policy waits for that, nothing is taken.
//! - The bucket starts with `reserve` tokens. A candidate with one call a minute would otherwise have failed five times
//!   before it could be asked again at all.
//! - It never holds more than that (or, if that is more, than what one call adds and a token beside). What a busy,
//!   healthy hour saves up must not be spent at once when the outage comes.
//!
//! After any number of calls a candidate has been asked again at most `reserve + ratio * calls` times. Sizes: as
//! `ratio`, the extra load that a provider in trouble can bear, a tenth to a fifth; as `reserve`, as many retries as
//! may be sent in one go after a quiet time. Each process has buckets of its own, so reserves add up over a fleet and
//! ratios do not.
//!
//! There is no clock in it. The budget of [tower](https://docs.rs/tower/latest/tower/retry/budget/) lets deposits
//! expire after some seconds, so that old calls do not pay for new retries; here the cap does that, and a token costs
//! one compare-and-swap, repeated only while other threads change the same bucket. The token bucket in the [standard
//! retry mode of the AWS SDKs][aws] and the retry throttling of gRPC ([A6: Client Retries][a6]) have no clock either.
//! These two are filled by successes alone, which stops retries altogether while everything fails; here every call
//! counts, as what a candidate receives is to be bounded by a number that can be told beforehand. Whoever is down for
//! longer is left alone by its circuit.
//!
//! [aws]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
//! [a6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md

use std::sync::atomic::{AtomicU64, Ordering};

/// One retry. Tokens are counted in thousandths, so that ratios add up exactly.
const TOKEN: u64 = 1000;

/// How often a candidate may be asked again, as a share of its calls: so that retries cannot multiply an outage.
///
/// Each candidate of a client has a budget of this size to itself. Every call that may
/// [retry](crate::Policy::transient_retries) adds `ratio` of a token to it when its first request goes there, every
/// retry takes a whole token, and where there is none the strategy moves on to the next candidate. It starts with
/// `reserve` tokens and holds hardly more than that. So `n` calls of a candidate bring it at most `reserve + ratio * n`
/// retries. Waits for a throttling provider that were [asked for](crate::Policy::wait_out_backpressure) take nothing.
///
/// This is the size only; each client counts for itself, clones of a client together. Nothing here waits or reads a
/// clock. The token of a retry is spent when the retry is decided on; dropping the call during the pause before it does
/// not give it back.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget(Option<Size>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    /// In thousandths of a token, as all that is counted.
    per_call: u64,
    reserve: u64,
}

impl RetryBudget {
    /// A budget that grows by `ratio` tokens with every call, and starts with `reserve` of them.
    ///
    /// The ratio counts in whole thousandths, what is beyond is left out. One that is negative or not a number is 0:
    /// then there is the reserve and no more. An infinite one is no bound. However small the reserve, there is room for
    /// what one call adds and one token more.
    pub const fn new(ratio: f64, reserve: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates: as documented"
        )]
        let per_call = (ratio * 1000.0) as u64;
        Self(Some(Size { per_call, reserve: reserve as u64 * TOKEN }))
    }

    /// No bound but the policy's own.
    pub const fn unlimited() -> Self {
        Self(None)
    }
}

/// A fifth of the calls, and ten to begin with.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(0.2, 10)
    }
}

/// The tokens of one candidate.
#[derive(Debug)]
pub(crate) struct Bucket {
    size: Option<Size>,
    tokens: AtomicU64,
}

impl Bucket {
    pub(crate) fn new(RetryBudget(size): RetryBudget) -> Self {
        Self { size, tokens: AtomicU64::new(size.map_or(0, |size| size.reserve)) }
    }

    /// One that begins empty and saves up so many tokens.
    pub(crate) fn saving(per_call: f64, most: u32) -> Self {
        let RetryBudget(size) = RetryBudget::new(per_call, most);
        Self { size, tokens: AtomicU64::new(0) }
    }

    /// A call that may retry sends its first request.
    pub(crate) fn earn(&self) {
        if let Some(size) = self.size {
            self.add(size, size.per_call);
        }
    }

    fn add(&self, Size { per_call, reserve }: Size, tokens: u64) {
        // With room for what is left of a token when the next call adds to it, so that no part of a ratio is lost.
        let most = reserve.max(per_call.saturating_add(TOKEN));
        // One that is full is not written to.
        let add = |held: u64| (held < most).then(|| held.saturating_add(tokens).min(most));
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// What was taken was not used.
    pub(crate) fn give_back(&self) {
        if let Some(size) = self.size {
            self.add(size, TOKEN);
        }
    }

    /// Takes the token of one retry. Says whether there was one.
    pub(crate) fn spend(&self) -> bool {
        let take = |tokens: u64| tokens.checked_sub(TOKEN);
        self.size.is_none() || self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn bucket(ratio: f64, reserve: u32) -> Bucket {
        Bucket::new(RetryBudget::new(ratio, reserve))
    }

    /// Retries granted, when each of `calls` calls asks for `each` of them.
    fn granted(bucket: &Bucket, calls: usize, each: usize) -> usize {
        let call = || {
            bucket.earn();
            (0..each).filter(|_| bucket.spend()).count()
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
            // What is beyond them would add up to more than was granted.
            (0.0006, 0, 1000, 1, 0),
            (0.0999, 1, 1000, 1, 100),
            // Nonsense has a meaning too.
            (-1.0, 2, 1000, 3, 2),
            (f64::NAN, 2, 1000, 3, 2),
            (f64::NEG_INFINITY, 2, 1000, 3, 2),
            (f64::INFINITY, 0, 1000, 3, 3000),
            (f64::MAX, u32::MAX, 1000, 3, 3000),
        ] {
            let bucket = bucket(ratio, reserve);
            assert_eq!(granted(&bucket, calls, each), expected, "{ratio} {reserve}");
        }
        assert_eq!(granted(&Bucket::new(RetryBudget::unlimited()), 10, 100), 1000);
        assert_eq!(granted(&Bucket::new(RetryBudget::default()), 1000, 3), 209);
    }

    #[test]
    fn what_a_healthy_hour_earns_is_not_saved_up() {
        for (ratio, reserve, most) in [(0.2, 10, 10), (0.2, 0, 1), (0.0, 0, 0), (3.0, 2, 4), (0.5, 2, 2)] {
            let bucket = bucket(ratio, reserve);
            granted(&bucket, 10_000, 0);
            let at_once = (0..100).filter(|_| bucket.spend()).count();
            assert_eq!(at_once, most, "{ratio} {reserve}");
        }
    }

    #[test]
    fn threads_never_overspend() {
        let (bucket, spent) = (bucket(0.25, 100), AtomicUsize::new(0));
        assert_eq!((0..1000).filter(|_| bucket.spend()).count(), 100);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (bucket, spent) = (&bucket, &spent);
                scope.spawn(move || spent.fetch_add(granted(bucket, 1000, 3), Ordering::Relaxed));
            }
        });
        // Each asks for more than it adds, so nothing is left, and there was always room for what was added.
        assert_eq!(spent.into_inner(), 8 * 250);
        assert!(!bucket.spend());
    }
}
