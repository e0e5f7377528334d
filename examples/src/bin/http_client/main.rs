//! A breaker and a limiter around plain HTTP calls: a service that throttles, fails, hangs and recovers, and a client
//! that notices.
//!
//! `cargo run --bin http_client` needs no network: the service is a small server on loopback. The client is in
//! `client.rs`.

mod client;
mod server;

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use circuit_breaker::{Circuit, InProcessBreaker, InProcessLimiter, Limits, Quota, Settings, State};
use futures::future::join_all;
use llm_examples::{Paint, seconds};
use tokio::time::{Instant, sleep};

use crate::client::{Client, Problem};
use crate::server::Reply;

const SCRIPT: [Reply; 13] = [
    Reply::Status(200),
    Reply::Status(404),
    Reply::Throttled(1),
    Reply::Status(200),
    Reply::Status(500),
    Reply::Status(503),
    Reply::Silence,
    Reply::Status(503),
    SLOW,
    Reply::Status(200),
    SLOW,
    SLOW,
    SLOW,
];
const SLOW: Reply = Reply::Slowly(Duration::from_millis(150));

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let breaker = InProcessBreaker::new(Settings::default().cooldown(Duration::from_secs(1)));
    let at_a_time = Limits::default().in_flight(NonZeroU32::MIN.saturating_add(2));
    let shop = Shop {
        client: Client {
            http: reqwest::Client::builder().timeout(Duration::from_secs(1)).no_proxy().build()?,
            base: server::start(SCRIPT).await?,
            circuit: Circuit::new(Arc::new(breaker), "stock"),
            quota: Quota::new(Arc::new(InProcessLimiter::new(at_a_time)), "stock"),
        },
        start: Instant::now(),
    };
    row(Style::new().dimmed(), "   time", "request", "what came of it", "circuit")?;

    title("a good answer, and one that is our own fault")?;
    shop.asks("/stock/1").await?;
    shop.asks("/no/such").await?;

    title("throttled: healthy, and left alone for as long as it says")?;
    shop.asks("/stock/2").await?;
    shop.waits(shop.asks("/stock/2").await?).await;
    shop.asks("/stock/2").await?;

    title(
        "three failures in a row, the last of them a silence: left alone until it has had time to recover",
    )?;
    for _ in 0..3 {
        shop.asks("/stock/3").await?;
    }
    shop.waits(shop.asks("/stock/3").await?).await;

    title("a probe finds out that it has not recovered")?;
    shop.asks("/stock/3").await?;
    shop.waits(shop.asks("/stock/3").await?).await;

    title("many want to know, one is the probe, and it has")?;
    join_all(["/stock/4", "/stock/5", "/stock/6"].map(|path| shop.asks(path))).await;
    shop.asks("/stock/5").await?;

    title("many at once, and no more than three of them")?;
    join_all(["/stock/6", "/stock/7", "/stock/8", "/stock/9"].map(|path| shop.asks(path))).await;
    Ok(())
}

/// Somebody who wants to know what is in stock, and shows what came of it.
struct Shop {
    client: Client,
    start: Instant,
}

impl Shop {
    /// How long to wait before asking again, where that was said.
    async fn asks(&self, path: &str) -> io::Result<Option<Duration>> {
        let answer = self.client.get(path).await;
        let again = |retry_after: Option<Duration>| {
            retry_after.map(|delay| format!(", try again in {}", seconds(delay))).unwrap_or_default()
        };
        let (color, what, retry_after) = match answer {
            Ok(body) => (AnsiColor::Green, format!("200: {}", body.trim()), None),
            Err(Problem::Limited(limited)) => {
                let what = format!("not sent: {}{}", limited.reason, again(limited.retry_after));
                (AnsiColor::Yellow, what, limited.retry_after)
            }
            Err(Problem::Open { reason, retry_after }) => {
                (AnsiColor::Yellow, format!("not sent: {reason}{}", again(retry_after)), retry_after)
            }
            Err(Problem::Refused(status)) => (AnsiColor::Red, status.to_string(), None),
            Err(Problem::Failed(error)) if error.is_timeout() => (AnsiColor::Red, "timed out".into(), None),
            Err(Problem::Failed(error)) => (AnsiColor::Red, error.to_string(), None),
        };
        let status = self.client.circuit.status().await;
        let circuit = match (status.state, status.failures) {
            (State::Closed, 0) => "closed".to_owned(),
            (State::Closed, failures) => format!("closed, {failures} failed"),
            (State::Open, _) => "open".to_owned(),
            (State::HalfOpen, _) => "half-open".to_owned(),
        };
        let time = format!("{:>7}", seconds(self.start.elapsed()));
        row(color.on_default(), &time, path, &what, &circuit)?;
        Ok(retry_after)
    }

    async fn waits(&self, delay: Option<Duration>) {
        sleep(delay.unwrap_or_default()).await;
    }
}

fn row(style: Style, time: &str, request: &str, what: &str, circuit: &str) -> io::Result<()> {
    let what = Paint(style, format!("{what:<65}"));
    writeln!(anstream::stdout(), "{time}  {request:<8}  {what}  {circuit}")
}

fn title(text: &str) -> io::Result<()> {
    writeln!(anstream::stdout(), "\n{}", Paint(Style::new().bold(), text))
}
