//! Whether a report that was read is one that a call can have made: its parts do not contradict each other.

use super::{Ended, Quorum, Report, Strategy};
use crate::attempt::{Attempt, Launch, Outcome};
use crate::failover::exhausted;
use crate::fan_out;

pub(super) fn agrees(report: &Report) -> bool {
    let attempts = &report.attempts;
    let in_order = attempts.iter().zip(0..).all(|(attempt, at)| attempt.ordinal == at);
    let ended = match (report.strategy, &report.quorum) {
        (Strategy::Failover, None) => a_failover_ends(report.ended, attempts),
        (Strategy::FanOut, Some(quorum)) => {
            let apart = |attempt: &Attempt| attempt.launch == Launch::Panel && !attempt.handed_out;
            *quorum == Quorum::of(quorum.policy, attempts)
                && attempts.iter().all(apart)
                && report.ended == fan_out::ended(quorum, attempts)
        }
        _ => false,
    };
    in_order && ended
}

fn a_failover_ends(ended: Ended, attempts: &[Attempt]) -> bool {
    let [first, ..] = attempts else { return ended == Ended::TotalTimeout };
    let [earlier @ .., last] = attempts else { return false };
    let follows = |pair: &[Attempt]| match pair {
        [before, after] if before.model_key == after.model_key => after.launch == Launch::Retry,
        [_, after] => matches!(after.launch, Launch::Failover | Launch::Hedge),
        _ => false,
    };
    // What a reader has had of them was all, was cut, or was given up.
    let final_outcome =
        |attempt: &Attempt| matches!(attempt.outcome, Outcome::Success(_) | Outcome::Cancelled);
    let readable = |attempt: &Attempt| final_outcome(attempt) || attempt.partial().is_some();
    let handed_out = attempts.iter().any(|attempt| attempt.handed_out);
    first.launch == Launch::Primary
        && attempts.windows(2).all(follows)
        && attempts.iter().all(|attempt| readable(attempt) || !attempt.handed_out)
        && !earlier.iter().any(final_outcome)
        && match ended {
            Ended::Answered => last.succeeded(),
            Ended::Interrupted => handed_out && !last.succeeded(),
            _ if handed_out || final_outcome(last) => false,
            Ended::Stopped => matches!(last.outcome, Outcome::Failed(_)),
            Ended::TotalTimeout => true,
            Ended::Exhausted | Ended::Unavailable | Ended::StoreUnavailable => ended == exhausted(attempts),
            Ended::QuorumMet | Ended::QuorumNotMet => false,
        }
}
