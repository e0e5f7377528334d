//! What can be said of a machine without its lock, in one word.

use super::{Machine, Phase};
use crate::in_process::cell::Summary;
use crate::status::Mode;

impl Summary for Machine {
    fn word(&self) -> u64 {
        let (mut free, mut mute, mut calm) = (false, false, false);
        if let Phase::Closed(tally) = &self.phase {
            free = self.mode != Mode::ForcedOpen;
            mute = self.mode == Mode::Disabled || tally.ignores_success();
            calm = self.mode == Mode::Automatic && !self.moved && tally.is_clean();
        }
        Word { free, mute, calm, epoch: self.since }.packed()
    }
}

/// A machine's [summary](Summary), unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::in_process) struct Word {
    /// A call may go out, and holds nothing.
    pub(in crate::in_process) free: bool,
    /// A success changes nothing, whenever its call was admitted.
    pub(in crate::in_process) mute: bool,
    /// It gives no reason to look its key up.
    pub(in crate::in_process) calm: bool,
    /// That of the last transition.
    pub(in crate::in_process) epoch: u64,
}

impl Word {
    /// That of a machine that is forgotten.
    pub(in crate::in_process) const CALM: u64 =
        Self { free: true, mute: true, calm: true, epoch: 0 }.packed();

    pub(in crate::in_process) const fn packed(self) -> u64 {
        self.epoch << 3 | (self.calm as u64) << 2 | (self.mute as u64) << 1 | self.free as u64
    }
}

impl From<u64> for Word {
    fn from(word: u64) -> Self {
        Self { free: word & 1 != 0, mute: word & 2 != 0, calm: word & 4 != 0, epoch: word >> 3 }
    }
}
