//! What opens a circuit: failures in a row, or a share of the calls in a window.

use std::num::NonZeroU32;
use std::time::Duration;

/// What opens a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trip {
    /// So many failures in a row. A success starts the count again.
    Consecutive(NonZeroU32),
    /// Shares of the calls in a window.
    Rates(Rates),
}

impl From<Rates> for Trip {
    fn from(rates: Rates) -> Self {
        Self::Rates(rates)
    }
}

/// Opens a circuit when too large a share of the calls in a window failed, or was slow.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use circuit_breaker::{InProcessBreaker, Percent, Rates, Settings, Window};
///
/// // Half of at least twenty calls within ten seconds failed, or nine in ten of them took two seconds and more.
/// let rates = Rates::failures(Percent::new(50).unwrap(), Window::Time(Duration::from_secs(10)))
///     .slow_calls(Duration::from_secs(2), Percent::new(90).unwrap())
///     .minimum_calls(NonZeroU32::new(20).unwrap());
/// let breaker = InProcessBreaker::new(Settings::default().trip(rates));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// The calls that are looked at.
    pub window: Window,
    /// With fewer calls than this in the window nothing is concluded. A window that holds fewer is enough when it is
    /// full.
    pub minimum_calls: NonZeroU32,
    /// The share of failures that opens the circuit.
    pub failures: Option<Percent>,
    /// The share of slow calls that opens it.
    pub slow: Option<Slow>,
}

impl Rates {
    /// Looks at failures. At least ten calls are asked for, unless [set](Self::minimum_calls) otherwise.
    pub const fn failures(share: Percent, window: Window) -> Self {
        Self { failures: Some(share), ..Self::of(window) }
    }

    /// Looks at slow calls, those that take `from` and longer, and not at failures. At least ten calls are asked for,
    /// unless [set](Self::minimum_calls) otherwise.
    pub const fn slow(from: Duration, share: Percent, window: Window) -> Self {
        Self::of(window).slow_calls(from, share)
    }

    const fn of(window: Window) -> Self {
        const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        Self { window, minimum_calls: TEN, failures: None, slow: None }
    }

    /// Looks at slow calls too, those that take `from` and longer, whether they fail or not.
    pub const fn slow_calls(mut self, from: Duration, share: Percent) -> Self {
        self.slow = Some(Slow { from, share });
        self
    }

    /// Sets with how many calls in the window something may be concluded.
    pub const fn minimum_calls(mut self, calls: NonZeroU32) -> Self {
        self.minimum_calls = calls;
        self
    }
}

/// The calls that [`Rates`] looks at. A call enters it when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last so many. A key takes two bytes for each, as they come.
    Calls(NonZeroU32),
    /// Those that ended within this time. It moves on in steps of a tenth of it, counted from when the breaker was made.
    Time(Duration),
}

/// Calls that take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slow {
    /// A call that takes so long, or longer, is slow.
    pub from: Duration,
    /// The share of slow calls that opens the circuit.
    pub share: Percent,
}

/// A share, from one to a hundred per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// A share of so many per cent; `None` unless it is between 1 and 100.
    pub const fn new(percent: u8) -> Option<Self> {
        match percent {
            1..=100 => Some(Self(percent)),
            _ => None,
        }
    }

    /// How many per cent.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether `part` is such a share of `whole`, or a larger one.
    pub(crate) const fn is_reached(self, part: u64, whole: u64) -> bool {
        part as u128 * 100 >= self.0 as u128 * whole as u128
    }
}
