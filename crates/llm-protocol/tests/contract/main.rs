//! The contract suite lets the scripted model pass, and finds every adapter out that breaks a rule.
#![cfg(feature = "testing")]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests count as production code for these"
)]

mod flawed;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use flawed::{Flaw, Flawed};
use futures::FutureExt;
use llm_protocol::testing::contract::{self, Harness, Provider, Scenario, Wired};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason, Response, StreamEvent, Usage};

/// What an adapter without a flaw makes of the scenario.
fn sound(scenario: &Scenario) -> Option<Step> {
    let error = |kind| Error::new(kind, "scripted");
    Some(match scenario {
        Scenario::Answers { text, usage } => Step::answer(text).usage(*usage),
        Scenario::ReachesTokenLimit { text } => Step::answer(text).finishing(FinishReason::Length),
        Scenario::CallsTools { calls } => Step::tool_calls(calls.clone()),
        Scenario::Empty => Step::empty(FinishReason::Stop),
        Scenario::Silent => Step::stall(),
        Scenario::Stalls { text } => Step::answer(text).then_stall(),
        Scenario::Cut { text } => Step::answer(text).then_error(error(ErrorKind::Truncated)),
        Scenario::FailsMidway { text } => Step::answer(text).then_error(error(ErrorKind::Overloaded)),
        Scenario::Garbage => Step::error(error(ErrorKind::Protocol)),
        Scenario::Throttled { retry_after } => {
            Step::error(error(ErrorKind::RateLimited).with_retry_after(*retry_after))
        }
        Scenario::Overloaded => Step::error(error(ErrorKind::Overloaded)),
        Scenario::Fails => Step::error(error(ErrorKind::Server)),
        Scenario::Unauthorized => Step::error(error(ErrorKind::Authentication)),
        Scenario::ModelUnknown => Step::error(error(ErrorKind::ModelNotFound)),
        Scenario::ContextExceeded => Step::error(error(ErrorKind::ContextLength)),
        Scenario::Unreachable => Step::connect_error(error(ErrorKind::Connection)),
        _ => return None,
    })
}

/// An adapter whose provider behaves like this, with at most one flaw.
struct Bench {
    script: Script,
    flaw: Flaw,
}

#[async_trait]
impl Harness for Bench {
    type Adapter = Flawed;

    async fn wire(&self, scenario: &Scenario) -> Option<Wired<Flawed>> {
        let mut model = ScriptedModel::new("acme:large").with_tools().with_json_object();
        model = model.then((self.script)(scenario).or_else(|| sound(scenario))?);
        if *scenario == Scenario::Unauthorized {
            model = model.unhealthy(Error::new(ErrorKind::Authentication, "scripted"));
        }
        let adapter = Flawed::new(model.clone(), self.flaw);
        Some(match self.flaw {
            Flaw::LeavesOpen => Wired::new(adapter, Lingering(model)),
            _ => Wired::new(adapter, model),
        })
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// A provider that still waits for something after every call.
struct Lingering(ScriptedModel);

impl Provider for Lingering {
    fn received(&self) -> usize {
        self.0.started()
    }

    fn open(&self) -> usize {
        self.0.started()
    }
}

fn rules(remarks: &[contract::Remark]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.rule).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sound_adapter_passes_every_rule() {
    let summary = contract::check(&Bench { script: |_| None, flaw: Flaw::None }).await;
    assert!(summary.skipped().is_empty(), "{summary}");
    assert!(summary.passed().len() > 30, "{summary}");
}

// In real time: the suite does not depend on paused time.
#[tokio::test]
async fn a_cut_may_also_be_an_end_without_its_marker() {
    let script = |scenario: &Scenario| match scenario {
        Scenario::Cut { text } => Some(Step::answer(text).then_end()),
        _ => None,
    };
    let summary = contract::check(&Bench { script, flaw: Flaw::None }).await;
    assert!(summary.skipped().is_empty(), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn what_an_adapter_does_not_claim_is_skipped_in_plain_sight() {
    struct Plain;

    #[async_trait]
    impl Harness for Plain {
        type Adapter = ScriptedModel;

        async fn wire(&self, scenario: &Scenario) -> Option<Wired<ScriptedModel>> {
            if matches!(scenario, Scenario::Garbage | Scenario::Silent) {
                return None;
            }
            let model = ScriptedModel::new("acme:small").without_streaming().then(sound(scenario)?);
            Some(Wired::new(model.clone(), model))
        }
    }

    let summary = contract::examine(&Plain).await;
    // The scripted model is well by default, though its provider refuses the credential.
    assert_eq!(rules(summary.broken()), ["a health check sees a refused credential"], "{summary}");
    let skipped = summary.to_string();
    for reason in ["declines Garbage", "declines Silent", "does not stream", "does not call tools"] {
        assert!(skipped.contains(reason), "{skipped}");
    }
}

/// Each flaw, and the rule that it must be found by.
const FLAWS: &[(&str, Flaw)] = &[
    ("names are there, and stay", Flaw::NoProvider),
    ("the adapter's Debug hides the credential", Flaw::SecretInDebug),
    ("a health check answers", Flaw::HealthOfAnother),
    ("an empty request is refused before it is sent", Flaw::SendsEmptyRequests),
    ("what the adapter lacks is refused before it is sent", Flaw::IgnoresFormats),
    ("another vendor's tool calls are taken over", Flaw::RefusesForeignCalls),
    ("another vendor's opaque parts are left out", Flaw::RefusesForeignThoughts),
    ("whole or streamed, an answer is the same", Flaw::NoUsageInStreams),
    ("a whole stream ends with its terminal marker", Flaw::GoesOnAfterFinish),
    ("text is handed out as it comes", Flaw::Buffers),
    ("nothing follows an error", Flaw::GoesOnAfterErrors),
    ("errors name the model", Flaw::NamelessErrors),
    ("errors hide the credential", Flaw::SecretInMessage),
    ("errors hide the credential", Flaw::SecretInSource),
    ("errors hide what was said", Flaw::PromptInMessage),
    ("one call is one request", Flaw::Retries),
    ("progress tells whether the provider was asked", Flaw::NoProgress),
    ("an empty request is refused before it is sent", Flaw::NoProgress),
    ("a dropped stream ends its request", Flaw::KeepsStreams),
    ("a call that is over leaves nothing open", Flaw::LeavesOpen),
    ("a dropped call ends its request", Flaw::Detaches),
    ("every call comes to an end", Flaw::PanicsOnFailure),
    ("a silent provider is waited for", Flaw::GivesUp),
];

#[tokio::test(start_paused = true)]
async fn flawed_adapters_are_found_out() {
    for (rule, flaw) in FLAWS {
        must_break(rule, Bench { script: |_| None, flaw: *flaw }).await;
    }
}

type Script = fn(&Scenario) -> Option<Step>;

/// Scripts of adapters that read their provider wrongly, and the rule that they must be found by.
const MISREADINGS: &[(&str, Script)] = &[
    ("an answer arrives as it was given", |scenario| match scenario {
        Scenario::Answers { text, usage } => Some(Step::answer(text.replace('世', "?")).usage(*usage)),
        _ => None,
    }),
    ("an answer arrives as it was given", |scenario| match scenario {
        // The cached input counted twice.
        Scenario::Answers { text, usage } => {
            Some(Step::answer(text).usage(Usage { input_tokens: Some(112), ..*usage }))
        }
        _ => None,
    }),
    ("the token limit is told", |scenario| match scenario {
        Scenario::ReachesTokenLimit { text } => Some(Step::answer(text)),
        _ => None,
    }),
    ("an empty answer stays empty", |scenario| match scenario {
        Scenario::Empty => Some(Step::error(Error::new(ErrorKind::Protocol, "no text"))),
        _ => None,
    }),
    ("tool calls arrive as they were made", |scenario| match scenario {
        Scenario::CallsTools { calls } => Some(Step::tool_calls(calls.iter().take(1).cloned())),
        _ => None,
    }),
    ("tool calls arrive as they were made", |scenario| match scenario {
        Scenario::CallsTools { calls } => {
            let mut calls = calls.clone();
            for call in &mut calls {
                call.id.clear();
            }
            Some(Step::tool_calls(calls))
        }
        _ => None,
    }),
    ("a cut answer is never a whole one", |scenario| match scenario {
        Scenario::Cut { text } => Some(Step::answer(text)),
        _ => None,
    }),
    ("a cut answer is never a whole one", |scenario| match scenario {
        Scenario::Cut { text } => Some(Step::answer(text).then_error(Error::new(ErrorKind::Other, "eof"))),
        _ => None,
    }),
    ("a failure in the middle of an answer is a transient error", |scenario| match scenario {
        Scenario::FailsMidway { text } => Some(Step::answer(text)),
        _ => None,
    }),
    ("garbage is a protocol error", |scenario| match scenario {
        Scenario::Garbage => Some(Step::empty(FinishReason::Stop)),
        _ => None,
    }),
    ("throttling is backpressure and carries its hint", |scenario| match scenario {
        Scenario::Throttled { .. } => Some(Step::error(Error::new(ErrorKind::RateLimited, "no hint"))),
        _ => None,
    }),
    ("throttling is backpressure and carries its hint", |scenario| match scenario {
        Scenario::Throttled { retry_after } => {
            Some(Step::error(Error::new(ErrorKind::Server, "429").with_retry_after(*retry_after)))
        }
        _ => None,
    }),
    ("overload is transient", |scenario| match scenario {
        Scenario::Overloaded => Some(Step::error(Error::new(ErrorKind::RateLimited, "529"))),
        _ => None,
    }),
    ("a provider's failure is transient", |scenario| match scenario {
        Scenario::Fails => Some(Step::error(Error::new(ErrorKind::Other, "500"))),
        _ => None,
    }),
    ("a refused credential is an authentication error", |scenario| match scenario {
        Scenario::Unauthorized => Some(Step::error(Error::new(ErrorKind::BadRequest, "401"))),
        _ => None,
    }),
    ("an unknown model is told", |scenario| match scenario {
        Scenario::ModelUnknown => Some(Step::error(Error::new(ErrorKind::BadRequest, "404"))),
        _ => None,
    }),
    ("a conversation that is too long is told", |scenario| match scenario {
        Scenario::ContextExceeded => Some(Step::error(Error::new(ErrorKind::BadRequest, "400"))),
        _ => None,
    }),
    ("a missing connection is told", |scenario| match scenario {
        Scenario::Unreachable => Some(Step::connect_error(Error::new(ErrorKind::Other, "refused"))),
        _ => None,
    }),
    ("every call comes to an end", |scenario| match scenario {
        Scenario::Garbage => Some(Step::events([StreamEvent::Text(String::new())]).then_stall()),
        _ => None,
    }),
    ("a silent provider is waited for", |scenario| match scenario {
        Scenario::Silent => Some(Step::response(Response::default())),
        _ => None,
    }),
];

#[tokio::test(start_paused = true)]
async fn misreadings_are_found_out() {
    for (rule, script) in MISREADINGS {
        must_break(rule, Bench { script: *script, flaw: Flaw::None }).await;
    }
}

async fn must_break(rule: &str, bench: Bench) {
    let summary = contract::examine(&bench).await;
    assert!(rules(summary.broken()).contains(&rule), "{:?} does not break {rule:?}:\n{summary}", bench.flaw);
    // One flaw may break a few rules, and must not drag the rest along.
    assert!(summary.broken().len() <= 4, "{:?}:\n{summary}", bench.flaw);
    let panic = AssertUnwindSafe(contract::check(&bench)).catch_unwind().await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains(rule), "{message}");
}
