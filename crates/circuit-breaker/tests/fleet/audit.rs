//! What follows from a log for certain.

use crate::entry::{Grant, Span};

/// How many of these lasted at the same time, at most. Where one ends as another begins, they did not.
pub(crate) fn most_at_once(held: impl IntoIterator<Item = (u64, u64)>) -> i64 {
    let mut steps: Vec<(u64, i64)> = held
        .into_iter()
        .filter(|(from, to)| from < to)
        .flat_map(|(from, to)| [(from, 1), (to, -1)])
        .collect();
    steps.sort_unstable();
    let mut now = 0;
    steps
        .into_iter()
        .map(|(_, step)| {
            now += step;
            now
        })
        .max()
        .unwrap_or(0)
}

/// From when to when a lease was held at least. `ended` says when giving it back began, at the earliest.
pub(crate) fn surely_held(asked: Span, hold: u64, ended: Option<u64>) -> (u64, u64) {
    let expires = asked.since + hold;
    (asked.until, ended.map_or(expires, |ended| ended.min(expires)))
}

/// Calls that went through a circuit as if it were closed, and were asked for between these times.
pub(crate) fn let_through(grants: &[Grant], after: u64, before: u64) -> Vec<Grant> {
    let between = |grant: &&Grant| !grant.probe && grant.asked.since > after && grant.asked.until < before;
    grants.iter().filter(between).copied().collect()
}

/// What a call took of one rate, and gave back or took besides when it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) asked: Span,
    pub(crate) reserved: u64,
    pub(crate) ended: Span,
    pub(crate) actual: u64,
}

/// A rate in units a second, and the burst.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) rate: f64,
    pub(crate) burst: f64,
}

impl Bound {
    /// By how much the calls of some interval took more than the bound allows, at most; negative where none did.
    #[expect(clippy::cast_precision_loss, reason = "some hundreds of units, and minutes")]
    pub(crate) fn largest_excess(self, taken: &[Taken]) -> f64 {
        let mut admitted = taken.to_vec();
        admitted.sort_unstable_by_key(|call| call.asked.until);
        let mut gave_back: Vec<_> =
            taken.iter().map(|call| (call.ended.since, call.asked.since, self.given_back(call))).collect();
        gave_back.retain(|(_, _, units)| *units > 0.0);
        gave_back.sort_unstable_by_key(|(at, ..)| *at);
        let charge = |call: &Taken| call.actual.saturating_sub(call.reserved) as f64;
        let mut paid_more: Vec<_> =
            taken.iter().map(|call| (call.ended.until, call.asked.since, charge(call))).collect();
        paid_more.retain(|(_, _, units)| *units > 0.0);
        paid_more.sort_unstable_by_key(|(at, ..)| *at);

        let mut largest = f64::MIN;
        for Taken { asked: Span { since: begin, .. }, .. } in taken {
            let (mut sum, mut last) = (0.0, 0);
            let (mut backs, mut debts) = (gave_back.iter().peekable(), paid_more.iter().peekable());
            for call in admitted.iter().filter(|call| call.asked.since >= *begin) {
                sum += call.reserved as f64;
                last = last.max(call.asked.since);
                let end = call.asked.until;
                // What may have come back by then, of calls of this interval; others give back what is not counted.
                while let Some((_, asked, units)) = backs.next_if(|(at, ..)| *at <= end) {
                    sum -= if asked >= begin { *units } else { 0.0 };
                }
                // What was charged before the last call was admitted has kept it away.
                while let Some((_, asked, units)) = debts.next_if(|(at, ..)| *at <= last) {
                    sum += if asked >= begin { *units } else { 0.0 };
                }
                let span = (end - begin) as f64 / 1e6;
                largest = largest.max(sum - self.burst - self.rate * span);
            }
        }
        largest
    }

    /// As much as a call can have given back. When it was admitted, what it took came back within the burst at the
    /// latest; what had come back when it ended, cannot be given back again.
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    fn given_back(self, call: &Taken) -> f64 {
        let unused = call.reserved.saturating_sub(call.actual) as f64;
        let lasted = call.ended.since.saturating_sub(call.asked.until) as f64 / 1e6;
        unused.min(self.burst - self.rate * lasted).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(since: u64) -> Span {
        Span { since, until: since + 10 }
    }

    #[test]
    fn what_overlaps_is_counted() {
        assert_eq!(most_at_once([(0, 10), (10, 20), (5, 15), (12, 13), (9, 9)]), 3);
        assert_eq!(most_at_once([(0, 10), (10, 20)]), 1);
        assert_eq!(surely_held(Span { since: 5, until: 8 }, 100, Some(50)), (8, 50));
        assert_eq!(surely_held(Span { since: 5, until: 8 }, 100, Some(200)), (8, 105));
    }

    /// Ten a second, and ten at once.
    const BOUND: Bound = Bound { rate: 10.0, burst: 10.0 };

    fn taken(since: u64, reserved: u64, ended: u64, actual: u64) -> Taken {
        Taken { asked: at(since), reserved, ended: at(ended), actual }
    }

    #[test]
    fn an_excess_is_found_wherever_it_is() {
        let fits = [taken(0, 10, 500_000, 10), taken(1_000_000, 10, 1_500_000, 10)];
        assert!(BOUND.largest_excess(&fits) <= 0.0);
        let early = [fits[0], taken(899_000, 10, 1_500_000, 10)];
        assert!(BOUND.largest_excess(&early) > 1.0);
        let late = [
            taken(0, 1, 10, 1),
            taken(100_000_000, 6, 100_000_020, 6),
            taken(100_000_100, 6, u64::MAX - 10, 6),
        ];
        assert!(BOUND.largest_excess(&late) > 1.9);
    }

    #[test]
    fn what_was_given_back_can_be_taken_again_and_what_came_back_by_itself_cannot() {
        let gives_back = [taken(0, 10, 100_000, 0), taken(200_000, 10, 300_000, 10)];
        assert!(BOUND.largest_excess(&gives_back) <= 0.0);
        let comes_back = [taken(0, 10, 1_000_020, 0), taken(1_000_040, 10, 1_100_000, 10)];
        assert!(BOUND.largest_excess(&comes_back) <= 0.001);
        let both = [comes_back[0], comes_back[1], taken(1_000_060, 10, 1_200_000, 10)];
        assert!(BOUND.largest_excess(&both) > 9.0);
        let charged = [taken(0, 1, 100_000, 9), taken(200_000, 5, 300_000, 5)];
        assert!(BOUND.largest_excess(&charged) > 1.9);
    }
}
