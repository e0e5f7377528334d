//! Breakers with one flaw each, and the rules that find it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{BreakerHarness, BreakerPlan, Pace, check_breaker, examine_breaker};
use circuit_breaker::{Breaker, async_trait};

use crate::flawed_breaker::{Flaw, Sketch};
use crate::{panic_message, rules};

struct Bench(Flaw);

#[async_trait]
impl BreakerHarness for Bench {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        Some(Arc::new(Sketch::new(plan, self.0)))
    }

    async fn pair(&self, plan: &BreakerPlan) -> Option<[Arc<dyn Breaker>; 2]> {
        Some(Sketch::pair(plan, self.0).map(|breaker| Arc::new(breaker) as Arc<dyn Breaker>))
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_secs(1)).tolerance(Duration::ZERO)
    }
}

/// Each flaw, and every rule that it breaks.
const FLAWS: &[(Flaw, &[&str])] = &[
    (Flaw::FoldsCase, &["any string is a key, and each has a circuit of its own"]),
    (Flaw::CutsKeys, &["any string is a key, and each has a circuit of its own"]),
    (
        Flaw::KeysShareProbes,
        &[
            "probes of one key are not another's",
            "clients share the probes",
            "what one client's probe decides holds for another",
        ],
    ),
    (
        Flaw::BornDirty,
        &[
            "a key that was never heard of is closed and clean",
            "so many failures in a row open it, and not one fewer",
            "a success begins the count anew",
            "a neutral verdict changes nothing",
            "a permit that is dropped changes nothing",
            "the status tells the state",
            "reading changes nothing",
        ],
    ),
    (
        Flaw::OpensEarly,
        &[
            "so many failures in a row open it, and not one fewer",
            "a success begins the count anew",
            "a neutral verdict changes nothing",
            "a permit that is dropped changes nothing",
            "the status tells the state",
            "reading changes nothing",
        ],
    ),
    (
        Flaw::OpensLate,
        &[
            "any string is a key, and each has a circuit of its own",
            "so many failures in a row open it, and not one fewer",
            "failures of calls that overlap count as well",
            "a success begins the count anew",
            "a neutral verdict changes nothing",
            "a permit that is dropped changes nothing",
            "reading changes nothing",
        ],
    ),
    (Flaw::CountsSerially, &["failures of calls that overlap count as well"]),
    (Flaw::SuccessDoesNotReset, &["a success begins the count anew", "the status tells the state"]),
    (Flaw::NeutralResets, &["a neutral verdict changes nothing"]),
    (
        Flaw::NeutralFails,
        &[
            "a neutral verdict changes nothing",
            "a neutral probe frees its slot and decides nothing",
            "a lease that has ended frees nobody else's slot",
        ],
    ),
    (
        Flaw::DropFails,
        &[
            "a dropped probe frees its slot and decides nothing",
            "a lease whose answer never arrived is given back by name",
            "asking twice with one lease takes one slot",
            "a lease that has ended frees nobody else's slot",
            "a hold may be of any length",
            "clients share the probes",
        ],
    ),
    (Flaw::OpenSaysProbesTaken, &["an open circuit says so, and when to come back"]),
    (Flaw::NoHint, &["an open circuit says so, and when to come back"]),
    (Flaw::WholeCooldownAsHint, &["who comes back when told to goes out as a probe"]),
    (
        Flaw::HintTooShort,
        &[
            "who comes back when told to goes out as a probe",
            "a probe's failure opens it for a whole cooldown",
        ],
    ),
    (
        Flaw::HintTooLong,
        &[
            "an open circuit says so, and when to come back",
            "who comes back when told to goes out as a probe",
        ],
    ),
    (Flaw::AdmitsEarly, &["nobody gets through before the cooldown has passed"]),
    (Flaw::StatusHalfOpens, &["reading changes nothing"]),
    (Flaw::StatusForgetsFailures, &["the status tells the state"]),
    (
        Flaw::EpochStays,
        &[
            "the epoch grows with every transition",
            "a late result changes nothing once it has closed again",
            "a probe that comes after the decision changes nothing",
            "one client's late results change nothing that another did",
        ],
    ),
    (
        Flaw::TriesProbes,
        &[
            "probes of one key are not another's",
            "reading changes nothing",
            "what is answered at once agrees, and a yes holds nothing",
            "no more probes are out than planned, however many ask",
            "who finds all probes out is told so",
            "without a bound every call goes out as a probe",
            "a neutral probe frees its slot and decides nothing",
            "a dropped probe frees its slot and decides nothing",
            "a lease whose answer never arrived is given back by name",
            "a permit may be dropped where there is no runtime",
            "asking twice with one lease takes one slot",
            "a lease that has ended frees nobody else's slot",
            "a lease that nobody ends does so when its hold has passed",
            "a lease of which no hold was asked ends by itself as well",
            "a hold may be of any length",
            "a probe whose hold has passed has no say",
            "a late result changes nothing while it is half-open",
            "clients share the probes",
            "what one client's probe decides holds for another",
        ],
    ),
    (
        Flaw::TriesNo,
        &[
            "probes of one key are not another's",
            "who comes back when told to goes out as a probe",
            "the status tells the state",
            "reading changes nothing",
            "what is answered at once agrees, and a yes holds nothing",
            "no more probes are out than planned, however many ask",
            "who finds all probes out is told so",
            "without a bound every call goes out as a probe",
            "an admission dropped while it is asked for leaves no lease",
            "a permit may be dropped where there is no runtime",
            "a hold may be of any length",
            "a late result changes nothing while it is open",
            "what one client opens is open for another",
            "clients share the probes",
            "what one client's probe decides holds for another",
        ],
    ),
    (
        Flaw::ChecksThenActs,
        &[
            "no more probes are out than planned, however many ask",
            "asking twice with one lease takes one slot",
            "clients share the probes",
        ],
    ),
    (
        Flaw::OneProbeOnly,
        &[
            "no more probes are out than planned, however many ask",
            "a neutral probe frees its slot and decides nothing",
            "a dropped probe frees its slot and decides nothing",
            "asking twice with one lease takes one slot",
            "clients share the probes",
        ],
    ),
    (Flaw::TakenSaysOpen, &["who finds all probes out is told so"]),
    (Flaw::BoundsTheUnbounded, &["without a bound every call goes out as a probe"]),
    (
        Flaw::SuccessStaysHalfOpen,
        &[
            "probes of one key are not another's",
            "the status tells the state",
            "reading changes nothing",
            "the epoch grows with every transition",
            "without a bound every call goes out as a probe",
            "a probe's success closes it, and it begins clean",
            "a lease that nobody ends does so when its hold has passed",
            "a hold may be of any length",
            "a probe whose hold has passed has no say",
            "a late result changes nothing while it is half-open",
            "a probe of an earlier half-open has no say in a later one",
            "a probe that comes after the decision changes nothing",
            "what one client's probe decides holds for another",
        ],
    ),
    (
        Flaw::ClosesDirty,
        &[
            "the status tells the state",
            "a probe's success closes it, and it begins clean",
            "a late result changes nothing once it has closed again",
        ],
    ),
    (
        Flaw::FailureStaysHalfOpen,
        &[
            "without a bound every call goes out as a probe",
            "a probe's failure opens it for a whole cooldown",
            "a probe that comes after the decision changes nothing",
            "what one client's probe decides holds for another",
        ],
    ),
    (Flaw::ReopensForHalf, &["a probe's failure opens it for a whole cooldown"]),
    (
        Flaw::NeutralCloses,
        &[
            "a neutral probe frees its slot and decides nothing",
            "a lease that has ended frees nobody else's slot",
        ],
    ),
    (
        Flaw::NeutralKeepsSlot,
        &[
            "a neutral probe frees its slot and decides nothing",
            "a lease that has ended frees nobody else's slot",
        ],
    ),
    (
        Flaw::DropKeepsSlot,
        &[
            "a dropped probe frees its slot and decides nothing",
            "a lease whose answer never arrived is given back by name",
            "an admission dropped while it is asked for leaves no lease",
            "a permit may be dropped where there is no runtime",
            "asking twice with one lease takes one slot",
            "a lease that has ended frees nobody else's slot",
            "a hold may be of any length",
            "clients share the probes",
        ],
    ),
    (Flaw::NamelessStaysHeld, &["a lease whose answer never arrived is given back by name"]),
    (
        Flaw::IgnoresWhoLeaves,
        &[
            "a lease whose answer never arrived is given back by name",
            "an admission dropped while it is asked for leaves no lease",
            "a lease that nobody ends does so when its hold has passed",
            "a probe whose hold has passed has no say",
        ],
    ),
    (Flaw::NeedsRuntime, &["a permit may be dropped where there is no runtime"]),
    (Flaw::SettleNeedsRuntime, &["a permit may be settled where there is no runtime"]),
    (Flaw::SettleBlocks, &["telling does not hold the caller up"]),
    (Flaw::AbandonBlocks, &["telling does not hold the caller up"]),
    (Flaw::LongHoldPanics, &["a hold may be of any length"]),
    (Flaw::AskingTwiceTakesTwo, &["asking twice with one lease takes one slot"]),
    (
        Flaw::FreesAnySlot,
        &[
            "a lease that has ended frees nobody else's slot",
            "a lease that nobody ends does so when its hold has passed",
            "a probe whose hold has passed has no say",
            "a probe of an earlier half-open has no say in a later one",
        ],
    ),
    (
        Flaw::HoldsForEver,
        &[
            "a lease that nobody ends does so when its hold has passed",
            "a lease of which no hold was asked ends by itself as well",
            "a probe whose hold has passed has no say",
        ],
    ),
    (
        Flaw::IgnoresAskedHold,
        &[
            "a lease that nobody ends does so when its hold has passed",
            "a probe whose hold has passed has no say",
        ],
    ),
    (Flaw::IgnoresOwnHold, &["a lease of which no hold was asked ends by itself as well"]),
    (Flaw::ExpiredHasASay, &["a probe whose hold has passed has no say"]),
    (
        Flaw::LateSuccessCloses,
        &[
            "a late result changes nothing while it is open",
            "a probe that comes after the decision changes nothing",
        ],
    ),
    (Flaw::LateFailureProlongs, &["a late result changes nothing while it is open"]),
    (
        Flaw::LateDecidesHalfOpen,
        &[
            "a probe whose hold has passed has no say",
            "a late result changes nothing while it is half-open",
            "a probe of an earlier half-open has no say in a later one",
        ],
    ),
    (
        Flaw::LateFailureCounts,
        &[
            "a late result changes nothing once it has closed again",
            "one client's late results change nothing that another did",
        ],
    ),
    (Flaw::LateSuccessResets, &["a late result changes nothing once it has closed again"]),
    (
        Flaw::EarlierProbeDecides,
        &[
            "a probe whose hold has passed has no say",
            "a probe of an earlier half-open has no say in a later one",
        ],
    ),
    (Flaw::FlushHangs, &["flushing comes to an end"]),
    (
        Flaw::SharesNothing,
        &[
            "what one client opens is open for another",
            "clients share the probes",
            "what one client's probe decides holds for another",
            "one client's late results change nothing that another did",
        ],
    ),
    (
        Flaw::ClientsShareNoProbes,
        &["clients share the probes", "what one client's probe decides holds for another"],
    ),
];

#[tokio::test(start_paused = true)]
async fn flawed_breakers_are_found_out() {
    let sound = check_breaker(&Bench(Flaw::None)).await;
    assert!(sound.skipped().is_empty(), "{sound}");
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for (flaw, expected) in FLAWS {
        let summary = examine_breaker(&Bench(*flaw)).await;
        if rules(summary.broken()) != *expected {
            eprintln!("WRONG {flaw:?} {:?}", rules(summary.broken()));
            eprintln!("{summary}");
        }
        found.extend(*expected);
    }
    let never: Vec<_> = sound.passed().iter().filter(|rule| !found.contains(*rule)).collect();
    assert!(never.is_empty(), "no flaw breaks {never:?}");
}

#[tokio::test(start_paused = true)]
async fn every_broken_rule_is_named_at_once() {
    let message = panic_message(check_breaker(&Bench(Flaw::ClosesDirty))).await;
    for part in
        ["the breaker contract: 3 rules broken, 40 held, 0 skipped", "the status tells", "begins clean"]
    {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_got_ready_is_not_taken_for_broken() {
    let summary = examine_breaker(&Bench(Flaw::OpensLate)).await;
    let skipped = summary.skipped();
    assert!(skipped.len() > 20, "{summary}");
    assert!(skipped.iter().all(|skip| skip.reason.contains("could not be got ready")), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_panics_does_not_end_the_suite() {
    let summary = examine_breaker(&Bench(Flaw::Panics)).await;
    assert!(summary.passed().contains(&"a key that was never heard of is closed and clean"), "{summary}");
    assert!(summary.broken().iter().all(|rule| rule.reason.ends_with("it panicked: the flaw")), "{summary}");
    assert!(summary.broken().len() > 30, "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_hangs_does_not_hang_the_suite() {
    let summary = examine_breaker(&Bench(Flaw::AcquireHangs)).await;
    assert!(rules(summary.broken()).contains(&"failures of calls that overlap count as well"), "{summary}");
    assert!(summary.broken().iter().all(|rule| rule.reason == "a call has not ended after 10s"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn what_a_harness_declines_is_skipped_in_plain_sight() {
    struct Plain;

    #[async_trait]
    impl BreakerHarness for Plain {
        async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
            let able = plan.probes.is_some() && plan.hold.is_none();
            able.then(|| Arc::new(Sketch::new(plan, Flaw::None)) as Arc<dyn Breaker>)
        }
    }

    let summary = check_breaker(&Plain).await;
    let shown = summary.to_string();
    assert_eq!(summary.skipped().len(), 6, "{shown}");
    for part in ["declines BreakerPlan", "probes: None", "hold: Some", "no second client"] {
        assert!(shown.contains(part), "{shown}");
    }
}
