//! Plays the calls of a case, and keeps what came of each.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use llm_protocol::StreamEvent;
use llm_reliability::{InputError, Report, ResilientClient, StreamError, llm_protocol};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::stage::{Entry, Stage, as_call, call};
use crate::world::{Ask, Kind, ms};

/// What a call came to.
#[derive(Debug)]
pub(crate) enum Came {
    Report(Box<Report>),
    Refused(InputError),
    /// Its caller went away.
    Dropped,
}

/// What a reader had of a stream.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) events: Vec<StreamEvent>,
    /// How it ended, if it was read so far.
    pub(crate) end: Option<Result<(), StreamError>>,
    /// When the stream was there to be read.
    pub(crate) since: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) ask: Ask,
    pub(crate) started: Instant,
    pub(crate) over: Instant,
    pub(crate) came: Came,
    pub(crate) read: Read,
}

impl Played {
    pub(crate) fn report(&self) -> Option<&Report> {
        match &self.came {
            Came::Report(report) => Some(report),
            _ => None,
        }
    }

    /// Whether whoever asked never kept the call waiting up to then.
    pub(crate) fn was_awaited(&self, until: Instant) -> bool {
        match self.ask.kind {
            Kind::Failover | Kind::FanOut => true,
            Kind::Stream { pause, .. } => pause == 0 || self.read.since.is_none_or(|since| until <= since),
            Kind::Panel { pause, .. } => pause == 0,
        }
    }

    pub(crate) fn is_failover(&self) -> bool {
        matches!(self.ask.kind, Kind::Failover | Kind::Stream { .. })
    }
}

/// All that happened, and all that came of it.
pub(crate) struct Story {
    pub(crate) stage: Stage,
    pub(crate) calls: Vec<Played>,
    pub(crate) log: Vec<Entry>,
}

pub(crate) async fn play(stage: Stage) -> Story {
    let mut calls = Vec::new();
    for (asks, afterwards) in stage.world.groups.clone() {
        let first = calls.len();
        let group = asks.into_iter().enumerate().map(|(at, ask)| one(&stage.client, first + at, ask));
        calls.extend(join_all(group).await);
        sleep(ms(afterwards)).await;
    }
    Story { log: stage.log.entries(), stage, calls }
}

async fn one(client: &ResilientClient, number: usize, ask: Ask) -> Played {
    sleep(ms(ask.after)).await;
    let started = Instant::now();
    let read = Arc::<Mutex<Read>>::default();
    let longest = ask.dropped.map_or(Duration::from_secs(1_000_000), ms);
    let doing = Box::pin(come(client, call(number, &ask), ask.kind.clone(), Arc::clone(&read)));
    let came = as_call(number, timeout(longest, doing)).await;
    let over = Instant::now();
    let read = std::mem::take(&mut *read.lock());
    Played { ask, started, over, came: came.unwrap_or(Came::Dropped), read }
}

async fn come(
    client: &ResilientClient,
    call: llm_reliability::Call,
    kind: Kind,
    read: Arc<Mutex<Read>>,
) -> Came {
    let report = match kind {
        Kind::Failover => client.failover(call).await,
        Kind::FanOut => client.fan_out(call).await,
        Kind::Panel { pause, stop } => match client.panel(call) {
            Ok(mut panel) => {
                let mut shown = 0;
                while stop != Some(shown) {
                    nap(pause).await;
                    if panel.next().await.is_none() {
                        break;
                    }
                    shown += 1;
                    assert!(panel.attempts().len() >= shown);
                }
                Ok(panel.into_report())
            }
            Err(error) => Err(error),
        },
        Kind::Stream { pause, stop } => {
            let mut stream = match client.failover_stream(call).await {
                Ok(stream) => stream,
                Err(error) => return Came::Refused(error),
            };
            read.lock().since = Some(Instant::now());
            loop {
                let read_so_far = read.lock().events.len();
                match stop {
                    Some((after, true)) if after == read_so_far => break,
                    Some((after, false)) if after == read_so_far => return Came::Dropped,
                    _ => nap(pause).await,
                }
                match stream.next().await {
                    Some(Ok(event)) => read.lock().events.push(event),
                    Some(Err(error)) => read.lock().end = Some(Err(error)),
                    None => {
                        read.lock().end.get_or_insert(Ok(()));
                        break;
                    }
                }
            }
            let (usage, cost) = (stream.usage(), stream.cost());
            let report = stream.into_report();
            assert_eq!(
                (report.usage(), report.cost()),
                (usage, cost),
                "what a stream tells is what its report says"
            );
            Ok(report)
        }
    };
    match report {
        Ok(report) => Came::Report(Box::new(report)),
        Err(error) => Came::Refused(error),
    }
}

async fn nap(pause: u64) {
    if pause > 0 {
        sleep(ms(pause)).await;
    }
}
