//! keel, which does the same in Python, over models of its own that answer at once.

use llm_benches::{Group, Row, driver};

pub(crate) fn group() -> Group {
    let rows = vec![
        Row::new("keel/call", "one call of a model", || driver("keel_strategies", "call")),
        Row::new("keel/happy", "failover over 3 models, the first answers", || {
            driver("keel_strategies", "happy")
        }),
        Row::new(
            "keel/one-failover",
            "failover over 3 models, the first is overloaded, its circuit stays closed",
            || driver("keel_strategies", "one-failover"),
        ),
        Row::new("keel/fan-out-5", "fan_out over 5 models, all answer", || {
            driver("keel_strategies", "fan-out-5")
        }),
        Row::new("keel/fan-out-20", "fan_out over 20 models, all answer", || {
            driver("keel_strategies", "fan-out-20")
        }),
    ];
    Group {
        title: "keel 0.1.2, its client as it is by default, in one event loop; each thread has a process of it",
        rows: rows.into_iter().map(Row::needs_keel).collect(),
    }
}
