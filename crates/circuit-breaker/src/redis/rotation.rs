//! The rotation that workers share through Redis.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use redis::{Value, from_redis_value};

use super::script::{Arg, Invocation, Rules, Script, script};
use super::shared::Shared;
use super::store::RedisStore;
use crate::rotation::{Rotation, RotationError};
use crate::store::{OnOutage, TURNS_LAST, alone};

const KEYS: &[&str] = &["t"];
static NEXT: Script = script!(KEYS, "rotation/next.lua");
static RESET: Script = script!(KEYS, "rotation/reset.lua");

/// A rotation whose turns are shared by all workers that use the same store, prefix and keys. Turns are forgotten when a
/// key was not used for thirty days.
///
/// While the store is out of reach it says so, unless [told otherwise](Self::on_outage). A turn whose answer does not
/// arrive in time may be taken all the same: turns are never given twice, and one may be left out then.
pub struct RedisRotation {
    shared: Arc<Shared>,
    on_outage: OnOutage,
}

impl RedisRotation {
    /// A rotation for all who share the store.
    pub fn new(store: &RedisStore) -> Self {
        Self { shared: Arc::clone(store.shared()), on_outage: OnOutage::FailClosed }
    }

    /// Says what to answer while the store is out of reach: [`OnOutage::FailClosed`] unless set, which is
    /// [`RotationError::StoreUnavailable`]. Otherwise, turns are drawn at random.
    pub const fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    async fn run(&self, script: &'static Script, key: &str) -> Option<Value> {
        let lasts = Arg::Number(u64::try_from(TURNS_LAST.as_millis()).unwrap_or(u64::MAX));
        self.shared.run(&Invocation::new(script, self.shared.key(key), Rules::default(), [lasts])).await.ok()
    }
}

#[async_trait]
impl Rotation for RedisRotation {
    async fn next(&self, key: &str) -> Result<u64, RotationError> {
        let answer = self.run(&NEXT, key).await;
        match answer.and_then(|turn| from_redis_value(turn).ok()) {
            Some(turn) => Ok(turn),
            None => alone(self.on_outage),
        }
    }

    async fn reset(&self, key: &str) -> Result<(), RotationError> {
        self.run(&RESET, key).await.map(drop).ok_or(RotationError::StoreUnavailable)
    }

    /// Others use the same connection, which closes with the last of them.
    async fn close(&self) {}
}

impl fmt::Debug for RedisRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRotation")
            .field("store", self.shared.store.name())
            .field("on_outage", &self.on_outage)
            .finish_non_exhaustive()
    }
}
