//! Telling a listener of transitions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::in_process::machine::Moved;
use crate::transition::Transition;

type Hear = Box<dyn Fn(&Transition) + Send + Sync>;

/// Who is told of transitions, if anybody.
#[derive(Default)]
pub(super) struct Listener(Option<Hear>);

impl Listener {
    pub(super) fn new(listener: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(listener)))
    }

    pub(super) fn tell(&self, key: &Arc<str>, moved: Moved) {
        if self.0.is_none() {
            return;
        }
        let Moved { from, to, mode, failures, cooldown, epoch } = moved;
        let transition = Transition { key: Arc::clone(key), from, to, mode, failures, cooldown, epoch };
        self.tell_of(&transition);
    }

    pub(super) fn tell_of(&self, transition: &Transition) {
        let Some(listener) = &self.0 else { return };
        // The panic was reported by the panic hook already, and is not this call's.
        let _ = catch_unwind(AssertUnwindSafe(|| listener(transition)));
    }
}
