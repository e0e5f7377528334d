//! The names under which a key's state lies in the store.

use std::fmt::Write;
use std::sync::Arc;

use crate::rotation::Fnv;

/// What the names of one key's entries have in common. The braces put them into one slot of a Cluster, and the hash
/// between them makes the braces of the key itself harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    name: Arc<str>,
    /// Of a Cluster.
    pub(super) slot: u16,
    /// The part of the store that it is in.
    pub(super) lane: usize,
}

impl Key {
    pub(super) fn new(prefix: &str, key: &str, lanes: usize) -> Self {
        let mut name = String::with_capacity(prefix.len() + 35);
        name.push_str(prefix);
        // Writing into a string does not fail.
        let _ = write!(name, ":{{{:032x}}}", Fnv::of(key.as_bytes()));
        // One server has no slots.
        let slot = if lanes < 2 { 0 } else { slot_of(&name) };
        Self { name: name.into(), slot, lane: usize::from(slot) * lanes / usize::from(SLOTS) }
    }

    /// Writes the name of one of its entries, in place of what was there.
    pub(super) fn write(&self, suffix: &str, name: &mut String) {
        name.clear();
        name.extend([&*self.name, ":", suffix]);
    }
}

/// A name that probes write, and its slot.
pub(super) fn probe(prefix: &str, number: u32) -> (u16, String) {
    let name = format!("{prefix}:{{probe-{number}}}:probe");
    (slot_of(&name), name)
}

/// The slots of a lane. Neighbouring ones are mostly on one node.
#[cfg(feature = "redis-cluster")]
pub(super) fn slots_of(lane: usize, lanes: usize) -> std::ops::Range<u16> {
    let first = |lane: usize| (lane * usize::from(SLOTS)).div_ceil(lanes.max(1)).try_into().unwrap_or(SLOTS);
    first(lane)..first(lane + 1)
}

fn slot_of(name: &str) -> u16 {
    let hashed = name.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(name, |(tag, _)| tag);
    slot(hashed.as_bytes())
}

/// How many slots a Cluster has.
pub(super) const SLOTS: u16 = 16_384;

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

    #[cfg(feature = "redis-cluster")]
    #[test]
    fn every_slot_is_in_one_lane() {
        for lanes in [2, 3, 64] {
            let mut next = 0;
            for lane in 0..lanes {
                let slots = slots_of(lane, lanes);
                assert_eq!(slots.start, next);
                next = slots.end;
                for slot in slots {
                    assert_eq!(usize::from(slot) * lanes / usize::from(SLOTS), lane, "{slot}");
                }
            }
            assert_eq!(next, SLOTS);
        }
    }

    #[test]
    fn what_is_in_a_key_does_not_show() {
        let key = Key::new("app", "}a{b}", 64);
        assert_eq!(key.name.len(), 3 + 1 + 34);
        let mut name = "what was there".to_owned();
        key.write("b", &mut name);
        assert!(name.ends_with("}:b"), "{name}");
        assert_eq!(name.matches(['{', '}']).count(), 2);
        assert!(key.lane < 64);
    }
}
