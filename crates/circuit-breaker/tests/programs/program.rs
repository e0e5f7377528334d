//! What a program is made of: settings of every kind, and steps.

use std::num::NonZeroU32;
use std::time::Duration;

use circuit_breaker::{Mode, Percent, Rates, Settings, Settlement, Trip, Verdict, Window};
use proptest::option;
use proptest::prelude::*;

pub(crate) const KEYS: usize = 3;

/// How a call comes to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Key,
    Handle,
    /// The trait itself, with a lease of the caller's own.
    Lease,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Ask {
        key: usize,
        by: By,
        hold: Option<Duration>,
    },
    /// Some call that is out ends so; without a settlement, it is dropped.
    End {
        which: usize,
        told: Option<Settlement>,
    },
    /// The permit is neither settled nor dropped.
    Leak {
        which: usize,
    },
    /// Asked again with the lease of a call that is out, as where a message is sent twice.
    AskAgain {
        which: usize,
    },
    /// Through a handle that does not outlive the call.
    Visit {
        key: usize,
        told: Option<Settlement>,
    },
    /// A question that takes no lease.
    Try {
        key: usize,
    },
    Mode {
        key: usize,
        mode: Mode,
    },
    Pass(Duration),
    /// As many visits as it takes until what has passed is swept away.
    Sweep,
}

#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) settings: Settings,
    /// Keys with a handle that lasts for the whole program.
    pub(crate) handles: [bool; KEYS],
    pub(crate) steps: Vec<Step>,
}

const HALF: u64 = 500;

/// Half seconds, so that times meet often.
pub(crate) fn time(halves: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    halves.prop_map(|halves| Duration::from_millis(halves * HALF))
}

fn count(counts: std::ops::Range<u32>) -> impl Strategy<Value = NonZeroU32> {
    counts.prop_map(|count| NonZeroU32::new(count).unwrap())
}

fn share() -> impl Strategy<Value = Percent> {
    prop_oneof![1..=100_u8, Just(100), Just(50), Just(1)].prop_map(|share| Percent::new(share).unwrap())
}

fn rates() -> impl Strategy<Value = Rates> {
    let window = prop_oneof![count(1..7).prop_map(Window::Calls), time(0..30).prop_map(Window::Time)].boxed();
    let slow = || (time(0..6), share());
    prop_oneof![
        (share(), window.clone()).prop_map(|(share, window)| Rates::failures(share, window)),
        (slow(), window.clone()).prop_map(|((from, share), window)| Rates::slow(from, share, window)),
        (share(), slow(), window).prop_map(|(share, (from, slow), window)| {
            Rates::failures(share, window).slow_calls(from, slow)
        }),
    ]
    .prop_flat_map(|rates| count(1..8).prop_map(move |calls| rates.minimum_calls(calls)))
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let trip = prop_oneof![
        2 => count(1..4).prop_map(Trip::Consecutive),
        3 => rates().prop_map(Trip::Rates),
    ];
    let open = (time(0..20), option::of(time(0..100)));
    let half_open = (option::weighted(0.8, count(1..4)), option::weighted(0.3, time(0..20)));
    (trip, open, half_open, time(0..40), 1..=KEYS + 1).prop_map(
        |(trip, (cooldown, growing), (probes, longest), hold, keys)| {
            let mut settings = Settings::default()
                .trip(trip)
                .cooldown(cooldown)
                .probes(probes)
                .max_hold(hold)
                .max_keys(keys);
            settings.longest_cooldown = growing;
            settings.longest_half_open = longest;
            settings
        },
    )
}

pub(crate) fn told() -> impl Strategy<Value = Settlement> {
    let verdict =
        prop_oneof![4 => Just(Verdict::Failure), 3 => Just(Verdict::Success), 1 => Just(Verdict::Neutral)];
    (verdict, option::weighted(0.3, time(0..8))).prop_map(|(verdict, latency)| {
        let told = Settlement::new(verdict);
        latency.map_or(told, |latency| told.with_latency(latency))
    })
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop_oneof![3 => Just(0), 1 => 1..KEYS];
    let end = || option::weighted(0.85, told());
    let by = prop_oneof![3 => Just(By::Key), 3 => Just(By::Handle), 1 => Just(By::Lease)];
    let mode = prop_oneof![
        2 => Just(Mode::Automatic),
        1 => Just(Mode::ForcedOpen),
        1 => Just(Mode::ForcedClosed),
        1 => Just(Mode::Disabled),
    ];
    let pass = prop_oneof![
        12 => time(0..9),
        4 => time(0..60),
        1 => Just(Duration::from_secs(25 * 3600)),
    ];
    prop_oneof![
        14 => (key(), by, option::weighted(0.3, time(0..40)))
            .prop_map(|(key, by, hold)| Step::Ask { key, by, hold }),
        12 => (any::<usize>(), end()).prop_map(|(which, told)| Step::End { which, told }),
        1 => any::<usize>().prop_map(|which| Step::Leak { which }),
        1 => any::<usize>().prop_map(|which| Step::AskAgain { which }),
        3 => (key(), end()).prop_map(|(key, told)| Step::Visit { key, told }),
        1 => key().prop_map(|key| Step::Try { key }),
        1 => (key(), mode).prop_map(|(key, mode)| Step::Mode { key, mode }),
        8 => pass.prop_map(Step::Pass),
        1 => Just(Step::Sweep),
    ]
}

pub(crate) fn program() -> impl Strategy<Value = Program> {
    let handles = proptest::array::uniform3(any::<bool>());
    (settings(), handles, proptest::collection::vec(step(), 1..90))
        .prop_map(|(settings, handles, steps)| Program { settings, handles, steps })
}
