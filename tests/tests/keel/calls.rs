//! The convenience of both, and their defaults.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{CallError, Circuit, InProcessBreaker, Preset, Settings, Trip, Verdict};
use serde_json::json;
use tokio::time::advance;

use crate::keel;
use crate::ours::paused;

#[test]
fn the_defaults_are_the_same() {
    let keels = keel(&[json!({"do": "defaults"})]).remove(0);
    for preset in [Preset::Keel, Preset::Standard] {
        let ours = Settings::from(preset);
        let Trip::Consecutive(threshold) = ours.trip else { panic!("{:?}", ours.trip) };
        assert_eq!(keels["failure_threshold"], threshold.get());
        assert_eq!(keels["cooldown_seconds"], ours.cooldown.as_secs_f64());
    }
    assert_eq!(Settings::from(Preset::Keel).probes, None, "every call goes out while half-open");
}

/// In the words of the driver.
async fn call(circuit: &Circuit, fails: bool) -> String {
    let work = async { if fails { Err("broken") } else { Ok("fine") } };
    match circuit.call(work, Verdict::of).await {
        Ok(value) => value.to_owned(),
        Err(CallError::CircuitOpen { key, .. }) => format!("open: {key}"),
        Err(CallError::Failed(error)) => format!("failed: {error}"),
    }
}

#[test]
fn call_refuses_where_keel_raises() {
    for steps in [
        &["fail", "fail", "ok", "fail", "fail", "ok", "ok"][..],
        &["fail", "fail", "fail", "ok", "fail", "wait", "ok", "ok", "fail"],
        &[
            "fail", "fail", "fail", "wait", "fail", "ok", "wait", "fail", "ok", "wait", "ok", "fail", "fail",
            "ok",
        ],
    ] {
        let keels = keel(&[json!({"do": "call", "steps": steps})]).remove(0);
        let ours = paused(async {
            let circuit = Circuit::new(Arc::new(InProcessBreaker::preset(Preset::Keel)), "key");
            let mut told = Vec::new();
            for step in steps {
                match *step {
                    "wait" => advance(Duration::from_secs(120)).await,
                    step => told.push(call(&circuit, step == "fail").await),
                }
            }
            told
        });
        assert_eq!(json!(ours), keels, "{steps:?}");
        assert!(steps[0] != "fail" || steps[2] == "ok" || ours.iter().any(|told| told == "open: key"));
    }
}
