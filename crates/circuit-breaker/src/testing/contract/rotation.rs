//! The suite for rotations: what its harness brings, and the rules.

use std::sync::Arc;

use async_trait::async_trait;

use super::pace::Pace;
use super::run::{self, Rule, look_alikes, shown, together};
use super::summary::{self, Summary, broken, require, skipped};
use crate::rotation::Rotation;

type Found<T = ()> = summary::Verdict<T>;

/// Makes the rotations that the suite asks for.
#[async_trait]
pub trait RotationHarness: Send + Sync {
    /// A rotation on a store of its own with nothing in it.
    ///
    /// The suite is done with those it had before, so the harness may empty one store again and again: unless it sets
    /// [`Pace::at_once`], which has several in use at a time.
    async fn rotation(&self) -> Arc<dyn Rotation>;

    /// Two independent clients of one store, with nothing in it. `None` unless overridden, and where clients share
    /// nothing.
    async fn pair(&self) -> Option<[Arc<dyn Rotation>; 2]> {
        None
    }

    /// How fast time goes.
    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// Puts the rotation through every rule of the contract.
///
/// # Panics
///
/// When a rule is broken, or none held. The message names every broken rule and where it was broken; [`examine_rotation`] tells the
/// same without panicking.
pub async fn check_rotation(harness: &dyn RotationHarness) -> Summary {
    examine_rotation(harness).await.assert_sound()
}

/// Puts the rotation through every rule of the contract and tells what came of it. Needs a Tokio runtime with time
/// enabled.
pub async fn examine_rotation(harness: &dyn RotationHarness) -> Summary {
    run::all("rotation", &rules(), harness, harness.pace()).await
}

fn rules<'h>() -> Vec<Rule<dyn RotationHarness + 'h>> {
    vec![
        ("turns begin with zero, and each is one more", |h, p| Box::pin(counts(h, p))),
        ("however many ask at once, each turn is taken once", |h, p| Box::pin(unique(h, p))),
        ("any string is a key, and each has turns of its own", |h, p| Box::pin(apart(h, p))),
        ("after a reset turns begin with zero", |h, p| Box::pin(resets(h, p))),
        ("what is asked after closing comes to an end", |h, p| Box::pin(closes(h, p))),
        ("clients share the turns", |h, p| Box::pin(shares(h, p))),
        ("one client's closing is not another's", |h, p| Box::pin(closes_alone(h, p))),
    ]
}

/// One client.
#[derive(Clone)]
struct Bench {
    rotation: Arc<dyn Rotation>,
    pace: Pace,
}

impl Bench {
    async fn new(harness: &dyn RotationHarness, pace: Pace) -> Self {
        Self { rotation: harness.rotation().await, pace }
    }

    async fn pair(harness: &dyn RotationHarness, pace: Pace) -> Found<[Self; 2]> {
        match harness.pair().await {
            Some(pair) => Ok(pair.map(|rotation| Self { rotation, pace })),
            None => skipped("the harness has no second client"),
        }
    }

    async fn next(&self, key: &str) -> Found<u64> {
        match run::within(self.pace, self.rotation.next(key)).await? {
            Ok(turn) => Ok(turn),
            Err(error) => broken(format!("expected a turn under {}, got: {error}", shown(key))),
        }
    }

    async fn is_next(&self, key: &str, expected: u64) -> Found {
        let turn = self.next(key).await?;
        require(turn == expected, || format!("expected the turn {expected} under {}, got {turn}", shown(key)))
    }

    async fn reset(&self, key: &str) -> Found {
        match run::within(self.pace, self.rotation.reset(key)).await? {
            Ok(()) => Ok(()),
            Err(error) => broken(format!("expected {} to be reset, got: {error}", shown(key))),
        }
    }

    async fn close(&self) -> Found {
        run::within(self.pace, self.rotation.close()).await
    }
}

async fn counts(harness: &dyn RotationHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace).await;
    for expected in 0..5 {
        bench.is_next("key", expected).await?;
    }
    Ok(())
}

const CROWD: u64 = 64;

/// All of them are asked at once, and no turn is left out or taken twice.
async fn gapless(clients: &[Bench]) -> Found {
    let take = |bench: &Bench| {
        let bench = bench.clone();
        async move { bench.next("key").await }
    };
    let asked = clients.iter().cycle().zip(0..CROWD).map(|(bench, _)| take(bench));
    let mut turns = together(asked).await?.into_iter().collect::<Found<Vec<_>>>()?;
    turns.sort_unstable();
    require(turns.iter().copied().eq(0..CROWD), || format!("{CROWD} that asked at once got {turns:?}"))
}

async fn unique(harness: &dyn RotationHarness, pace: Pace) -> Found {
    gapless(&[Bench::new(harness, pace).await]).await
}

async fn apart(harness: &dyn RotationHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace).await;
    for turn in 0..2 {
        for key in look_alikes().as_flattened() {
            bench.is_next(key, turn).await?;
        }
    }
    Ok(())
}

async fn resets(harness: &dyn RotationHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace).await;
    bench.reset("key").await?;
    for _ in 0..2 {
        bench.is_next("key", 0).await?;
        bench.is_next("key", 1).await?;
        bench.reset("key").await?;
    }
    bench.is_next("other", 0).await?;
    bench.reset("key").await?;
    bench.is_next("other", 1).await
}

/// It may fail then, but says so.
async fn closes(harness: &dyn RotationHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace).await;
    bench.next("key").await?;
    bench.close().await?;
    let _ = run::within(pace, bench.rotation.next("key")).await?;
    let _ = run::within(pace, bench.rotation.reset("key")).await?;
    bench.close().await
}

async fn shares(harness: &dyn RotationHarness, pace: Pace) -> Found {
    let pair = Bench::pair(harness, pace).await?;
    gapless(&pair).await?;
    let [one, other] = &pair;
    one.reset("key").await?;
    other.is_next("key", 0).await
}

async fn closes_alone(harness: &dyn RotationHarness, pace: Pace) -> Found {
    let [one, other] = Bench::pair(harness, pace).await?;
    one.is_next("key", 0).await?;
    one.close().await?;
    other.is_next("key", 1).await
}
