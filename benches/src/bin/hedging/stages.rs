//! What is simulated: the policies that are compared, ordinary times, and a time in which everyone is slow.

use std::time::Duration;

use llm_reliability::{Hedge, Policy};

use crate::simulation::{Call, Failure, Outcomes, Stage, simulate};

/// How much slower everyone is for a while.
const SLOWNESS: f64 = 10.0;

/// A policy by name.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) policy: Policy,
}

/// What is compared in ordinary times. The first hedges nothing.
pub(crate) fn rows() -> Vec<Row> {
    let row = |name, hedge: Option<Hedge>| Row { name, policy: Policy::default().hedge(hedge) };
    let after = |millis| Some(Hedge::after(Duration::from_millis(millis)));
    vec![
        row("no hedging", None),
        row("after 700 ms", after(700)),
        row("after 1 s", after(1000)),
        row("after 2 s", after(2000)),
        row("observed 0.9", Some(Hedge::observed(0.9))),
        row("observed 0.95", Some(Hedge::observed(0.95))),
        row("observed 0.99", Some(Hedge::observed(0.99))),
    ]
}

/// Those that a time is simulated for in which everyone is slow.
pub(crate) fn outage_rows() -> Vec<Row> {
    rows()
        .into_iter()
        .filter(|row| ["no hedging", "after 1 s", "observed 0.95"].contains(&row.name))
        .collect()
}

pub(crate) fn ordinary(seed: u64, policy: &Policy, calls: u32) -> Result<Outcomes, Failure> {
    simulate(seed, policy, &[Stage { calls, slowness: 1.0 }])
}

/// So many calls as usual, as many while everyone is slow, and as many as usual.
pub(crate) fn outage(seed: u64, policy: &Policy, calls: u32) -> Result<Outcomes, Failure> {
    let stages = [1.0, SLOWNESS, 1.0].map(|slowness| Stage { calls, slowness });
    simulate(seed, policy, &stages)
}

/// A stage in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) calls: usize,
    pub(crate) p50: Duration,
    pub(crate) p90: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) hedges: usize,
    pub(crate) won: usize,
    /// The first and the last call that was hedged, from 1.
    pub(crate) hedged: Option<(usize, usize)>,
    /// When the last hedge was sent, from the first call.
    pub(crate) last_hedge: Option<Duration>,
}

impl Summary {
    pub(crate) fn of(calls: &[Call]) -> Self {
        let mut times: Vec<_> = calls.iter().map(|call| call.first_token).collect();
        times.sort_unstable();
        let hedged = calls.iter().zip(1..).filter(|(call, _)| !call.hedges.is_empty());
        let numbers = hedged.map(|(_, number)| number);
        let begin = calls.first().map(|call| call.arrived).unwrap_or_default();
        let last = calls.iter().flat_map(|call| &call.hedges).max();
        Self {
            calls: calls.len(),
            p50: percentile(&times, 500),
            p90: percentile(&times, 900),
            p99: percentile(&times, 990),
            p999: percentile(&times, 999),
            hedges: calls.iter().map(|call| call.hedges.len()).sum(),
            won: calls.iter().filter(|call| call.won).count(),
            hedged: numbers.clone().min().zip(numbers.max()),
            last_hedge: last.map(|last| last.saturating_sub(begin)),
        }
    }

    /// How much lower its p99 is than that one's, in per cent.
    pub(crate) fn lower_than(&self, other: &Self) -> f64 {
        100.0 * (1.0 - self.p99.as_secs_f64() / other.p99.as_secs_f64())
    }

    /// Requests beyond one for each call, in per cent of the calls.
    #[expect(clippy::cast_precision_loss, reason = "millions at most")]
    pub(crate) fn extra(&self) -> f64 {
        100.0 * self.hedges as f64 / self.calls.max(1) as f64
    }
}

/// The smallest that so many of a thousand do not exceed.
fn percentile(sorted: &[Duration], thousandths: usize) -> Duration {
    let rank = (sorted.len() * thousandths).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}
