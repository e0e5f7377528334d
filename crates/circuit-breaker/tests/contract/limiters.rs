//! Limiters with one flaw each, and the rules that find it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{LimiterHarness, LimiterPlan, Pace, check_limiter, examine_limiter};
use circuit_breaker::{Limiter, async_trait};

use crate::flawed_limiter::{Flaw, Sketch};
use crate::{panic_message, rules};

struct Bench(Flaw);

#[async_trait]
impl LimiterHarness for Bench {
    async fn limiter(&self, plan: &LimiterPlan) -> Option<Arc<dyn Limiter>> {
        Some(Arc::new(Sketch::new(plan, self.0)))
    }

    async fn pair(&self, plan: &LimiterPlan) -> Option<[Arc<dyn Limiter>; 2]> {
        Some(Sketch::pair(plan, self.0).map(|limiter| Arc::new(limiter) as Arc<dyn Limiter>))
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_secs(1))
    }
}

/// Each flaw, and every rule that it breaks.
const FLAWS: &[(Flaw, &[&str])] = &[
    (
        Flaw::FoldsCase,
        &["any string is a key, and each has limits of its own", "a hint is for its key alone"],
    ),
    (Flaw::CutsKeys, &["any string is a key, and each has limits of its own"]),
    (Flaw::BoundsTheUnbounded, &["without bounds everything goes out"]),
    (
        Flaw::OneMore,
        &[
            "any string is a key, and each has limits of its own",
            "the burst goes out at once, and no more however many ask",
            "no more goes out than burst and rate allow",
            "each rate is one of its own, and has its name",
            "a refusal reserves nothing",
            "a cost that is not known goes out, and is charged when it is",
            "what was reserved too much is given back",
            "calls that overlap are settled in any order",
            "what was reserved too little is charged",
            "what is not known afterwards stays as reserved",
            "a call that did not go out costs nothing",
            "a reservation whose answer never arrived is given back by name",
            "asking twice with one lease reserves once",
            "what a lease reserved that nobody ends is kept",
            "clients share a rate",
        ],
    ),
    (
        Flaw::ChecksThenActs,
        &[
            "the burst goes out at once, and no more however many ask",
            "asking twice with one lease reserves once",
        ],
    ),
    (Flaw::RefillsTwice, &["no more goes out than burst and rate allow"]),
    (Flaw::RefillsNever, &["when it says to come back, the same cost fits"]),
    (Flaw::NoHint, &["when it says to come back, the same cost fits"]),
    (
        Flaw::HintTooShort,
        &["when it says to come back, the same cost fits", "what was reserved too little is charged"],
    ),
    (Flaw::HintOfBurst, &["when it says to come back, the same cost fits"]),
    (Flaw::NamesRequests, &["each rate is one of its own, and has its name"]),
    (
        Flaw::SaysInFlight,
        &["when it says to come back, the same cost fits", "each rate is one of its own, and has its name"],
    ),
    (Flaw::NeverFitsIsARate, &["what never fits is told apart"]),
    (Flaw::NeverFitsComesBack, &["what never fits is told apart"]),
    (Flaw::TakesBeforeItRefuses, &["a refusal reserves nothing"]),
    (Flaw::ReservesUnseen, &["a reservation says what was reserved"]),
    (Flaw::RefusesUnknown, &["a cost that is not known goes out, and is charged when it is"]),
    (Flaw::UnknownIsFree, &["a cost that is not known goes out, and is charged when it is"]),
    (
        Flaw::GivesNothingBack,
        &[
            "what was reserved too much is given back",
            "calls that overlap are settled in any order",
            "a call that did not go out costs nothing",
            "a reservation whose answer never arrived is given back by name",
            "what is reserved for a caller who has gone is given back",
            "a slot may be dropped where there is no runtime",
            "asking twice with one lease reserves once",
            "clients share a rate",
        ],
    ),
    (
        Flaw::GivesBackTheLatestOnly,
        &["what was reserved too much is given back", "a call that did not go out costs nothing"],
    ),
    (Flaw::ChargesNothingMore, &["what was reserved too little is charged"]),
    (Flaw::ChargesToTheBurst, &["what was reserved too little is charged"]),
    (Flaw::UnknownBecomesZero, &["what is not known afterwards stays as reserved"]),
    (
        Flaw::AbandonKeeps,
        &[
            "a call that did not go out costs nothing",
            "a reservation whose answer never arrived is given back by name",
            "what is reserved for a caller who has gone is given back",
            "a slot may be dropped where there is no runtime",
            "clients share a rate",
        ],
    ),
    (Flaw::AbandonsAgain, &["a reservation whose answer never arrived is given back by name"]),
    (Flaw::NamelessStaysHeld, &["a reservation whose answer never arrived is given back by name"]),
    (
        Flaw::IgnoresWhoLeaves,
        &[
            "a reservation whose answer never arrived is given back by name",
            "a reservation dropped while it is asked for leaves nothing",
            "what is reserved for a caller who has gone is given back",
            "a lease that nobody ends does so when its hold has passed",
        ],
    ),
    (
        Flaw::NeedsRuntime,
        &[
            "a slot may be dropped where there is no runtime",
            "a slot may be settled where there is no runtime",
        ],
    ),
    (Flaw::SettleNeedsRuntime, &["a slot may be settled where there is no runtime"]),
    (Flaw::DeferNeedsRuntime, &["a slot may be settled where there is no runtime"]),
    (Flaw::SettleBlocks, &["telling does not hold the caller up"]),
    (Flaw::AbandonBlocks, &["telling does not hold the caller up"]),
    (Flaw::DeferBlocks, &["telling does not hold the caller up"]),
    (Flaw::LongHoldPanics, &["a hold may be of any length"]),
    (Flaw::LongHintPanics, &["a hint may be of any length"]),
    (Flaw::ZeroHintDefers, &["a hint may be of any length"]),
    (Flaw::AskingTwiceTakesTwo, &["asking twice with one lease reserves once"]),
    (
        Flaw::OneFewerInFlight,
        &[
            "no more calls are out than allowed, however many ask",
            "a call that ends makes room for another",
            "clients share the calls in flight",
        ],
    ),
    (
        Flaw::SettleKeepsPlace,
        &[
            "a cost that is not known goes out, and is charged when it is",
            "what was reserved too much is given back",
            "calls that overlap are settled in any order",
            "what was reserved too little is charged",
            "asking twice with one lease reserves once",
            "a call that ends makes room for another",
            "a lease that has ended frees nobody else's place",
            "a hold may be of any length",
        ],
    ),
    (Flaw::FreesAnyPlace, &["a lease that has ended frees nobody else's place"]),
    (
        Flaw::HoldsForEver,
        &[
            "a lease that nobody ends does so when its hold has passed",
            "a lease of which no hold was asked ends by itself as well",
        ],
    ),
    (Flaw::IgnoresAskedHold, &["a lease that nobody ends does so when its hold has passed"]),
    (Flaw::IgnoresOwnHold, &["a lease of which no hold was asked ends by itself as well"]),
    (Flaw::ExpiryGivesBack, &["what a lease reserved that nobody ends is kept"]),
    (
        Flaw::IgnoresHints,
        &[
            "a deferred key says so, and when to come back",
            "the hint that reaches furthest counts",
            "a hint may be of any length",
            "a hint is for its key alone",
            "what is answered at once agrees, and a yes reserves nothing",
            "one client's hint keeps another away",
        ],
    ),
    (
        Flaw::HintsNeedBounds,
        &[
            "a deferred key says so, and when to come back",
            "the hint that reaches furthest counts",
            "a hint may be of any length",
            "a hint is for its key alone",
            "what is answered at once agrees, and a yes reserves nothing",
            "one client's hint keeps another away",
        ],
    ),
    (
        Flaw::DeferredSaysRate,
        &[
            "a deferred key says so, and when to come back",
            "the hint that reaches furthest counts",
            "a hint may be of any length",
            "a hint is for its key alone",
            "what is answered at once agrees, and a yes reserves nothing",
            "one client's hint keeps another away",
        ],
    ),
    (Flaw::DeferredHasNoHint, &["a deferred key says so, and when to come back"]),
    (Flaw::LatestHintWins, &["the hint that reaches furthest counts", "a hint may be of any length"]),
    (Flaw::ShortestHintWins, &["the hint that reaches furthest counts", "a hint may be of any length"]),
    (Flaw::HintsForAllKeys, &["a hint is for its key alone"]),
    (
        Flaw::TriesYes,
        &[
            "any string is a key, and each has limits of its own",
            "what never fits is told apart",
            "a refusal reserves nothing",
            "what is answered at once agrees, and a yes reserves nothing",
        ],
    ),
    (
        Flaw::TriesPastHints,
        &[
            "a deferred key says so, and when to come back",
            "the hint that reaches furthest counts",
            "a hint may be of any length",
            "a hint is for its key alone",
            "what is answered at once agrees, and a yes reserves nothing",
            "one client's hint keeps another away",
        ],
    ),
    (Flaw::FlushHangs, &["flushing comes to an end"]),
    (
        Flaw::SharesNothing,
        &[
            "clients share a rate",
            "clients share the calls in flight",
            "one client's hint keeps another away",
        ],
    ),
    (Flaw::SharesNoHints, &["one client's hint keeps another away"]),
    (
        Flaw::SharesNoFlight,
        &[
            "a lease that nobody ends does so when its hold has passed",
            "a lease of which no hold was asked ends by itself as well",
            "a hold may be of any length",
            "clients share the calls in flight",
        ],
    ),
];

#[tokio::test(start_paused = true)]
async fn flawed_limiters_are_found_out() {
    let sound = check_limiter(&Bench(Flaw::None)).await;
    assert!(sound.skipped().is_empty(), "{sound}");
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for (flaw, expected) in FLAWS {
        let summary = examine_limiter(&Bench(*flaw)).await;
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
    let message = panic_message(check_limiter(&Bench(Flaw::IgnoresWhoLeaves))).await;
    for part in
        ["the limiter contract: 4 rules broken, 34 held, 0 skipped", "given back by name", "leaves nothing"]
    {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_harness_declines_is_skipped_in_plain_sight() {
    /// Remembers hints, and has no bounds.
    struct Hints;

    #[async_trait]
    impl LimiterHarness for Hints {
        async fn limiter(&self, plan: &LimiterPlan) -> Option<Arc<dyn Limiter>> {
            let bounded = plan.in_flight.is_some() || plan.requests.is_some() || plan.input_tokens.is_some();
            (!bounded).then(|| Arc::new(Sketch::new(plan, Flaw::None)) as Arc<dyn Limiter>)
        }
    }

    let summary = check_limiter(&Hints).await;
    let shown = summary.to_string();
    for part in ["declines LimiterPlan", "no second client"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(summary.passed().contains(&"the hint that reaches furthest counts"), "{shown}");
}
