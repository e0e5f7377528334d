//! What the parts cost that a breaker is made of.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use dashmap::DashMap;
use llm_benches::{Failure, Group, Maker, Row, Walk, each};
use parking_lot::Mutex;

use crate::shared::{KEYS, call, complete, keys, now};

pub(crate) fn group() -> Group {
    Group {
        title: "Floors: what a breaker is made of",
        rows: vec![
            Row::new("floor/loads", "two atomic loads of one word, and the call between them", loads),
            Row::new("floor/count", "an atomic load, the call, and a fetch_add on one counter", count),
            Row::new(
                "floor/loads-10k",
                "two atomic loads of one of 10,000 words on the heap, and the call between them",
                loads_10k,
            )
            .whole(KEYS),
            Row::new(
                "floor/dashmap-10k",
                "DashMap get by string among 10,000, and a clone of the Arc",
                dashmap_10k,
            )
            .whole(KEYS),
            Row::new("floor/mutex", "a parking_lot::Mutex locked, written and unlocked", mutex),
            Row::new("floor/box", "one ready future of an async_trait, boxed and polled", boxed),
            Row::new("floor/clock", "Instant::now()", clock),
        ],
    }
}

fn loads() -> Result<Maker, Failure> {
    let word = Arc::new(AtomicU64::new(1));
    each(move |_| {
        let word = Arc::clone(&word);
        move || {
            let word = black_box(&*word);
            let free = word.load(Ordering::Acquire) != 0;
            let fine = call().is_ok();
            free & fine & (word.load(Ordering::Acquire) != 0)
        }
    })
}

fn count() -> Result<Maker, Failure> {
    let word = Arc::new(AtomicU64::new(1));
    each(move |_| {
        let word = Arc::clone(&word);
        move || {
            let word = black_box(&*word);
            let free = word.load(Ordering::Acquire) != 0;
            let fine = call().is_ok();
            word.fetch_add(1, Ordering::AcqRel);
            free & fine
        }
    })
}

fn loads_10k() -> Result<Maker, Failure> {
    let words: Vec<_> = (0..KEYS).map(|_| Arc::new(AtomicU64::new(1))).collect();
    each(move |thread| {
        let mut words = Walk::new(words.clone(), thread);
        move || {
            let Some(word) = words.step() else { return false };
            let free = word.load(Ordering::Acquire) != 0;
            let fine = call().is_ok();
            free & fine & (word.load(Ordering::Acquire) != 0)
        }
    })
}

fn dashmap_10k() -> Result<Maker, Failure> {
    let keys = keys();
    let map: DashMap<_, _> = keys.iter().map(|key| (key.to_string(), Arc::new(1_u32))).collect();
    let map = Arc::new(map);
    each(move |thread| {
        let (map, mut keys) = (Arc::clone(&map), Walk::new(keys.clone(), thread));
        move || keys.step().and_then(|key| map.get(&**key).map(|value| Arc::clone(&value))).is_some()
    })
}

fn mutex() -> Result<Maker, Failure> {
    let count = Arc::new(Mutex::new(0_u64));
    each(move |_| {
        let count = Arc::clone(&count);
        move || {
            let mut count = black_box(&*count).lock();
            *count = count.wrapping_add(1);
            true
        }
    })
}

#[async_trait]
trait Ready: Send + Sync {
    async fn ready(&self, key: &str) -> bool;
}

struct Now;

#[async_trait]
impl Ready for Now {
    async fn ready(&self, key: &str) -> bool {
        !black_box(key).is_empty()
    }
}

fn boxed() -> Result<Maker, Failure> {
    each(|_| {
        let ready: Arc<dyn Ready> = Arc::new(Now);
        move || complete(black_box(&ready).ready("key"))
    })
}

fn clock() -> Result<Maker, Failure> {
    each(|_| {
        let start = now();
        move || now() >= start
    })
}
