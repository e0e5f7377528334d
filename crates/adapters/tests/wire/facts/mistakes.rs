//! What other adapters have got wrong.

use std::sync::Arc;
use std::time::Duration;

use llm_adapters::reqwest::Client;
use llm_adapters::{Anthropic, OpenAi};
use llm_protocol::{Error, Progress, Request};
use llm_simulator::{Behaviour, Simulator};

use super::{
    BILLING, BOTH, CONNECTION, EVENTS, Facts, Failed, JSON, MODEL_NOT_FOUND, OVERLOADED, PROTOCOL,
    RATE_LIMITED, SERVER, TOO_LARGE, TRUNCATED, Wire, head, reply, shown, sse, stream, streamed,
};
use crate::simulated::Model;

/// An answer of each vendor's: whole, and the events of its text, of its error, and of its end.
struct Says {
    wire: Wire,
    whole: &'static str,
    text: &'static str,
    end: &'static [&'static str],
}

const SAYS: [Says; 2] = [
    Says {
        wire: Wire::OpenAi,
        whole: r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#,
        text: r#"{"choices":[{"delta":{"content":"hi"}}]}"#,
        end: &[r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "[DONE]"],
    },
    Says {
        wire: Wire::Anthropic,
        whole: r#"{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}"#,
        text: r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}"#,
        end: &[
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            r#"{"type":"message_stop"}"#,
        ],
    },
];

/// Both vendors have this type; OpenAI's hosts take it over from Anthropic.
const ERROR: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#;

#[tokio::test]
async fn a_stream_that_was_cut_or_holds_an_error_is_no_success() {
    let mut facts = Facts::new().await;
    for Says { wire, text, .. } in SAYS {
        let cut = Failed::inside(TRUNCATED);
        facts.breaks(wire, "cut", &stream(wire, sse([text])), &cut).await;
        let failed = Failed::inside(OVERLOADED).code("overloaded_error");
        for name in ["event: error\n", ""] {
            let events = format!("{}{name}data: {ERROR}\n\n", sse([text]));
            facts.breaks(wire, "an error", &stream(wire, events), &failed).await;
        }
    }
}

#[tokio::test]
async fn json_may_answer_a_request_for_a_stream() {
    let mut facts = Facts::new().await;
    for Says { wire, whole, text, end } in SAYS {
        for kind in [JSON, "content-type: application/json; charset=utf-8", EVENTS, "x-nothing: said"] {
            facts.streams(wire, kind, &reply(wire, 200, &[kind], whole), "says hi; ends Stop").await;
        }
        let events = sse([&[text], end].concat());
        facts.streams(wire, "as it should be", &stream(wire, events), "says hi; ends Stop").await;
    }
}

#[tokio::test]
async fn an_error_in_a_success_is_no_empty_answer() {
    let mut facts = Facts::new().await;
    for wire in BOTH {
        let failed = Failed::inside(OVERLOADED).code("overloaded_error");
        for kind in [JSON, EVENTS, "x-nothing: said"] {
            facts.fails(wire, kind, &reply(wire, 200, &[kind], ERROR), &failed).await;
        }
    }
}

#[tokio::test]
async fn failures_of_the_transport_and_odd_bodies_have_kinds() {
    let mut facts = Facts::new().await;
    for Says { wire, text, .. } in SAYS {
        for kind in [JSON, EVENTS] {
            let head = head(wire, 200, &[kind, "transfer-encoding: chunked"]);
            let sent = format!("{head}{:x}\r\n{}\r\nzzz\r\n", sse([text]).len(), sse([text]));
            let error = match kind {
                JSON => facts.whole(wire, sent.as_bytes()).await.err(),
                _ => facts.streamed(wire, sent.as_bytes()).await.1,
            };
            let failed = error.as_ref().map(Failed::of);
            facts.holds("a bad chunk", failed, Some(Failed::inside(TRUNCATED)));
        }
        let page = reply(wire, 200, &["content-type: text/html"], "<html></html>");
        facts.fails(wire, "a page", &page, &Failed::inside(PROTOCOL)).await;
        let date = "retry-after: Fri, 31 Dec 2100 23:59:59 GMT";
        let sent = reply(wire, 429, &[date], "");
        let day = Some(Duration::from_secs(24 * 60 * 60));
        let failed = Failed { retry_after: day, ..Failed::with_status(RATE_LIMITED, 429) };
        facts.fails(wire, "a date", &sent, &failed).await;
        for (status, verdict) in [(404, MODEL_NOT_FOUND), (429, RATE_LIMITED), (500, SERVER)] {
            for list in ["[]", r#"[{"error":{"message":"m","status":"WORDS"}}]"#] {
                let failed = Failed::with_status(verdict, status);
                facts.fails(wire, list, &reply(wire, status, &[JSON], list), &failed).await;
            }
        }
        // Only OpenAI's kin are known to send one: elsewhere it is no answer.
        let failed = match wire {
            Wire::Anthropic => Failed::inside(PROTOCOL),
            _ => Failed::inside(OVERLOADED).code("overloaded_error"),
        };
        let list = format!("[{ERROR}]");
        facts.fails(wire, "a list of one in a success", &reply(wire, 200, &[JSON], list), &failed).await;
    }
}

/// The only clock that an adapter knows beside that for connecting: one of the caller's HTTP client.
#[tokio::test]
async fn a_read_that_times_out_has_a_kind() {
    let simulator = Simulator::start().await.unwrap();
    let http = Client::builder().no_proxy().read_timeout(Duration::from_millis(50)).build().unwrap();
    let openai = OpenAi::builder("m").base_url(format!("{}/v1", simulator.base_url()));
    let anthropic = Anthropic::builder("m").base_url(simulator.base_url());
    let models: [Model; 2] = [
        Arc::new(openai.http_client(http.clone()).build().unwrap()),
        Arc::new(anthropic.http_client(http).build().unwrap()),
    ];
    let kind =
        |error: Option<Error>| error.map(|error| (error.kind(), error.category(), error.blames_model()));
    for model in models {
        simulator.otherwise(Behaviour::stall());
        let whole = model.generate(&Request::from("hello"), &Progress::new()).await;
        assert_eq!(kind(whole.err()), Some(CONNECTION), "{}", model.key());
        let (events, error) = streamed(&*model, &Request::from("hello")).await;
        assert_eq!((events.len(), kind(error)), (0, Some(CONNECTION)));
        simulator.otherwise(Behaviour::answer("one two three").stall_after(2));
        let (events, error) = streamed(&*model, &Request::from("hello")).await;
        assert!(shown::content(&events).ends_with("says one; says  two"), "{}", shown::content(&events));
        assert_eq!(kind(error), Some(TRUNCATED));
    }
}

#[tokio::test]
async fn hints_are_kept_and_nonsense_is_none() {
    let mut facts = Facts::new().await;
    for wire in BOTH {
        for (says, status, line, verdict, hint) in [
            ("not a number", 429, "retry-after: nan", RATE_LIMITED, None),
            ("not a number", 429, "retry-after-ms: nan", RATE_LIMITED, None),
            ("on a 503, too", 503, "retry-after: 7", SERVER, Some(7)),
            ("on a 503, too", 503, "retry-after-ms: 7000", SERVER, Some(7)),
            ("on a 529, too", 529, "retry-after: 7", OVERLOADED, Some(7)),
            ("on a 500, too", 500, "retry-after: 7", SERVER, Some(7)),
            ("on a 408, too", 408, "retry-after: 7", SERVER, Some(7)),
        ] {
            let retry_after = hint.map(Duration::from_secs);
            let failed = Failed { retry_after, ..Failed::with_status(verdict, status) };
            facts.fails(wire, says, &reply(wire, status, &[line], ""), &failed).await;
        }
    }
}

#[tokio::test]
async fn money_is_no_limit_of_rates_and_no_status_is_just_an_error() {
    let mut facts = Facts::new().await;
    let quota = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let failed = Failed::with_status(BILLING, 429).code("insufficient_quota");
    facts.fails(Wire::OpenAi, "no money", &reply(Wire::OpenAi, 429, &[JSON], quota), &failed).await;
    for wire in BOTH {
        for (status, verdict) in
            [(402, BILLING), (404, MODEL_NOT_FOUND), (408, SERVER), (409, SERVER), (413, TOO_LARGE)]
        {
            for body in ["", "{}", r#"{"error":{"message":"m"}}"#, "<html></html>"] {
                let says = format!("{wire:?} {status} {body}");
                let failed = Failed::with_status(verdict, status);
                facts.fails(wire, &says, &reply(wire, status, &[JSON], body), &failed).await;
            }
        }
    }
}

/// Hosts send no ids, or the same for all: results could not be told apart.
#[tokio::test]
async fn every_tool_call_has_an_id_of_its_own_and_streams_have_calls_too() {
    let mut facts = Facts::new().await;
    for (says, ids, told) in [
        ("good ids", ["a", "b"], "a: f{}; b: f{}"),
        ("no ids", ["", ""], "call_1: f{}; call_2: f{}"),
        ("the same id", ["a", "a"], "a: f{}; call_2: f{}"),
    ] {
        let told = format!("{told}; ends ToolCalls");
        let [one, two] = ids;
        let call = |index: u32, id: &str| {
            format!(
                r#"{{"index":{index},"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#
            )
        };
        let calls = format!(r#"{{"tool_calls":[{},{}]}}"#, call(0, one), call(1, two));
        let json = format!(r#"{{"choices":[{{"message":{calls},"finish_reason":"tool_calls"}}]}}"#);
        let delta = |calls: &str| format!(r#"{{"choices":[{{"delta":{calls}}}]}}"#);
        let single = |index, id| delta(&format!(r#"{{"tool_calls":[{}]}}"#, call(index, id)));
        let end = r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#;
        let wire = Wire::OpenAi;
        facts.answers(wire, says, &json, &sse([delta(&calls), end.into()]), &told).await;
        // An index of its own tells a call apart, where it has no id or another's.
        let events = sse([single(0, one), single(1, two), end.into()]);
        facts.streams(wire, says, &stream(wire, events), &told).await;

        let block = |id: &str| format!(r#"{{"type":"tool_use","id":"{id}","name":"f","input":{{}}}}"#);
        let json = format!(r#"{{"content":[{},{}],"stop_reason":"tool_use"}}"#, block(one), block(two));
        let begin = |index: u32, id: &str| {
            format!(r#"{{"type":"content_block_start","index":{index},"content_block":{}}}"#, block(id))
        };
        let reason = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#;
        let end = [reason.to_owned(), r#"{"type":"message_stop"}"#.to_owned()];
        let events = sse([begin(0, one), begin(1, two)].into_iter().chain(end));
        facts.answers(Wire::Anthropic, says, &json, &events, &told).await;
    }
}

#[tokio::test]
async fn cache_and_reasoning_are_counted() {
    let mut facts = Facts::new().await;
    let usage = r#""usage":{"prompt_tokens":12,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":7}}"#;
    let json = format!(r#"{{"choices":[{{"message":{{"content":"hi"}},"finish_reason":"stop"}}],{usage}}}"#);
    let [text, done] = [SAYS[0].text, SAYS[0].end[0]];
    let events = sse([text, done, &format!(r#"{{"choices":[],{usage}}}"#), "[DONE]"]);
    let told = "says hi; ends Stop; in 2 out 9 read 10 thought 7";
    facts.answers(Wire::OpenAi, "OpenAI", &json, &events, told).await;
    let usage = r#""usage":{"input_tokens":3,"output_tokens":9,"cache_creation_input_tokens":20,"cache_read_input_tokens":10}"#;
    let json = format!(r#"{{"content":[{{"type":"text","text":"hi"}}],"stop_reason":"end_turn",{usage}}}"#);
    let start = format!(r#"{{"type":"message_start","message":{{{usage}}}}}"#);
    let [end, stop] = [SAYS[1].end[0], SAYS[1].end[1]];
    let events = sse([&*start, SAYS[1].text, end, stop]);
    facts
        .answers(
            Wire::Anthropic,
            "Anthropic",
            &json,
            &events,
            "says hi; ends Stop; in 3 out 9 read 10 wrote 20",
        )
        .await;
}
