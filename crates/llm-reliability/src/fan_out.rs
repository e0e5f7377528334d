//! Several answers: seats that are asked side by side, and how many answers of them are enough.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::Attempt;
use crate::call::{Call, InputError};
use crate::client::ResilientClient;
use crate::course::exhausted;
use crate::report::{Ended, Quorum, QuorumPolicy, Report};
use crate::run::Seat;

impl ResilientClient {
    /// Asks all seats at once, each a single time, and keeps every answer. What seats there are, how many answers are
    /// enough and who is waited for then is in [`FanOut`]: every candidate has a seat, and all are waited for, unless
    /// [the client](crate::ClientBuilder::fan_out) or [the call](Call::fan_out) says otherwise.
    ///
    /// Admission is concurrent too. A throttled candidate is deferred, an open circuit is passed over, a failure is
    /// visible; none of them takes anything from the others. [`Report::responses`] has the answers in the order of the
    /// seats.
    ///
    /// # Errors
    ///
    /// [`InputError`], when nobody was asked because the input was wrong.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends all requests that are under way; the observer is told of each as
    /// [`Outcome::Cancelled`](crate::Outcome::Cancelled).
    pub async fn fan_out(&self, call: impl Into<Call>) -> Result<Report, InputError> {
        let mut panel = self.seated(call)?;
        while panel.next().await.is_some() {}
        Ok(panel.into_report())
    }
}

/// Who takes part in a [`fan_out`](ResilientClient::fan_out), how many answers are enough, and who is waited for then.
///
/// ```
/// use std::time::Duration;
/// use llm_reliability::{Ended, FanOut, QuorumPolicy, ResilientClient};
/// use llm_reliability::llm_protocol::testing::{ScriptedModel, Step};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let slow = |name, secs| ScriptedModel::new(name).then(Step::default().delayed(Duration::from_secs(secs)));
/// let client = ResilientClient::builder()
///     .candidates([slow("one:a", 1), slow("two:b", 2), slow("three:c", 40)])
///     .fan_out(FanOut::new(QuorumPolicy::Majority).grace(Duration::from_millis(500)))
///     .build()?;
///
/// let report = client.fan_out("Is the sky blue?").await?;
/// assert_eq!(report.ended(), Ended::QuorumMet);
/// assert_eq!(report.elapsed(), Duration::from_millis(2500), "two of three, and half a second for the third");
/// assert_eq!(report.attempts()[2].to_string(), "three:c cancelled @first_token");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FanOut {
    pub(crate) quorum: QuorumPolicy,
    pub(crate) grace: Duration,
    pub(crate) cutoff: Option<Duration>,
    pub(crate) concurrency: Option<NonZeroUsize>,
    seats: Option<Vec<String>>,
    bench: Vec<String>,
}

impl FanOut {
    /// So many answers are enough, of all candidates.
    pub fn new(quorum: QuorumPolicy) -> Self {
        Self { quorum, ..Self::default() }
    }

    /// Sets how many answers are enough.
    pub fn quorum(mut self, quorum: QuorumPolicy) -> Self {
        self.quorum = quorum;
        self
    }

    /// Sets how long those who have not answered are waited for once there are enough. Not at all unless set. Without
    /// effect on [`QuorumPolicy::All`], which waits for everyone.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets when it is over, from its beginning, whoever has answered by then. Who has not is given up as
    /// [`Cancelled`](crate::Outcome::Cancelled), which is held against nobody. Never unless set; the call's `total`, if
    /// it has one, is a limit of the attempts, which fail by it. Under [`QuorumPolicy::All`] one answer is a quorum:
    /// [`Report::quorum`] tells how many there are.
    pub fn cutoff(mut self, cutoff: Duration) -> Self {
        self.cutoff = Some(cutoff);
        self
    }

    /// Sets how many attempts may be under way at once; the seats that come later in the list wait for a place, and
    /// are given up without being asked when there are enough answers before. No bound unless set.
    pub fn concurrency(mut self, attempts: NonZeroUsize) -> Self {
        self.concurrency = Some(attempts);
        self
    }

    /// Sets the seats, by the keys of the candidates; the same may have several. Unless set, every candidate has one that
    /// is not on the [bench](Self::bench), in the listed order.
    pub fn seats(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.seats = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the substitutes, by the keys of the candidates: the first of them takes the seat that first ends without an
    /// answer, for whatever reason but one that the [policy](crate::Policy) stops on, and so on until all are used up.
    /// Their attempts begin and are listed after those of the seats, as [`Launch::Failover`](crate::Launch::Failover). Nobody
    /// unless set.
    pub fn bench(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.bench = keys.into_iter().map(Into::into).collect();
        self
    }

    /// The seats and the bench, looked up.
    pub(crate) fn resolve(&self, candidates: &[Arc<Seat>]) -> Result<(Seats, Seats), InputError> {
        let find = |key: &String| {
            let found = candidates.iter().find(|seat| *seat.key == **key);
            found.cloned().ok_or_else(|| InputError::UnknownCandidate(key.clone()))
        };
        let bench: Seats = self.bench.iter().map(find).collect::<Result<_, _>>()?;
        let seats: Seats = match &self.seats {
            Some(keys) => keys.iter().map(find).collect::<Result<_, _>>()?,
            None if bench.is_empty() => candidates.to_vec(),
            None => {
                let seated = |seat: &&Arc<Seat>| !bench.iter().any(|other| other.key == seat.key);
                candidates.iter().filter(seated).cloned().collect()
            }
        };
        let required = self.quorum.required(seats.len());
        if seats.is_empty() {
            return Err(InputError::NoCandidates);
        }
        if required == 0 || required > seats.len() {
            return Err(InputError::Quorum { required, seats: seats.len() });
        }
        Ok((seats, bench))
    }
}

/// Candidates by seat.
pub(crate) type Seats = Vec<Arc<Seat>>;

/// How a `fan_out` ended. Where there is no answer at all: is everyone only unavailable for now?
pub(crate) fn ended(quorum: &Quorum, attempts: &[Attempt]) -> Ended {
    match exhausted(attempts) {
        _ if quorum.is_met() => Ended::QuorumMet,
        Ended::Exhausted => Ended::QuorumNotMet,
        unavailable => unavailable,
    }
}
