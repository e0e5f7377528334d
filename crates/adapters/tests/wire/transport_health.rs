//! What the list of models says of a host's health.

use llm_protocol::{ErrorKind, HealthState, HealthStatus, ModelAdapter};

use crate::raw::{Server, reply};

async fn health(head: &str, body: &str) -> HealthStatus {
    let mut server = Server::start(reply(head, body.as_bytes())).await;
    let status = server.adapter().health_check().await;
    assert!(server.received()[0].starts_with("GET /v1/models HTTP/1.1\r\n"));
    assert_eq!(&*status.model_key, "openai:m");
    status
}

#[tokio::test]
async fn a_list_is_healthy_whatever_it_names() {
    for list in [
        r#"{"object":"list","data":[{"id":"m"}]}"#,
        r#"{"object":"list","data":[{"id":"another"}]}"#,
        r#"{"data":[],"error":null}"#,
        r#"[{"id":"m"},{"id":"another"}]"#,
        "[]",
    ] {
        let status = health("200 OK", list).await;
        assert_eq!(status.state, HealthState::Healthy, "{list}: {:?}", status.error);
        assert!(status.error.is_none());
    }
}

#[tokio::test]
async fn an_error_in_a_success_is_one() {
    for (body, kind) in [
        (r#"{"error":{"message":"no","code":"invalid_api_key"}}"#, ErrorKind::Authentication),
        (r#"{"error":{"message":"busy","type":"overloaded_error"},"data":[]}"#, ErrorKind::Overloaded),
        ("<html>", ErrorKind::Protocol),
        ("", ErrorKind::Protocol),
    ] {
        let status = health("200 OK", body).await;
        assert_eq!(status.state, HealthState::Unhealthy, "{body}");
        assert_eq!(status.error.unwrap().kind(), kind, "{body}");
    }
}

#[tokio::test]
async fn hosts_without_a_list_are_not_ill() {
    for (head, state) in [
        ("404 Not Found", HealthState::Unknown),
        ("405 Method Not Allowed", HealthState::Unknown),
        ("401 Unauthorized", HealthState::Unhealthy),
        ("410 Gone", HealthState::Unhealthy),
        ("500 Broken", HealthState::Unhealthy),
    ] {
        let status = health(head, "").await;
        assert_eq!(status.state, state, "{head}");
        assert_eq!(status.error.unwrap().status(), head[..3].parse().ok());
    }
}
