//! Asking a store without ever being held up by it: a timeout on every call, one strike, and probes in the background.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

pub(crate) use super::lane::Phase;
use super::lane::{Lane, Probing};
use super::{Listener, StoreCause, StoreEvent};

/// How a store is connected to. One connection serves all calls, side by side.
#[async_trait]
pub(crate) trait Link: Send + Sync + 'static {
    type Connection: Clone + Send + Sync;

    /// A new connection. `current` is what served before and may do so again, where that mends itself.
    async fn connect(&self, current: Option<Self::Connection>) -> Result<Self::Connection, Failure>;

    /// Tries whether calls of this lane would be served, also those that write.
    async fn probe(&self, connection: &Self::Connection, lane: usize) -> Result<(), Failure>;

    /// How many parts fail and recover apart from each other.
    fn lanes(&self) -> usize {
        1
    }
}

/// Why a call was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The store, or this part of it, is of no use now.
    Lost(StoreCause),
    /// This call alone went wrong.
    Refused,
}

/// There is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unavailable {
    /// The request may have reached the store all the same.
    pub(crate) sent: bool,
    /// The store is there, and will not do this.
    pub(crate) refused: bool,
}

/// A store behind its guards.
pub(crate) struct Store<L: Link> {
    link: L,
    name: Arc<str>,
    lanes: Box<[Arc<Lane>]>,
    connection: Mutex<Option<L::Connection>>,
    /// Where background work runs: wherever the store was last asked that had none.
    runtime: Mutex<Option<Handle>>,
    timeout: Duration,
    listener: Listener,
}

/// To connect, nobody waits longer than for anything else, but the attempt goes on for so long.
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl<L: Link> Store<L> {
    pub(crate) fn new(link: L, name: Arc<str>, timeout: Duration, listener: Listener) -> Self {
        let lanes = std::iter::repeat_with(|| Arc::new(Lane::new())).take(link.lanes().max(1)).collect();
        let (connection, runtime) = (Mutex::new(None), Mutex::new(None));
        Self { link, name, lanes, connection, runtime, timeout, listener }
    }

    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn tell(&self, event: &StoreEvent) {
        self.listener.tell(event);
    }

    /// Whether calls of this lane are not even tried. Whoever asks sees to it that it is probed.
    pub(crate) fn is_down(self: &Arc<Self>, lane: usize) -> bool {
        let down = self.lane(lane).is_some_and(|lane| lane.phase() == Phase::Down);
        if down {
            self.probe_if_idle(lane);
        }
        down
    }

    pub(crate) fn is_any_down(&self) -> bool {
        self.lanes.iter().any(|lane| lane.phase() == Phase::Down)
    }

    /// Grows each time that this lane recovers.
    pub(crate) fn recoveries(&self, lane: usize) -> u64 {
        self.lane(lane).map_or(0, |lane| lane.recoveries())
    }

    /// Ends when this lane is in use, for the first time or again, or never will be.
    pub(crate) fn up(self: &Arc<Self>, lane: usize) -> impl Future<Output = ()> + Send + use<L> {
        let phase = self.lane(lane).map(|lane| lane.watch());
        self.probe_if_idle(lane);
        async move {
            if let Some(mut phase) = phase {
                // An error says that the store is not in use by anybody any more.
                let _ = phase.wait_for(|phase| *phase == Phase::Up).await;
            }
        }
    }

    /// Runs `call` on the connection, within the timeout. While the lane is down it is not run, and it is given up as
    /// soon as another call finds that the lane is.
    pub(crate) async fn call<T, F>(
        self: &Arc<Self>,
        lane: usize,
        call: impl FnOnce(L::Connection) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let unsent = Unavailable { sent: false, refused: false };
        let Some(state) = self.lane(lane) else { return Err(unsent) };
        let mut phase = state.watch();
        let seen = *phase.borrow_and_update();
        if seen != Phase::Up {
            self.probe_if_idle(lane);
        }
        if seen == Phase::Down {
            return Err(unsent);
        }
        let mut since = state.recoveries();
        let mut sent = false;
        let served = async {
            if seen == Phase::Unknown && phase.wait_for(|phase| *phase != Phase::Unknown).await.is_err() {
                return None;
            }
            let connection = self.connection.lock().clone()?;
            (sent, since) = (true, state.recoveries());
            let lost = phase.wait_for(|phase| *phase == Phase::Down);
            tokio::select! {
                biased;
                answer = call(connection) => Some(answer),
                _ = lost => None,
            }
        };
        match timeout(self.timeout, served).await {
            Ok(Some(Ok(answer))) => return Ok(answer),
            Ok(Some(Err(Failure::Lost(cause)))) => self.lose(lane, since, cause),
            Ok(Some(Err(Failure::Refused))) => return Err(Unavailable { sent: false, refused: true }),
            Ok(None) => {}
            Err(_) if sent => self.lose(lane, since, StoreCause::Timeout),
            Err(_) => self.lose(lane, since, StoreCause::NotConnected),
        }
        Err(Unavailable { sent, refused: false })
    }

    fn lane(&self, lane: usize) -> Option<&Arc<Lane>> {
        self.lanes.get(lane)
    }

    fn lose(self: &Arc<Self>, lane: usize, since: u64, cause: StoreCause) {
        if self.lane(lane).is_some_and(|lane| lane.fail(since)) {
            self.tell(&StoreEvent::Lost { store: Arc::clone(&self.name), cause });
        }
        self.probe_if_idle(lane);
    }

    /// Sees to it that somebody finds out when the lane is up.
    fn probe_if_idle(self: &Arc<Self>, lane: usize) {
        let idle = self.lane(lane).filter(|lane| lane.phase() != Phase::Up);
        let Some(probing) = idle.and_then(Lane::claim) else { return };
        let store = Arc::downgrade(self);
        self.spawn(async move {
            let mut pause = FIRST_PAUSE;
            for attempt in 0_u32.. {
                let Some(store) = store.upgrade() else { return };
                // What mends itself is given a chance, and not more than one at a time.
                let current = if attempt % 2 == 0 { store.connection.lock().clone() } else { None };
                if store.probe(&probing, lane, current).await {
                    return;
                }
                drop(store);
                sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Whether the lane is up again.
    async fn probe(&self, probing: &Probing, lane: usize, current: Option<L::Connection>) -> bool {
        let attempt = async {
            let connection = self.link.connect(current).await?;
            self.link.probe(&connection, lane).await?;
            Ok::<_, Failure>(connection)
        };
        let Ok(Ok(connection)) = timeout(LONGEST_CONNECT.max(self.timeout), attempt).await else {
            return false;
        };
        // What served before may be dead without having noticed it.
        *self.connection.lock() = Some(connection);
        if probing.lane().recover() {
            self.tell(&StoreEvent::Back { store: Arc::clone(&self.name) });
        }
        true
    }

    /// Runs it in the background: here, or where the store was used before. Where there is no runtime at all nothing
    /// happens, until somebody comes by who has one.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut runtime = self.runtime.lock();
        if let Ok(here) = Handle::try_current() {
            *runtime = Some(here);
        }
        if let Some(runtime) = &*runtime {
            runtime.spawn(work);
        }
    }
}
