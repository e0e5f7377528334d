//! The clocks against real silence: each runs out by itself, and nothing but what it waits for stops it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_reliability::{Call, Ended, ResilientClient, StreamMode, Timeouts};
use llm_simulator::{Behaviour, Fault as Break, Wire};
use llm_tests::{
    Fault, Lab, Mode, NEVER, SHORT, Strategy, WIRES, ask, assert_received, assert_times, ms, run, trail,
};

fn first_token() -> Timeouts {
    Timeouts::new().first_token(SHORT)
}

fn idle() -> Timeouts {
    Timeouts::new().idle(SHORT)
}

fn attempt() -> Timeouts {
    Timeouts::new().attempt(SHORT)
}

fn answer() -> Behaviour {
    Behaviour::answer("Half an answer")
}

fn silence() -> Vec<Fault> {
    let pending = "failed timeout/first_token @first_token";
    let thinking = "failed timeout/idle @first_token";
    vec![
        Fault::new("no headers", Behaviour::stall(), pending).timeouts(first_token()),
        Fault::new("late headers", answer().delay(NEVER), pending).timeouts(first_token()),
        Fault::new("an opening and no more", answer().no_first_token(), pending).timeouts(first_token()),
        Fault::new("keep-alives only", Behaviour::keep_alives_only(ms(10)), pending).timeouts(first_token()),
        Fault::new("a late first token", answer().first_token(NEVER).keep_alive(ms(10)), pending)
            .timeouts(first_token()),
        // Bytes come all the time, and the first event would be there in two seconds.
        Fault::new("a drip too slow", answer().drip(4, ms(50)), pending).timeouts(first_token()),
        Fault::new(
            "no headers, no first-token limit",
            Behaviour::stall(),
            "failed timeout/attempt @first_token",
        )
        .timeouts(attempt()),
        Fault::new("reasoning, then silence", answer().reasoning("Hm").text_delay(NEVER), thinking)
            .timeouts(idle()),
        Fault::new(
            "reasoning, then keep-alives",
            answer().reasoning("Hm").text_delay(NEVER).keep_alive(ms(10)),
            thinking,
        )
        .timeouts(idle()),
        Fault::new("silence in the middle", answer().stall_after(1), "failed timeout/idle @stream")
            .streamed("interrupted timeout/idle @stream", "Half")
            .timeouts(idle()),
        Fault::new(
            "keep-alives in the middle",
            answer().stall_after(1).keep_alive(ms(10)),
            "failed timeout/idle @stream",
        )
        .streamed("interrupted timeout/idle @stream", "Half")
        .timeouts(idle()),
        Fault::new(
            "text without an end",
            answer().fault_after(1, Break::Endless).token_delay(ms(10)),
            "failed timeout/attempt @stream",
        )
        .streamed("interrupted timeout/attempt @stream", "Half")
        .open_ended()
        .timeouts(attempt()),
    ]
}

fn patience() -> Vec<Fault> {
    vec![
        Fault::new("reasoning in time", answer().reasoning("Hm").text_delay(SHORT * 2), "success @stream")
            .text("Half an answer")
            .timeouts(first_token()),
        Fault::new("a first token in time", answer().token_delay(SHORT), "success @stream")
            .text("Half an answer")
            .timeouts(first_token()),
    ]
}

async fn clocks(wire: Wire, strategy: Strategy) {
    let rows = silence().into_iter().chain(patience()).collect();
    run(Mode { wire, strategy, stream: StreamMode::Auto }, rows).await;
}

#[tokio::test]
async fn failover_gives_up_on_whoever_is_silent() {
    for wire in WIRES {
        clocks(wire, Strategy::Failover).await;
    }
}

#[tokio::test]
async fn failover_stream_gives_up_on_whoever_is_silent() {
    for wire in WIRES {
        clocks(wire, Strategy::FailoverStream).await;
    }
}

#[tokio::test]
async fn a_whole_answer_has_the_attempt_limit_only() {
    let gone = "failed timeout/attempt @response";
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let rows = vec![
                Fault::new("no headers", Behaviour::stall(), gone).timeouts(attempt()),
                Fault::new("late headers", answer().first_token(NEVER), gone).timeouts(attempt()),
                Fault::new("white space only", answer().first_token(NEVER).keep_alive(ms(10)), gone)
                    .timeouts(attempt()),
                Fault::new("silence in the middle", answer().stall_after(1), gone).timeouts(attempt()),
                Fault::new("later than a first token", answer().first_token(ms(200)), "success @response")
                    .text("Half an answer")
                    .timeouts(Timeouts::new().first_token(ms(20)).idle(ms(20))),
            ];
            run(Mode { wire, strategy, stream: StreamMode::Never }, rows).await;
        }
    }
}

#[tokio::test]
async fn the_deadline_of_the_call_ends_it_and_is_not_held_against_the_model() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            lab.simulator.on("silent", Behaviour::stall());
            let client = ResilientClient::builder()
                .candidate(lab.candidate(wire, "silent"))
                .candidate(lab.candidate(wire, "unused"))
                .build()
                .unwrap();
            let call = Call::new("Anyone?").timeouts(Timeouts::new().total(SHORT));
            let report = ask(&client, strategy, call).await.report;
            assert_eq!(trail(&report), ["silent failed timeout/total @first_token"]);
            assert_eq!(report.ended(), Ended::TotalTimeout);
            assert!(report.elapsed() >= SHORT);
            assert_times(&report);
            lab.simulator.wait_idle().await;
            assert_received(&lab.simulator, report.attempts(), &["silent", "unused"]);
            assert_eq!(client.status().await[0].1.failures, 0);
        }
    }
}
