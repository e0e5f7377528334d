//! Streams that stand still: what each of a thousand costs in memory, and how long it takes to be rid of them. Each
//! measure has a process of its own, so that nothing is reused that an earlier one has left behind.

use std::fs::read_to_string;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use llm_adapters::HttpClient;
use llm_benches::Failure;
use llm_reliability::StreamMode;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::hand::Hand;
use crate::ours;
use crate::provider::Witness;
use crate::row::now;
use crate::wire::Model;

/// A kind of stream that stands still, and whose client holds it.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) peer: Option<&'static str>,
    model: Model,
}

pub(crate) const KINDS: [Kind; 4] = [
    Kind { id: "hand/silent", what: "the head has come", peer: None, model: Model::Silent },
    Kind {
        id: "ours/silent",
        what: "the head has come: failover_stream is still awaited",
        peer: Some("hand/silent"),
        model: Model::Silent,
    },
    Kind { id: "hand/stalled", what: "a token has come", peer: None, model: Model::Stalled },
    Kind {
        id: "ours/stalled",
        what: "a token has come, and was handed out by the stream",
        peer: Some("hand/stalled"),
        model: Model::Stalled,
    },
];

/// What one process measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// KiB of resident memory for each stream.
    pub(crate) kib: f64,
    /// Milliseconds from the beginning of their drop until the server has seen the end of the last connection.
    pub(crate) closed: f64,
}

/// Has a process of its own measure so many streams.
pub(crate) fn measure(kind: &Kind, server: SocketAddr, streams: usize) -> Result<Measured, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--hold", kind.id, "--server", &server.to_string(), "--streams", &streams.to_string()]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", kind.id, String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What that process does.
pub(crate) async fn hold(id: &str, server: SocketAddr, streams: usize) -> Result<(), Failure> {
    let kind = KINDS.iter().find(|kind| kind.id == id).ok_or("there is no such kind of stream")?;
    let mut witness = Witness::new(server).await?;
    let mut held = Streams::new(kind, server)?;

    // Whatever is made once is made now.
    held.open(2).await;
    settle(&mut witness, 2).await?;
    held.tasks.shutdown().await;
    settle(&mut witness, 0).await?;

    let before = resident()?;
    held.open(streams).await;
    settle(&mut witness, streams as u64).await?;
    let after = resident()?;

    let start = now();
    drop(held.tasks);
    while witness.ask().await?.open > 0 {
        // Nobody is to wait for ever for what is never closed.
        if start.elapsed() > PATIENCE {
            return Err("the connections stay open".into());
        }
    }
    let closed = start.elapsed().as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "far below where it would")]
    let kib = after.saturating_sub(before) as f64 / streams.max(1) as f64;
    let line = serde_json::to_string(&Measured { kib, closed })?;
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Longer than anything here takes, and shorter than any clock of a call.
const PATIENCE: Duration = Duration::from_secs(10);

struct Streams {
    tasks: JoinSet<()>,
    model: Model,
    by: By,
}

enum By {
    Hand(Arc<Hand>),
    Us(llm_reliability::ResilientClient),
}

impl Streams {
    fn new(kind: &Kind, server: SocketAddr) -> Result<Self, Failure> {
        let model = kind.model;
        let by = if kind.peer.is_none() {
            By::Hand(Arc::new(Hand::new(server)?))
        } else {
            By::Us(ours::client(&HttpClient::new()?, server, &[model], StreamMode::Auto)?)
        };
        Ok(Self { tasks: JoinSet::new(), model, by })
    }

    /// None of them ever ends by itself.
    async fn open(&mut self, streams: usize) {
        let model = self.model;
        for number in 0..streams {
            match &self.by {
                By::Hand(hand) => {
                    let hand = Arc::clone(hand);
                    self.tasks.spawn(async move { drop(hand.stream(model, |_| ()).await) });
                }
                By::Us(client) => {
                    let client = client.clone();
                    self.tasks.spawn(async move { drop(ours::stream(&client, |_| ()).await) });
                }
            }
            // Not more connections at once than the server's backlog has room for.
            if number % 64 == 63 {
                sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

/// Waits until the server sees so many connections, and this process has taken in what there is.
async fn settle(witness: &mut Witness, open: u64) -> Result<(), Failure> {
    let start = now();
    let (mut last, mut same) = (0, 0);
    while same < 4 {
        sleep(Duration::from_millis(20)).await;
        let resident = resident()?;
        let settled = resident == last && witness.ask().await?.open == open;
        (last, same) = (resident, if settled { same + 1 } else { 0 });
        if start.elapsed() > PATIENCE {
            let seen = witness.ask().await?.open;
            return Err(format!("{open} connections were to be open, and {seen} are").into());
        }
    }
    Ok(())
}

/// KiB of memory that this process has. The exact account, as the quick one lags behind.
fn resident() -> Result<u64, Failure> {
    let account = read_to_string("/proc/self/smaps_rollup")?;
    let line = account.lines().find_map(|line| line.strip_prefix("Rss:"));
    Ok(line.and_then(|line| line.split_whitespace().next()).ok_or("no Rss")?.parse()?)
}
