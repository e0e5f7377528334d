//! When all calls are over, nothing of them is left.

use std::collections::HashSet;

use circuit_breaker::{Cost, Quota};
use llm_reliability::circuit_breaker;

use crate::play::{Played, Story};
use crate::stage::{What, quota_key};

/// While a call looks at its candidates, as many attempts are under way as were asked and have not landed.
pub(crate) fn candidates_know_what_is_under_way(story: &Story) {
    let mut under_way = vec![0_usize; story.stage.models.len()];
    let mut asked = HashSet::new();
    for entry in &story.log {
        match &entry.what {
            What::Asked { member, .. } => {
                under_way[*member] += 1;
                asked.insert((entry.call, *member));
            }
            What::Landed { attempt, .. } => {
                let member = crate::stage::member_of(&attempt.model_key);
                let refused = attempt.phase.is_none() && was_refused_by_the_adapter(attempt);
                if attempt.phase.is_some() || (refused && asked.contains(&(entry.call, member))) {
                    under_way[member] -= 1;
                }
            }
            What::Arranged { in_flight, .. } => assert_eq!(*in_flight, under_way),
            What::Moved(_) => {}
        }
    }
    assert!(under_way.iter().all(|attempts| *attempts == 0), "{under_way:?}");
}

fn was_refused_by_the_adapter(attempt: &llm_reliability::Attempt) -> bool {
    attempt.error().is_some_and(|error| error.message() == "scripted")
}

/// No request is open, no probe is out, and the limiter has all its places back.
pub(crate) async fn nothing_is_held_any_more(story: &Story) {
    let stage = &story.stage;
    for model in &stage.models {
        assert_eq!((model.open(), model.in_flight()), (0, 0));
    }
    for (key, snapshot) in stage.breaker.snapshots() {
        assert_eq!(snapshot.status.probes, 0, "probes of {key}");
    }
    let places = stage.world.limits.and_then(|limits| limits.in_flight);
    for (at, member) in stage.world.members.iter().enumerate() {
        let key = quota_key(at, member.quota);
        // Rates and hints go; calls in flight would stay.
        stage.limiter.reset(&key);
        let quota = Quota::new(stage.limiter.clone(), key.clone());
        let mut slots = Vec::new();
        for _ in 0..places.map_or(0, std::num::NonZeroU32::get) {
            stage.limiter.reset(&key);
            let slot = quota.admit(Cost::REQUEST.with_input_tokens(1).with_output_tokens(1)).await;
            slots.push(slot.unwrap_or_else(|limited| panic!("places of {key}: {limited:?}")));
        }
    }
}

/// Who has a last word after all is over: every call that was begun has come to something.
pub(crate) fn every_call_took_no_longer_than_its_caller_waited(calls: &[Played]) {
    for call in calls {
        let longest = call.ask.dropped.map(crate::world::ms);
        assert!(longest.is_none_or(|longest| call.over - call.started <= longest));
    }
}
