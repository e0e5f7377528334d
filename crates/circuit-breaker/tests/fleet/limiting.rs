//! A limiter: what all workers take together stays below the rates in every interval, and below the bound in flight.

use crate::audit::{Bound, Taken, most_at_once, surely_held};
use crate::entry::{Entry, Spending};
use crate::fleet::{Fleet, until_telling};
use crate::plan::{
    IN_FLIGHT, Plan, REQUESTS_A_SECOND, REQUESTS_AT_ONCE, Rule, TOKENS_A_SECOND, TOKENS_AT_ONCE, spell,
};

/// Amounts are kept as fractions, which are exact to a millionth.
const ROUNDING: f64 = 0.01;

#[expect(clippy::cast_precision_loss, reason = "hundreds")]
const fn bound(rate: u64, burst: u64) -> Bound {
    Bound { rate: rate as f64, burst: burst as f64 }
}

#[tokio::test]
async fn all_workers_together_keep_to_the_limits() {
    until_telling(keep_to_the_limits).await;
}

async fn keep_to_the_limits() -> bool {
    let mut fleet = Fleet::start(Plan::new(Rule::Row(3), 1000, 1)).await;
    let log = fleet.all_carry_out(&format!("spend {}", spell().as_millis())).await;
    let spent: Vec<Spending> = log.spent();
    let limited = log.0.iter().filter(|(_, entry)| *entry == Entry::Limited).count();

    let requests = spent.iter().map(|call| taken(call, 1, call.actual_requests)).collect::<Vec<_>>();
    let excess = bound(REQUESTS_A_SECOND, REQUESTS_AT_ONCE).largest_excess(&requests);
    assert!(excess <= ROUNDING, "{excess} requests too many");
    let tokens = spent.iter().map(|call| taken(call, call.tokens, call.actual_tokens)).collect::<Vec<_>>();
    let excess = bound(TOKENS_A_SECOND, TOKENS_AT_ONCE).largest_excess(&tokens);
    assert!(excess <= ROUNDING, "{excess} tokens too many");

    let held = spent.iter().map(|call| surely_held(call.asked, call.hold, Some(call.ended.since)));
    let most = most_at_once(held);
    assert!(most <= i64::from(IN_FLIGHT), "{most} calls in flight");
    spent.len() >= 20 && limited > 0
}

const fn taken(call: &Spending, reserved: u64, actual: u64) -> Taken {
    Taken { asked: call.asked, reserved, ended: call.ended, actual }
}
