//! Rounds: in each, every row runs once with each number of threads, in another order.

use std::collections::BTreeMap;
use std::thread::scope;
use std::time::Duration;

use crate::row::{Failure, Maker, Row};
use crate::team::{Pass, Team};

/// The numbers of threads that rows are measured with.
pub(crate) const THREADS: [usize; 2] = [1, 2];

/// How long it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// What a row takes in a round, about.
    pub(crate) slice: Duration,
    /// Each row goes through all its keys before each of its slices, so that caches hold what they can of them.
    pub(crate) steady: bool,
}

/// The nanoseconds an operation, by row and threads, round by round.
pub(crate) type Series = BTreeMap<(&'static str, usize), Vec<f64>>;

/// Measures all rows, in turns.
pub(crate) fn measure(rows: &[&Row], plan: Plan) -> Result<Series, Failure> {
    let makers = rows.iter().map(|row| (row.setup)()).collect::<Result<Vec<Maker>, _>>()?;
    let most = THREADS.into_iter().max().unwrap_or(1);
    scope(|scope| {
        let team = Team::start(scope, most, &makers);
        let mut turns = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            for threads in THREADS {
                let times = calibrate(&team, index, threads, plan.slice).map_err(named(row, threads))?;
                turns.push((index, row, threads, times));
            }
        }
        let mut series = Series::new();
        let mut order = fastrand::Rng::with_seed(0);
        for _ in 0..plan.rounds {
            order.shuffle(&mut turns);
            for &(index, row, threads, times) in &turns {
                let warm_up = if plan.steady { row.whole.max(times / 4) } else { times / 4 };
                let work =
                    team.run(Pass::new(index, threads, warm_up, times)).map_err(named(row, threads))?;
                series.entry((row.id, threads)).or_default().push(work.nanoseconds());
            }
        }
        Ok(series)
    })
}

fn named(row: &Row, threads: usize) -> impl Fn(Failure) -> Failure {
    move |error| format!("{} with {threads} threads: {error}", row.id).into()
}

/// How many operations take as long as `slice`.
fn calibrate(team: &Team, row: usize, threads: usize, slice: Duration) -> Result<u32, Failure> {
    let enough = slice / 8;
    let mut times = 64;
    loop {
        let took = team.run(Pass::new(row, threads, 0, times))?.took / u32::try_from(threads)?;
        if took >= enough || times > u32::MAX / 64 {
            let whole = u128::from(times) * slice.as_nanos() / took.as_nanos().max(1);
            // The threads' operations are added up.
            return Ok(u32::try_from(whole).unwrap_or(u32::MAX).clamp(1, u32::MAX / 4));
        }
        times *= 2;
    }
}
