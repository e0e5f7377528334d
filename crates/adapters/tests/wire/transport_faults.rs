//! Connections that break or fall silent, and bodies that are not what their headers say.

use std::time::Duration;

use llm_adapters::reqwest::Client;
use llm_adapters::{HttpClient, OpenAi};
use llm_protocol::{ErrorKind, HealthState, ModelAdapter, Progress, Request, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::raw::{ANSWER, Server, adapter, generate, read_request, reply};

/// A server that answers every request with these bytes and then holds the connection open; its base URL.
async fn stalling(bytes: impl Into<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let bytes = bytes.into();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_request(&mut socket).await.unwrap();
            socket.write_all(&bytes).await.unwrap();
            open.push(socket);
        }
    });
    base
}

#[tokio::test]
async fn a_stalled_explanation_does_not_hide_the_error() {
    let head = "HTTP/1.1 429 Slow\r\nretry-after: 30\r\nx-request-id: r-1\r\ncontent-length: 1000\r\n\r\n";
    for body in ["", "{\"error\":{\"message\":\"so"] {
        let adapter = adapter(&stalling(format!("{head}{body}")).await);
        let start = Instant::now();
        let error = generate(&adapter).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimited, Some(429)));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        assert_eq!(error.request_id(), Some("r-1"));
    }
}

/// What came of it before it stalled is still read.
#[tokio::test]
async fn of_a_stalled_explanation_counts_what_came() {
    let head = "HTTP/1.1 429 Slow\r\ntransfer-encoding: chunked\r\n\r\n";
    let json = r#"{"error":{"message":"m","code":"insufficient_quota"}}"#;
    let adapter = adapter(&stalling(format!("{head}{:x}\r\n{json}\r\n", json.len())).await);
    assert_eq!(generate(&adapter).await.unwrap_err().kind(), ErrorKind::Billing);
}

#[tokio::test]
async fn of_an_explanation_without_an_end_only_its_beginning_is_read() {
    let (sender, mut sent) = tokio::sync::mpsc::channel(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await.unwrap();
        socket.write_all(b"HTTP/1.1 503 Busy\r\n\r\n").await.unwrap();
        let mut bytes = 0_usize;
        while socket.write_all(&[b'm'; 4096]).await.is_ok() {
            bytes += 4096;
        }
        sender.send(bytes).await.unwrap();
    });
    let start = Instant::now();
    let error = generate(&adapter(&base)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "the bytes end it, not the clock: {:?}",
        start.elapsed()
    );
    // Sockets have buffers, but no hundreds of megabytes of them.
    let bytes = sent.recv().await.unwrap();
    assert!(bytes < 64 << 20, "{bytes} bytes");
}

/// Only the TCP stack, HTTP/2 pings and clients of the user's own making have such clocks: none is a call's.
#[tokio::test]
async fn what_times_out_behind_connecting_is_a_broken_connection() {
    let client = || Client::builder().no_proxy().read_timeout(Duration::from_millis(30)).build().unwrap();
    let asked = |base: String| async move {
        let adapter = OpenAi::builder("m").base_url(base).http_client(client()).build().unwrap();
        generate(&adapter).await.unwrap_err()
    };
    let error = asked(stalling("").await).await;
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.message().starts_with("the connection timed out before the response"), "{error}");
    let error = asked(stalling("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await).await;
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert!(error.message().starts_with("the connection timed out during the response"), "{error}");
}

#[tokio::test]
async fn what_is_not_compressed_as_it_says_is_nonsense_and_what_is_cut_is_cut() {
    const START: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x05\x00\xfa\xffhe";
    const GZIP: &str = "200 OK\r\ncontent-encoding: gzip";
    let corrupt = [&START[..10], &[0xff; 9]].concat();
    let cut = |head: &str| [format!("HTTP/1.1 {GZIP}\r\n{head}\r\n").as_bytes(), START].concat();
    for (bytes, kind) in [
        (reply(GZIP, b"{\"this\":\"is not gzip\"}"), ErrorKind::Protocol),
        (reply(GZIP, &corrupt), ErrorKind::Protocol),
        (reply(GZIP, START), ErrorKind::Truncated),
        (cut("content-length: 1000\r\n"), ErrorKind::Truncated),
        (cut("transfer-encoding: chunked\r\n\r\n11"), ErrorKind::Truncated),
        (cut(""), ErrorKind::Truncated),
    ] {
        let server = Server::start(bytes).await;
        let error = generate(&server.adapter()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

/// A connection from the pool that dies under a request could have been a reason to send it again.
#[tokio::test]
async fn a_used_connection_that_closes_on_a_request_is_one_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adapter = adapter(&format!("http://{}", listener.local_addr().unwrap()));
    let (sender, mut requests) = tokio::sync::mpsc::channel(100);
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            tokio::spawn(async move {
                for request in 0.. {
                    if read_request(&mut socket).await.is_none() {
                        return;
                    }
                    sender.send((connection, request)).await.unwrap();
                    if request > 0 {
                        return;
                    }
                    socket.write_all(&reply("200 OK", ANSWER.as_bytes())).await.unwrap();
                }
            });
        }
    });
    // Until a call meets a connection that was used before: it may be on its way back to the pool when the next one goes
    // out, which then has a new one and is answered.
    for calls in 1..100 {
        let progress = Progress::new();
        let answer = adapter.generate(&Request::from("hello"), &progress).await;
        let seen: Vec<_> = std::iter::from_fn(|| requests.try_recv().ok()).collect();
        assert_eq!(seen.len(), 1, "call {calls} was sent as {seen:?}");
        if let Err(error) = answer {
            assert_eq!((error.kind(), progress.stage()), (ErrorKind::Connection, Stage::Sent));
            assert!(seen[0].1 > 0, "{seen:?} was not on a used connection");
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("no connection was ever used twice");
}

/// HTTP/2 without TLS that refuses every stream, which says that nothing was done for it; counts them.
async fn refuse_streams(
    mut socket: TcpStream,
    requests: tokio::sync::mpsc::Sender<()>,
) -> std::io::Result<()> {
    socket.read_exact(&mut [0; 24]).await?;
    socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let [length @ .., kind, flags, _, _, _, _] = head;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).await?;
        match kind {
            1 => {
                requests.send(()).await.unwrap();
                // RST_STREAM with REFUSED_STREAM, for the stream that the head names.
                socket.write_all(&[0, 0, 4, 3, 0]).await?;
                socket.write_all(&head[5..]).await?;
                socket.write_all(&[0, 0, 0, 7]).await?;
            }
            4 if flags == 0 => socket.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).await?,
            _ => {}
        }
    }
}

/// Left to itself the HTTP client sends them again.
#[tokio::test]
async fn refused_streams_are_one_request_each() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut requests) = tokio::sync::mpsc::channel(100);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(refuse_streams(socket, sender.clone()));
        }
    });
    let client = HttpClient::configure(|http| http.no_proxy().http2_prior_knowledge()).unwrap();
    let adapter = OpenAi::builder("m").base_url(base).http_client(client).build().unwrap();
    assert_eq!(adapter.health_check().await.state, HealthState::Unhealthy);
    assert_eq!(generate(&adapter).await.unwrap_err().kind(), ErrorKind::Connection);
    let mut seen = 0;
    while requests.try_recv().is_ok() {
        seen += 1;
    }
    assert_eq!(seen, 2);
}

/// A peer that accepts and never shakes hands.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn connecting_takes_no_longer_than_the_user_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let client = HttpClient::connect_timeout(Duration::from_millis(30)).unwrap();
    let adapter = OpenAi::builder("m").base_url(base).http_client(client).build().unwrap();
    let start = Instant::now();
    let error = generate(&adapter).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(llm_protocol::Clock::Connect));
    assert!(error.message().starts_with("could not connect in time"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Adding the platform's library to a build must not change what everybody else in it uses.
#[cfg(feature = "rustls")]
#[tokio::test]
async fn with_rustls_on_it_is_rustls_that_speaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let error = generate(&adapter(&base)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.message().contains("InvalidContentType"), "in rustls's words: {error}");
}
