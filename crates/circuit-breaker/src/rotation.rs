//! What a rotation backend implements: whose turn it is, among those who share a store.

use std::fmt::Write;

use async_trait::async_trait;

/// Counts turns, so that those who share it begin with another candidate each time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), circuit_breaker::RotationError> {
/// use circuit_breaker::{InProcessRotation, Rotation, rotation_key};
///
/// let rotation = InProcessRotation::default();
/// let hosts = ["a.example", "b.example", "c.example"];
/// let key = rotation_key("hosts", hosts);
/// for turn in [0, 1, 2, 3] {
///     assert_eq!(rotation.next(&key).await?, turn);
///     let _host = hosts[turn as usize % hosts.len()];
/// }
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Rotation: Send + Sync + 'static {
    /// The number of turns taken under `key` so far, before this one: zero at first. Past the largest number, it begins
    /// again with zero.
    ///
    /// # Errors
    ///
    /// [`RotationError::StoreUnavailable`].
    ///
    /// # Cancellation
    ///
    /// A future that is dropped may have taken its turn, or not.
    async fn next(&self, key: &str) -> Result<u64, RotationError>;

    /// Starts again from zero under `key`.
    ///
    /// # Errors
    ///
    /// [`RotationError::StoreUnavailable`].
    async fn reset(&self, key: &str) -> Result<(), RotationError>;

    /// Gives up what it holds of its store, connections above all. What is asked afterwards may fail. A backend without
    /// a store has nothing to do.
    async fn close(&self) {}
}

/// Why a rotation does not tell whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The shared store did not answer.
    #[error("rotation store unavailable")]
    StoreUnavailable,
}

/// The key of a rotation among candidates: `prefix`, a colon, and a hash of their ids in their order, 32 hexadecimal
/// digits (FNV-1a with 128 bits, over each id and its length). It is the same in every process, on every machine and in
/// every version, and another set of candidates has a rotation of its own.
pub fn rotation_key<I: AsRef<[u8]>>(prefix: &str, ids: impl IntoIterator<Item = I>) -> String {
    let mut hash = Fnv::default();
    for id in ids {
        let id = id.as_ref();
        hash.write(id);
        // So that ["ab", "c"] is not ["a", "bc"].
        hash.write(&u64::try_from(id.len()).unwrap_or(u64::MAX).to_be_bytes());
    }
    let mut key = String::with_capacity(prefix.len() + 33);
    key.push_str(prefix);
    // Writing into a string does not fail.
    let _ = write!(key, ":{:032x}", hash.0);
    key
}

/// FNV-1a with 128 bits (draft-eastlake-fnv): stable by definition, which std's hashers are not.
pub(crate) struct Fnv(u128);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Fnv {
    /// The hash of `bytes`.
    #[cfg(any(feature = "redis", feature = "memcached"))]
    pub(crate) fn of(bytes: &[u8]) -> u128 {
        let mut hash = Self::default();
        hash.write(bytes);
        hash.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fnv(bytes: &[u8]) -> u128 {
        let mut hash = Fnv::default();
        hash.write(bytes);
        hash.0
    }

    /// The test vectors of the draft.
    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(fnv(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn other_candidates_have_another_key() {
        let key = rotation_key("prefix", ["ab", "c"]);
        assert_eq!((key.len(), &key[..7]), (6 + 1 + 32, "prefix:"));
        let others = [&["a", "bc"][..], &["c", "ab"], &["abc"], &["ab", "c", ""], &[]];
        assert!(others.iter().all(|ids| rotation_key("prefix", *ids) != key));
        assert_eq!(
            rotation_key("prefix", vec!["ab".to_owned(), "c".to_owned()]),
            key,
            "and the same the same"
        );
    }
}
