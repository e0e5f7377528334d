//! Tries rules: as many at a time as the harness says, each within its time, and again where the machine was too slow to tell.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures::{FutureExt, StreamExt, poll, stream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::pace::Pace;
use super::summary::{Finding, Summary, Verdict, broken, require};

/// A rule at work on a harness `H`.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A rule: its name, and what tries it.
pub(super) type Rule<H> = (&'static str, for<'a> fn(&'a H, Pace) -> Running<'a>);

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
    let mut done = stream::iter(running).buffered(pace.at_once.max(1));
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
            Ok(Err(panic)) => broken(panicked(&*panic)),
            Err(_) => broken(format!("it came to no end within {:?}", pace.limit())),
        };
        match verdict {
            Err(Finding::Late(_)) if attempt < ATTEMPTS => (pace, attempt) = (pace.slower(), attempt + 1),
            Err(Finding::Late(what)) => {
                return Err(Finding::Late(format!("also with {:?}: {what}", pace.unit)));
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
            Err(error) => match error.try_into_panic() {
                Ok(panic) => return broken(panicked(&*panic)),
                Err(error) => return broken(error.to_string()),
            },
        }
    }
    Ok(done)
}

/// A panic in its own words, as it may be the backend's or the harness's.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.map_or_else(|| "it panicked".to_owned(), |text| format!("it panicked: {text}"))
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
        Err(panic) => broken(format!("in a thread without a runtime, {}", panicked(&*panic))),
    }
}

/// So often something is told, to find out how long its caller is held up.
pub(super) const TOLD: u32 = 16;
/// Takes a thousandth of it where nothing is waited for.
const BLOCKED: Duration = Duration::from_millis(1);

/// How long the caller is held up at least, in real time, told [`TOLD`] times. The shortest time counts, so that it is
/// all the same what else the machine has to do.
pub(super) fn unblocked(what: &str, calls: impl IntoIterator<Item = impl FnOnce()>) -> Verdict {
    let least = calls.into_iter().map(took).min().unwrap_or_default();
    require(least < BLOCKED, || format!("{what} holds its caller up for {least:?} each time, or longer"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is a thread that is held up, whatever the runtime's clock says"
)]
fn took(call: impl FnOnce()) -> Duration {
    let began = std::time::Instant::now();
    call();
    began.elapsed()
}

/// Polls that a future is dropped after.
const POLLS: [u32; 6] = [0, 1, 2, 4, 16, 64];
/// Eighths of a round trip that a future is dropped after.
const EIGHTHS: [u32; 4] = [1, 3, 5, 7];

/// How far a call gets whose caller goes away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// It has been polled so often. The runtime has a turn in between, so that sockets get on.
    Polls(u32),
    /// So much time has passed, for what waits on a timer, or for a network.
    Passed(Duration),
}

impl Until {
    /// Points within a round trip that takes about so long, where it takes time.
    pub(super) fn points(round_trip: Duration) -> impl Iterator<Item = Self> {
        let eighths = EIGHTHS.into_iter().filter(move |_| !round_trip.is_zero());
        let passed = eighths.map(move |eighths| Self::Passed(round_trip * eighths / 8));
        POLLS.into_iter().map(Self::Polls).chain(passed)
    }

    /// Lets `call` get so far and drops it.
    pub(super) async fn drop<T>(self, call: impl Future<Output = T>) {
        match self {
            Self::Polls(polls) => {
                let mut call = pin!(call);
                for _ in 0..polls {
                    if poll!(call.as_mut()).is_ready() {
                        break;
                    }
                    yield_now().await;
                }
            }
            Self::Passed(span) => _ = timeout(span, call).await,
        }
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
