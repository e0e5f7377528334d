//! A worker: calls a service through a circuit that it shares with the others, and says so when something else comes of
//! it.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Circuit, InProcessBreaker, RedisBreaker, RedisStore, Settings, StoreEvent, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How old what a worker knows of a circuit may be. It is what a store has unless it is told otherwise.
pub(crate) const STALENESS: Duration = Duration::from_millis(250);
pub(crate) const COOLDOWN: Duration = Duration::from_secs(2);
/// How long a probe keeps its slot that is heard of no more: longer than any call takes.
pub(crate) const HOLD: Duration = Duration::from_secs(5);
pub(crate) const LONGEST_CALL: Duration = Duration::from_millis(4500);
const PAUSE: Duration = Duration::from_millis(40);

/// Works until it is killed.
pub(crate) async fn work(name: &str, redis: &str, service: SocketAddr) -> Result<(), Box<dyn Error>> {
    let store = RedisStore::builder(redis)
        .staleness(STALENESS)
        // Twenty times as long as it is unless set, so that a busy machine does not pass for an outage.
        .timeout(Duration::from_secs(1))
        .on_event(tell_of_store)
        .build()?;
    // The rules, and who stands in while the store is away.
    let local = InProcessBreaker::new(Settings::default().cooldown(COOLDOWN).max_hold(HOLD));
    let circuit = Circuit::new(Arc::new(RedisBreaker::new(&store, local)), "warehouse");

    let mut last = String::new();
    loop {
        let what = call(&circuit, name, service).await;
        if what != last {
            writeln!(io::stdout(), "{what}")?;
            last = what;
        }
        sleep(PAUSE).await;
    }
}

async fn call(circuit: &Circuit, name: &str, service: SocketAddr) -> String {
    let permit = match circuit.admit().await {
        Ok(permit) => permit,
        Err(rejection) => return format!("not sent: {}", rejection.reason),
    };
    let alone = if permit.degraded() { ", without the store" } else { "" };
    let answer =
        timeout(LONGEST_CALL, ask(name, service)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
    permit.settle(Verdict::of(&answer));
    match answer {
        Ok(()) => format!("answered{alone}"),
        Err(_) => format!("failed{alone}"),
    }
}

/// Gives the service its name, and gets something back if all is well.
async fn ask(name: &str, service: SocketAddr) -> io::Result<()> {
    let mut service = TcpStream::connect(service).await?;
    service.write_all(format!("{name}\n").as_bytes()).await?;
    service.read_u8().await.map(drop)
}

fn tell_of_store(event: &StoreEvent) {
    let what = match event {
        StoreEvent::Lost { cause, .. } => format!("(the store is lost: {cause})"),
        StoreEvent::Back { .. } => "(the store is back)".to_owned(),
        _ => return,
    };
    // Whoever reads it may have gone away, and this worker follows soon.
    let _ = writeln!(io::stdout(), "{what}");
}
