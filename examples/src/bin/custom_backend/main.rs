//! A circuit-breaker backend of one's own: three workers share their circuits in a table, and one of them dies with the
//! probe in its hands.
//!
//! `cargo run --bin custom_backend` needs nothing but a terminal. The backend is in `backend.rs`, its states in
//! `row.rs`, its store in `table.rs`; `examples/tests/custom_backend.rs` puts it through the contract that every backend
//! keeps to.

mod backend;
mod row;
mod table;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use circuit_breaker::{CallError, Circuit, State, Verdict};
use llm_examples::{Paint, seconds};
use tokio::time::{Instant, sleep};

use crate::backend::TableBreaker;
use crate::row::Rules;
use crate::table::Table;

const COOLDOWN: Duration = Duration::from_secs(1);
/// How long a probe keeps its slot that is heard of no more. Longer than any call takes.
const HOLD: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let table = Arc::new(Table::default());
    let rules = Rules { failures: 3, cooldown: COOLDOWN, probes: 1, hold: HOLD };
    // In three processes, in life.
    let worker = |name| {
        let breaker = TableBreaker::start(Arc::clone(&table), rules.clone());
        Worker { name, circuit: Circuit::new(breaker, "mail"), start: Instant::now() }
    };
    let [ann, bob, cem] = ["ann", "bob", "cem"].map(worker);
    writeln!(
        anstream::stdout(),
        "{}",
        Paint(Style::new().dimmed(), "   time  worker  circuit    what came of it")
    )?;

    ann.calls(Ok("delivered")).await?;
    let Ok(from_before) = bob.circuit.admit().await else { return Ok(()) };

    // The mail server goes down. Each worker sees one failure, and together they have seen enough.
    for worker in [&ann, &bob, &cem] {
        worker.calls(Err("the server is down")).await?;
    }
    for worker in [&ann, &bob] {
        worker.calls(Ok("delivered")).await?;
    }

    // It is up again, which somebody has to find out.
    sleep(COOLDOWN).await;
    if let Ok(probe) = bob.circuit.admit().await {
        // As when its machine loses power: nobody settles the permit, and nothing is dropped.
        std::mem::forget(probe);
        bob.tells(AnsiColor::Red, "goes out as the probe, and is never heard of again").await?;
    }
    cem.calls(Ok("delivered")).await?;
    sleep(HOLD).await;
    cem.calls(Ok("delivered, as the probe")).await?;

    // A call from before the outage comes to its end only now: it says nothing about today.
    from_before.settle(Verdict::Failure);
    bob.tells(AnsiColor::Yellow, "a call from before the outage has failed, which changes nothing").await?;
    ann.calls(Ok("delivered")).await
}

/// One of several that share a circuit.
struct Worker {
    name: &'static str,
    circuit: Circuit,
    start: Instant,
}

impl Worker {
    /// Calls the server, if the circuit lets it, and gets this answer.
    async fn calls(&self, answer: Result<&str, &str>) -> io::Result<()> {
        match self.circuit.call(async { answer }, Verdict::of).await {
            Ok(answer) => self.tells(AnsiColor::Green, answer).await,
            Err(CallError::Failed(error)) => self.tells(AnsiColor::Red, error).await,
            Err(CallError::CircuitOpen { reason, retry_after, .. }) => {
                let again = retry_after.map(|delay| format!(", try again in {}", seconds(delay)));
                let text = format!("not sent: {reason}{}", again.unwrap_or_default());
                self.tells(AnsiColor::Yellow, text).await
            }
        }
    }

    async fn tells(&self, color: AnsiColor, what: impl fmt::Display) -> io::Result<()> {
        // So that the state is the one after this call. Programs need not wait for that.
        self.circuit.breaker().flush().await;
        let state = match self.circuit.status().await.state {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
        };
        let time = seconds(self.start.elapsed());
        let what = Paint(color.on_default(), what);
        writeln!(anstream::stdout(), "{time:>7}  {:<6}  {state:<9}  {what}", self.name)
    }
}
