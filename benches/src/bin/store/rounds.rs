//! Rounds: in each, every row runs once with each number of calls at once, in another order.

use std::collections::BTreeMap;
use std::time::Duration;

use llm_benches::Failure;

use crate::load::{Slice, slice};
use crate::row::{AT_ONCE, Row};
use crate::server::Servers;

/// How long it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// What a row takes in a round, about.
    pub(crate) slice: Duration,
}

/// What was measured, by row and calls at once, round by round.
pub(crate) type Series = BTreeMap<(&'static str, usize), Vec<Slice>>;

/// Calls of a slice, at least: enough for the bytes of one to be told.
const LEAST: u32 = 128;

/// Measures all rows, in turns.
pub(crate) async fn measure(rows: &[&Row], plan: Plan, servers: &Servers) -> Result<Series, Failure> {
    let mut turns = Vec::new();
    for row in rows {
        for at_once in AT_ONCE {
            // What is made when it is first needed is made now, and scripts are loaded.
            let warm = crate::load::run(row, at_once, LEAST).await;
            warm.map_err(named(row, at_once))?;
            let calls = calibrate(row, at_once, plan.slice, servers).await;
            turns.push((*row, at_once, calls.map_err(named(row, at_once))?));
        }
    }
    let mut series = Series::new();
    let mut order = fastrand::Rng::with_seed(0);
    for _ in 0..plan.rounds {
        order.shuffle(&mut turns);
        for &(row, at_once, calls) in &turns {
            // So that the caches are its own.
            let _warm = slice(row, at_once, calls / 4, servers).await.map_err(named(row, at_once))?;
            let slice = slice(row, at_once, calls, servers).await.map_err(named(row, at_once))?;
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
async fn calibrate(row: &Row, at_once: usize, length: Duration, servers: &Servers) -> Result<u32, Failure> {
    let mut calls = LEAST;
    loop {
        let speed = slice(row, at_once, calls, servers).await?.calls_per_second;
        if f64::from(calls) / speed >= length.as_secs_f64() / 4.0 || calls > 1 << 24 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded")]
            let whole = (speed * length.as_secs_f64()).clamp(1.0, 1e8) as u32;
            return Ok(whole.max(LEAST));
        }
        calls *= 2;
    }
}

/// Ages and epochs are not equally long each time.
const TOLERANCE: f64 = 0.05;

/// Fails where a row sends more or less than by hand: they would not do the same.
fn equally_long(rows: &[&Row], series: &Series) -> Result<(), Failure> {
    for row in rows.iter().filter(|row| row.scripts > 0 && row.id.starts_with("ours/")) {
        let bytes = |id| Some(series.get(&(id, 1))?.last()?.bytes);
        let Some((ours, hand)) = bytes(row.id).zip(row.floor.and_then(bytes)) else { continue };
        if (ours / hand - 1.0).abs() > TOLERANCE {
            return Err(format!("{} sends {ours:.0} bytes a call, by hand it is {hand:.0}", row.id).into());
        }
    }
    Ok(())
}
