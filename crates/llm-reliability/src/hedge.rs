//! When a second candidate is asked beside a slow one, and when that is left alone.
//!
//! A hedge helps against a straggler: one request that is slow by bad luck, where the next one would not be. It costs a
//! request. Three rules keep it from doing harm when luck is not the matter:
//!
//! - **Budget.** Every call saves up a share of a hedge (a twentieth unless set), and a hedge takes a whole one. So there
//!   are never more than that share of extra calls, whatever happens. What is saved up beyond ten is lost, so that a quiet
//!   day does not pay for a flood.
//! - **When everyone is slow, nobody is a straggler.** The last 64 attempts that could be hedged are remembered: whether
//!   the delay passed before their first token. While that is so for more than a fifth of them there are no hedges, unless
//!   half of the last sixteen hedges had a first token in time: then it is the first candidates that are slow, and not
//!   everyone.
//! - **An outage is not to become the measure.** A delay that is observed stays as it was while everyone is slow, so that
//!   the rule above goes on to hold, and when it is over what was measured in it is left out. What has been so for ten
//!   minutes is no outage but how things are now: the delay follows again.
//!
//! The idea and the delay at a high quantile are from "The Tail at Scale", J. Dean and L. A. Barroso, Communications of the
//! ACM 56 (2), 2013.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::budget::Bucket;
use crate::run::{Run, Seat};

/// So many of the last 64 may be late before everyone is slow: a fifth.
const FEW: u32 = 12;

/// So many of the last 16 hedges in time show that somebody is fast: half.
const HELPFUL: u32 = 8;

/// After so long slowness is how things are.
const LASTING: Duration = Duration::from_secs(600);

/// How many hedges can be saved up.
const SAVED: u32 = 10;

/// When a `failover` asks the next candidate beside one that has not given its first token yet: whoever does so first has
/// won, and the other is given up, visibly, as [`Cancelled`](crate::Outcome::Cancelled).
///
/// At most two candidates are asked at the same time. How many hedges there may be is a matter of the client's
/// [budget](crate::ClientBuilder::hedge_budget), and none go out while everyone is slow: when more than 12 of the last 64
/// attempts that could be hedged have outlasted their delay, and more than half of the last 16 hedges too. What the
/// [policy](crate::Policy) stops on ends the call, whichever of the two it comes from; but what is wrong with one
/// candidate only, such as its credential, waits for what the other says.
///
/// gRPC calls the delay `hedgingDelay` (proposal A6), Polly `Delay` with one `MaxHedgedAttempts`; tower's `hedge` observes
/// a `latency_percentile` from `min_data_points`.
///
/// ```
/// use std::time::Duration;
/// use llm_reliability::{Hedge, Policy, ResilientClient};
/// use llm_reliability::llm_protocol::testing::{ScriptedModel, Step};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let straggler = Step::answer("late").delayed(Duration::from_secs(10));
/// let client = ResilientClient::builder()
///     .candidate(ScriptedModel::new("one:a").then_times(20, Step::answer("soon")).then(straggler))
///     .candidate(ScriptedModel::new("two:b"))
///     .policy(Policy::default().hedge(Hedge::after(Duration::from_secs(2))))
///     .build()?;
///
/// // Twenty calls save up for one hedge.
/// for _ in 0..20 {
///     client.failover("Is the sky blue?").await?;
/// }
/// let report = client.failover("Is the sky blue?").await?;
/// let trail: Vec<_> = report.attempts().iter().map(ToString::to_string).collect();
/// assert_eq!(trail, ["one:a cancelled @first_token", "two:b success @stream"]);
/// assert_eq!(report.elapsed(), Duration::from_secs(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge(Delay);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Delay {
    Fixed(Duration),
    Observed(f64),
}

impl Hedge {
    /// When the first token has not come so long after its attempt began.
    ///
    /// A delay that more than a fifth of all first tokens take is one by which everyone is slow: hedges stop after the first
    /// dozen, unless they are faster. So it is with zero.
    pub const fn after(delay: Duration) -> Self {
        Self(Delay::Fixed(delay))
    }

    /// When this share of the candidate's last 256 first tokens took no longer: 0.95 hedges the slowest twentieth. From 0.9
    /// to 0.996; what is beyond is taken for that: below, everyone would always be slow.
    ///
    /// It is not guessed: until the candidate has had twenty first tokens, and as many as it takes for one to be beyond
    /// the share (100 for 0.99), it is not hedged. How first tokens are counted is said at
    /// [`Standing::first_token`](crate::Standing::first_token). A client begins to count with the first call that asks for
    /// it.
    pub const fn observed(share: f64) -> Self {
        // A number that is none is the least, too.
        Self(Delay::Observed(if share >= 0.9 { share.min(0.996) } else { 0.9 }))
    }

    pub(crate) fn is_observed(self) -> bool {
        matches!(self.0, Delay::Observed(_))
    }
}

/// How many first tokens such a quantile is told from.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "250 at most")]
fn least(share: f64) -> usize {
    // Without what the subtraction adds beyond the true figure.
    ((1.0 / (1.0 - share) - 1e-6).ceil() as usize).max(20)
}

/// What the hedges of a client share.
pub(crate) struct Hedging {
    pub(crate) budget: Bucket,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    /// The last 64 attempts that could be hedged, one bit each: whether it was late.
    late: u64,
    /// The last 16 hedges, one bit each: whether it had its own first token within the delay.
    in_time: u16,
    slow_since: Option<Instant>,
    /// When the last outage was over, and how many there were.
    recovered: Option<Instant>,
    recoveries: u64,
}

/// After how long a candidate is hedged, as that was last observed.
#[derive(Default)]
pub(crate) struct Observed {
    delay: Option<Duration>,
    /// How many outages it has seen, and how many first tokens there had been when the last was over.
    recoveries: u64,
    from: u64,
}

impl Hedging {
    /// At most this share of the calls.
    pub(crate) fn new(share: f64) -> Self {
        Self { budget: Bucket::saving(share, SAVED), history: Mutex::default() }
    }

    /// An attempt that could be hedged was late, or was not.
    pub(crate) fn note(&self, late: bool) {
        let mut history = self.history.lock();
        history.late = history.late << 1 | u64::from(late);
        if history.late.count_ones() <= FEW {
            if history.slow_since.take().is_some_and(|since| since.elapsed() < LASTING) {
                history.recovered = Some(Instant::now());
                history.recoveries += 1;
            }
        } else if history.slow_since.is_none() {
            history.slow_since = Some(Instant::now());
        }
    }

    /// A hedge was as late as the one beside which it went out, or was not.
    pub(crate) fn note_hedge(&self, late: bool) {
        let mut history = self.history.lock();
        history.in_time = history.in_time << 1 | u16::from(!late);
    }

    /// Whether first tokens are late, and those of the hedges too: where only the first candidates are slow,
    /// hedges are of use.
    pub(crate) fn everyone_is_slow(&self) -> bool {
        let history = self.history.lock();
        history.slow_since.is_some() && history.in_time.count_ones() < HELPFUL
    }

    /// Whether an attempt began before the last outage was over, so that it says nothing of what comes after.
    pub(crate) fn is_past(&self, begun: Instant) -> bool {
        self.history.lock().recovered.is_some_and(|recovered| begun < recovered)
    }

    /// After how many outages this is, if first tokens are such now as they may be measured by.
    fn usual(&self) -> Option<u64> {
        let history = self.history.lock();
        let usual = history.slow_since.is_none_or(|since| since.elapsed() >= LASTING);
        usual.then_some(history.recoveries)
    }
}

impl Run {
    /// An attempt that could be hedged, or a hedge, was late, or was not. A call with another delay than its client's says
    /// nothing of whether everyone is slow.
    pub(crate) fn note_late(&self, hedge: bool, late: bool) {
        let own = self.shared.policy.hedging();
        if own.is_some() && own != self.policy().hedging() {
            return;
        }
        if hedge { self.shared.hedging.note_hedge(late) } else { self.shared.hedging.note(late) }
    }

    /// How long an attempt at this candidate may be without a first token before the next one is asked; `None` where that
    /// is not wanted, or not known.
    pub(crate) fn hedge_delay(&self, seat: &Seat) -> Option<Duration> {
        match self.policy().hedging()?.0 {
            Delay::Fixed(delay) => Some(delay),
            Delay::Observed(share) => {
                let mut observed = seat.observed.lock();
                if let Some(recoveries) = self.shared.hedging.usual() {
                    if observed.recoveries != recoveries {
                        (observed.recoveries, observed.from) = (recoveries, seat.traffic.noted());
                    }
                    let since = seat.traffic.noted() - observed.from;
                    let window = usize::try_from(since).unwrap_or(usize::MAX);
                    // After an outage the delay from before holds until there is another.
                    let delay = seat.traffic.quantile(share, window, least(share));
                    observed.delay = delay.or(observed.delay);
                }
                observed.delay
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_wants_as_many_samples_as_show_one_beyond_it() {
        for (share, samples) in [(0.9, 20), (0.95, 20), (0.96, 25), (0.98, 50), (0.99, 100), (0.996, 250)] {
            assert_eq!(least(share), samples, "{share}");
        }
    }

    #[test]
    fn a_share_is_one_that_can_be_observed() {
        for (given, taken) in [(0.9, 0.9), (0.1, 0.9), (f64::NAN, 0.9), (1.0, 0.996), (f64::INFINITY, 0.996)]
        {
            assert_eq!(Hedge::observed(given), Hedge(Delay::Observed(taken)), "{given}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_64_are_few_and_one_more_is_everyone() {
        let hedging = Hedging::new(0.05);
        (0..12).for_each(|_| hedging.note(true));
        assert!(!hedging.everyone_is_slow());
        hedging.note(true);
        assert!(hedging.everyone_is_slow());
        (0..51).for_each(|_| hedging.note(false));
        assert!(hedging.everyone_is_slow(), "the first of them is the 64th from the end");
        hedging.note(false);
        assert!(!hedging.everyone_is_slow());
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_ten_minutes_is_how_things_are() {
        let hedging = Hedging::new(0.05);
        assert_eq!(hedging.usual(), Some(0));
        (0..20).for_each(|_| hedging.note(true));
        tokio::time::advance(Duration::from_secs(599)).await;
        hedging.note(true);
        assert_eq!(hedging.usual(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(hedging.usual() == Some(0) && hedging.everyone_is_slow());
        (0..64).for_each(|_| hedging.note(false));
        assert!(hedging.usual() == Some(0) && !hedging.is_past(Instant::now()), "it was none");
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_in_an_outage_is_past_when_that_is_over() {
        let hedging = Hedging::new(0.05);
        let before = Instant::now();
        (0..13).for_each(|_| hedging.note(true));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!hedging.is_past(before), "it is not over");
        (0..64).for_each(|_| hedging.note(false));
        assert_eq!(hedging.usual(), Some(1));
        assert!(hedging.is_past(before) && !hedging.is_past(Instant::now()));
    }
}
