//! A conversation in which tools are called goes on with whoever answers next: begun with one vendor, continued with
//! another, and back. The simulator refuses what the vendors refuse: ids that are not theirs, turns in the wrong
//! order, thoughts that they have not signed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_protocol::{
    CacheTtl, ErrorKind, Image, Message, Opaque, Part, Request, Response, Role, Tool, ToolCall,
};
use llm_reliability::{Candidate, ResilientClient, StreamMode};
use llm_simulator::{Behaviour, Host, Wire};
use llm_tests::{Lab, Strategy, WIRES, ask, other, trail};
use serde_json::{Value, json};

const STREAM_MODES: [StreamMode; 2] = [StreamMode::Auto, StreamMode::Never];

/// Every way to ask, starting with either vendor.
fn ways() -> impl Iterator<Item = (Wire, Strategy, StreamMode)> {
    let ways = WIRES.into_iter().flat_map(|wire| Strategy::ALL.map(|strategy| (wire, strategy)));
    ways.flat_map(|(wire, strategy)| STREAM_MODES.map(|stream| (wire, strategy, stream)))
}

fn tools(request: Request) -> Request {
    let parameters =
        || json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    request
        .tool(Tool::new("weather", parameters()).description("Tells the weather in a city."))
        .tool(Tool::new("time", parameters()))
}

/// A conversation, as an application keeps it: also over a restart.
struct Conversation(Request);

impl Conversation {
    fn new() -> Self {
        let messages =
            [Message::system("You tell the weather."), Message::user("How is it in Ulm and Bonn?")];
        Self(tools(Request::new(messages)))
    }

    /// Asks, and takes down the answer and the results of what it calls.
    async fn ask(&mut self, client: &ResilientClient, strategy: Strategy) -> Response {
        let asked = ask(client, strategy, self.0.clone()).await;
        let answer = asked.report.response().unwrap_or_else(|| panic!("{:?}", asked.report)).clone();
        self.0.messages.push(Message::from(&answer));
        for (at, call) in answer.tool_calls.iter().enumerate() {
            self.0.messages.push(Message::tool(&call.id, &call.name, format!("result {at}")));
        }
        let kept = serde_json::to_string(&self.0).unwrap();
        self.0 = serde_json::from_str(&kept).unwrap();
        answer
    }
}

fn only(candidate: Candidate, stream: StreamMode) -> ResilientClient {
    ResilientClient::builder().candidate(candidate.stream(stream)).build().unwrap()
}

fn calls(answer: &Response) -> Vec<(&str, Value)> {
    let call = |call: &ToolCall| serde_json::from_str(&call.arguments).unwrap();
    answer.tool_calls.iter().map(|one| (one.name.as_str(), call(one))).collect()
}

fn two_calls() -> Behaviour {
    Behaviour::answer("Let me look.")
        .reasoning("Both at once.")
        .tool_call("weather", r#"{"city": "Ulm"}"#)
        .tool_call("weather", r#"{"city": "Bonn"}"#)
}

#[tokio::test]
async fn a_conversation_goes_from_one_vendor_to_the_other_and_back() {
    for (wire, strategy, stream) in ways() {
        let lab = Lab::start().await;
        lab.simulator.script("first", [two_calls(), Behaviour::answer("Good night.")]);
        let more = Behaviour::empty().reasoning("And when?").tool_call("time", r#"{"city":"Ulm"}"#);
        lab.simulator.on("second", more);
        let first = only(lab.candidate(wire, "first"), stream);
        let second = only(lab.candidate(other(wire), "second"), stream);

        let mut conversation = Conversation::new();
        let answer = conversation.ask(&first, strategy).await;
        assert_eq!(answer.text, "Let me look.");
        let asked = [("weather", json!({"city": "Ulm"})), ("weather", json!({"city": "Bonn"}))];
        assert_eq!(calls(&answer), asked);
        let answer = conversation.ask(&second, strategy).await;
        assert_eq!(calls(&answer), [("time", json!({"city": "Ulm"}))]);
        conversation.0.messages.push(Message::user("Thanks."));
        assert_eq!(conversation.ask(&first, strategy).await.text, "Good night.");

        let seen = |model: &str, at: usize| lab.simulator.requests(model)[at].body.to_string();
        for told in ["Let me look.", "Ulm", "Bonn", "result 0", "result 1"] {
            assert!(seen("second", 0).contains(told) && seen("first", 1).contains(told), "{wire}: {told}");
        }
        // Thoughts go back to who had them, where that is wanted, and to nobody else.
        assert!(!seen("second", 0).contains("Both at once."), "{wire}");
        assert!(seen("first", 1).contains("Both at once."), "{wire}");
        assert!(!seen("first", 1).contains("And when?"), "{wire}");
    }
}

#[tokio::test]
async fn the_vendor_may_fail_between_a_call_and_its_result() {
    for (wire, strategy, stream) in ways() {
        let lab = Lab::start().await;
        lab.simulator.script("first", [two_calls(), Behaviour::status(529)]);
        lab.simulator.on("second", Behaviour::answer("Sunny in both."));
        let candidates = [lab.candidate(wire, "first"), lab.candidate(other(wire), "second")];
        let candidates = candidates.map(|candidate| candidate.stream(stream));
        let client = ResilientClient::builder().candidates(candidates).build().unwrap();

        let mut conversation = Conversation::new();
        conversation.ask(&client, strategy).await;
        let asked = ask(&client, strategy, conversation.0).await;
        assert_eq!(asked.report.response().unwrap().text, "Sunny in both.", "{wire} {strategy:?}");
        assert_eq!(asked.report.attempts().len(), 2, "{:?}", trail(&asked.report));
    }
}

/// What hosts have for ids of calls: in the manner of another vendor, too long, with characters that others refuse,
/// the same twice, none at all.
#[tokio::test]
async fn no_id_of_a_call_keeps_a_conversation_from_going_on() {
    let long = "call|0123456789:abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for ids in [["chatcmpl-tool:1", "functions.weather:0"], [long, "x"], ["same", "same"], ["", ""]] {
        for wire in WIRES {
            let lab = Lab::start().await;
            let [one, two] = ids;
            let calls = Behaviour::empty()
                .tool_call_with_id(one, "weather", r#"{"city":"Ulm"}"#)
                .tool_call_with_id(two, "weather", r#"{"city":"Bonn"}"#);
            // The same ids again in the next turn, as hosts have them that count within an answer.
            lab.simulator.script("first", [calls.clone().lenient(), calls.lenient()]);
            lab.simulator.on("second", Behaviour::answer("Sunny in both."));
            let first = only(lab.candidate(wire, "first"), StreamMode::Auto);
            let mut conversation = Conversation::new();
            for _ in 0..2 {
                let answer = conversation.ask(&first, Strategy::Failover).await;
                assert_ne!(answer.tool_calls[0].id, answer.tool_calls[1].id, "{wire} {ids:?}");
            }
            for to in WIRES {
                let second = only(lab.candidate(to, "second"), StreamMode::Auto);
                let asked = ask(&second, Strategy::Failover, conversation.0.clone()).await;
                assert!(asked.report.succeeded(), "{wire} to {to}, {ids:?}: {:?}", trail(&asked.report));
            }
        }
    }
}

#[tokio::test]
async fn hosts_with_rules_of_their_own_go_on_with_it_too() {
    for (wire, strategy, stream) in ways() {
        let lab = Lab::start().await;
        lab.simulator.script("first", [two_calls()]);
        lab.simulator.on("mistral", Behaviour::answer("Sunny in both.").host(Host::Mistral));
        let thoughtful = two_calls().host(Host::OpenRouter).redacted_reasoning("Secret.");
        lab.simulator.script("openrouter", [thoughtful, Behaviour::answer("Good night.")]);
        let first = only(lab.candidate(wire, "first"), stream);
        let host = |name: &str| only(lab.host(name), stream);

        let mut conversation = Conversation::new();
        conversation.ask(&first, strategy).await;
        assert_eq!(conversation.ask(&host("mistral"), strategy).await.text, "Sunny in both.");
        conversation.0.messages.push(Message::user("And now?"));
        conversation.ask(&host("openrouter"), strategy).await;
        assert_eq!(conversation.ask(&host("openrouter"), strategy).await.text, "Good night.");
        let back = lab.simulator.requests("openrouter")[1].body["messages"].to_string();
        assert!(back.contains("reasoning_details") && back.contains("reasoning.encrypted"), "{back}");
        let there = lab.simulator.requests("mistral")[0].body["messages"].to_string();
        assert!(!there.contains("Both at once."), "{there}");
    }
}

/// What happens to conversations in applications: answers in several turns, tools that are called and hurried, names that
/// no vendor has heard of, pictures that are their own address, marks at every turn.
#[tokio::test]
async fn conversations_are_taken_over_as_they_are() {
    let call = |id: &str, name: &str| {
        Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: String::new() })
    };
    let asks = |parts: Vec<Part>| Message::new(Role::Assistant, parts);
    let picture = Image::url("data:image/png;base64,iVBORw0KGgo=");
    let mut marked = vec![Message::system("Be brief.").cached(CacheTtl::FiveMinutes)];
    for turn in 0..6 {
        marked.push(Message::user(format!("Question {turn}")).cached(CacheTtl::OneHour));
        marked.push(Message::assistant("Answer"));
    }
    marked.push(Message::user("And?"));
    for (says, messages) in [
        (
            "calls in two turns, and a text",
            vec![
                Message::user("How is it?"),
                asks(vec![call("a", "weather")]),
                Message::assistant("One moment."),
                asks(vec![call("b", "time")]),
                Message::tool("b", "time", "noon"),
                Message::tool("a", "weather", ""),
            ],
        ),
        (
            "a name that the model made up",
            vec![
                Message::user("How is it?"),
                asks(vec![call("a", "multi_tool_use.parallel")]),
                Message::tool("a", "multi_tool_use.parallel", "there is no such tool"),
            ],
        ),
        (
            "blank turns",
            vec![Message::user("Hi"), Message::assistant(" "), Message::user(""), Message::user("So?")],
        ),
        ("a picture that is its own address", vec![Message::user("What is it?").image(picture)]),
        ("more marks than a vendor takes", marked),
        (
            "a mark behind nothing",
            vec![
                Message::user("Hi"),
                Message::assistant("Hi"),
                Message::user("").cached(CacheTtl::OneHour),
                Message::user("So?"),
            ],
        ),
    ] {
        let request = tools(Request::new(messages));
        let lab = Lab::start().await;
        for wire in WIRES {
            let client = only(lab.candidate(wire, "m"), StreamMode::Auto);
            let asked = ask(&client, Strategy::Failover, request.clone()).await;
            assert!(asked.report.succeeded(), "{says}, {wire}: {:?}", asked.report);
        }
        for (name, host) in
            [("openrouter", Host::OpenRouter), ("deepseek", Host::DeepSeek), ("mistral", Host::Mistral)]
        {
            lab.simulator.on(name, Behaviour::answer("ok").reasoning("Hm.").host(host));
            let asked =
                ask(&only(lab.host(name), StreamMode::Auto), Strategy::Failover, request.clone()).await;
            assert!(asked.report.succeeded(), "{says}, {name}: {:?}", asked.report);
        }
    }
}

/// A user who cannot wait for a tool. Mistral takes no word of his before the model has spoken again.
#[tokio::test]
async fn results_that_come_late_stand_right_behind_their_calls() {
    let call =
        |id: &str| Part::ToolCall(ToolCall { id: id.into(), name: "weather".into(), arguments: "{}".into() });
    let messages = vec![
        Message::user("How is it in Ulm and Bonn?"),
        Message::new(Role::Assistant, vec![call("a"), call("b")]),
        Message::tool("b", "weather", "clouds"),
        Message::user("Hurry up."),
        Message::tool("a", "weather", "sunny"),
        Message::user("Well?"),
    ];
    let request = tools(Request::new(messages));
    for wire in WIRES {
        let lab = Lab::start().await;
        lab.simulator.on("mistral", Behaviour::default().host(Host::Mistral));
        let client = ResilientClient::builder()
            .candidates([lab.host("mistral"), lab.candidate(wire, "m")])
            .build()
            .unwrap();
        let asked = ask(&client, Strategy::Failover, request.clone()).await;
        let expected = ["mistral preempted_unsupported unsupported", "m success @stream"];
        assert_eq!(trail(&asked.report), expected, "{wire}");
    }
}

#[tokio::test]
async fn a_tool_that_was_never_heard_of_again_is_an_error_before_anyone_is_asked() {
    let cancelled = ToolCall { id: "a".into(), name: "weather".into(), arguments: "{}".into() };
    let turn = Message::new(Role::Assistant, vec![Part::ToolCall(cancelled)]);
    for messages in [
        vec![Message::user("How is it?"), turn.clone()],
        vec![Message::user("How is it?"), turn, Message::user("Never mind.")],
    ] {
        for wire in WIRES {
            let lab = Lab::start().await;
            let client = only(lab.candidate(wire, "m"), StreamMode::Auto);
            let asked = ask(&client, Strategy::Failover, tools(Request::new(messages.clone()))).await;
            let error = asked.report.attempts()[0].error().unwrap();
            assert_eq!((error.kind(), error.message()), (ErrorKind::BadRequest, "a tool call has no result"));
            assert_eq!(lab.simulator.received_total(), 0);
        }
    }
}

/// A vendor that thinks aloud wants its own thought before a call that it hears the result of.
#[tokio::test]
async fn thinking_is_not_asked_for_where_it_would_be_refused() {
    let lab = Lab::start().await;
    lab.simulator.on("first", two_calls());
    lab.simulator.on("thinker", Behaviour::answer("Sunny.").reasoning("Hm."));
    let mut conversation = Conversation::new();
    conversation.ask(&only(lab.candidate(Wire::OpenAi, "first"), StreamMode::Auto), Strategy::Failover).await;
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let request = conversation.0.clone().max_tokens(4096).extra("anthropic", "thinking", thinking);
    let candidates = [lab.candidate(Wire::Anthropic, "thinker"), lab.candidate(Wire::OpenAi, "second")];
    let client = ResilientClient::builder().candidates(candidates).build().unwrap();
    let asked = ask(&client, Strategy::Failover, request.clone()).await;
    assert_eq!(trail(&asked.report), ["thinker preempted_unsupported unsupported", "second success @stream"]);
    // Begun with the same vendor, it goes on there.
    lab.simulator.script("thinker", [two_calls(), Behaviour::answer("Sunny.").reasoning("Hm.")]);
    let thinker = only(lab.candidate(Wire::Anthropic, "thinker"), StreamMode::Auto);
    let mut conversation = Conversation::new();
    conversation.0 = conversation.0.max_tokens(4096).extra(
        "anthropic",
        "thinking",
        json!({"type": "enabled", "budget_tokens": 1024}),
    );
    conversation.ask(&thinker, Strategy::Failover).await;
    assert_eq!(conversation.ask(&thinker, Strategy::FailoverStream).await.text, "Sunny.");
}

#[tokio::test]
async fn what_only_another_vendor_can_read_is_refused_where_it_matters() {
    for wire in WIRES {
        let lab = Lab::start().await;
        let client = only(lab.candidate(wire, "first"), StreamMode::Auto);
        let document = Opaque::new("acme", r#"{"type":"document"}"#);
        let question = Message::user("What is in it?").part(Part::Opaque(document));
        let asked = ask(&client, Strategy::Failover, Request::new([question])).await;
        assert_eq!(trail(&asked.report), ["first preempted_unsupported unsupported"], "{wire}");
        assert_eq!(lab.simulator.received_total(), 0);
    }
}
