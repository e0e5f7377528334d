//! The HTTP server itself, asked byte by byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Asker, body, path, within};
use llm_simulator::{Behaviour, Ended, Simulator, Wire};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn request(model: &str, headers: &str) -> String {
    let (body, path) = (body(Wire::OpenAi, model, false).to_string(), path(Wire::OpenAi));
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn connect(simulator: &Simulator) -> TcpStream {
    let stream = TcpStream::connect(simulator.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    within(stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8(all).unwrap()
}

/// Reads until so many answers have come.
async fn read_answers(stream: &mut TcpStream, answers: usize) -> String {
    let mut all = String::new();
    while all.matches("\"system_fingerprint\":null}").count() < answers {
        let mut bytes = [0; 4096];
        let read = within(stream.read(&mut bytes)).await.unwrap();
        assert_ne!(read, 0, "{all}");
        all.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    all
}

/// Reads one answer, to the end of its body and not further.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    loop {
        all.push(within(stream.read_u8()).await.unwrap());
        let text = String::from_utf8_lossy(&all);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let whole = match length {
            Some(length) => body.len() == length.parse::<usize>().unwrap(),
            None => body.ends_with("0\r\n\r\n"),
        };
        if whole {
            return text.into_owned();
        }
    }
}

#[tokio::test]
async fn connections_are_reused() {
    let simulator = Simulator::start().await.unwrap();
    let mut connection = connect(&simulator).await;
    for stream in [false, true] {
        for wire in common::WIRES {
            for (model, status) in [("m", 200), ("m!status=500", 500), ("m!truncate-after=1", 200)] {
                let (body, path) = (body(wire, model, stream).to_string(), path(wire));
                let head = format!(
                    "POST {path} HTTP/1.1\r\nanthropic-version: 2023-06-01\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                connection.write_all((head + &body).as_bytes()).await.unwrap();
                let answer = read_answer(&mut connection).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            }
        }
    }
    let requests = simulator.all_requests();
    assert_eq!((requests.len(), simulator.connections()), (12, 1));
    assert!(requests.iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn a_request_can_come_byte_by_byte_and_counts_when_it_is_whole() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let request = request("m", "connection: close\r\n");
    let (but_one, last) = request.as_bytes().split_at(request.len() - 1);
    for byte in but_one {
        stream.write_all(&[*byte]).await.unwrap();
        assert_eq!(simulator.received_total(), 0);
    }
    stream.write_all(last).await.unwrap();
    assert!(read_to_end(&mut stream).await.contains("connection: close\r\n"));
    assert_eq!(simulator.received("m"), 1);
}

#[tokio::test]
async fn half_a_request_is_none() {
    let simulator = Simulator::start().await.unwrap();
    let request = request("m", "");
    for part in [0, 1, 20, request.len() - 1] {
        let mut stream = connect(&simulator).await;
        stream.write_all(&request.as_bytes()[..part]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "");
    }
    assert_eq!((simulator.connections(), simulator.received_total()), (4, 0));
    within(simulator.wait_until(|simulator| simulator.open_connections() == 0)).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let both = request("m!text=first!delay=30ms", "") + &request("m!text=second", "");
    stream.write_all(both.as_bytes()).await.unwrap();
    let answers = read_answers(&mut stream, 2).await;
    assert!(answers.find("first").unwrap() < answers.find("second").unwrap());
}

#[tokio::test]
async fn a_client_that_closes_while_requests_are_queued_is_noticed() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let both = request("m!stall", "") + &request("m", "");
    stream.write_all(both.as_bytes()).await.unwrap();
    within(simulator.wait_received("m!stall", 1)).await;
    drop(stream);
    within(simulator.wait_idle()).await;
    assert_eq!(simulator.requests("m!stall")[0].ended, Ended::Disconnected);
    assert_eq!(simulator.received("m"), 0);
}

#[tokio::test]
async fn a_client_that_closes_after_more_than_can_be_kept_is_noticed() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let all = request("m!stall", "") + &"x".repeat(1 << 20);
    within(stream.write_all(all.as_bytes())).await.unwrap();
    within(simulator.wait_received("m!stall", 1)).await;
    drop(stream);
    within(simulator.wait_idle()).await;
    assert_eq!(simulator.requests("m!stall")[0].ended, Ended::Disconnected);
    within(simulator.wait_until(|simulator| simulator.open_connections() == 0)).await;
}

#[tokio::test]
async fn a_client_that_sends_more_than_can_be_kept_gets_its_answer_and_no_other() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    // The second request lies wholly within what is not kept.
    let first = request("m!text=first!delay=500ms", "");
    let all = first + &" ".repeat(4 << 20) + &request("m", "");
    within(stream.write_all(all.as_bytes())).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("first"), "{answer}");
    assert_eq!(simulator.received_total(), 1);
}

#[tokio::test]
async fn a_request_for_a_head_gets_no_body() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let head = "HEAD /v1/models HTTP/1.1\r\n\r\nHEAD /nowhere HTTP/1.1\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut stream).await;
    let (first, second) = answers.split_once("\r\n\r\n").unwrap();
    assert!(first.starts_with("HTTP/1.1 405 ") && first.contains("content-length: "), "{answers}");
    assert!(second.starts_with("HTTP/1.1 404 ") && second.ends_with("\r\n\r\n"), "{answers}");
    assert_eq!(second.matches("\r\n\r\n").count(), 1, "{answers}");
}

const CHUNKED: &str = "POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_body_of_the_smallest_chunks_is_read() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let mut body = body(Wire::OpenAi, "m", false);
    body["user"] = "x".repeat(2 << 20).into();
    let mut all = CHUNKED.as_bytes().to_vec();
    for byte in body.to_string().bytes() {
        all.extend_from_slice(b"1\r\n");
        all.push(byte);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    within(stream.write_all(&all)).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(simulator.requests("m")[0].body, body);
}

#[tokio::test]
async fn the_framing_of_a_chunked_body_is_bounded() {
    let simulator = Simulator::start().await.unwrap();
    let tiny = "1\r\nx\r\n".repeat(3_500_000);
    let extended = format!("1;{}\r\nx\r\n", "e".repeat(50_000)).repeat(400);
    let trailers = format!("0\r\n{}", format!("x: {}\r\n", "t".repeat(50_000)).repeat(400));
    for body in [tiny, extended, trailers] {
        let mut stream = connect(&simulator).await;
        stream.write_all(CHUNKED.as_bytes()).await.unwrap();
        within(stream.write_all(body.as_bytes())).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("chunks"), "{answer}");
    }
    assert_eq!(simulator.received_total(), 0);
}

#[tokio::test]
async fn a_chunked_request_body_is_read() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let body = body(Wire::OpenAi, "m", false).to_string();
    let (first, second) = body.split_at(10);
    let chunks =
        format!("{:x}\r\n{first}\r\n{:X};ext=1\r\n{second}\r\n0\r\nx-trailer: 1\r\n\r\n", 10, second.len());
    stream
        .write_all(format!("{CHUNKED}{chunks}{}", request("n", "connection: close\r\n")).as_bytes())
        .await
        .unwrap();
    read_to_end(&mut stream).await;
    assert_eq!((simulator.received("m"), simulator.received("n")), (1, 1));
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_not_counted() {
    let simulator = Simulator::start().await.unwrap();
    let post = "POST /v1/messages HTTP/1.1\r\n";
    for (request, status) in [
        ("hello\r\n\r\n".to_owned(), 400),
        (format!("{post}content-length: x\r\n\r\n"), 400),
        (format!("{post}content-length: -1\r\n\r\n"), 400),
        (format!("{post}content-length: 1\r\ncontent-length: 2\r\n\r\n"), 400),
        (format!("{post}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"), 400),
        (format!("{post}transfer-encoding: gzip\r\n\r\n"), 501),
        (format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n"), 400),
        (format!("{post}transfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n"), 400),
        (format!("{post}transfer-encoding: chunked\r\n\r\nfffffffff\r\n"), 413),
        (format!("{post}content-length: {}\r\n\r\n", 16 * 1024 * 1024 + 1), 413),
        (format!("{post}content-length: 99999999999999999999999999\r\n\r\n"), 413),
        (format!("{post}x: {}\r\n\r\n", "y".repeat(100_000)), 431),
        (format!("{post}{}\r\n", "x: y\r\n".repeat(200)), 431),
    ] {
        let mut stream = connect(&simulator).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{}: {answer}",
            &request[..40.min(request.len())]
        );
    }
    assert_eq!(simulator.received_total(), 0);
}

#[tokio::test]
async fn a_client_sees_that_its_body_is_too_large() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    let url = format!("{}/v1/messages", simulator.base_url());
    let response = within(asker.client.post(url).body(vec![b' '; 17 * 1024 * 1024]).send()).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(simulator.received_total(), 0);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let simulator = Simulator::start().await.unwrap();
    let mut stream = connect(&simulator).await;
    let request = request("m", "expect: 100-continue\r\nconnection: close\r\n");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    within(stream.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_close_is_not() {
    let simulator = Simulator::start().await.unwrap();
    for (model, reset) in
        [("m!reset", true), ("m!close", false), ("m!reset-after=0", true), ("m!close-after=0", false)]
    {
        let mut stream = connect(&simulator).await;
        stream.write_all(request(model, "").as_bytes()).await.unwrap();
        let ended = within(stream.read_to_end(&mut Vec::new())).await;
        let was_reset = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert_eq!(was_reset, reset, "{model}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_leaves_the_connection_usable() {
    let simulator = Simulator::start().await.unwrap();
    simulator.script("m", [Behaviour::status(204), Behaviour::status(304), Behaviour::default()]);
    let mut stream = connect(&simulator).await;
    let all = request("m", "") + &request("m", "") + &request("m", "connection: close\r\n");
    stream.write_all(all.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut stream).await;
    let heads: Vec<&str> = answers.split("HTTP/1.1 ").filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(heads, ["204", "304", "200"]);
    assert_eq!(answers.matches("content-length").count(), 1);
}
