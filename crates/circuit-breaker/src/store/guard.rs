//! Asking a store without ever being held up by it: a timeout on every call, one strike, and probes in the background.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::health::Untold;
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
    /// What it is about is being moved: it may be sent again.
    #[cfg(feature = "redis")]
    NotNow,
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
    untold: Mutex<Untold>,
}

/// To connect, nobody waits longer than for anything else, but the attempt goes on for so long.
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
/// For so long a lane may be unused until it is tried. Those who close what is idle wait for a minute at least.
const IDLE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl<L: Link> Store<L> {
    pub(crate) fn new(link: L, name: Arc<str>, timeout: Duration, listener: Listener) -> Self {
        let lanes = std::iter::repeat_with(|| Arc::new(Lane::new())).take(link.lanes().max(1)).collect();
        let (connection, runtime, untold) = (Mutex::new(None), Mutex::new(None), Mutex::default());
        Self { link, name, lanes, connection, runtime, timeout, listener, untold }
    }

    #[cfg(feature = "redis")]
    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn tell(&self, event: &StoreEvent) {
        self.listener.tell(event);
    }

    /// Whether calls of this lane are not even tried. Whoever asks sees to it that it is probed.
    #[cfg(feature = "redis")]
    pub(crate) fn is_down(self: &Arc<Self>, lane: usize) -> bool {
        let down = self.lane(lane).is_some_and(|lane| lane.is_down());
        if down {
            self.probe_if_idle(lane);
        }
        down
    }

    pub(crate) fn is_any_down(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_down())
    }

    /// A number for each time that this lane is lost, and for each that it is not.
    #[cfg(feature = "redis")]
    pub(crate) fn era(&self, lane: usize) -> u64 {
        self.lane(lane).map_or(0, |lane| lane.era())
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
            // Which connection, and since when: both of the same moment.
            let (connection, recovered) = {
                let connection = self.connection.lock();
                (connection.clone()?, state.recoveries())
            };
            // Where it could not even be connected to, there is none, or one that is known to be of no use.
            if state.phase() == Phase::Down {
                return None;
            }
            (sent, since) = (true, recovered);
            // It may be up again before anybody came to see that it was down.
            let lost = phase.wait_for(|phase| *phase == Phase::Down || state.recoveries() != recovered);
            tokio::select! {
                biased;
                answer = call(connection) => Some(answer),
                _ = lost => None,
            }
        };
        match timeout(self.timeout, served).await {
            Ok(Some(Ok(answer))) => {
                state.serves();
                return Ok(answer);
            }
            Ok(Some(Err(Failure::Lost(cause)))) => self.lose(lane, since, cause),
            Ok(Some(Err(Failure::Refused))) => return Err(Unavailable { sent: false, refused: true }),
            #[cfg(feature = "redis")]
            Ok(Some(Err(Failure::NotNow))) => return Err(unsent),
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
        let mut untold = self.untold.lock();
        if self.lane(lane).is_some_and(|lane| lane.fail(since)) {
            untold.events.push_back(StoreEvent::Lost { store: Arc::clone(&self.name), cause });
        }
        drop(untold);
        self.tell_untold();
        self.probe_if_idle(lane);
    }

    fn tell_untold(&self) {
        let mut goes_on = false;
        loop {
            let event = self.untold.lock().next(goes_on);
            let Some(event) = event else { return };
            self.tell(&event);
            goes_on = true;
        }
    }

    /// Sees to it that somebody finds out when the lane is up.
    fn probe_if_idle(self: &Arc<Self>, lane: usize) {
        let idle = self.lane(lane).filter(|lane| lane.phase() != Phase::Up);
        let Some(probing) = idle.and_then(Lane::claim) else { return };
        let store = Arc::downgrade(self);
        self.spawn(async move {
            let relapses = probing.lane().relapses();
            let mut pause = FIRST_PAUSE.saturating_mul(1 << (relapses.clamp(1, 16) - 1)).min(LONGEST_PAUSE);
            if relapses > 0 {
                sleep(pause).await;
            }
            for attempt in 0_u32.. {
                let Some(store) = store.upgrade() else { return };
                // What mends itself is given a chance, and not more than one at a time.
                let current = if attempt % 2 == 0 { store.connection.lock().clone() } else { None };
                match store.probe(&probing, lane, current).await {
                    Ok(()) => {
                        store.keep_up(lane);
                        drop(probing);
                        // Whoever lost it again meanwhile left the probing to us.
                        return store.probe_if_idle(lane);
                    }
                    // Who waits for the first connection need not wait for the second.
                    Err(cause) if probing.lane().phase() == Phase::Unknown => {
                        store.lose(lane, probing.lane().recoveries(), cause);
                    }
                    Err(_) => {}
                }
                drop(store);
                sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Tries a lane now and then that nobody uses, so that neither a server nor whatever is in between closes its connection
    /// for that, and a broken one is noticed by nobody's call.
    fn keep_up(self: &Arc<Self>, lane: usize) {
        let Some(state) = self.lane(lane) else { return };
        let (mut phase, since) = (state.watch(), state.recoveries());
        let store = Arc::downgrade(self);
        self.spawn(async move {
            // It ends with the store, or when the lane is lost: who brings it up again does this anew.
            while timeout(IDLE, phase.wait_for(|phase| *phase != Phase::Up)).await.is_err() {
                let Some((store, state)) = store.upgrade().and_then(|store| {
                    let state = Arc::clone(store.lane(lane)?);
                    Some((store, state))
                }) else {
                    return;
                };
                if state.recoveries() != since {
                    return;
                }
                let connection = store.connection.lock().clone();
                if let Some(connection) = connection.filter(|_| state.idle() >= IDLE) {
                    let cause = match timeout(LONGEST_CONNECT, store.link.probe(&connection, lane)).await {
                        Ok(Err(Failure::Lost(cause))) => cause,
                        Ok(_) => continue,
                        Err(_) => StoreCause::Timeout,
                    };
                    return store.lose(lane, since, cause);
                }
            }
        });
    }

    /// Brings the lane up again, or says why it is not.
    async fn probe(
        &self,
        probing: &Probing,
        lane: usize,
        current: Option<L::Connection>,
    ) -> Result<(), StoreCause> {
        let attempt = async {
            let connection = self.link.connect(current).await?;
            self.link.probe(&connection, lane).await?;
            Ok::<_, Failure>(connection)
        };
        let connection = match timeout(LONGEST_CONNECT.max(self.timeout), attempt).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(Failure::Lost(cause))) => return Err(cause),
            Ok(Err(_)) => return Err(StoreCause::Refused("ERR".into())),
            Err(_) => return Err(StoreCause::NotConnected),
        };
        {
            // What served before may be dead without having noticed it.
            let mut current = self.connection.lock();
            *current = Some(connection);
            let mut untold = self.untold.lock();
            if probing.lane().recover() {
                untold.events.push_back(StoreEvent::Back { store: Arc::clone(&self.name) });
            }
        }
        self.tell_untold();
        Ok(())
    }

    /// Runs it in the background: here, or where the store was used before. Where there is no runtime at all nothing
    /// happens, until somebody comes by who has one.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let runtime = {
            let mut runtime = self.runtime.lock();
            if let Ok(here) = Handle::try_current() {
                *runtime = Some(here);
            }
            runtime.clone()
        };
        // Not under the lock: one that has ended drops the work, with all that this brings about.
        if let Some(runtime) = runtime {
            runtime.spawn(work);
        }
    }
}
