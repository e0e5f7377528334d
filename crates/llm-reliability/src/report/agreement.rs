//! Whether a report that was read is one that a call can have made: its parts do not contradict each other.

use super::{Ended, Quorum, Report, Strategy};
use crate::attempt::{Attempt, Launch, Outcome};
use crate::course::{exhausted, is_unavailable};
use crate::fan_out;

pub(super) fn agrees(report: &Report) -> bool {
    let attempts = &report.attempts;
    let in_order = attempts.iter().zip(0..).all(|(attempt, at)| attempt.ordinal == at);
    let ended = match (report.strategy, &report.quorum) {
        (Strategy::Failover, None) => a_failover_ends(report.ended, attempts),
        (Strategy::FanOut, Some(quorum)) => {
            *quorum == Quorum::of(quorum.policy, attempts)
                && (1..=quorum.seats).contains(&quorum.required)
                && a_panel_sits(attempts)
                && report.ended == fan_out::ended(quorum, attempts)
        }
        _ => false,
    };
    in_order && ended
}

/// The seats, and behind them a substitute at most for each attempt that gave no answer.
fn a_panel_sits(attempts: &[Attempt]) -> bool {
    let seats = attempts.iter().take_while(|attempt| attempt.launch == Launch::Panel).count();
    let without = |attempt: &&Attempt| !attempt.succeeded() && !matches!(attempt.outcome, Outcome::Cancelled);
    let substitutes = attempts.len() - seats;
    attempts.iter().skip(seats).all(|attempt| attempt.launch == Launch::Failover)
        && substitutes <= attempts.iter().filter(without).count()
        && !attempts.iter().any(|attempt| attempt.handed_out)
}

fn a_failover_ends(ended: Ended, attempts: &[Attempt]) -> bool {
    // Before anyone was asked: there was no time, or no telling who goes first.
    let [first, ..] = attempts else { return matches!(ended, Ended::TotalTimeout | Ended::StoreUnavailable) };
    let cancelled = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Cancelled);
    let follows = |(at, attempt): (usize, &Attempt)| {
        let earlier = attempts.iter().take(at).filter(|earlier| earlier.model_key == attempt.model_key);
        let again = earlier.clone().next().is_some();
        match attempt.launch {
            Launch::Primary => at == 0,
            Launch::Retry => again,
            Launch::Failover => at > 0 && !again,
            // Who was unavailable may have been waited for, and who lost is there again.
            Launch::Hedge => {
                at > 0
                    && earlier.clone().all(|earlier| cancelled(earlier) || is_unavailable(&earlier.outcome))
            }
            Launch::Panel => false,
        }
    };
    // What a reader has had of them was all, was cut, or was given up.
    let readable =
        |attempt: &Attempt| attempt.succeeded() || cancelled(attempt) || attempt.partial().is_some();
    let is_hedge = |attempt: &Attempt| attempt.launch == Launch::Hedge;
    // Nothing begins after the answer, or after its reader has gone away: only what ran beside it has a later number.
    let is_last = |(at, attempt): (usize, &Attempt)| {
        let ends_it = attempt.succeeded() || (cancelled(attempt) && attempt.handed_out);
        !ends_it || attempts.iter().skip(at + 1).all(is_hedge)
    };
    // Someone was faster.
    let lost = |(at, _): (usize, &Attempt)| attempts.iter().skip(at).any(is_hedge);
    let mut given_up = attempts.iter().enumerate().filter(|(_, attempt)| cancelled(attempt));
    let handed_out = attempts.iter().any(|attempt| attempt.handed_out);
    let answers = attempts.iter().filter(|attempt| attempt.succeeded()).count();
    first.launch == Launch::Primary
        && attempts.iter().enumerate().all(follows)
        && attempts.iter().all(|attempt| readable(attempt) || !attempt.handed_out)
        && attempts.iter().enumerate().all(is_last)
        && answers == usize::from(ended == Ended::Answered)
        && match ended {
            Ended::Answered => given_up.all(|(at, attempt)| lost((at, attempt)) && !attempt.handed_out),
            // Its reader may have gone away, also while another was to take over.
            Ended::Interrupted => {
                let end = attempts.len() - 1;
                handed_out
                    && given_up.all(|(at, attempt)| attempt.handed_out || at == end || lost((at, attempt)))
            }
            _ if handed_out || !given_up.all(lost) => false,
            Ended::Stopped => attempts.iter().any(|attempt| matches!(attempt.outcome, Outcome::Failed(_))),
            Ended::TotalTimeout => true,
            Ended::Exhausted | Ended::Unavailable | Ended::StoreUnavailable => ended == exhausted(attempts),
            Ended::QuorumMet | Ended::QuorumNotMet => false,
        }
}
