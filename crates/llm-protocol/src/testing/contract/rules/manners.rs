//! Rules that every call keeps to, whatever comes of it.

use crate::progress::Stage;
use crate::testing::contract::evidence::Evidence;
use crate::testing::contract::observe::Outcome;
use crate::testing::contract::summary::{Verdict, broken, require};

pub(super) fn ends(evidence: &Evidence) -> Verdict {
    for seen in evidence.all() {
        match seen.outcome {
            Outcome::Hung => return broken(format!("{}: nothing came of it in time", seen.place())),
            Outcome::Panicked => return broken(format!("{}: the adapter panicked", seen.place())),
            Outcome::Whole(_) | Outcome::Streamed(_) => {}
        }
    }
    Ok(())
}

/// Retries belong to the strategies, which report them.
pub(super) fn one_request(evidence: &Evidence) -> Verdict {
    for seen in evidence.all() {
        let expected = usize::from(seen.scenario.name() != "Unreachable");
        let received = seen.received;
        require(received == expected, || {
            format!("{}: the provider received {received} requests, not {expected}", seen.place())
        })?;
    }
    Ok(())
}

pub(super) fn progress(evidence: &Evidence) -> Verdict {
    for seen in evidence.all() {
        let (stage, received) = (seen.stage, seen.received);
        require((stage == Stage::Sent) == (received > 0), || {
            format!(
                "{}: progress says {stage:?}, and the provider received {received} requests",
                seen.place()
            )
        })?;
    }
    Ok(())
}

pub(super) fn closed(evidence: &Evidence) -> Verdict {
    for seen in evidence.all() {
        require(seen.closed, || format!("{}: the provider still has a request open", seen.place()))?;
    }
    Ok(())
}
