//! How an in-process breaker decides: the numbers, and the presets that set them together.

use std::num::NonZeroU32;
use std::time::Duration;

/// How a breaker decides. The default: three failures in a row open a circuit for 120 seconds, then one probe
/// decides.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use circuit_breaker::Settings;
///
/// let settings = Settings::default().cooldown(Duration::from_secs(30)).probes(NonZeroU32::new(2));
/// assert_eq!(settings.failure_threshold.get(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How many failures in a row open the circuit.
    pub failure_threshold: NonZeroU32,
    /// How long the circuit stays open before a call goes out as a probe.
    pub cooldown: Duration,
    /// How many probes may be out at a time while half-open; `None` sets no bound. The first result decides: a
    /// success closes the circuit, a failure opens it again.
    pub probes: Option<NonZeroU32>,
    /// How long a probe holds its slot, where its caller does not say for how long it asks
    /// ([`Circuit::admit_for`](crate::Circuit::admit_for)). A probe that was neither settled nor dropped by then has
    /// lost its slot, and its verdict no longer counts. Choose it longer than the longest such call. No probe's hold is
    /// shorter than a millisecond, and what a caller asks for is cut to a day, or to this if it is longer.
    ///
    /// A recovered key is also remembered for this long, to tell late results apart; what ends later than that, for
    /// any key, may be ignored.
    pub max_hold: Duration,
    /// How many keys are kept track of at most. Only keys in trouble count: one that is closed and clean costs no
    /// memory. When there is no room, keys that were not heard of for [`cooldown`](Self::cooldown) and
    /// [`max_hold`](Self::max_hold) together make room, and open ones so long after their cooldown; where there are
    /// none, further keys are let through untracked.
    pub max_keys: usize,
}

impl Settings {
    /// Sets how many failures in a row open the circuit.
    pub const fn failure_threshold(mut self, failures: NonZeroU32) -> Self {
        self.failure_threshold = failures;
        self
    }

    /// Sets how long the circuit stays open.
    pub const fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Sets how many probes may be out at a time; `None` sets no bound.
    pub const fn probes(mut self, probes: Option<NonZeroU32>) -> Self {
        self.probes = probes;
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
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// With a hold of zero, each probe's slot would be free again before it goes out.
const SHORTEST_HOLD: Duration = Duration::from_millis(1);

impl Settings {
    /// How long a probe holds its slot that asked to.
    pub(super) fn hold(&self, asked: Option<Duration>) -> Duration {
        let hold = asked.map_or(self.max_hold, |asked| asked.min(self.max_hold.max(DAY)));
        hold.max(SHORTEST_HOLD)
    }

    /// After this long without a word, a key may make room for another.
    pub(super) const fn stale_after(&self) -> Duration {
        self.cooldown.saturating_add(self.max_hold)
    }
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
            failure_threshold: THREE,
            cooldown: Duration::from_secs(120),
            probes: match preset {
                Preset::Standard => Some(NonZeroU32::MIN),
                Preset::Keel => None,
            },
            max_hold: Duration::from_secs(600),
            max_keys: 65_536,
        }
    }
}
