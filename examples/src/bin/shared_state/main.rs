//! Workers that share a circuit through Redis: one of them trips it for all, one of them is the probe, one of them dies
//! with the probe in its hands, and then Redis does.
//!
//! `cargo run --bin shared_state` starts the workers, as processes, and a Redis of its own, and takes a few seconds. What
//! to copy is in `worker.rs`. It checks what it shows, and exits with 0 only if all of that took place.

mod fleet;
mod service;
mod worker;

use std::error::Error;
use std::io::{self, Read, Write};
use std::time::Duration;

use llm_examples::seconds;
use test_servers::RedisServer;
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, title};
use crate::service::{Arrival, Mood, Service};
use crate::worker::{COOLDOWN, HOLD, LONGEST_CALL, STALENESS};

const WORKERS: [&str; 4] = ["ann", "bob", "cem", "dee"];
/// A busy machine may be late by so much.
const LATE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["worker", name, redis, service] => {
            std::thread::spawn(|| {
                let _ = io::stdin().read_to_end(&mut Vec::new());
                std::process::exit(0);
            });
            worker::work(name, redis, service.parse()?).await
        }
        _ => show().await,
    }
}

async fn show() -> Result<(), Box<dyn Error>> {
    let (redis, service) = (RedisServer::start().await?, Service::start().await?);

    title("four workers, one circuit")?;
    let mut fleet = Fleet::start(&WORKERS, &redis.url(), service.address)?;
    fleet.all_say("answered", "").await?;

    title("the service fails ann, who trips the circuit for all")?;
    let before = service.count();
    service.becomes(Mood::Fails("ann"));
    fleet.all_say("not sent: circuit open", "").await?;
    let arrivals = service.arrivals(before);
    let failures: Vec<_> = arrivals.iter().filter(|arrival| arrival.worker == "ann").collect();
    let [.., third] = failures[..] else { return Err("ann has not called".into()) };
    let last = arrivals.last().map_or(Duration::ZERO, |last| last.at - third.at);
    check(failures.len() >= 3, "three failures open the circuit")?;
    check(last <= STALENESS + LATE, "the others have heard of it in time")?;
    remark(&format!("the last call of all came {} after the third failure", seconds(last)))?;

    title("after the cooldown, one of them finds out whether the service is back: one, not four")?;
    let before = service.count();
    service.becomes(Mood::Silent);
    let probe = first_arrival(&service, before).await?;
    check(probe.at - third.at + LATE >= COOLDOWN, "nobody calls before the cooldown is over")?;
    fleet.all_say("not sent: circuit half-open, its probes are out", &probe.worker).await?;
    sleep(4 * STALENESS).await;
    check(service.count() == before + 1, "there is one probe")?;
    remark(&format!("{} is the probe, and waits for an answer", probe.worker))?;

    title(&format!("{} is killed, and has the probe until its lease ends", probe.worker))?;
    fleet.kill(&probe.worker).await?;
    check(probe.at.elapsed() < LONGEST_CALL, "it is killed before it has an answer, or gives up")?;
    service.becomes(Mood::Answers);
    let next = first_arrival(&service, before + 1).await?;
    check(next.at - probe.at + LATE >= HOLD, "nobody takes over before the lease has ended")?;
    fleet.all_say("answered", "").await?;
    let (waited, lease) = (seconds(next.at - probe.at), seconds(HOLD));
    remark(&format!("{} took over after {waited}; the lease was for {lease}", next.worker))?;

    title("Redis is killed: each goes on alone")?;
    redis.kill();
    fleet.all_say("answered, without the store", "").await?;

    title("Redis is started again")?;
    redis.restart().await?;
    fleet.all_say("answered", "").await?;

    remark("all of this took place as it says")
}

async fn first_arrival(service: &Service, since: usize) -> Result<Arrival, Box<dyn Error>> {
    let deadline = Instant::now() + COOLDOWN + HOLD + 10 * LATE;
    while Instant::now() < deadline {
        if let Some(first) = service.arrivals(since).first() {
            return Ok(first.clone());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Err("nobody calls any more".into())
}

fn check(is_so: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if is_so { Ok(()) } else { Err(format!("this did not take place: {what}").into()) }
}

fn remark(text: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(anstream::stdout(), "         {text}")?)
}
