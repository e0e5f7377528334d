//! Tries rules: several at a time, each within its time, and again where the machine was too slow to tell.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures::{FutureExt, StreamExt, stream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::pace::Pace;
use super::summary::{Finding, Summary, Verdict, broken};

/// A rule at work on a harness `H`.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A rule: its name, and what tries it.
pub(super) type Rule<H> = (&'static str, for<'a> fn(&'a H, Pace) -> Running<'a>);

/// Most of a rule's time is spent asleep.
const AT_ONCE: usize = 8;
const ATTEMPTS: u32 = 6;

/// Tries every rule.
pub(super) async fn all<H: Sync + ?Sized>(
    contract: &'static str,
    rules: &[Rule<H>],
    harness: &H,
    pace: Pace,
) -> Summary {
    let mut summary = Summary::new(contract);
    let running = rules.iter().map(|(name, rule)| async move { (*name, one(*rule, harness, pace).await) });
    // Collected first, as a closure that borrows from what a stream yields is too much for the compiler.
    let running: Vec<_> = running.collect();
    let mut done = stream::iter(running).buffered(AT_ONCE);
    let mut unready = Vec::new();
    while let Some((name, verdict)) = done.next().await {
        match verdict {
            Err(Finding::Unready(_)) => unready.push((name, verdict)),
            _ => summary.note(name, verdict),
        }
    }
    for (name, verdict) in unready {
        summary.note(name, verdict);
    }
    summary
}

async fn one<H: Sync + ?Sized>(
    rule: for<'a> fn(&'a H, Pace) -> Running<'a>,
    harness: &H,
    mut pace: Pace,
) -> Verdict {
    let mut attempt = 1;
    loop {
        let trial = AssertUnwindSafe(rule(harness, pace)).catch_unwind();
        let verdict = match timeout(pace.limit(), trial).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => broken("the backend panicked"),
            Err(_) => broken(format!("it came to no end within {:?}", pace.limit())),
        };
        match verdict {
            Err(Finding::Late(_)) if attempt < ATTEMPTS => (pace, attempt) = (pace.slower(), attempt + 1),
            Err(Finding::Late(what)) => {
                return Err(Finding::Late(format!("too slow to tell, also with {:?}: {what}", pace.unit)));
            }
            verdict => return verdict,
        }
    }
}

/// Runs them side by side, in as many threads as the runtime has.
pub(super) async fn together<T: Send + 'static>(
    all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Verdict<Vec<T>> {
    let mut tasks: JoinSet<T> = all.into_iter().collect();
    let mut done = Vec::new();
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(output) => done.push(output),
            Err(_) => return broken("the backend panicked"),
        }
    }
    Ok(done)
}

/// A single call to the backend.
pub(super) async fn within<T>(pace: Pace, call: impl Future<Output = T>) -> Verdict<T> {
    match timeout(pace.patience, call).await {
        Ok(output) => Ok(output),
        Err(_) => broken(format!("a call has not ended after {:?}", pace.patience)),
    }
}

/// Waits until what was told has reached the store, and then until nobody answers from what was before. A flush that
/// does not end is for a rule of its own.
pub(super) async fn sync(pace: Pace, flush: impl Future<Output = ()>) {
    let _ = timeout(pace.patience, flush).await;
    if !pace.staleness.is_zero() {
        sleep(pace.staleness).await;
    }
}

/// Runs it where there is no runtime, as what is dropped may be dropped anywhere.
pub(super) fn elsewhere(run: impl FnOnce() + Send + 'static) -> Verdict {
    match std::thread::spawn(run).join() {
        Ok(()) => Ok(()),
        Err(_) => broken("it panicked in a thread without a runtime"),
    }
}

/// Keys that are easily taken for one another, in pairs.
pub(super) fn look_alikes() -> Vec<[String; 2]> {
    let long = "k".repeat(64 * 1024);
    let pairs = [
        ("", " "),
        ("key", "KEY"),
        ("key ", "key\n"),
        ("key\nline", "key\0line"),
        ("{a}b", "{a}c"),
        ("a}{b", "a{}b"),
        ("a:b", "a::b"),
        ("a/../b", "b"),
        ("*", "?"),
        ("caf\u{e9}", "cafe\u{301}"),
        ("世界", "世堺"),
        ("%20", "+"),
    ];
    let mut pairs: Vec<_> = pairs.map(|(one, other)| [one.to_owned(), other.to_owned()]).into();
    pairs.push([format!("{long}a"), format!("{long}b")]);
    pairs.push([format!("a{long}"), format!("b{long}")]);
    pairs
}

/// A key as a message shows it.
pub(super) fn shown(key: &str) -> String {
    if key.len() > 40 { format!("a key of {} bytes", key.len()) } else { format!("the key {key:?}") }
}
