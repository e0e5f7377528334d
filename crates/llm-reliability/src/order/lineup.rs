//! The candidates of one call in a line, and what is known of each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llm_protocol::{Capabilities, Request};

use crate::run::Seat;

/// How many first tokens an order looks back on: few, so that it follows a change soon.
const RECENT: usize = 32;

/// The candidates of one call, in the order in which they will be asked.
pub struct Lineup<'a> {
    seats: &'a [Arc<Seat>],
    request: &'a Request,
    line: Vec<usize>,
}

impl<'a> Lineup<'a> {
    /// A line of positions in the list.
    pub(crate) fn new(seats: &'a [Arc<Seat>], request: &'a Request, line: Vec<usize>) -> Self {
        Self { seats, request, line }
    }

    pub(crate) fn into_line(self) -> Vec<usize> {
        self.line
    }

    /// What will be asked.
    pub fn request(&self) -> &'a Request {
        self.request
    }

    /// How many candidates there are; never none.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// The candidates in the order in which they stand now.
    pub fn iter(&self) -> impl Iterator<Item = Standing<'a>> {
        self.line.iter().filter_map(|at| self.standing(*at))
    }

    /// The candidates as they are listed.
    pub fn listed(&self) -> impl Iterator<Item = Standing<'a>> + use<'a> {
        self.seats.iter().enumerate().map(|(at, seat)| Standing { at, seat })
    }

    /// Puts the candidate with this [position in the list](Standing::position) first; the others follow as they stand.
    /// Without effect where there is none.
    pub fn start_with(&mut self, position: usize) {
        let place = self.line.iter().position(|at| *at == position);
        if let Some(before) = place.and_then(|place| self.line.get_mut(..=place)) {
            before.rotate_right(1);
        }
    }

    /// Sorts the line; those with equal keys stay as they stand.
    pub fn sort_by_key<K: Ord>(&mut self, mut key: impl FnMut(Standing<'a>) -> K) {
        let seats = self.seats;
        self.line.sort_by_cached_key(|at| seats.get(*at).map(|seat| key(Standing { at: *at, seat })));
    }

    fn standing(&self, at: usize) -> Option<Standing<'a>> {
        self.seats.get(at).map(|seat| Standing { at, seat })
    }
}

impl fmt::Debug for Lineup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|standing| standing.key())).finish()
    }
}

/// A candidate, and what its client has seen of it.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    at: usize,
    seat: &'a Arc<Seat>,
}

impl<'a> Standing<'a> {
    /// Where it stands in the list of candidates, from 0.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Its key.
    pub fn key(&self) -> &'a str {
        &self.seat.key
    }

    /// Its [priority](crate::Candidate::priority).
    pub fn priority(&self) -> i32 {
        self.seat.candidate.priority
    }

    /// Its [weight](crate::Candidate::weight).
    pub fn weight(&self) -> u32 {
        self.seat.candidate.weight
    }

    /// What it honours.
    pub fn capabilities(&self) -> Capabilities<'a> {
        self.seat.candidate.adapter.capabilities()
    }

    /// How many attempts of this client and its clones are under way, from dispatch to their end.
    pub fn in_flight(&self) -> usize {
        self.seat.traffic.in_flight()
    }

    /// The median of its last 32 first tokens, from dispatch; `None` where there are fewer than `least`.
    ///
    /// Of an answer that comes whole it is the time until that came. A first-token timeout counts as its limit, and a
    /// candidate that lost to its hedge as the time until then: it would have taken no less. Other failures say nothing
    /// of how fast it is.
    pub fn first_token(&self, least: usize) -> Option<Duration> {
        self.seat.traffic.quantile(0.5, RECENT, least)
    }
}

impl fmt::Debug for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing")
            .field("key", &self.key())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
