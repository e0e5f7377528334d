//! A `fan_out` while it runs: its seats side by side, and each attempt as it completes.

use std::collections::VecDeque;
use std::fmt;
use std::mem::take;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::attempt::{Attempt, Launch};
use crate::call::{Call, InputError};
use crate::client::ResilientClient;
use crate::course::exhausted;
use crate::fan_out::ended;
use crate::flight::{Flight, Landing, Until};
use crate::report::{Ended, Judgement, Quorum, QuorumPolicy, Report, Strategy, Tally};
use crate::run::{Run, Seat};
use crate::timeouts::deadline;

impl ResilientClient {
    /// Like [`fan_out`](Self::fan_out), and shows each attempt as it completes.
    ///
    /// # Errors
    ///
    /// [`InputError`], when nobody will be asked because the input was wrong.
    pub fn panel(&self, call: impl Into<Call>) -> Result<Panel, InputError> {
        let mut panel = self.seated(call)?;
        panel.watched = true;
        Ok(panel)
    }

    pub(crate) fn seated(&self, call: impl Into<Call>) -> Result<Panel, InputError> {
        let run = Run::new(self.shared(), call.into(), Strategy::FanOut)?;
        let rules = run.fan_out();
        let (seats, bench) = rules.resolve(&run.shared.seats)?;
        Ok(Panel {
            policy: rules.quorum,
            grace: rules.grace,
            limit: rules.cutoff.map(|cutoff| deadline(run.started, cutoff)),
            places: rules.concurrency.map_or(usize::MAX, NonZeroUsize::get),
            tally: Tally { seats: seats.len(), answered: 0, pending: seats.len() },
            bench: bench.into(),
            flights: FuturesUnordered::new(),
            met: false,
            watched: false,
            unavailable: true,
            landed: Vec::with_capacity(seats.len()),
            attempts: seats.len(),
            waiting: seats.into_iter().enumerate().map(|(at, seat)| (at, seat, Launch::Panel)).collect(),
            shown: 0,
            over: None,
            run,
        })
    }
}

/// A [`fan_out`](ResilientClient::fan_out) under way: hands every attempt out when it has ended, for whoever wants to
/// show them live, and then the report. Made by [`panel`](ResilientClient::panel). Nothing is asked before the first
/// [`next`](Self::next), and nothing goes on unless that is awaited: pauses between two of them count against the clocks of
/// those under way, though not against their circuits when they are longer than a second, and what is there at the first look
/// after the [cutoff](crate::FanOut::cutoff) still counts. Dropping it ends all requests that are under way;
/// seats whose turn had not come are no attempts then.
///
/// ```
/// use llm_reliability::ResilientClient;
/// use llm_reliability::llm_protocol::testing::ScriptedModel;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let models = [ScriptedModel::new("one:a"), ScriptedModel::new("two:b")];
/// let mut panel = ResilientClient::builder().candidates(models).build()?.panel("Is the sky blue?")?;
/// let mut lines = Vec::new();
/// while let Some(attempt) = panel.next().await {
///     lines.push(attempt.to_string());
/// }
/// assert_eq!(lines.len(), 2);
/// assert!(panel.into_report().succeeded());
/// # Ok(())
/// # }
/// ```
pub struct Panel {
    run: Arc<Run>,
    policy: QuorumPolicy,
    grace: Duration,
    /// When nobody is waited for any more: the cutoff, or the end of the grace.
    limit: Option<Instant>,
    /// How many attempts may be under way at once.
    places: usize,
    tally: Tally,
    /// Who has a seat and no place yet, with the number of its attempt.
    waiting: VecDeque<(usize, Arc<Seat>, Launch)>,
    bench: VecDeque<Arc<Seat>>,
    flights: FuturesUnordered<Pin<Box<dyn Future<Output = Landing> + Send>>>,
    /// How many attempts there are: one for each seat, whenever its place becomes free, and then the substitutes.
    attempts: usize,
    met: bool,
    /// Whether its user decides when it goes on.
    watched: bool,
    /// Whether everyone so far was passed over, as it is unavailable for now.
    unavailable: bool,
    /// As they have ended.
    landed: Vec<Attempt>,
    /// How many of these have been handed out.
    shown: usize,
    /// How long it took, once it is over.
    over: Option<Duration>,
}

impl Panel {
    /// The next attempt that has ended, those included that are given up when there are enough answers; `None` when there
    /// are no more.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped takes nothing with it: what is under way stays so, and the next one goes on with it.
    pub async fn next(&mut self) -> Option<&Attempt> {
        while self.shown == self.landed.len() && self.over.is_none() {
            self.fill();
            if self.shown < self.landed.len() || self.over.is_some() {
                break;
            }
            let next = self.flights.next();
            let landed = match self.limit {
                Some(limit) => timeout_at(limit, next).await.ok().flatten(),
                None => next.await,
            };
            match landed {
                Some(landing) => self.take(landing),
                None => self.end(),
            }
        }
        let attempt = self.landed.get(self.shown)?;
        self.shown += 1;
        Some(attempt)
    }

    /// The attempts that have ended so far, as they have.
    pub fn attempts(&self) -> &[Attempt] {
        &self.landed
    }

    /// The report. Who is still under way is given up, and whose turn had not come is not asked.
    pub fn into_report(mut self) -> Report {
        self.end();
        let mut landed = take(&mut self.landed);
        landed.sort_by_key(|attempt| attempt.ordinal);
        let quorum = Quorum::of(self.policy, &landed);
        self.run.report(ended(&quorum, &landed), landed, Some(quorum), self.over.unwrap_or_default())
    }

    /// Starts as many as there are places for, as long as that makes sense.
    fn fill(&mut self) {
        let now = Instant::now();
        if self.run.is_over(now) || self.limit.is_some_and(|limit| now >= limit) {
            return;
        }
        let before = self.landed.len();
        while !self.met
            && self.over.is_none()
            && self.has_place()
            && let Some((ordinal, seat, launch)) = self.waiting.pop_front()
        {
            let mut flight = Flight::new(&self.run, &seat, ordinal, 0, launch, now);
            if self.watched {
                flight.watch();
            }
            let mut flight: Pin<Box<dyn Future<Output = Landing> + Send>> =
                Box::pin(flight.fly(Until::Complete));
            // At once, whoever is looked at first.
            match flight.as_mut().now_or_never() {
                Some(landing) => self.take(landing),
                None => self.flights.push(flight),
            }
        }
        if self.landed.len() > before && self.over.is_none() {
            self.judge();
        }
    }

    fn take(&mut self, landing: Landing) {
        self.count(landing);
        self.judge();
    }

    fn judge(&mut self) {
        match self.policy.judge(self.tally) {
            Judgement::Open => {}
            Judgement::Met if self.tally.pending > 0 && !self.grace.is_zero() => self.let_finish(),
            Judgement::Met => self.end(),
            // It is in vain; but whether everyone is unavailable, and until when, is known from all of them.
            Judgement::Lost if self.unavailable && self.has_place() => {}
            Judgement::Lost => {
                while self.unavailable
                    && let Some(landing) = self.flights.next().now_or_never().flatten()
                {
                    self.count(landing);
                }
                self.end();
            }
        }
    }

    /// Whether somebody may begin.
    fn has_place(&self) -> bool {
        !self.waiting.is_empty() && self.flights.len() < self.places
    }

    fn count(&mut self, landing: Landing) {
        let landed = match landing {
            Landing::Landed(landed) => landed,
            // Nothing commits early that is collected to its end.
            Landing::Committed(flight) => flight.end(Ok(())),
        };
        self.landed.append(&mut self.run.trail.lock());
        self.unavailable &=
            self.landed.last().is_some_and(|last| exhausted(from_ref(last)) != Ended::Exhausted);
        let wanted = landed.fallback_eligible && !self.met;
        if landed.succeeded {
            self.tally.answered += 1;
            self.tally.pending -= 1;
        } else if let Some(substitute) = wanted.then(|| self.bench.pop_front()).flatten() {
            self.waiting.push_back((self.attempts, substitute, Launch::Failover));
            self.attempts += 1;
        } else {
            self.tally.pending -= 1;
        }
    }

    /// There are enough answers; the others have a little longer.
    fn let_finish(&mut self) {
        if !self.met {
            self.met = true;
            let grace = deadline(Instant::now(), self.grace);
            self.limit = Some(self.limit.map_or(grace, |cutoff| cutoff.min(grace)));
        }
    }

    fn end(&mut self) {
        if self.over.is_some() {
            return;
        }
        // A flight lands by being dropped; whose turn has not come lands without having left.
        self.flights.clear();
        let now = Instant::now();
        for (ordinal, seat, launch) in self.waiting.drain(..) {
            drop(Flight::new(&self.run, &seat, ordinal, 0, launch, now));
        }
        let mut left = self.run.take_trail();
        self.landed.append(&mut left);
        self.over = Some(self.run.started.elapsed());
    }
}

impl fmt::Debug for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panel")
            .field("policy", &self.policy)
            .field("tally", &self.tally)
            .field("landed", &self.landed)
            .finish_non_exhaustive()
    }
}
