//! `[failover]`, `[fan_out]` and weights: what is read, what becomes of it, and what is refused in which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use llm_client::llm_protocol::ModelAdapter;
use llm_client::llm_protocol::testing::ScriptedModel;
use llm_client::llm_reliability::{
    FanOut, Hedge, InputError, Lineup, Policy, QuorumPolicy, ResilientClient, Standing,
    circuit_breaker::Percent,
};
use llm_client::{
    Config, ConfigError, FactoryError, HedgeAfter, OrderName, ProviderContext, ProviderFactory, Quantile,
    Registry,
};
use parking_lot::Mutex;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn n(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// A provider for whom it is enough to have a name.
struct Acme;

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        Ok(Arc::new(ScriptedModel::new(&context.spec.key())))
    }
}

fn registry() -> Registry {
    Registry::empty().provider("acme", Acme)
}

/// A candidate for each of these settings: `acme:0`, `acme:1` and so on, unless they have an id.
fn candidates(settings: &[&str]) -> String {
    let candidate = |(at, setting): (usize, &&str)| {
        format!("\n[[candidate]]\nprovider = 'acme'\nmodel = '{at}'\n{setting}\n")
    };
    settings.iter().enumerate().map(candidate).collect()
}

fn built(sections: &str, settings: &[&str]) -> Result<ResilientClient, ConfigError> {
    Config::from_toml(&format!("{sections}{}", candidates(settings)))?.build(&registry())
}

fn read(text: &str) -> Config {
    let config = Config::from_toml(text).unwrap();
    let written = toml::to_string(&config).unwrap();
    assert_eq!(Config::from_toml(&written).unwrap(), config, "{written}");
    // As other formats have it.
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
    config
}

#[test]
fn orders_have_names() {
    for (name, order) in [
        ("listed", OrderName::Listed),
        ("priority", OrderName::Listed),
        ("round_robin", OrderName::RoundRobin),
        ("weighted", OrderName::Weighted),
        ("least_in_flight", OrderName::LeastInFlight),
        ("fastest_first_token", OrderName::FastestFirstToken),
    ] {
        let section = format!("failover.order = '{name}'");
        assert_eq!(read(&section).failover.order, order);
        built(&section, &["", ""]).unwrap();
    }
    assert_eq!(Config::default().failover.order, OrderName::Listed);
}

#[test]
fn policies_are_set_up_as_they_are_described() {
    let observed = |share| Policy::default().hedge(Hedge::observed(share));
    for (text, expected) in [
        ("", Policy::default()),
        ("hedge_after = '2s'", Policy::default().hedge(Hedge::after(secs(2)))),
        ("hedge_after = '1m 500ms'", Policy::default().hedge(Hedge::after(Duration::from_millis(60_500)))),
        ("hedge_after = 'p90'", observed(0.9)),
        ("hedge_after = 'p95'", observed(0.95)),
        ("hedge_after = 'p99.6'", observed(0.996)),
        ("wait_when_unavailable = '30s'", Policy::default().wait_when_unavailable(secs(30))),
        ("wait_when_unavailable = '0s'", Policy::default()),
        (
            "policy = 'robust'\ntransient_retries = 2\nrestart_on_cut = true\nhedge_after = 'p90'\n\
             wait_when_unavailable = '1s'",
            Policy::robust()
                .transient_retries(2)
                .restart_on_cut(true)
                .hedge(Hedge::observed(0.9))
                .wait_when_unavailable(secs(1)),
        ),
    ] {
        let section = format!("[failover]\n{text}");
        assert_eq!(Policy::from(&read(&section).failover), expected, "{text}");
        built(&section, &["", ""]).unwrap();
    }
    let p995 = read("failover.hedge_after = 'p99.5'").failover.hedge_after;
    assert_eq!(p995, Quantile::new(995).map(HedgeAfter::Quantile));
    for budget in ["5", "'5%'", "'5 %'"] {
        let section = format!("failover = {{ hedge_after = '2s', hedge_budget = {budget} }}");
        assert_eq!(read(&section).failover.hedge_budget, Percent::new(5), "{budget}");
        built(&section, &[""]).unwrap();
    }
    let all = read("failover = { hedge_after = '2s', hedge_budget = '100%' }").failover;
    assert_eq!(all.hedge_budget, Percent::new(100));
}

#[test]
fn fan_outs_are_set_up_as_they_are_described() {
    let quorum = |quorum| FanOut::new(quorum);
    for (text, expected) in [
        ("", FanOut::default()),
        ("quorum = 'all'", FanOut::default()),
        ("quorum = 'majority'", quorum(QuorumPolicy::Majority)),
        ("quorum = 'first'", quorum(QuorumPolicy::First)),
        ("quorum = 1", quorum(QuorumPolicy::AtLeast(1))),
        ("quorum = 3", quorum(QuorumPolicy::AtLeast(3))),
        ("quorum = 'first'\ngrace = '2s'", quorum(QuorumPolicy::First).grace(secs(2))),
        ("cutoff = '20s'\nconcurrency = 2", FanOut::default().cutoff(secs(20)).concurrency(n(2))),
        ("seats = ['acme:1', 'x', 'x']", FanOut::default().seats(["acme:1", "x", "x"])),
        (
            "quorum = 2\nseats = ['x', 'acme:0']\nbench = ['acme:1', 'x']",
            quorum(QuorumPolicy::AtLeast(2)).seats(["x", "acme:0"]).bench(["acme:1", "x"]),
        ),
        ("bench = ['x']", FanOut::default().bench(["x"])),
        ("bench = []", FanOut::default()),
    ] {
        let section = format!("[fan_out]\n{text}");
        assert_eq!(FanOut::from(&read(&section).fan_out), expected, "{text}");
        built(&section, &["", "", "id = 'x'"]).unwrap();
    }
    assert_eq!(read("fan_out.quorum = 2").fan_out.quorum, QuorumPolicy::AtLeast(2));
    assert_eq!(toml::to_string(&read("fan_out.quorum = 'all'")).unwrap(), "candidate = []\n");
}

#[tokio::test]
async fn weights_and_priorities_are_given_to_their_candidates() {
    let three = ["weight = 3\npriority = -2", "weight = 0", "priority = 1"];
    let config = read(&format!("failover.order = 'weighted'{}", candidates(&three)));
    let standings = Arc::new(Mutex::new(Vec::new()));
    let order = {
        let standings = Arc::clone(&standings);
        move |lineup: &mut Lineup<'_>| {
            let standing = |one: Standing<'_>| (one.key().to_owned(), one.weight(), one.priority());
            *standings.lock() = lineup.listed().map(standing).collect();
        }
    };
    let client = config.client_builder(&registry()).unwrap().order(order).build().unwrap();
    client.failover("Hi").await.unwrap();
    let expected = [("acme:0", 3, -2), ("acme:1", 0, 0), ("acme:2", 1, 1)];
    assert_eq!(*standings.lock(), expected.map(|(key, weight, priority)| (key.to_owned(), weight, priority)));
}

#[test]
fn what_contradicts_itself_is_refused_by_its_name() {
    let two = &["", "id = 'x'"][..];
    let nobody = "is the id of no candidate: there is `acme:0`, `x`";
    let no_weights = "does nothing without `failover.order = \"weighted\"`";
    let no_grace = "does nothing with `quorum = \"all\"`, which waits for everyone";
    for (text, settings, path, reason) in [
        ("failover.hedge_budget = 5", two, "failover.hedge_budget", "does nothing without `hedge_after`"),
        (
            "failover.hedge_after = '0s'",
            two,
            "failover.hedge_after",
            "is zero: no first token could be in time",
        ),
        ("", &["", "weight = 2"][..], "candidate[1].weight", no_weights),
        ("failover.order = 'round_robin'", &["weight = 1"][..], "candidate[0].weight", no_weights),
        (
            "failover.order = 'weighted'",
            &["weight = 0", "weight = 0"][..],
            "failover.order",
            "is `\"weighted\"`, and every candidate has a weight of 0: nobody could be drawn",
        ),
        ("fan_out.grace = '1s'", two, "fan_out.grace", no_grace),
        ("fan_out = { quorum = 'all', grace = '1s' }", two, "fan_out.grace", no_grace),
        ("fan_out.cutoff = '0s'", two, "fan_out.cutoff", "is zero: no answer could be in time"),
        ("fan_out.seats = []", two, "fan_out.seats", "is empty: nobody would be asked"),
        ("fan_out.seats = ['x', 'acme:1']", two, "fan_out.seats[1]", nobody),
        ("fan_out.bench = ['X']", two, "fan_out.bench[0]", nobody),
        (
            "fan_out.bench = ['x', 'acme:0']",
            two,
            "fan_out.bench",
            "has every candidate on it: nobody would have a seat",
        ),
        (
            "fan_out.quorum = 0",
            two,
            "fan_out.quorum",
            "is 0: expected \"all\", \"majority\", \"first\" or a whole number from 1",
        ),
        ("fan_out.quorum = 3", two, "fan_out.quorum", "is 3, and there can be no more answers than 2"),
        (
            "fan_out = { quorum = 3, seats = ['x', 'x'], bench = ['x'] }",
            two,
            "fan_out.quorum",
            "is 3, and there can be no more answers than 2",
        ),
        (
            "fan_out = { quorum = 2, bench = ['x'] }",
            two,
            "fan_out.quorum",
            "is 2, and there can be no more answers than 1",
        ),
    ] {
        let error = built(text, settings).unwrap_err();
        assert_eq!(error.to_string(), format!("`{path}` {reason}"), "{text}");
        assert!(matches!(error, ConfigError::Invalid { path: named, .. } if named == path));
    }
    let nobody = built("fan_out = { quorum = 2, seats = ['x'] }\ncandidate = []", &[]).unwrap_err();
    assert!(matches!(nobody, ConfigError::Input(InputError::NoCandidates)), "{nobody:?}");
}

#[test]
fn what_they_cannot_be_is_refused_by_place_and_name() {
    let no_hedge = "is no duration such as \"2s\", and no quantile from \"p90\" to \"p99.6\" in steps of 0.1";
    let no_quorum = "expected \"all\", \"majority\", \"first\" or a whole number from 1";
    let orders = "expected `\"listed\"`, `\"priority\"`, `\"round_robin\"`, `\"weighted\"`, `\"least_in_flight\"` or \
                  `\"fastest_first_token\"`";
    for (text, place, parts) in [
        ("[failover]\norder = 'random'", (2, 9), ["unknown variant `random`", "in `failover.order`"]),
        ("[failover]\norder = 3", (2, 9), [orders, "in `failover.order`"]),
        ("[failover]\nhedge_after = 'p89'", (2, 15), ["\"p89\" is no", "in `failover.hedge_after`"]),
        ("[failover]\nhedge_after = 'p99.7'", (2, 15), [no_hedge, "in `failover.hedge_after`"]),
        ("[failover]\nhedge_after = 'soon'", (2, 15), [no_hedge, "in `failover.hedge_after`"]),
        ("[failover]\nhedge_after = 2", (2, 15), ["`2`, expected a duration", "in `failover.hedge_after`"]),
        (
            "[failover]\nhedge_after = 'aBhunterfG7hJ9kL1mN3pQ5rS7t'",
            (2, 15),
            ["\"***\" is no duration", "in `failover.hedge_after`"],
        ),
        ("[failover]\nhedge_budget = 0", (2, 16), ["`0`, expected whole per cent", "in `failover.hedge_"]),
        ("[failover]\nhedge_budget = 0.05", (2, 16), ["`0.05`, expected whole per", "in `failover.hedge_"]),
        ("[failover]\nhedge_budget = '5'", (2, 16), ["\"5\", expected whole per", "in `failover.hedge_"]),
        ("[failover]\nhedge_budget = '101%'", (2, 16), ["as 5 or \"5%\"", "in `failover.hedge_budget`"]),
        (
            "[failover]\nwait_when_unavailable = true",
            (2, 25),
            ["`true`, expected a duration", "in `failover.wait_when_unavailable`"],
        ),
        ("[fan_out]\nquorum = -1", (2, 10), [no_quorum, "in `fan_out.quorum`"]),
        ("[fan_out]\nquorum = 1.5", (2, 10), [no_quorum, "in `fan_out.quorum`"]),
        ("[fan_out]\nquorum = { at_least = 2 }", (2, 10), [no_quorum, "in `fan_out.quorum`"]),
        ("[fan_out]\nquorum = 'some'", (2, 10), [no_quorum, "in `fan_out.quorum`"]),
        ("[fan_out]\ngrace = 1", (2, 9), ["`1`, expected a duration", "in `fan_out.grace`"]),
        ("[fan_out]\ncutoff = 'never'", (2, 10), ["\"never\" is no duration", "in `fan_out.cutoff`"]),
        (
            "[fan_out]\nconcurrency = 0",
            (2, 15),
            ["`0`, expected a whole number from 1", "in `fan_out.concurrency`"],
        ),
        ("[fan_out]\nseats = 'x'", (2, 9), ["expected a sequence", "in `fan_out.seats`"]),
        ("[fan_out]\nbench = [1]", (2, 10), ["`1`, expected a string", "in `fan_out.bench"]),
        ("[fan_out]\nsubstitutes = []", (2, 1), ["unknown field `substitutes`", "`bench`"]),
        ("[[candidate]]\nweight = -1", (2, 10), ["`-1`", "in `candidate.weight`"]),
        ("[[candidate]]\nweight = 0.5", (2, 10), ["`0.5`", "in `candidate.weight`"]),
    ] {
        let error = Config::from_toml(text).unwrap_err();
        let ConfigError::Toml { line, column, message } = &error else { panic!("{error:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert_eq!((*line, *column), place, "{message}");
        assert!(!format!("{error}{error:?}").contains("hunter"), "{error}");
    }
}

#[test]
fn what_json_calls_null_is_not_set() {
    for text in [
        r#"{"failover": {"hedge_after": null, "hedge_budget": null, "wait_when_unavailable": null}}"#,
        r#"{"fan_out": {"grace": null, "cutoff": null, "concurrency": null, "seats": null, "bench": null}}"#,
    ] {
        assert_eq!(serde_json::from_str::<Config>(text).unwrap(), Config::default(), "{text}");
    }
}

#[test]
fn what_could_be_a_key_is_not_shown() {
    let key = "aBhunterfG7hJ9kL1mN3pQ5rS7t";
    let config =
        Config::from_toml(&format!("fan_out = {{ seats = ['{key}', 'x'], bench = ['{key}'] }}")).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter") && shown.contains("\"x\""), "{shown}");
    let error = built(&format!("fan_out.seats = ['{key}']"), &["", ""]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`fan_out.seats[0]` is the id of no candidate: there is `acme:0`, `acme:1`"
    );
    let error = built("fan_out.bench = ['y']", &["id = 'x'", &format!("id = '{key}'")]).unwrap_err();
    assert_eq!(error.to_string(), "`fan_out.bench[0]` is the id of no candidate: there is `x`");
}

#[test]
fn candidates_that_code_adds_can_have_seats() {
    let text = format!("fan_out = {{ quorum = 2, seats = ['acme:0', 'own'] }}{}", candidates(&[""]));
    let config = Config::from_toml(&text).unwrap();
    let refused = config.build(&registry()).unwrap_err();
    assert_eq!(refused.to_string(), "`fan_out.seats[1]` is the id of no candidate: there is `acme:0`");
    let builder = || config.client_builder(&registry()).unwrap();
    assert!(builder().candidate(ScriptedModel::new("own")).build().is_ok());
    let nobody = builder().build().unwrap_err();
    assert_eq!(nobody, InputError::UnknownCandidate("own".to_owned()));
}
