//! The suite for limiters: what its harness brings, and the rules by name.

mod bench;
mod flight;
mod hints;
mod leases;
mod plan;
mod rates;
mod settling;
mod shared;
mod telling;

use std::sync::Arc;

use async_trait::async_trait;

use super::pace::Pace;
use super::run::{self, Rule};
use super::summary::Summary;
use crate::limiter::Limiter;
pub use plan::{LimiterPlan, RatePlan};

/// Makes the limiters that the suite asks for.
#[async_trait]
pub trait LimiterHarness: Send + Sync {
    /// A limiter that allows what this plan says under each key, on a store of its own with nothing in it.
    ///
    /// The suite is done with those it had before, so the harness may empty one store again and again: unless it sets
    /// [`Pace::at_once`], which has several in use at a time.
    ///
    /// `None` where the backend cannot be made so: the rules that need it are skipped, and the [`Summary`] lists them.
    async fn limiter(&self, plan: &LimiterPlan) -> Option<Arc<dyn Limiter>>;

    /// Two independent clients of one store, with nothing in it. `None` unless overridden, and where clients share
    /// nothing.
    async fn pair(&self, plan: &LimiterPlan) -> Option<[Arc<dyn Limiter>; 2]> {
        let _ = plan;
        None
    }

    /// How fast time goes.
    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// Puts the limiter through every rule of the contract.
///
/// # Panics
///
/// When a rule is broken, or none held. The message names every broken rule and where it was broken; [`examine_limiter`] tells the
/// same without panicking.
pub async fn check_limiter(harness: &dyn LimiterHarness) -> Summary {
    examine_limiter(harness).await.assert_sound()
}

/// Puts the limiter through every rule of the contract and tells what came of it. Needs a Tokio runtime with time
/// enabled.
pub async fn examine_limiter(harness: &dyn LimiterHarness) -> Summary {
    run::all("limiter", &rules(), harness, harness.pace()).await
}

fn rules<'h>() -> Vec<Rule<dyn LimiterHarness + 'h>> {
    vec![
        ("without bounds everything goes out", |h, p| Box::pin(rates::unbounded(h, p))),
        ("any string is a key, and each has limits of its own", |h, p| Box::pin(rates::apart(h, p))),
        ("the burst goes out at once, and no more however many ask", |h, p| Box::pin(rates::burst(h, p))),
        ("no more goes out than burst and rate allow", |h, p| Box::pin(rates::rate(h, p))),
        ("when it says to come back, the same cost fits", |h, p| Box::pin(rates::way_in(h, p))),
        ("each rate is one of its own, and has its name", |h, p| Box::pin(rates::named(h, p))),
        ("what never fits is told apart", |h, p| Box::pin(rates::never_fits(h, p))),
        ("a refusal reserves nothing", |h, p| Box::pin(rates::refused(h, p))),
        ("a reservation says what was reserved", |h, p| Box::pin(settling::said(h, p))),
        ("a cost that is not known goes out, and is charged when it is", |h, p| {
            Box::pin(settling::unknown(h, p))
        }),
        ("what was reserved too much is given back", |h, p| Box::pin(settling::less(h, p))),
        ("calls that overlap are settled in any order", |h, p| Box::pin(settling::any_order(h, p))),
        ("what was reserved too little is charged", |h, p| Box::pin(settling::more(h, p))),
        ("what is not known afterwards stays as reserved", |h, p| Box::pin(settling::kept(h, p))),
        ("a call that did not go out costs nothing", |h, p| Box::pin(settling::abandoned(h, p))),
        ("a reservation whose answer never arrived is given back by name", |h, p| {
            Box::pin(leases::by_name(h, p))
        }),
        ("a reservation dropped while it is asked for leaves nothing", |h, p| {
            Box::pin(leases::dropped_early(h, p))
        }),
        ("what is reserved for a caller who has gone is given back", |h, p| Box::pin(leases::gone(h, p))),
        ("a slot may be dropped where there is no runtime", |h, p| Box::pin(leases::elsewhere(h, p))),
        ("a slot may be settled where there is no runtime", |h, p| {
            Box::pin(telling::settled_elsewhere(h, p))
        }),
        ("telling does not hold the caller up", |h, p| Box::pin(telling::unblocked(h, p))),
        ("asking twice with one lease reserves once", |h, p| Box::pin(leases::twice(h, p))),
        ("no more calls are out than allowed, however many ask", |h, p| Box::pin(flight::bounded(h, p))),
        ("a call that ends makes room for another", |h, p| Box::pin(flight::ends(h, p))),
        ("a lease that has ended frees nobody else's place", |h, p| Box::pin(flight::ended(h, p))),
        ("a lease that nobody ends does so when its hold has passed", |h, p| {
            Box::pin(flight::asked_hold(h, p))
        }),
        ("a lease of which no hold was asked ends by itself as well", |h, p| {
            Box::pin(flight::own_hold(h, p))
        }),
        ("a hold may be of any length", |h, p| Box::pin(flight::any_hold(h, p))),
        ("what a lease reserved that nobody ends is kept", |h, p| Box::pin(flight::kept(h, p))),
        ("a deferred key says so, and when to come back", |h, p| Box::pin(hints::says(h, p))),
        ("the hint that reaches furthest counts", |h, p| Box::pin(hints::longest(h, p))),
        ("a hint may be of any length", |h, p| Box::pin(hints::any_delay(h, p))),
        ("a hint is for its key alone", |h, p| Box::pin(hints::own_key(h, p))),
        ("what is answered at once agrees, and a yes reserves nothing", |h, p| {
            Box::pin(hints::at_once(h, p))
        }),
        ("flushing comes to an end", |h, p| Box::pin(hints::flush(h, p))),
        ("clients share a rate", |h, p| Box::pin(shared::rate(h, p))),
        ("clients share the calls in flight", |h, p| Box::pin(shared::in_flight(h, p))),
        ("one client's hint keeps another away", |h, p| Box::pin(shared::hint(h, p))),
    ]
}
