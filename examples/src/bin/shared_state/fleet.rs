//! The workers, each a process of its own, and what they say.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use llm_examples::{Paint, seconds};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Whatever takes longer does not happen.
const LIMIT: Duration = Duration::from_secs(15);

/// Several workers.
pub(crate) struct Fleet {
    workers: BTreeMap<&'static str, Child>,
    board: Arc<Board>,
}

/// What each worker said last.
struct Board {
    said: Mutex<BTreeMap<&'static str, String>>,
    changed: Notify,
    start: Instant,
}

impl Fleet {
    /// Starts this program again, once for each of them.
    pub(crate) fn start(names: &[&'static str], redis: &str, service: SocketAddr) -> io::Result<Self> {
        let board = Board { said: Mutex::default(), changed: Notify::new(), start: Instant::now() };
        let mut fleet = Self { workers: BTreeMap::new(), board: Arc::new(board) };
        for name in names {
            let mut worker = Command::new(std::env::current_exe()?)
                .args(["worker", name, redis, &service.to_string()])
                // It ends when this is closed, whatever becomes of us.
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            if let Some(output) = worker.stdout.take() {
                tokio::spawn(Arc::clone(&fleet.board).listen(name, output));
            }
            fleet.workers.insert(name, worker);
        }
        Ok(fleet)
    }

    /// Kills a worker (SIGKILL): it has no time to say or give back anything.
    pub(crate) async fn kill(&mut self, name: &str) -> Result<(), Box<dyn Error>> {
        let mut worker = self.workers.remove(name).ok_or("there is no such worker")?;
        worker.kill().await?;
        self.board.said.lock().remove(name);
        Ok(())
    }

    /// Waits until every worker, but this one, has said this last.
    pub(crate) async fn all_say(&self, what: &str, but: &str) -> Result<(), Box<dyn Error>> {
        let all = || {
            let said = self.board.said.lock();
            let mut others = self.workers.keys().filter(|name| **name != but);
            others.all(|name| said.get(name).is_some_and(|last| last == what))
        };
        let told = timeout(LIMIT, async {
            loop {
                let changed = self.board.changed.notified();
                if all() {
                    return;
                }
                changed.await;
            }
        });
        told.await.map_err(|_| format!("they have not all come to say `{what}`").into())
    }
}

impl Board {
    async fn listen(self: Arc<Self>, name: &'static str, output: ChildStdout) {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let color = match &line {
                line if line.starts_with("answered") => AnsiColor::Green,
                line if line.starts_with("failed") => AnsiColor::Red,
                _ => AnsiColor::Yellow,
            };
            let time = seconds(self.start.elapsed());
            let _ = writeln!(anstream::stdout(), "{time:>7}  {name}  {}", Paint(color.on_default(), &line));
            // What is in brackets is said beside.
            if !line.starts_with('(') {
                self.said.lock().insert(name, line);
                self.changed.notify_waiters();
            }
        }
    }
}

pub(crate) fn title(text: &str) -> io::Result<()> {
    writeln!(anstream::stdout(), "\n{}", Paint(Style::new().bold(), text))
}
