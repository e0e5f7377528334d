//! The suite for breakers: what its harness brings, and the rules by name.

mod bench;
mod keys;
mod late;
mod leases;
mod opening;
mod probes;
mod reading;
mod shared;
mod telling;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::pace::Pace;
use super::run::{self, Rule};
use super::summary::Summary;
use crate::breaker::Breaker;

/// Makes the breakers that the suite asks for.
#[async_trait]
pub trait BreakerHarness: Send + Sync {
    /// A breaker that decides by this plan, on a store of its own with nothing in it.
    ///
    /// The suite is done with those it had before, so the harness may empty one store again and again: unless it sets
    /// [`Pace::at_once`], which has several in use at a time.
    ///
    /// `None` where the backend cannot be made so: the rules that need it are skipped, and the [`Summary`] lists them.
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>>;

    /// Two independent clients of one store, with nothing in it. `None` unless overridden, and where clients share
    /// nothing.
    async fn pair(&self, plan: &BreakerPlan) -> Option<[Arc<dyn Breaker>; 2]> {
        let _ = plan;
        None
    }

    /// How fast time goes.
    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// How the breaker under test is to decide. Without jitter, and without a cooldown that grows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerPlan {
    /// So many failures in a row open the circuit.
    pub failures: NonZeroU32,
    /// How long it stays open.
    pub cooldown: Duration,
    /// How many probes may be out at a time while half-open, without a bound where `None`. The first result of a probe
    /// decides.
    pub probes: Option<NonZeroU32>,
    /// How long a probe is held whose caller does not say. `None` leaves it to the backend, if it is longer than a
    /// rule takes: some minutes.
    pub hold: Option<Duration>,
}

impl BreakerPlan {
    const THREE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

    /// Three failures, a cooldown that passes in a rule, and one probe.
    fn new(pace: Pace) -> Self {
        Self { failures: Self::THREE, cooldown: pace.span(), probes: Some(NonZeroU32::MIN), hold: None }
    }

    fn failures(mut self, failures: u32) -> Self {
        self.failures = NonZeroU32::new(failures).unwrap_or(NonZeroU32::MIN);
        self
    }

    fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Zero sets no bound.
    fn probes(mut self, probes: u32) -> Self {
        self.probes = NonZeroU32::new(probes);
        self
    }

    fn hold(mut self, hold: Duration) -> Self {
        self.hold = Some(hold);
        self
    }
}

/// Puts the breaker through every rule of the contract.
///
/// # Panics
///
/// When a rule is broken, or none held. The message names every broken rule and where it was broken; [`examine_breaker`] tells the
/// same without panicking.
pub async fn check_breaker(harness: &dyn BreakerHarness) -> Summary {
    examine_breaker(harness).await.assert_sound()
}

/// Puts the breaker through every rule of the contract and tells what came of it. Needs a Tokio runtime with time
/// enabled.
pub async fn examine_breaker(harness: &dyn BreakerHarness) -> Summary {
    run::all("breaker", &rules(), harness, harness.pace()).await
}

fn rules<'h>() -> Vec<Rule<dyn BreakerHarness + 'h>> {
    vec![
        ("a key that was never heard of is closed and clean", |h, p| Box::pin(keys::unknown(h, p))),
        ("any string is a key, and each has a circuit of its own", |h, p| Box::pin(keys::apart(h, p))),
        ("probes of one key are not another's", |h, p| Box::pin(keys::probes_apart(h, p))),
        ("so many failures in a row open it, and not one fewer", |h, p| Box::pin(opening::exactly(h, p))),
        ("failures of calls that overlap count as well", |h, p| Box::pin(opening::overlapping(h, p))),
        ("a success begins the count anew", |h, p| Box::pin(opening::success(h, p))),
        ("a neutral verdict changes nothing", |h, p| Box::pin(opening::neutral(h, p))),
        ("a permit that is dropped changes nothing", |h, p| Box::pin(opening::dropped(h, p))),
        ("an open circuit says so, and when to come back", |h, p| Box::pin(opening::says(h, p))),
        ("nobody gets through before the cooldown has passed", |h, p| Box::pin(opening::stays(h, p))),
        ("who comes back when told to goes out as a probe", |h, p| Box::pin(opening::way_in(h, p))),
        ("the status tells the state", |h, p| Box::pin(reading::tells(h, p))),
        ("reading changes nothing", |h, p| Box::pin(reading::only_reads(h, p))),
        ("the epoch grows with every transition", |h, p| Box::pin(reading::epochs(h, p))),
        ("what is answered at once agrees, and a yes holds nothing", |h, p| Box::pin(reading::at_once(h, p))),
        ("no more probes are out than planned, however many ask", |h, p| Box::pin(probes::bounded(h, p))),
        ("who finds all probes out is told so", |h, p| Box::pin(probes::taken(h, p))),
        ("without a bound every call goes out as a probe", |h, p| Box::pin(probes::unbounded(h, p))),
        ("a probe's success closes it, and it begins clean", |h, p| Box::pin(probes::success(h, p))),
        ("a probe's failure opens it for a whole cooldown", |h, p| Box::pin(probes::failure(h, p))),
        ("a neutral probe frees its slot and decides nothing", |h, p| Box::pin(probes::neutral(h, p))),
        ("a dropped probe frees its slot and decides nothing", |h, p| Box::pin(probes::dropped(h, p))),
        ("a lease whose answer never arrived is given back by name", |h, p| Box::pin(leases::by_name(h, p))),
        ("an admission dropped while it is asked for leaves no lease", |h, p| {
            Box::pin(leases::dropped_early(h, p))
        }),
        ("a permit may be dropped where there is no runtime", |h, p| Box::pin(leases::elsewhere(h, p))),
        ("a permit may be settled where there is no runtime", |h, p| {
            Box::pin(telling::settled_elsewhere(h, p))
        }),
        ("telling does not hold the caller up", |h, p| Box::pin(telling::unblocked(h, p))),
        ("asking twice with one lease takes one slot", |h, p| Box::pin(leases::twice(h, p))),
        ("a lease that has ended frees nobody else's slot", |h, p| Box::pin(leases::ended(h, p))),
        ("a lease that nobody ends does so when its hold has passed", |h, p| {
            Box::pin(leases::asked_hold(h, p))
        }),
        ("a lease of which no hold was asked ends by itself as well", |h, p| {
            Box::pin(leases::own_hold(h, p))
        }),
        ("a hold may be of any length", |h, p| Box::pin(leases::any_hold(h, p))),
        ("a probe whose hold has passed has no say", |h, p| Box::pin(leases::expired(h, p))),
        ("a late result changes nothing while it is open", |h, p| Box::pin(late::open(h, p))),
        ("a late result changes nothing while it is half-open", |h, p| Box::pin(late::half_open(h, p))),
        ("a late result changes nothing once it has closed again", |h, p| Box::pin(late::closed(h, p))),
        ("a probe of an earlier half-open has no say in a later one", |h, p| Box::pin(late::probe(h, p))),
        ("a probe that comes after the decision changes nothing", |h, p| Box::pin(late::undecided(h, p))),
        ("flushing comes to an end", |h, p| Box::pin(reading::flush(h, p))),
        ("what one client opens is open for another", |h, p| Box::pin(shared::opens(h, p))),
        ("clients share the probes", |h, p| Box::pin(shared::probes(h, p))),
        ("what one client's probe decides holds for another", |h, p| Box::pin(shared::decides(h, p))),
        ("one client's late results change nothing that another did", |h, p| Box::pin(shared::late(h, p))),
    ]
}
