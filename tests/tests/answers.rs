//! Answers that come in unusual ways and are answers all the same, and answers in which there is nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_protocol::FinishReason;
use llm_reliability::{Outcome, ResilientClient, StreamMode};
use llm_simulator::{Behaviour, Finish, Wire};
use llm_tests::{Fault, Lab, Mode, Strategy, WIRES, ask, ms, run, trail};

/// Characters of one to four bytes.
const TEXT: &str = "Größe: 世界 is 🌍 wide";

fn good(phase: &str) -> Vec<Fault> {
    let ends: &'static str = format!("success @{phase}").leak();
    let answer = || Behaviour::answer(TEXT);
    let rows = [
        ("as it should be", answer()),
        ("characters split over reads", answer().split_utf8()),
        ("byte for byte", answer().drip(1, ms(0))),
        ("in a drip", answer().drip(100, ms(1))),
        ("whole, though a stream was asked for", answer().ignore_stream()),
        ("without [DONE]", answer().no_done()),
        ("without a count of tokens", answer().no_usage()),
        ("between keep-alives", answer().first_token(ms(30)).token_delay(ms(20)).keep_alive(ms(5))),
        ("after reasoning", answer().reasoning("Let me see")),
        ("with a hint that is none", answer().header("retry-after", "59")),
        ("cut by the token limit", answer().finish(Finish::Length)),
        ("ended for a reason that nobody knows", answer().finish("tired")),
        ("as a 201", Behaviour::status(201).text(TEXT)),
    ];
    rows.into_iter().map(|(name, behaviour)| Fault::new(name, behaviour, ends).text(TEXT)).collect()
}

fn empty(wire: Wire, phase: &str) -> Vec<Fault> {
    let ends = |what: &str| -> &'static str { format!("{what} @{phase}").leak() };
    // With Anthropic it is the model that declines: one stop reason says both.
    let filtered = if wire == Wire::OpenAi { "failed content_filter" } else { "failed refusal" };
    let refusal = if wire == Wire::OpenAi { "I'd rather not" } else { "" };
    let nothing = || Behaviour::empty();
    vec![
        Fault::new("nothing", nothing(), ends("empty")),
        Fault::new("nothing for a reason that nobody knows", nothing().finish("tired"), ends("empty")),
        Fault::new("reasoning and nothing else", nothing().reasoning("Hm"), ends("empty")),
        // The request's doing: reasoning used up the budget.
        Fault::new("no budget left", nothing().reasoning("Hm").finish(Finish::Length), ends("empty"))
            .neutral(),
        Fault::new("held back by a filter", nothing().finish(Finish::ContentFilter), ends(filtered)),
        Fault::new("declined", Behaviour::default().refusal(refusal), ends("failed refusal")),
    ]
}

async fn answered(strategy: Strategy, stream: StreamMode, phase: &str) {
    for wire in WIRES {
        let rows = good(phase).into_iter().chain(empty(wire, phase)).collect();
        run(Mode { wire, strategy, stream }, rows).await;
    }
}

#[tokio::test]
async fn failover_takes_every_answer_and_moves_on_from_every_empty_one() {
    answered(Strategy::Failover, StreamMode::Auto, "stream").await;
}

#[tokio::test]
async fn failover_stream_takes_every_answer_and_moves_on_from_every_empty_one() {
    answered(Strategy::FailoverStream, StreamMode::Auto, "stream").await;
}

#[tokio::test]
async fn whole_answers_are_taken_in_the_same_way() {
    for strategy in Strategy::ALL {
        answered(strategy, StreamMode::Never, "response").await;
    }
}

#[tokio::test]
async fn an_answer_says_why_it_ended_and_never_more_than_the_vendor_did() {
    let reasons = [
        (Finish::Stop, FinishReason::Stop),
        (Finish::Length, FinishReason::Length),
        (Finish::Other("tired".to_owned()), FinishReason::Unknown),
    ];
    for wire in WIRES {
        for (said, told) in &reasons {
            let lab = Lab::start().await;
            lab.simulator.on("says", Behaviour::answer("Yes").finish(said.clone()));
            lab.simulator.on("empty", Behaviour::empty().finish(said.clone()));
            for stream in [StreamMode::Auto, StreamMode::Never] {
                let client = ResilientClient::builder()
                    .candidate(lab.candidate(wire, "empty").stream(stream))
                    .candidate(lab.candidate(wire, "says").stream(stream))
                    .build()
                    .unwrap();
                let report = ask(&client, Strategy::Failover, "Well?").await.report;
                let [empty, _] = report.attempts() else { panic!("{:?}", trail(&report)) };
                let Outcome::Empty { finish_reason, .. } = &empty.outcome else { panic!("{empty:?}") };
                assert_eq!(finish_reason, told, "{wire} {stream:?}");
                assert_eq!(report.response().unwrap().finish_reason, *told, "{wire} {stream:?}");
            }
        }
    }
}
