//! How a breaker decides: the numbers, and the presets that set them together.

mod trip;

use std::num::NonZeroU32;
use std::time::Duration;

pub use trip::{Percent, Rates, Slow, Trip, Window};

/// How a breaker decides. The default: three failures in a row open a circuit for 120 seconds, then one probe
/// decides.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use circuit_breaker::{Settings, Trip};
///
/// let settings = Settings::default().cooldown(Duration::from_secs(30)).probes(NonZeroU32::new(2));
/// assert_eq!(settings.trip, Trip::Consecutive(NonZeroU32::new(3).unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// What opens the circuit.
    pub trip: Trip,
    /// How long the circuit stays open before a call goes out as a probe.
    pub cooldown: Duration,
    /// How long it stays open at most, where the time grows: each opening that follows on another, without a closed
    /// circuit between them, doubles it. `None` lets it stay the same.
    pub longest_cooldown: Option<Duration>,
    /// Up to this share of a cooldown is taken off at random, so that those who opened together do not probe together.
    pub jitter: Option<Percent>,
    /// How many probes go out while half-open; `None` sets no bound. Where failures in a row open the circuit, so
    /// many may be out at a time, and the first result decides: a success closes the circuit, a failure opens it again.
    /// Where [`Rates`] do, so many go out in all, and with the last of their results the same shares decide. Without a
    /// bound, the first result always does.
    pub probes: Option<NonZeroU32>,
    /// How long a circuit may be half-open. The first call after that opens it again, whatever its probes are doing.
    /// `None` sets no bound; none is needed to free the slots of probes that are lost, as each has a hold of its own.
    pub longest_half_open: Option<Duration>,
    /// How long a probe holds its slot, where its caller does not say for how long it asks
    /// ([`Circuit::admit_for`](crate::Circuit::admit_for)). A probe that was neither settled nor dropped by then has
    /// lost its slot, and its verdict no longer counts; without a bound on probes there is no slot to lose, and it does.
    /// Choose it longer than the longest such call. No probe's hold is shorter than a millisecond, and what a caller asks
    /// for is cut to a day, or to this if it is longer.
    ///
    /// A recovered key is also remembered for this long, to tell late results apart; what ends later than that, for
    /// any key, may be ignored.
    pub max_hold: Duration,
    /// How many keys are kept track of at most. Where failures in a row decide, only keys in trouble count; where
    /// [`Rates`] do, all that have results in their window. When there is no room, keys that are closed and clean and were
    /// not heard of for a cooldown make room, and those that were not for their longest cooldown and
    /// [`max_hold`](Self::max_hold) together, and open ones so long after their cooldown; where there are none, further
    /// keys are let through untracked. It is searched for room once a second at most. With zero no circuit opens.
    pub max_keys: usize,
}

impl Settings {
    /// Sets what opens the circuit: [`Rates`], or a [`Trip`].
    pub fn trip(mut self, trip: impl Into<Trip>) -> Self {
        self.trip = trip.into();
        self
    }

    /// Opens the circuit after so many failures in a row.
    pub const fn failure_threshold(mut self, failures: NonZeroU32) -> Self {
        self.trip = Trip::Consecutive(failures);
        self
    }

    /// Sets how long the circuit stays open.
    pub const fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Lets each opening that follows on another stay open twice as long, up to `longest`.
    pub const fn growing_to(mut self, longest: Duration) -> Self {
        self.longest_cooldown = Some(longest);
        self
    }

    /// Takes up to this share of each cooldown off at random.
    pub const fn jitter(mut self, share: Percent) -> Self {
        self.jitter = Some(share);
        self
    }

    /// Sets how many probes go out while half-open; `None` sets no bound.
    pub const fn probes(mut self, probes: Option<NonZeroU32>) -> Self {
        self.probes = probes;
        self
    }

    /// Sets how long the circuit may be half-open.
    pub const fn longest_half_open(mut self, longest: Duration) -> Self {
        self.longest_half_open = Some(longest);
        self
    }

    /// Sets how long a probe holds its slot, where its caller does not say.
    pub const fn max_hold(mut self, max_hold: Duration) -> Self {
        self.max_hold = max_hold;
        self
    }

    /// Sets how many keys are kept track of at most.
    pub const fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }
}

/// As long as anything is held, or remembered without a word, unless the settings ask for longer.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// With a hold of zero, each probe's slot would be free again before it goes out.
const SHORTEST_HOLD: Duration = Duration::from_millis(1);

impl Settings {
    /// How long a probe holds its slot that asked to.
    pub(crate) fn hold(&self, asked: Option<Duration>) -> Duration {
        hold(self.max_hold, asked)
    }

    /// After this long without a word, a key may make room for another.
    pub(crate) fn stale_after(&self) -> Duration {
        self.longest().saturating_add(self.max_hold)
    }

    /// As long as any probe holds its slot.
    #[cfg(feature = "redis")]
    pub(crate) fn longest_hold(&self) -> Duration {
        self.max_hold.max(DAY)
    }

    /// Whether a call that took so long counts as slow.
    pub(crate) fn is_slow(&self, latency: Option<Duration>) -> bool {
        match &self.trip {
            Trip::Rates(Rates { slow: Some(slow), .. }) => {
                latency.is_some_and(|latency| latency >= slow.from)
            }
            _ => false,
        }
    }

    fn longest(&self) -> Duration {
        self.longest_cooldown.map_or(self.cooldown, |longest| longest.max(self.cooldown))
    }

    /// How long a circuit stays open that opens for this many times in a row; `roll` is between 0 and 1.
    pub(crate) fn cooldown_of(&self, openings: u32, roll: f64) -> Duration {
        let doubled = 1_u32.checked_shl(openings.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.cooldown.saturating_mul(doubled).min(self.longest());
        match self.jitter {
            Some(share) => whole.saturating_sub(whole.mul_f64(f64::from(share.get()) / 100.0 * roll)),
            None => whole,
        }
    }

    /// Whether a success of a clean circuit leaves no trace.
    pub(crate) const fn counts_failures_only(&self) -> bool {
        matches!(self.trip, Trip::Consecutive(_))
    }

    /// Whether it matters how long a call took.
    pub(crate) const fn measures(&self) -> bool {
        matches!(self.trip, Trip::Rates(Rates { slow: Some(_), .. }))
    }
}

/// How long something is held that asked to, where `max_hold` is for those that do not ask.
pub(crate) fn hold(max_hold: Duration, asked: Option<Duration>) -> Duration {
    asked.map_or(max_hold, |asked| asked.min(max_hold.max(DAY))).max(SHORTEST_HOLD)
}

impl Default for Settings {
    fn default() -> Self {
        Self::from(Preset::Standard)
    }
}

/// Settings that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Preset {
    /// Three failures in a row, 120 seconds, one probe.
    #[default]
    Standard,
    /// The same, but while half-open every call goes out; one success closes the circuit, one failure opens it
    /// again.
    Keel,
}

impl From<Preset> for Settings {
    fn from(preset: Preset) -> Self {
        const THREE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
        Self {
            trip: Trip::Consecutive(THREE),
            cooldown: Duration::from_secs(120),
            longest_cooldown: None,
            jitter: None,
            probes: match preset {
                Preset::Standard => Some(NonZeroU32::MIN),
                Preset::Keel => None,
            },
            longest_half_open: None,
            max_hold: Duration::from_secs(600),
            max_keys: 65_536,
        }
    }
}
