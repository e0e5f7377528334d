//! Load: so many calls, so many of them at once, and what they took.

use std::fs::{read_dir, read_to_string};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::yield_now;
use std::time::Duration;

use llm_benches::{Failure, percentile};
use tokio::task::JoinSet;

use crate::row::{Row, now};
use crate::server::Servers;

/// A store that is not used is tried now and then, by a script: those of the other rows, while this one runs.
const TRIED: u64 = 16;

/// What a row did in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    /// Microseconds of a call from beginning to end.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) calls_per_second: f64,
    /// Microseconds of the processor for a call, of all threads, in the system's part too; not a number where the system
    /// does not tell.
    pub(crate) cpu: f64,
    /// Bytes of commands for a call.
    pub(crate) bytes: f64,
}

/// Makes so many calls. It fails where any of them does, and where the Redis was asked something else than it should.
pub(crate) async fn slice(
    row: &Row,
    at_once: usize,
    calls: u32,
    servers: &Servers,
) -> Result<Slice, Failure> {
    let before = servers.seen().await?;
    let (start, cpu) = (now(), cpu_time());
    let mut took = run(row, at_once, calls).await?;
    let cpu = cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    let elapsed = start.elapsed();
    let after = servers.seen().await?;
    let scripts = after.scripts - before.scripts;
    let expected = row.scripts * u64::from(calls);
    if !(expected..=expected + TRIED).contains(&scripts) {
        return Err(format!("{calls} calls ran {scripts} scripts").into());
    }
    took.sort_unstable();
    let took: Vec<_> = took.into_iter().map(microseconds).collect();
    let calls = f64::from(calls.max(1));
    #[expect(clippy::cast_precision_loss, reason = "far below where it would")]
    let bytes = (after.bytes - before.bytes) as f64 / calls;
    Ok(Slice {
        p50: percentile(&took, 50).unwrap_or_default(),
        p99: percentile(&took, 99).unwrap_or_default(),
        calls_per_second: calls / elapsed.as_secs_f64(),
        cpu: cpu.map_or(f64::NAN, |cpu| microseconds(cpu) / calls),
        bytes,
    })
}

/// Makes so many calls, waits until everything they left behind has arrived, and says how long each took.
pub(crate) async fn run(row: &Row, at_once: usize, calls: u32) -> Result<Vec<Duration>, Failure> {
    let left = Arc::new(AtomicU32::new(calls));
    let took = if at_once == 1 {
        Arc::clone(&row.work).work(left).await?
    } else {
        let mut workers = JoinSet::new();
        for _ in 0..at_once {
            workers.spawn(Arc::clone(&row.work).work(Arc::clone(&left)));
        }
        let mut took = Vec::new();
        while let Some(worker) = workers.join_next().await {
            took.append(&mut worker??);
        }
        took
    };
    Arc::clone(&row.work).finish().await?;
    Ok(took)
}

pub(crate) fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What all threads of this process had of the processor. The system brings a thread's account up to date when it gives
/// the processor away, so this offers to.
fn cpu_time() -> Option<Duration> {
    yield_now();
    let threads = read_dir("/proc/self/task").ok()?;
    let spent = threads.map(|thread| {
        let account = read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        account.split(' ').next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(spent.sum::<Option<u64>>()?))
}
