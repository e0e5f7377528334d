//! How fast time goes in a suite.

use std::time::Duration;

/// What a harness says about time. The default is for a backend without a delay of its own.
///
/// ```
/// use std::time::Duration;
/// use circuit_breaker::testing::contract::Pace;
///
/// // A store over a network, whose clients answer from a view that is up to 250 ms old.
/// let pace = Pace::new(Duration::from_millis(500)).staleness(Duration::from_millis(250));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pace {
    /// The shortest cooldown, hold and period that the backend is asked for. 200 ms unless set. Rules that find it too
    /// short for this machine double it for themselves.
    pub unit: Duration,
    /// How long after [`flush`](crate::Breaker::flush) has returned a client may still answer from what was before:
    /// the suite waits so long before it expects an effect. Zero unless set.
    pub staleness: Duration,
    /// By how much a time may be off: the backend's clock ticks, its round trips. 10 ms unless set.
    pub tolerance: Duration,
    /// How long a single call to the backend may take that is not meant to wait. 10 s unless set.
    pub patience: Duration,
    /// How many rules are tried at a time, each on a store of its own. One unless set, so that a harness may empty the
    /// only store it has. See [`at_once`](Self::at_once).
    pub at_once: usize,
}

impl Pace {
    /// A pace with this [unit](Self::unit).
    pub const fn new(unit: Duration) -> Self {
        Self {
            unit,
            staleness: Duration::ZERO,
            tolerance: Duration::from_millis(10),
            patience: Duration::from_secs(10),
            at_once: 1,
        }
    }

    /// Sets how far behind a client may be.
    pub const fn staleness(mut self, staleness: Duration) -> Self {
        self.staleness = staleness;
        self
    }

    /// Sets by how much a time may be off.
    pub const fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Sets how long a single call may take.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how many rules are tried at a time, which makes a suite in real time so much shorter: most of it is spent
    /// asleep.
    ///
    /// As many stores are then in use at a time, and each has to be apart from the others: give every one that the
    /// harness makes a prefix of its own.
    ///
    /// ```
    /// use circuit_breaker::LeaseId;
    ///
    /// let prefix = format!("contract:{}:", LeaseId::new()); // unlike every other
    /// # assert_ne!(prefix, format!("contract:{}:", LeaseId::new()));
    /// ```
    pub const fn at_once(mut self, rules: usize) -> Self {
        self.at_once = rules;
        self
    }

    pub(super) fn slower(mut self) -> Self {
        self.unit *= 2;
        self
    }

    /// A time that something takes which a rule waits for: long enough to do things within it.
    pub(super) fn span(&self) -> Duration {
        self.unit + 4 * (self.staleness + self.tolerance)
    }

    /// A time that nobody waits for.
    pub(super) fn ages(&self) -> Duration {
        1000 * self.span() + 10 * self.patience
    }

    /// How long one rule may take.
    pub(super) fn limit(&self) -> Duration {
        100 * (self.patience + self.span())
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(Duration::from_millis(200))
    }
}
