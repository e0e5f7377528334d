//! Rotations with one flaw each, and the rules that find it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use circuit_breaker::testing::contract::{RotationHarness, check_rotation, examine_rotation};
use circuit_breaker::{Rotation, RotationError, async_trait};
use parking_lot::Mutex;

use crate::rules;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    BeginsWithOne,
    ReadsThenWrites,
    FoldsCase,
    RefusesLongKeys,
    ResetsToOne,
    ResetsAllKeys,
    ResetOfUnknownFails,
    HangsWhenClosed,
    SharesNothing,
    ClosesTheStore,
}

#[derive(Default)]
struct Store {
    turns: Mutex<HashMap<String, u64>>,
    closed: AtomicBool,
}

struct Sketch {
    flaw: Flaw,
    store: Arc<Store>,
    closed: AtomicBool,
}

impl Sketch {
    fn on(flaw: Flaw, store: Arc<Store>) -> Arc<dyn Rotation> {
        Arc::new(Self { flaw, store, closed: AtomicBool::new(false) })
    }

    async fn open(&self) -> Result<(), RotationError> {
        let store = self.flaw == Flaw::ClosesTheStore && self.store.closed.load(Ordering::Relaxed);
        if store || self.closed.load(Ordering::Relaxed) {
            if self.flaw == Flaw::HangsWhenClosed {
                std::future::pending::<()>().await;
            }
            return Err(RotationError::StoreUnavailable);
        }
        Ok(())
    }

    fn key(&self, key: &str) -> String {
        if self.flaw == Flaw::FoldsCase { key.to_lowercase() } else { key.to_owned() }
    }
}

#[async_trait]
impl Rotation for Sketch {
    async fn next(&self, key: &str) -> Result<u64, RotationError> {
        self.open().await?;
        if self.flaw == Flaw::RefusesLongKeys && key.len() > 250 {
            return Err(RotationError::StoreUnavailable);
        }
        let first = u64::from(self.flaw == Flaw::BeginsWithOne);
        let turn = self.store.turns.lock().get(&self.key(key)).copied().unwrap_or(first);
        if self.flaw == Flaw::ReadsThenWrites {
            tokio::task::yield_now().await;
        }
        self.store.turns.lock().insert(self.key(key), turn + 1);
        Ok(turn)
    }

    async fn reset(&self, key: &str) -> Result<(), RotationError> {
        self.open().await?;
        let mut turns = self.store.turns.lock();
        let known = turns.remove(&self.key(key)).is_some();
        match self.flaw {
            Flaw::ResetsToOne => _ = turns.insert(key.to_owned(), 1),
            Flaw::ResetsAllKeys => turns.clear(),
            Flaw::ResetOfUnknownFails if !known => return Err(RotationError::StoreUnavailable),
            _ => {}
        }
        Ok(())
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.store.closed.store(true, Ordering::Relaxed);
    }
}

struct Bench(Flaw);

#[async_trait]
impl RotationHarness for Bench {
    async fn rotation(&self) -> Arc<dyn Rotation> {
        Sketch::on(self.0, Arc::default())
    }

    async fn pair(&self) -> Option<[Arc<dyn Rotation>; 2]> {
        let store = Arc::<Store>::default();
        let other = if self.0 == Flaw::SharesNothing { Arc::default() } else { Arc::clone(&store) };
        Some([Sketch::on(self.0, store), Sketch::on(self.0, other)])
    }
}

const COUNTS: &str = "turns begin with zero, and each is one more";
const UNIQUE: &str = "however many ask at once, each turn is taken once";
const APART: &str = "any string is a key, and each has turns of its own";
const RESETS: &str = "after a reset turns begin with zero";
const CLOSES: &str = "what is asked after closing comes to an end";
const SHARES: &str = "clients share the turns";
const ALONE: &str = "one client's closing is not another's";

/// Each flaw, and every rule that it breaks.
const FLAWS: &[(Flaw, &[&str])] = &[
    (Flaw::BeginsWithOne, &[COUNTS, UNIQUE, APART, RESETS, SHARES, ALONE]),
    (Flaw::ReadsThenWrites, &[UNIQUE, SHARES]),
    (Flaw::FoldsCase, &[APART]),
    (Flaw::RefusesLongKeys, &[APART]),
    (Flaw::ResetsToOne, &[RESETS, SHARES]),
    (Flaw::ResetsAllKeys, &[RESETS]),
    (Flaw::ResetOfUnknownFails, &[RESETS]),
    (Flaw::HangsWhenClosed, &[CLOSES]),
    (Flaw::SharesNothing, &[SHARES, ALONE]),
    (Flaw::ClosesTheStore, &[ALONE]),
];

#[tokio::test(start_paused = true)]
async fn flawed_rotations_are_found_out() {
    let sound = check_rotation(&Bench(Flaw::None)).await;
    assert!(sound.skipped().is_empty(), "{sound}");
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for (flaw, expected) in FLAWS {
        let summary = examine_rotation(&Bench(*flaw)).await;
        assert_eq!(rules(summary.broken()), *expected, "{flaw:?}: {summary}");
        found.extend(*expected);
    }
    let never: Vec<_> = sound.passed().iter().filter(|rule| !found.contains(*rule)).collect();
    assert!(never.is_empty(), "no flaw breaks {never:?}");
}
