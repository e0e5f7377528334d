//! Each way in which the two are known to differ, on the shortest program that shows it.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Circuit, InProcessBreaker, Permit, Preset, Settings, State, Verdict};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::keel;
use crate::ours::{by_us, in_keels_words, paused};
use crate::program::{How, Program, Step, by_keel};
use How::{Failure, Success};
use Step::{Admit, End, Wait};

/// In eighths of a second.
const COOLDOWN: u32 = 120 * 8;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// So many calls go out under the first key.
fn admit(count: usize) -> Vec<Step> {
    vec![Admit("a"); count]
}

/// Three of them, the oldest, fail, which opens the circuit.
fn open() -> Vec<Step> {
    vec![End(0, Failure); 3]
}

/// Its cooldown passes, and a probe, the youngest of so many calls, succeeds.
fn recover(out: usize) -> Vec<Step> {
    vec![Wait(COOLDOWN), Admit("a"), End(out - 1, Success)]
}

/// The status of the first key in the end.
fn in_the_end(steps: &[Vec<Step>]) -> (String, String) {
    let program = Program::of(&steps.concat());
    let keels = by_keel(std::slice::from_ref(&program), false).remove(0);
    assert!(!keels.late.is_empty(), "a result is late");
    (by_us(&program).pop().unwrap().status[0].clone(), keels.seen.last().unwrap().status[0].clone())
}

fn assert_in_the_end(steps: &[Vec<Step>], ours: &str, keels: &str) {
    assert_eq!(in_the_end(steps), (ours.to_owned(), keels.to_owned()));
}

#[test]
fn a_late_success_closes_an_open_circuit_of_keels() {
    assert_in_the_end(&[admit(4), open(), vec![End(0, Success)]], "open", "closed");
}

#[test]
fn a_late_failure_restarts_the_cooldown_of_keels() {
    let half = || vec![Wait(COOLDOWN / 2)];
    let steps = [admit(4), open(), half(), vec![End(0, Failure)], half()];
    assert_in_the_end(&steps, "half_open", "open");
}

#[test]
fn a_late_failure_takes_a_half_open_circuit_of_keels_back() {
    let steps = [admit(4), open(), vec![Wait(COOLDOWN), Admit("a"), End(0, Failure)]];
    assert_in_the_end(&steps, "half_open", "open");
}

/// Of two probes, the first has decided; the second overrules it in keel.
#[test]
fn a_second_probe_overrules_the_first_in_keel() {
    for (first, second, ours, keels) in
        [(Failure, Success, "open", "closed"), (Success, Success, "closed", "closed")]
    {
        let probes = vec![Wait(COOLDOWN), Admit("a"), Admit("a"), End(0, first), End(0, second)];
        assert_in_the_end(&[admit(3), open(), probes], ours, keels);
    }
}

#[test]
fn a_late_failure_counts_after_a_recovery_of_keels() {
    // Two that are late and one that is not.
    let steps = [admit(5), open(), recover(3), vec![End(0, Failure); 2], admit(1), vec![End(0, Failure)]];
    assert_in_the_end(&steps, "closed", "open");
}

#[test]
fn a_late_success_resets_the_count_after_a_recovery_of_keels() {
    // Three in a row, with a late success from before among them.
    let two = [admit(2), vec![End(1, Failure); 2]].concat();
    let steps = [admit(4), open(), recover(2), two, vec![End(0, Success)], admit(1), vec![End(0, Failure)]];
    assert_in_the_end(&steps, "open", "closed");
}

fn by_keel_alone(settings: &Value, steps: &Value) -> Value {
    keel(&[json!({
        "do": "program", "settings": settings, "keys": ["a"], "steps": steps,
        "one_at_a_time": false, "without_late": false,
    })])
    .remove(0)
}

/// Ours has no way to say it: a permit is used up by its result, and who was refused has none.
#[test]
fn results_without_an_admission_count_in_keel() {
    let failure = json!(["record", "a", "failure"]);
    let told = by_keel_alone(&json!({}), &json!([failure, failure, ["admit", "a"], failure]));
    assert_eq!(told[3][2][0], "open", "one asked, and three results count");

    let settle: fn(Permit, Verdict) = Permit::settle;
    paused(async {
        let circuit = preset();
        settle(circuit.admit().await.unwrap(), Verdict::Failure);
        assert_eq!(circuit.status().await.failures, 1);
    });
}

fn preset() -> Circuit {
    Circuit::new(Arc::new(InProcessBreaker::preset(Preset::Keel)), "a")
}

async fn fail(circuit: &Circuit, times: usize) {
    for _ in 0..times {
        circuit.admit().await.unwrap().settle(Verdict::Failure);
    }
}

#[test]
fn a_key_of_which_nothing_is_heard_for_a_day_is_forgotten_here() {
    let failure = json!(["record", "a", "failure"]);
    let days = json!(["wait", 8 * 3600 * 25]);
    let told = by_keel_alone(&json!({}), &json!([failure, failure, days, failure]));
    assert_eq!(told[3][2][0], "open", "keel remembers two failures of yesterday");

    paused(async {
        let circuit = preset();
        fail(&circuit, 2).await;
        advance(DAY + Duration::from_secs(3600)).await;
        // It is found in passing, by calls under any key.
        pass_by(&circuit).await;
        fail(&circuit, 1).await;
        let status = circuit.status().await;
        assert_eq!((status.state, status.failures), (State::Closed, 1));
    });
}

async fn pass_by(circuit: &Circuit) {
    let other = Circuit::new(Arc::clone(circuit.breaker()), "another");
    for _ in 0..20_000 {
        drop(other.admit().await);
    }
}

#[test]
fn there_is_room_for_so_many_keys_here() {
    paused(async {
        let breaker = Arc::new(InProcessBreaker::new(Settings::from(Preset::Keel).max_keys(1)));
        let circuits = ["first", "second"].map(|key| Circuit::new(breaker.clone(), key));
        for circuit in &circuits {
            fail(circuit, 3).await;
        }
        assert_eq!(circuits[0].status().await.state, State::Open);
        assert_eq!(circuits[1].status().await.state, State::Closed, "untracked");
    });
}

/// An hour-long call tells nothing any more when its key is clean and another has recovered and been forgotten since.
#[test]
fn a_call_may_take_so_long_here_that_its_result_is_ignored() {
    let first: Vec<_> = vec![json!(["admit", "a"]); 3];
    let hour = json!(["wait", 8 * 3600]);
    let last: Vec<_> = vec![json!(["end", 0, "failure"]); 3];
    let told = by_keel_alone(&json!({}), &json!([first, vec![hour], last].concat()));
    assert_eq!(told[6][1], false, "not late");
    assert_eq!(told[6][2][0], "open");

    paused(async {
        let circuit = preset();
        let mut long = Vec::new();
        for _ in 0..3 {
            long.push(circuit.admit().await.unwrap());
        }
        let recovering = Circuit::new(Arc::clone(circuit.breaker()), "recovering");
        fail(&recovering, 3).await;
        advance(Duration::from_secs(120)).await;
        recovering.admit().await.unwrap().settle(Verdict::Success);
        advance(Duration::from_secs(3600)).await;
        // Something is still wrong somewhere, so that calls come by.
        fail(&Circuit::new(Arc::clone(circuit.breaker()), "failing"), 3).await;
        pass_by(&circuit).await;
        long.into_iter().for_each(|permit| permit.settle(Verdict::Failure));
        let status = circuit.status().await;
        assert_eq!((status.state, status.failures), (State::Closed, 0));
    });
}

#[test]
fn reading_changes_nothing_here() {
    let program = Program::of(&[admit(3), open(), vec![Wait(COOLDOWN)]].concat());
    let keels = by_keel(&[program], false).remove(0);
    assert_eq!(keels.seen.last().unwrap().status[0], "half_open");
    paused(async {
        let circuit = preset();
        fail(&circuit, 3).await;
        advance(Duration::from_secs(120)).await;
        let status = circuit.status().await;
        assert_eq!((status.state, status.retry_after), (State::Open, Some(Duration::ZERO)));
        assert_eq!(in_keels_words(status), "half_open");
        drop(circuit.admit().await.unwrap());
        assert_eq!(circuit.status().await.state, State::HalfOpen);
    });
}
