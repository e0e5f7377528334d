//! The orders that are built in: each chooses who goes first, and leaves the fallback to the priorities.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use circuit_breaker::{InProcessRotation, Rotation, RotationError, rotation_key};

use super::{Lineup, Order, Standing};

/// By [priority](crate::Candidate::priority), and as listed where that is the same, as it is unless priorities are set: what
/// a client does unless another order is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listed;

#[async_trait]
impl Order for Listed {
    async fn arrange(&self, _lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        Ok(())
    }
}

/// Each call begins with the next candidate of the list; who comes after a failure follows the priorities.
///
/// So the load is spread whatever the priorities are, and these say who takes over. With A, B and C in this order of
/// priority, calls go A, B, C, then B, A, C, then C, A, B.
///
/// ```
/// use llm_reliability::{Candidate, ResilientClient, RoundRobin};
/// use llm_reliability::llm_protocol::testing::ScriptedModel;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ResilientClient::builder()
///     .candidates(["key:1", "key:2"].map(ScriptedModel::new))
///     .order(RoundRobin::default())
///     .build()?;
/// for expected in ["key:1", "key:2", "key:1"] {
///     assert_eq!(&*client.failover("hi").await?.attempts()[0].model_key, expected);
/// }
/// # Ok(())
/// # }
/// ```
pub struct RoundRobin {
    rotation: Arc<dyn Rotation>,
    prefix: String,
}

impl RoundRobin {
    /// Takes turns from this rotation, which others may share. One turn is taken for each call.
    pub fn new(rotation: Arc<dyn Rotation>) -> Self {
        Self { rotation, prefix: "rotation".to_owned() }
    }

    /// Sets what the key in the rotation's store begins with; a hash of the candidates' keys follows it. `rotation` unless
    /// set.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}

/// Turns that are counted in this process.
impl Default for RoundRobin {
    fn default() -> Self {
        Self::new(Arc::new(InProcessRotation::default()))
    }
}

impl fmt::Debug for RoundRobin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoundRobin").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[async_trait]
impl Order for RoundRobin {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        let key = rotation_key(&self.prefix, lineup.listed().map(|candidate| candidate.key()));
        let turn = self.rotation.next(&key).await?;
        let turn = u64::try_from(lineup.len()).ok().and_then(|candidates| turn.checked_rem(candidates));
        lineup.start_with(turn.and_then(|turn| usize::try_from(turn).ok()).unwrap_or_default());
        Ok(())
    }
}

/// Each call begins with a candidate that is drawn at random, each as often as its
/// [weight](crate::Candidate::weight) says; who comes after a failure follows the priorities.
///
/// Nothing is remembered from call to call, so that a fleet shares the load in the same way without a store. A weight of
/// 0 is never drawn: such a candidate is asked when others have failed. Where all weights are 0, it is as
/// [`Listed`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Weighted;

#[async_trait]
impl Order for Weighted {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        let weight = |candidate: Standing<'_>| u64::from(candidate.weight());
        let all: u64 = lineup.listed().map(weight).sum();
        if all > 0 {
            let mut drawn = fastrand::u64(..all);
            let chosen = lineup.listed().find(|candidate| {
                let weight = weight(*candidate);
                let found = drawn < weight;
                drawn = drawn.saturating_sub(weight);
                found
            });
            lineup.start_with(chosen.map_or(0, |candidate| candidate.position()));
        }
        Ok(())
    }
}

/// Each call begins with the candidate that has the fewest attempts under way through this client and its clones; where
/// that is the same, and after a failure, by priority.
///
/// What other processes have under way is not known here.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastInFlight;

#[async_trait]
impl Order for LeastInFlight {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        if let Some(idlest) = lineup.iter().min_by_key(Standing::in_flight) {
            lineup.start_with(idlest.position());
        }
        Ok(())
    }
}

/// Each call begins with the candidate whose [first tokens](Standing::first_token) came fastest of late; who comes after a
/// failure follows the priorities.
///
/// A candidate's speed is not guessed: it counts from its tenth first token on, unless [set](Self::samples), and until some
/// candidate has as many, calls begin as with [`Listed`]. To know the others, and to see when one has become faster, one call
/// in ten, unless [set](Self::explore), begins with another candidate, drawn at random.
#[derive(Clone, Copy, Debug)]
pub struct FastestFirstToken {
    samples: usize,
    explore: f64,
}

impl FastestFirstToken {
    /// Sets from how many first tokens on a candidate's speed counts. 10 unless set; at least 1, at most 32.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples.clamp(1, 32);
        self
    }

    /// Sets the share of calls, 0 to 1, that begin with another candidate than the fastest. 0.1 unless set.
    pub fn explore(mut self, share: f64) -> Self {
        self.explore = share;
        self
    }
}

impl Default for FastestFirstToken {
    fn default() -> Self {
        Self { samples: 10, explore: 0.1 }
    }
}

#[async_trait]
impl Order for FastestFirstToken {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        let known = lineup.iter().filter_map(|each| Some((each.first_token(self.samples)?, each)));
        // Of several that are equally fast the first in the line.
        let fastest = known.min_by_key(|(first_token, _)| *first_token).map(|(_, fastest)| fastest);
        let usual = fastest.or_else(|| lineup.iter().next()).map_or(0, |usual| usual.position());
        let mut first = usual;
        if fastrand::f64() < self.explore && lineup.len() > 1 {
            let mut others = lineup.iter().map(|other| other.position()).filter(|other| *other != usual);
            first = others.nth(fastrand::usize(..lineup.len() - 1)).unwrap_or(usual);
        }
        lineup.start_with(first);
        Ok(())
    }
}
