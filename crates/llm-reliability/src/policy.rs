//! What a failover does after an attempt: a pure decision, made from data.

use std::time::Duration;

use llm_protocol::{Category, Clock, Error, ErrorKind};

use crate::attempt::{Attempt, Outcome};
use crate::hedge::Hedge;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// There is an answer.
    Finish,
    /// The same candidate again, after a pause.
    Retry(Duration),
    /// The next candidate.
    Advance,
    /// No other candidate would help, or none shall be asked.
    Stop,
    /// The caller's time is up.
    OutOfTime,
}

/// When a failover moves on, tries again, or stops.
///
/// By default it tries nothing twice and moves on after everything but a model's [refusal](ErrorKind::Refusal):
/// whether to ask another vendor what one model declined to answer is for the caller to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    stop_on: Vec<ErrorKind>,
    restart_on_cut: bool,
    retries: u32,
    retry_timeouts: bool,
    wait_out: Duration,
    backoff: Duration,
    backoff_cap: Duration,
    hedge: Option<Hedge>,
    wait: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stop_on: vec![ErrorKind::Refusal],
            restart_on_cut: false,
            retries: 0,
            retry_timeouts: false,
            wait_out: Duration::ZERO,
            backoff: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(8),
            hedge: None,
            wait: None,
        }
    }
}

impl Policy {
    /// Moves on after everything, as the Python package keel-llm-reliability does.
    pub fn keel() -> Self {
        Self { stop_on: Vec::new(), ..Self::default() }
    }

    /// Stops on a wrong credential, a missing permission, an unknown model and any unknown error, as the Python
    /// package robust-llm-chain does: these want a person, not another vendor.
    pub fn robust() -> Self {
        let stop_on = vec![
            ErrorKind::Authentication,
            ErrorKind::Permission,
            ErrorKind::ModelNotFound,
            ErrorKind::Other,
        ];
        Self { stop_on, ..Self::default() }
    }

    /// Stops after an error of this kind. Backpressure and transient errors always move on.
    pub fn stop_on(mut self, kind: ErrorKind) -> Self {
        if !self.stop_on.contains(&kind) {
            self.stop_on.push(kind);
        }
        self
    }

    /// Moves on after an error of this kind.
    pub fn advance_on(mut self, kind: ErrorKind) -> Self {
        self.stop_on.retain(|stopping| *stopping != kind);
        self
    }

    /// Has a `failover_stream` start anew when the answer that it is handing out is cut: the candidates after the one
    /// that was cut are asked, each a single time as ever, under the same clocks. At the first token of one of them the
    /// stream says [`StreamEvent::Discard`] and gives that answer from its beginning. Nothing is asked to go on from
    /// where another stopped, and nothing is discarded before there is something in its place: when nobody takes over,
    /// the stream ends as it would have without this. Cuts by an error that this policy stops on, or by the total
    /// limit, are final.
    ///
    /// What was discarded stays with its attempt, in memory and in the report: a call that is cut again and again holds
    /// every part that it had handed out.
    ///
    /// Off by default, as the reader has to take part: one that shows text at once has to take it back. A
    /// [`ResponseBuilder`](llm_protocol::ResponseBuilder) does so by itself.
    ///
    /// [`StreamEvent::Discard`]: llm_protocol::StreamEvent::Discard
    pub fn restart_on_cut(mut self, yes: bool) -> Self {
        self.restart_on_cut = yes;
        self
    }

    /// Tries the same candidate again after a transient error, at most this often and as long as the candidate's
    /// [`RetryBudget`](crate::RetryBudget) lasts. Timeouts are left out: asking a silent route again multiplies the
    /// wait. So are answers that had begun to be handed out.
    ///
    /// It never waits for what is not worth it: not for a provider that wants to be left alone for longer than the
    /// longest [pause](Self::backoff), not for a circuit that has opened, and not beyond the time of the call. The next
    /// candidate is asked then; if there is none, the call is exhausted. It may wait in vain for a limiter, which cannot
    /// say before the pause whether there is room after it.
    pub fn transient_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Has timeouts tried again too.
    pub fn retry_timeouts(mut self, yes: bool) -> Self {
        self.retry_timeouts = yes;
        self
    }

    /// Waits for a throttling provider when its own hint is no longer than this, in place of moving on. Such waits
    /// count as [retries](Self::transient_retries): without any of these this does nothing. They take nothing from the
    /// [budget](crate::RetryBudget), as the provider itself has said when to come back. A used-up quota is never waited
    /// for.
    pub fn wait_out_backpressure(mut self, longest: Duration) -> Self {
        self.wait_out = longest;
        self
    }

    /// Sets the pause before a retry: a random part of `first`, doubled with every retry, at most `cap`. Full jitter,
    /// after "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Default 250 ms and 8 s.
    ///
    /// A provider's own hint is waited out in full where it is no longer than `cap`. Where it is longer, the candidate
    /// is not tried again in this call, even if it is the last.
    pub fn backoff(mut self, first: Duration, cap: Duration) -> Self {
        self.backoff = first;
        self.backoff_cap = cap;
        self
    }

    /// Has the next candidate asked beside one that is slow with its first token; see [`Hedge`]. Nobody is, unless set, and
    /// again with `None`. A candidate that takes over from a [cut](Self::restart_on_cut) is not hedged.
    pub fn hedge(mut self, hedge: impl Into<Option<Hedge>>) -> Self {
        self.hedge = hedge.into();
        self
    }

    /// Waits when every candidate was passed over because its circuit is open or its limit reached, for the first that
    /// [says when](crate::Report::retry_after) it is available again; those are then asked once more, as
    /// [`Launch::Retry`](crate::Launch::Retry), and waited for again if need be: each time in vain a little longer, and by
    /// chance, as others wait too. Where a probe or calls in flight are in the way, nobody can say when they end, and it is
    /// tried again now and then. All waits of a call together take no longer
    /// than `longest`, and none goes beyond the call's total: where that would not do, the call ends as
    /// [`Ended::Unavailable`](crate::Ended::Unavailable) at once, as it does unless this is set. Who is to take over from a
    /// [cut](Self::restart_on_cut) is not waited for.
    pub fn wait_when_unavailable(mut self, longest: Duration) -> Self {
        self.wait = Some(longest).filter(|longest| !longest.is_zero());
        self
    }

    /// What comes after `attempt`, when its candidate has been retried `retried` times before. `jitter` in 0..1 is the
    /// random part of a pause. A failover that has no time or no token for a retry, or sees the circuit open, advances
    /// instead.
    pub fn after(&self, attempt: &Attempt, retried: u32, jitter: f64) -> Step {
        match &attempt.outcome {
            Outcome::Success(_) => Step::Finish,
            Outcome::Failed(error) if error.kind() == ErrorKind::Timeout(Clock::Total) => Step::OutOfTime,
            outcome if !self.lets_pass(outcome) => Step::Stop,
            Outcome::Failed(error) | Outcome::DeferredBackpressure(error)
                if retried < self.retries && self.worth_retrying(error) =>
            {
                Step::Retry(self.pause(error, retried, jitter))
            }
            _ => Step::Advance,
        }
    }

    /// Whether another candidate may be asked after this.
    pub(crate) fn lets_pass(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Failed(error) => self.goes_on(error),
            Outcome::Interrupted { error, .. } => self.restart_on_cut && self.goes_on(error),
            Outcome::Success(_) | Outcome::Cancelled => false,
            _ => true,
        }
    }

    fn goes_on(&self, error: &Error) -> bool {
        let stops = error.category() == Category::Terminal && self.stop_on.contains(&error.kind());
        !stops && error.kind() != ErrorKind::Timeout(Clock::Total)
    }

    pub(crate) fn hedging(&self) -> Option<Hedge> {
        self.hedge
    }

    pub(crate) fn waits(&self) -> Option<Duration> {
        self.wait
    }

    /// Whether it ever tries a candidate again.
    pub(crate) fn retries_at_all(&self) -> bool {
        self.retries > 0
    }

    fn worth_retrying(&self, error: &Error) -> bool {
        let hint = error.retry_after();
        let worth = match (error.category(), error.kind()) {
            (Category::Transient, ErrorKind::Timeout(_)) if !self.retry_timeouts => false,
            (Category::Transient, _) => hint.is_none_or(|hint| hint <= self.backoff_cap),
            // A used-up quota is never looped over, however short the hint.
            (Category::Backpressure, ErrorKind::QuotaExhausted) | (Category::Terminal, _) => false,
            (Category::Backpressure, _) => hint.is_some_and(|hint| hint <= self.wait_out),
        };
        worth && error.should_retry() != Some(false)
    }

    fn pause(&self, error: &Error, retried: u32, jitter: f64) -> Duration {
        let widest = self.backoff.saturating_mul(2_u32.saturating_pow(retried)).min(self.backoff_cap);
        let backoff = widest.as_secs_f64() * jitter.clamp(0.0, 1.0);
        let backoff = Duration::try_from_secs_f64(backoff).unwrap_or(widest);
        // Never earlier than the provider asked for.
        error.retry_after().map_or(backoff, |hint| backoff.max(hint))
    }
}

#[cfg(test)]
mod tests;
