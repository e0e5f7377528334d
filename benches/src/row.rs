//! What is measured: rows, what they are compared with, and what is asked of them.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

/// Why a benchmark could not be run.
pub type Failure = Box<dyn Error + Send + Sync>;

/// One thread's part of a row.
pub trait Body {
    /// Repeats the operation. Whatever it returns is used as far as the compiler can tell.
    fn run(&mut self, times: u32);

    /// Repeats the operation, and says whether it did what it should each time.
    fn check(&mut self, times: u32) -> bool;

    /// Repeats the operation where another process runs it, and says how long that took by the clock there: the way to
    /// it and back is no part of it. `None` where this thread runs it, which [`run`](Self::run) is for.
    fn run_elsewhere(&mut self, times: u32) -> Option<Duration> {
        let _ = times;
        None
    }
}

/// An operation that says whether it did what it should. The loop is here, so that what calls it indirectly does so
/// once for many.
impl<F: FnMut() -> bool> Body for F {
    fn run(&mut self, times: u32) {
        for _ in 0..times {
            black_box(self());
        }
    }

    fn check(&mut self, times: u32) -> bool {
        (0..times).all(|_| self())
    }
}

/// Makes each thread's part of a row, from the number of the thread. What the parts share is made once, before.
pub type Maker = Box<dyn Fn(usize) -> Box<dyn Body> + Send + Sync>;

/// A [`Maker`] of bodies that are closures. A [setup](Row::setup) ends with it, and may fail before.
pub fn each<B: FnMut() -> bool + 'static>(
    make: impl Fn(usize) -> B + Send + Sync + 'static,
) -> Result<Maker, Failure> {
    Ok(Box::new(move |thread| Box::new(make(thread))))
}

/// Things to take in turn, again and again, in an order that no cache foresees.
#[derive(Debug)]
pub struct Walk<T> {
    things: Vec<T>,
    at: usize,
}

impl<T> Walk<T> {
    /// Shuffles `things`. Each seed, such as the number of a thread, gives another order, and always the same.
    pub fn new(mut things: Vec<T>, seed: usize) -> Self {
        fastrand::Rng::with_seed(u64::try_from(seed).unwrap_or_default()).shuffle(&mut things);
        Self { things, at: 0 }
    }

    /// The next thing; `None` where there are none.
    #[inline]
    pub fn step(&mut self) -> Option<&T> {
        self.at += 1;
        if self.at >= self.things.len() {
            self.at = 0;
        }
        self.things.get(self.at)
    }
}

/// Rows that are shown together. They are measured together with all others.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub title: &'static str,
    /// In the order in which they are shown.
    pub rows: Vec<Row>,
}

/// One operation that is measured.
#[derive(Debug)]
pub struct Row {
    /// Names it, in tables and in filters.
    pub id: &'static str,
    /// What is in the number.
    pub what: &'static str,
    /// The row that shows what it cannot do without.
    pub floor: Option<&'static str>,
    /// The row that does the same in another library.
    pub peer: Option<&'static str>,
    /// What is asked of it.
    pub targets: Vec<Target>,
    /// So many operations make a whole, as with one for each of many keys.
    pub whole: u32,
    /// Whether it is measured only where keel is asked for, which has to be installed.
    pub needs_keel: bool,
    /// Makes what the threads share. Called when the row is to be run, and not before.
    pub setup: fn() -> Result<Maker, Failure>,
}

impl Row {
    /// A row that is compared with nothing.
    pub const fn new(id: &'static str, what: &'static str, setup: fn() -> Result<Maker, Failure>) -> Self {
        Self { id, what, floor: None, peer: None, targets: Vec::new(), whole: 1, needs_keel: false, setup }
    }

    /// Names the row that shows what it cannot do without.
    pub const fn floor(mut self, id: &'static str) -> Self {
        self.floor = Some(id);
        self
    }

    /// Names the row that does the same in another library.
    pub const fn peer(mut self, id: &'static str) -> Self {
        self.peer = Some(id);
        self
    }

    /// Adds something that is asked of it.
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Says how many operations make a whole.
    pub const fn whole(mut self, operations: u32) -> Self {
        self.whole = operations;
        self
    }

    /// Leaves it out unless `--keel` asks for it.
    pub const fn needs_keel(mut self) -> Self {
        self.needs_keel = true;
        self
    }
}

/// What is asked of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So many nanoseconds an operation at most, with so many threads.
    Nanoseconds {
        /// With so many threads.
        threads: usize,
        /// At most.
        most: f64,
        /// What would be better still.
        stretch: Option<f64>,
    },
    /// Such a share of its peer at most, with so many threads.
    OfPeer {
        /// With so many threads.
        threads: usize,
        /// At most.
        most: f64,
    },
    /// So many times as fast as its peer at least, with one thread.
    Faster {
        /// At least.
        least: f64,
        /// What would be better still.
        stretch: f64,
    },
    /// With two threads, so many times the nanoseconds of one at most.
    Flat {
        /// At most.
        most: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_everything_in_turn_and_begins_anew() {
        let mut walk = Walk::new((0..10).collect(), 1);
        let mut round = || (0..10).filter_map(|_| walk.step().copied()).collect::<Vec<_>>();
        let (first, second) = (round(), round());
        assert_eq!(first, second);
        assert_ne!(first, (0..10).collect::<Vec<_>>(), "it is shuffled");
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_eq!(Walk::<u8>::new(Vec::new(), 1).step(), None);
    }
}
