//! The limiter: what it costs to keep within a rate, ours and governor's.
//!
//! Both allow 100 a second with a burst that no run uses up, so that a key always has something to remember, and
//! nothing is refused.

use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use circuit_breaker::{Cost, InProcessLimiter, Limiter, Limits, LocalSlot, Quota, Rate};
use governor::RateLimiter;
use llm_benches::{Failure, Group, Maker, Row, Walk, each};

use crate::shared::{KEYS, complete, keys, names};

const A_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();
const BURST: NonZeroU32 = NonZeroU32::MAX;

pub(crate) fn group() -> Group {
    let direct = |row: Row| row.floor("floor/count").peer("governor/direct");
    let keyed = |row: Row| row.floor("floor/dashmap-10k").peer("governor/10k").whole(KEYS);
    Group {
        title: "The limiter, with room for every call",
        rows: vec![
            direct(Row::new(
                "ours/quota",
                "LocalQuota::admit and LocalSlot::settle with the cost as reserved; two clock readings",
                || ours(rate(), |slot| slot.settle(&Cost::REQUEST)),
            )),
            direct(Row::new(
                "ours/quota-drop",
                "LocalQuota::admit and its slot dropped, which gives back what was reserved; two clock readings",
                || ours(rate(), |slot| drop(slot)),
            )),
            direct(Row::new(
                "ours/quota-hint",
                "LocalQuota::admit and settle, no rate: only retry hints are followed",
                || ours(Limits::default(), |slot| slot.settle(&Cost::REQUEST)),
            )),
            keyed(Row::new(
                "ours/quota-10k",
                "Quota::admit (async, boxed, with a lease) and Slot::settle, by string among 10,000",
                || by_key(rate()),
            )),
            keyed(Row::new(
                "ours/quota-hint-10k",
                "ours/quota-10k, no rate: only retry hints are followed",
                || by_key(Limits::default()),
            )),
            Row::new("governor/direct", "governor: check, without a key; its own clock", governor_direct),
            Row::new("governor/keyed", "governor: check_key, one string; its own clock", || {
                governor_keyed(1)
            }),
            Row::new("governor/10k", "governor: check_key, by string among 10,000; its own clock", || {
                governor_keyed(usize::try_from(KEYS)?)
            })
            .whole(KEYS),
        ],
    }
}

fn rate() -> Limits {
    let rate = Rate::per_second(NonZeroU64::from(A_SECOND)).burst(NonZeroU64::from(BURST));
    Limits::default().requests(rate)
}

fn ours(
    limits: Limits,
    end: impl Fn(LocalSlot<'_>) + Copy + Send + Sync + 'static,
) -> Result<Maker, Failure> {
    let quota = Arc::new(InProcessLimiter::new(limits)).quota("provider/model");
    each(move |_| {
        let quota = quota.clone();
        move || black_box(&quota).admit(Cost::REQUEST).map(end).is_ok()
    })
}

fn by_key(limits: Limits) -> Result<Maker, Failure> {
    let limiter: Arc<dyn Limiter> = Arc::new(InProcessLimiter::new(limits));
    let quotas: Vec<_> = keys().into_iter().map(|key| Quota::new(Arc::clone(&limiter), key)).collect();
    each(move |thread| {
        let mut quotas = Walk::new(quotas.clone(), thread);
        move || {
            let Some(quota) = quotas.step() else { return false };
            complete(async {
                let Ok(slot) = quota.admit(Cost::REQUEST).await else { return false };
                slot.settle(&Cost::REQUEST);
                true
            })
        }
    })
}

const fn governor_quota() -> governor::Quota {
    governor::Quota::per_second(A_SECOND).allow_burst(BURST)
}

fn governor_direct() -> Result<Maker, Failure> {
    let limiter = Arc::new(RateLimiter::direct(governor_quota()));
    each(move |_| {
        let limiter = Arc::clone(&limiter);
        move || black_box(&*limiter).check().is_ok()
    })
}

fn governor_keyed(count: usize) -> Result<Maker, Failure> {
    let limiter = Arc::new(RateLimiter::keyed(governor_quota()));
    let keys: Vec<_> = names().take(count).collect();
    for key in &keys {
        limiter.check_key(key).map_err(|refused| refused.to_string())?;
    }
    each(move |thread| {
        let (limiter, mut keys) = (Arc::clone(&limiter), Walk::new(keys.clone(), thread));
        move || keys.step().is_some_and(|key| limiter.check_key(key).is_ok())
    })
}
