//! What the breaker does while its store is out of reach.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Core;
use super::scripts::View;
use crate::breaker::{Admission, Breaker, Settlement};
use crate::lease::{Ask, LeaseId};
use crate::refusal::{RejectReason, Rejection};
use crate::status::{Mode, State, Status};
use crate::store::OnOutage;

impl Core {
    /// An answer without the store, where that is lost and nothing has to be held.
    pub(super) fn try_stand_in(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        if !self.shared.is_down(key) {
            return None;
        }
        match self.on_outage.get() {
            OnOutage::LocalFallback => {
                if let Some(decided) = self.prepare(key) {
                    return Some(decided);
                }
                self.local.try_acquire(key).map(degraded)
            }
            OnOutage::FailOpen | OnOutage::FailClosed => Some(self.fixed(key)),
        }
    }

    /// An answer without the store.
    pub(super) async fn stand_in(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        match self.on_outage.get() {
            OnOutage::LocalFallback => {
                if let Some(decided) = self.prepare(key) {
                    return decided;
                }
                degraded(self.local.acquire(key, ask).await)
            }
            OnOutage::FailOpen | OnOutage::FailClosed => self.fixed(key),
        }
    }

    fn fixed(&self, key: &str) -> Result<Admission, Rejection> {
        let view = self.known.lock(key).get().and_then(|known| known.view);
        if let Some(decided) = view.and_then(|view| by_hand(view.mode)) {
            return decided;
        }
        match self.on_outage.get() {
            OnOutage::FailClosed => Err(Rejection::new(RejectReason::StoreUnavailable).with_degraded(true)),
            _ => Ok(Admission::closed(0).with_degraded(true)),
        }
    }

    /// Sees to it that the breaker that stands in knows what was known of this circuit when the store went away. What a
    /// person decided holds on.
    fn prepare(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        let outage = self.shared.outage(key);
        let mut place = self.known.lock(key);
        let known = self.there(&mut place)?;
        let view = known.view;
        if let Some(decided) = view.and_then(|view| by_hand(view.mode)) {
            return Some(decided);
        }
        // Where nothing is known, what the one who stands in has seen itself is better: this may have been forgotten only.
        let anything = view.is_some() || known.row > 0;
        if known.stood_in.replace(outage) != Some(outage) && anything {
            let rest = view.filter(|view| view.state != State::Closed).map(|view| rest(&view));
            let failures = if rest.is_some() { view.map_or(0, |view| view.failures) } else { known.row };
            self.local.take_over(key, rest, failures);
        }
        None
    }

    /// A call ended that was admitted without the store.
    pub(super) fn report_alone(
        self: &Arc<Self>,
        key: &str,
        held: Option<LeaseId>,
        admission: Admission,
        settlement: Settlement,
    ) {
        let view = self.known.lock(key).get().and_then(|known| known.view);
        let automatic = view.is_none_or(|view| view.mode == Mode::Automatic);
        if self.on_outage.get() == OnOutage::LocalFallback && automatic {
            let opened = self.local.settle_alone(key, held, &admission, &settlement);
            self.publish(key, opened);
        }
    }

    /// Whether another decides about this circuit now, and not a person. It then knows what is known of it.
    pub(super) fn stands_in(&self, key: &str) -> bool {
        self.on_outage.get() == OnOutage::LocalFallback
            && self.shared.is_down(key)
            && self.prepare(key).is_none()
    }

    /// A call ended that was admitted with the store, which is lost now. The store hears of it when it is back; who stands
    /// in hears of it now.
    pub(super) fn also_alone(self: &Arc<Self>, key: &str, settlement: Settlement) {
        if let Some(Ok(admission)) = self.local.try_acquire(key) {
            let opened = self.local.settle_alone(key, None, &admission, &settlement);
            self.publish(key, opened);
        }
    }

    pub(super) fn give_back_alone(&self, key: &str, held: LeaseId, admission: Admission) {
        if self.on_outage.get() == OnOutage::LocalFallback {
            self.local.abandon(key, held, Some(admission));
        }
    }

    /// What opened without the store is opened in it when it is back, for the rest of its time.
    fn publish(self: &Arc<Self>, key: &str, opened: Option<u32>) {
        let Some(failures) = opened else { return };
        let epoch = self.known.lock(key).get().and_then(|known| known.view).map_or(0, |view| view.epoch);
        self.post_trip(key, self.trip(key, failures, epoch));
    }

    pub(super) async fn status_alone(&self, key: &str) -> Status {
        let view = self.known.lock(key).get().and_then(|known| known.view);
        let status = match view {
            Some(view) if view.mode != Mode::Automatic => {
                Status::new(view.state(), view.failures).with_mode(view.mode)
            }
            _ if self.on_outage.get() != OnOutage::LocalFallback => Status::default(),
            _ => {
                self.prepare(key);
                self.local.status(key).await
            }
        };
        status.with_degraded(true)
    }
}

/// What a person decided holds on without the store.
fn by_hand(mode: Mode) -> Option<Result<Admission, Rejection>> {
    match mode {
        Mode::Automatic => None,
        Mode::ForcedOpen => Some(degraded(Err(Rejection::new(RejectReason::ForcedOpen)))),
        Mode::ForcedClosed | Mode::Disabled => Some(Ok(Admission::closed(0).with_degraded(true))),
    }
}

fn rest(view: &View) -> Duration {
    view.until.saturating_duration_since(Instant::now())
}

fn degraded(answer: Result<Admission, Rejection>) -> Result<Admission, Rejection> {
    answer.map(|admission| admission.with_degraded(true)).map_err(|rejection| rejection.with_degraded(true))
}
