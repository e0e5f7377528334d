//! Rounds: in each, every row runs once with each number of calls at once, in another order.

use std::collections::BTreeMap;
use std::time::Duration;

use llm_benches::Failure;

use crate::load::{Slice, slice};
use crate::provider::Witness;
use crate::row::Row;

/// How long it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// What a row takes in a round, about.
    pub(crate) slice: Duration,
}

/// What was measured, by row and calls at once, round by round.
pub(crate) type Series = BTreeMap<(&'static str, usize), Vec<Slice>>;

/// Measures all rows, in turns.
pub(crate) async fn measure(rows: &[&Row], plan: Plan, witness: &mut Witness) -> Result<Series, Failure> {
    let mut turns = Vec::new();
    for row in rows {
        for &at_once in row.at {
            let calls = calibrate(row, at_once, plan.slice * row.longer, witness).await;
            turns.push((*row, at_once, calls.map_err(named(row, at_once))?));
        }
    }
    let mut series = Series::new();
    let mut order = fastrand::Rng::with_seed(0);
    for _ in 0..plan.rounds {
        order.shuffle(&mut turns);
        for &(row, at_once, calls) in &turns {
            // So that the caches, and the connections that were used last, are its own.
            let _warm = slice(row, at_once, calls / 4, witness).await.map_err(named(row, at_once))?;
            let slice = slice(row, at_once, calls, witness).await.map_err(named(row, at_once))?;
            series.entry((row.id, at_once)).or_default().push(slice);
        }
    }
    equally_long(rows, &series)?;
    Ok(series)
}

fn named(row: &Row, at_once: usize) -> impl Fn(Failure) -> Failure {
    move |error| format!("{} with {at_once} at once: {error}", row.id).into()
}

/// How many calls take as long as `slice`.
async fn calibrate(
    row: &Row,
    at_once: usize,
    length: Duration,
    witness: &mut Witness,
) -> Result<u32, Failure> {
    let least = u32::try_from(at_once)? * 2;
    let mut calls = least;
    loop {
        let speed = slice(row, at_once, calls, witness).await?.calls_per_second;
        if f64::from(calls) / speed >= length.as_secs_f64() / 4.0 || calls > 1 << 24 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded")]
            let whole = (speed * length.as_secs_f64()).clamp(1.0, 1e8) as u32;
            return Ok(whole.max(least));
        }
        calls *= 2;
    }
}

/// Fails where a row sends more or less than its peer: they would not do the same.
fn equally_long(rows: &[&Row], series: &Series) -> Result<(), Failure> {
    for row in rows {
        let (Some(peer), Some(&at_once)) = (row.peer, row.at.first()) else { continue };
        let bytes = |id| Some(series.get(&(id, at_once))?.first()?.bytes);
        let (ours, theirs) = (bytes(row.id), bytes(peer));
        if let Some((ours, theirs)) = ours.zip(theirs).filter(|(ours, theirs)| ours != theirs) {
            return Err(format!("{} sends {ours} bytes a call, and {peer} {theirs}", row.id).into());
        }
    }
    Ok(())
}
