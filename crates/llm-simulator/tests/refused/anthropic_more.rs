//! What Anthropic refuses of the order of things: marks for the cache, and thoughts before calls. And what it takes.

use llm_simulator::Wire;
use serde_json::{Value, json};

use crate::{
    accepted,
    anthropic::*,
    asker,
    common::{read, within},
    refused, with,
};

fn marked(ttl: Option<&str>) -> Value {
    match ttl {
        Some(ttl) => json!({"type": "ephemeral", "ttl": ttl}),
        None => json!({"type": "ephemeral"}),
    }
}

#[tokio::test]
async fn what_is_kept_long_comes_before_what_is_not() {
    let (_simulator, asker) = asker().await;
    let text = |ttl: Option<&str>| json!({"type": "text", "text": "a", "cache_control": marked(ttl)});
    let body = |tool: Option<&str>, system: Option<&str>, said: [Option<&str>; 2]| {
        json!({"model": "m", "max_tokens": 9,
            "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": marked(tool)}],
            "system": [text(system)],
            "messages": [{"role": "user", "content": said.map(text)}]})
    };
    let (short, long) = (Some("5m"), Some("1h"));
    for body in
        [body(long, long, [long, short]), body(long, None, [short, short]), body(short, short, [None, short])]
    {
        accepted(&asker, Wire::Anthropic, &body).await;
    }
    for (body, at) in [
        (body(short, long, [long, long]), "system.0.cache_control.ttl"),
        (body(None, short, [short, long]), "messages.0.content.1.cache_control.ttl"),
        (body(long, long, [None, long]), "messages.0.content.1.cache_control.ttl"),
    ] {
        let says = format!(
            "{at}: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"
        );
        refused(&asker, Wire::Anthropic, &body, &says).await;
    }
    // A mark for all of it stands at the end, and one within a result before that of the result.
    let all = with(&user(json!([text(short)])), &json!({"model": "m", "max_tokens": 9}));
    accepted(&asker, Wire::Anthropic, &with(&all, &json!({"cache_control": marked(short)}))).await;
    let body = with(&all, &json!({"cache_control": marked(long)}));
    refused(&asker, Wire::Anthropic, &body, "cache_control.ttl: a ttl='1h'").await;
    let results = |inner: Value, outer: Value| {
        let result =
            json!({"type": "tool_result", "tool_use_id": "c", "content": [inner], "cache_control": outer});
        let talk = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [call("c")]},
            {"role": "user", "content": [result]}]);
        json!({"model": "m", "max_tokens": 9, "messages": talk,
            "tools": [{"name": "f", "input_schema": {"type": "object"}}]})
    };
    accepted(&asker, Wire::Anthropic, &results(text(long), marked(short))).await;
    let body = results(text(short), marked(long));
    refused(&asker, Wire::Anthropic, &body, "messages.2.content.0.cache_control.ttl").await;
}

#[tokio::test]
async fn a_model_that_thinks_has_thought_before_its_calls() {
    let (_simulator, asker) = asker().await;
    let made = asker.ask(Wire::Anthropic, "m!reasoning=Hm!redacted=hush!tool-call=f", false).await.json();
    let [thinking, redacted] = [0, 1].map(|index| made["content"][index].clone());
    let says = |found: &str, index: usize| {
        format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
        )
    };
    let talk = |turns: &[Value]| {
        let roles = ["user", "assistant"].into_iter().cycle();
        let turns = turns.iter().zip(roles).map(|(content, role)| json!({"role": role, "content": content}));
        with(&whole(), &messages(turns.collect()))
    };
    let (hi, said) = (json!("Hi"), json!({"type": "text", "text": "So"}));
    let (c, d) = (json!([result("c")]), json!([result("d")]));
    for (turns, refusal) in [
        (vec![hi.clone(), json!([call("c")]), c.clone()], Some(("tool_use", 1))),
        (vec![hi.clone(), json!([said, call("c")]), c.clone()], Some(("text", 1))),
        (vec![hi.clone(), json!([call("c")]), json!([result("c"), said])], Some(("tool_use", 1))),
        (vec![hi.clone(), json!([thinking, call("c")]), c.clone()], None),
        (vec![hi.clone(), json!([redacted, call("c")]), c.clone()], None),
        // What has been answered is over.
        (vec![hi.clone(), json!([call("c")]), c.clone(), json!("It is")], None),
        (vec![hi.clone(), json!([call("c")]), c.clone(), json!("It is"), hi.clone()], None),
        (
            vec![
                hi.clone(),
                json!([thinking, call("c")]),
                c.clone(),
                json!("It is"),
                hi.clone(),
                json!([call("d")]),
                d.clone(),
            ],
            Some(("tool_use", 5)),
        ),
        // It thinks once for all calls in a row.
        (vec![hi.clone(), json!([thinking, call("c")]), c.clone(), json!([call("d")]), d.clone()], None),
        (
            vec![hi.clone(), json!([call("c")]), c.clone(), json!([call("d")]), d.clone()],
            Some(("tool_use", 3)),
        ),
    ] {
        let body = talk(&turns);
        match refusal {
            Some((found, index)) => refused(&asker, Wire::Anthropic, &body, &says(found, index)).await,
            None => accepted(&asker, Wire::Anthropic, &body).await,
        }
        for kind in ["adaptive", "disabled"] {
            let body = with(&body, &json!({"thinking": {"type": kind}}));
            accepted(&asker, Wire::Anthropic, &body).await;
        }
    }
}

#[tokio::test]
async fn a_beta_lets_a_model_think_longer_than_it_speaks() {
    let (simulator, asker) = asker().await;
    let body = with(&whole(), &json!({"max_tokens": 1024, "model": "m"}));
    refused(&asker, Wire::Anthropic, &body, "`max_tokens` must be greater").await;
    let request = asker.post(Wire::Anthropic, &body).header("anthropic-beta", "files-api-2025-04-14");
    let request = request.header("anthropic-beta", "a,interleaved-thinking-2025-05-14");
    let seen = read(within(request.send()).await.unwrap()).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert_eq!(simulator.received("m"), 2);
}

#[tokio::test]
async fn what_the_simulator_does_not_make_is_let_pass() {
    let (_simulator, asker) = asker().await;
    let file = json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}});
    let found = json!({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "tool_reference", "tool_name": "f"}]});
    let called = json!([{"type": "mcp_tool_use", "id": "m", "name": "g", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "m", "is_error": false, "content": []}, call("c")]);
    let talk = json!([{"role": "user", "content": [file]}, {"role": "assistant", "content": called},
        {"role": "user", "content": [found]}]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": talk,
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    accepted(&asker, Wire::Anthropic, &body).await;
    let mut body = body;
    body["messages"][0]["content"][0]["source"] = json!({"type": "file"});
    refused(&asker, Wire::Anthropic, &body, "source.file.file_id: Field required").await;
    body["messages"][0]["content"] = json!([{"type": "tool_reference", "tool_name": "f"}]);
    refused(&asker, Wire::Anthropic, &body, "Input tag 'tool_reference'").await;
    body["messages"][0]["content"] = json!("Hi");
    body["messages"][1]["content"][2]["name"] = json!("f".repeat(129));
    refused(&asker, Wire::Anthropic, &body, "tool_use.name: String should match pattern").await;
}
