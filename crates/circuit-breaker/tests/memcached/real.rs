//! A real server: rotations on it, what is said to it directly, and waiting for what is to come.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use circuit_breaker::{MemcachedRotation, MemcachedRotationBuilder};
use test_servers::MemcachedServer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// Longer than anything takes on the busiest machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// With the usual timeout.
pub(crate) fn hasty(server: &MemcachedServer) -> MemcachedRotationBuilder {
    MemcachedRotation::builder(server.url())
}

/// As suites test what is shared, and not what is done without a server, it may take its time on a busy machine.
pub(crate) fn patient(server: &MemcachedServer) -> MemcachedRotationBuilder {
    hasty(server).timeout(LONG)
}

/// Says one command and reads lines up to the one that `is_last`.
pub(crate) async fn say(
    server: &MemcachedServer,
    command: &str,
    is_last: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut stream = BufStream::new(TcpStream::connect(server.address()).await.unwrap());
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut lines = Vec::new();
    let mut read = stream.lines();
    while let Some(line) = read.next_line().await.unwrap() {
        let last = is_last(&line);
        lines.push(line);
        if last {
            return lines;
        }
    }
    panic!("{command}: {lines:?}");
}

/// Says a command that is answered by one line.
pub(crate) async fn tell(server: &MemcachedServer, command: &str) -> String {
    say(server, command, |_| true).await.remove(0)
}

/// How many others are connected to it. Those who asked it before may be among them, until it notices that they left.
pub(crate) async fn connections(server: &MemcachedServer) -> usize {
    let stats = say(server, "stats", |line| line == "END").await;
    let all = stats.iter().find_map(|line| line.strip_prefix("STAT curr_connections ")).unwrap();
    all.parse::<usize>().unwrap() - 1
}

/// Waits until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let limit = Instant::now() + LONG;
    while !is_so().await {
        assert!(Instant::now() < limit, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the server serves it.
pub(crate) async fn recovered(rotation: &MemcachedRotation) {
    rotation.ready(LONG).await.unwrap();
    assert!(!rotation.is_degraded());
}

/// What it answers without waiting for anything.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
