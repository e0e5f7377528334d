//! Whose turn it is: the candidates of a failover in the order in which this call asks them.

use std::sync::Arc;

use crate::run::{Seat, Shared};

/// The way of one call along its candidates: each has one turn.
pub(crate) struct Line {
    shared: Arc<Shared>,
    /// Positions in the list of candidates, where it is not the usual order.
    order: Option<Vec<usize>>,
    /// How many have had their turn.
    asked: usize,
    /// Who has another, as a hedge was faster, and whether all have who are left.
    lost: Vec<usize>,
    again: bool,
}

impl Line {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), order: None, asked: 0, lost: Vec::new(), again: false }
    }

    pub(crate) fn arrange(&mut self, order: Vec<usize>) {
        self.order = Some(order);
    }

    fn order(&self) -> &[usize] {
        self.order.as_deref().unwrap_or(&self.shared.ranked)
    }

    pub(crate) fn has_next(&self) -> bool {
        self.asked < self.order().len()
    }

    pub(crate) fn next(&mut self) -> Option<Arc<Seat>> {
        let seat = self.order().get(self.asked).and_then(|at| self.shared.seats.get(*at)).cloned()?;
        self.asked += 1;
        Some(seat)
    }

    /// Those whose turn is to come and who are known to take more tokens than this go before the others.
    pub(crate) fn larger_first(&mut self, window: u64) {
        let Self { shared, order, asked, .. } = self;
        let order = order.get_or_insert_with(|| shared.ranked.clone());
        let window_of = |at: &usize| shared.seats.get(*at)?.context_window();
        if let Some(rest) = order.get_mut(*asked..) {
            // Stable: within both groups the order stays.
            rest.sort_by_cached_key(|at| window_of(at).is_none_or(|other| other <= window));
        }
    }

    /// Begins again with these, in the same order.
    pub(crate) fn again(&mut self, again: impl Fn(&Seat) -> bool) {
        let seat = |at: &usize| self.shared.seats.get(*at);
        let order = self.order().iter().filter(|at| seat(at).is_some_and(|seat| again(seat))).copied();
        self.order = Some(order.collect());
        (self.asked, self.again) = (0, true);
    }

    /// Has a candidate asked once more, after all others.
    pub(crate) fn put_back(&mut self, seat: &Arc<Seat>) {
        let Self { shared, order, .. } = self;
        let order = order.get_or_insert_with(|| shared.ranked.clone());
        if let Some(at) = shared.seats.iter().position(|other| Arc::ptr_eq(other, seat)) {
            order.push(at);
            self.lost.push(at);
        }
    }

    /// Whether the one whose turn it is has had one before.
    pub(crate) fn is_again(&self) -> bool {
        self.again || self.has_lost()
    }

    /// Whether the one whose turn it is has lost before.
    pub(crate) fn has_lost(&self) -> bool {
        let last = self.asked.checked_sub(1).and_then(|last| self.order().get(last));
        last.is_some_and(|at| self.lost.contains(at))
    }
}
