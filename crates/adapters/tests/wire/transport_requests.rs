//! What is asked for, and what an adapter says of itself.

use llm_adapters::OpenAi;
use llm_protocol::ModelAdapter;

use crate::raw::{ANSWER, Server, generate, http, reply, stream};

#[tokio::test]
async fn what_is_accepted_is_said() {
    let mut server =
        Server::start(reply("200 OK\r\ncontent-type: application/json", ANSWER.as_bytes())).await;
    let adapter = server.adapter();
    generate(&adapter).await.unwrap();
    assert!(stream(&adapter).await.is_none());
    let requests = server.received();
    assert!(requests[0].contains("accept: application/json\r\n"), "{}", requests[0]);
    assert!(requests[1].contains("accept: text/event-stream, application/json\r\n"), "{}", requests[1]);
    for request in requests {
        assert!(request.contains("content-type: application/json\r\n"), "{request}");
        assert!(request.contains("user-agent: llm-adapters/"), "{request}");
        assert!(request.contains("accept-encoding: gzip\r\n"), "{request}");
    }
}

#[tokio::test]
async fn the_builders_limit_of_tokens_is_for_requests_without_one() {
    let mut server = Server::start(reply("200 OK", ANSWER.as_bytes())).await;
    let base = format!("http://{}", server.address);
    let builder = OpenAi::builder("m").base_url(base).max_output_tokens(77).http_client(http());
    let adapter = builder.build().unwrap();
    generate(&adapter).await.unwrap();
    let request = server.received().remove(0);
    assert!(request.contains(r#""max_completion_tokens":77"#), "{request}");
}

#[test]
fn adapters_say_what_was_set() {
    let base = "http://localhost:1";
    let adapter = OpenAi::builder("m").base_url(base).http_client(http()).build().unwrap();
    assert_eq!((adapter.provider(), adapter.model(), adapter.key()), ("openai", "m", "openai:m"));
    let builder = OpenAi::builder("llama").provider("groq").base_url(base).http_client(http());
    let adapter = builder.clone().build().unwrap();
    assert_eq!((adapter.provider(), adapter.model(), adapter.key()), ("groq", "llama", "groq:llama"));
    let adapter = builder.key("mine").build().unwrap();
    assert_eq!((adapter.provider(), adapter.model(), adapter.key()), ("groq", "llama", "mine"));
}
