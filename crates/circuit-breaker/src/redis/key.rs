//! The names under which a key's state lies in the store.

use std::fmt::Write;
use std::sync::Arc;

use crate::rotation::Fnv;

/// What the names of one key's entries have in common. The braces put them into one slot of a Cluster, and the hash
/// between them makes the braces of the key itself harmless.
#[derive(Clone, Debug)]
pub(super) struct Key {
    name: Arc<str>,
    /// The part of the store that it is in.
    pub(super) lane: usize,
}

impl Key {
    pub(super) fn new(prefix: &str, key: &str, lanes: usize) -> Self {
        let mut name = String::with_capacity(prefix.len() + 35);
        name.push_str(prefix);
        // Writing into a string does not fail.
        let _ = write!(name, ":{{{:032x}}}", Fnv::of(key.as_bytes()));
        let lane = if lanes < 2 { 0 } else { lane(&name, lanes) };
        Self { name: name.into(), lane }
    }

    pub(super) fn with(&self, suffix: &str) -> String {
        [&*self.name, ":", suffix].concat()
    }
}

/// A name in this part of the store, for its probes.
pub(super) fn lane_key(prefix: &str, part: usize, lanes: usize) -> String {
    let names = (0_u32..).map(|number| format!("{prefix}:{{probe-{number}}}:probe"));
    let fits = |name: &String| lanes < 2 || lane(name, lanes) == part;
    // Hashes are spread evenly, so it takes as many tries as there are parts, more or less.
    names.take(100 * lanes.max(1)).find(fits).unwrap_or_else(|| format!("{prefix}:probe"))
}

/// Neighbouring slots are mostly on one node, so each run of them is a lane.
fn lane(name: &str, lanes: usize) -> usize {
    let hashed = name.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(name, |(tag, _)| tag);
    usize::from(slot(hashed.as_bytes())) * lanes / usize::from(SLOTS)
}

const SLOTS: u16 = 16_384;

/// The slot of a Cluster: CRC16 (XMODEM), as the Cluster specification has it.
fn slot(name: &[u8]) -> u16 {
    let crc = name.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the Cluster specification and of `CLUSTER KEYSLOT`.
    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"somekey"), 11_058);
        assert_eq!(slot(b"foo"), 12_182);
    }

    #[test]
    fn what_is_in_a_key_does_not_show() {
        let key = Key::new("app", "}a{b}", 64);
        assert_eq!(key.name.len(), 3 + 1 + 34);
        assert_eq!(key.with("b").matches(['{', '}']).count(), 2);
        assert!(key.lane < 64);
    }
}
