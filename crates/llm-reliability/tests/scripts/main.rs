//! Random fault scripts: whole worlds of models, settings and calls, played in virtual time, and what holds for every
//! call whatever the models do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::unchecked_time_subtraction, reason = "a reference that goes back in time is to fail")]

mod checks;
mod expected;
mod play;
mod stage;
mod tale;
mod world;

use std::panic::PanicHookInfo;

use checks::{attempts, breaker, failover, leftovers, panel, steps, trail};
use llm_reliability::llm_protocol;
use parking_lot::Mutex;
use play::{Story, play};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stage::Stage;
use tale::Tale;
use world::{World, world};

async fn holds(world: World) -> Seen {
    // What is drawn at random is drawn anew in the same way.
    fastrand::seed(world.seed);
    let story = play(Stage::new(world)).await;
    let tales: Vec<_> = (0..story.calls.len()).map(|number| Tale::new(&story, number)).collect();
    for tale in &tales {
        trail::only_wrong_input_is_refused(tale);
        trail::providers_received_what_the_trail_says(tale);
        trail::the_observer_saw_the_attempts_of_the_report(tale);
        trail::the_report_adds_up_its_attempts(tale);
        trail::the_report_derives_what_its_attempts_say(tale);
        trail::the_report_survives_json(tale);
        trail::readers_had_what_the_report_says(tale);
        trail::nobody_is_limited_without_limits(tale);
        attempts::who_is_passed_over_never_goes_out(tale);
        attempts::attempts_come_to_what_their_scripts_say(tale);
        attempts::answers_and_tokens_are_the_models_own(tale);
        attempts::deadlines_hold(tale);
        attempts::the_policy_says_who_may_follow(tale);
        failover::each_candidate_is_asked_once_apart_from_retries(tale);
        failover::two_at_the_most_run_side_by_side(tale);
        failover::hedges_follow_on_slowness(tale);
        failover::the_end_follows_from_the_attempts(tale);
        failover::waits_have_an_end(tale);
        steps::a_failover_takes_the_steps_of_its_policy(tale);
        panel::seats_are_asked_once(tale);
        panel::seats_and_substitutes_are_those_that_were_named(tale);
        panel::no_more_run_than_there_are_places(tale);
        panel::it_is_over_when_the_quorum_is_decided(tale);
    }
    failover::budgets_are_kept(&story, &tales);
    failover::orders_do_what_they_say(&story);
    breaker::circuits_follow_the_attempts(&story, &tales);
    leftovers::every_call_took_no_longer_than_its_caller_waited(&story.calls);
    leftovers::candidates_know_what_is_under_way(&story);
    leftovers::nothing_is_held_any_more(&story).await;
    seen(&story, &tales)
}

/// How often something occurred, by name.
type Seen = std::collections::BTreeMap<String, usize>;

fn seen(story: &Story, tales: &[Tale<'_>]) -> Seen {
    let mut seen = Seen::new();
    let mut count = |name: String| *seen.entry(name).or_default() += 1;
    for attempt in tales.iter().flat_map(|tale| &tale.traces).map(|trace| trace.attempt) {
        count(format!("outcome {}", attempt.outcome.as_str()));
        count(format!("launch {:?}", attempt.launch));
        count(format!("phase {:?}", attempt.phase));
        if let Some(llm_protocol::ErrorKind::Timeout(clock)) = attempt.error().map(llm_protocol::Error::kind)
        {
            count(format!("clock {}", clock.as_str()));
        }
    }
    for call in &story.calls {
        match call.report() {
            Some(report) => count(format!("ended {:?}", report.ended())),
            None => count("ended without a report".into()),
        }
    }
    seen
}

/// Where the last panic of this test came from: the scripts' own panics are many and say nothing, and while a case is
/// shrunk each step of it fails.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fn note_panics_quietly() {
    let usual = std::panic::take_hook();
    let here = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if std::thread::current().id() != here {
            usual(info);
        } else if info.payload().downcast_ref::<&str>() != Some(&"the script says: panic") {
            *LAST_PANIC.lock() = info.to_string();
        }
    }));
}

#[test]
fn whatever_the_models_do_the_rules_hold() {
    note_panics_quietly();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let config = Config { failure_persistence: None, ..Config::default() };
    let cases = config.cases;
    // The same worlds every time, so that a change is judged by what it changes; others where somebody asks for a number.
    let rng = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => {
            TestRng::from_seed(RngAlgorithm::ChaCha, &std::array::from_fn::<u8, 32, _>(|_| fastrand::u8(..)))
        }
        None => TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    };
    let all = std::cell::RefCell::new(Seen::new());
    let result = TestRunner::new_with_rng(config, rng).run(&world(), |world| {
        for (name, times) in runtime.block_on(holds(world)) {
            *all.borrow_mut().entry(name).or_default() += times;
        }
        Ok(())
    });
    drop(std::panic::take_hook());
    result.unwrap_or_else(|error| panic!("{error}\n{}", LAST_PANIC.lock()));
    let all = all.into_inner();
    assert!(cases < 200 || all.len() >= 30, "every outcome, launch, phase, clock and end was seen: {all:#?}");
}
