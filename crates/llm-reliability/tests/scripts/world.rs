//! What a case is made of: models with scripts, the client's settings, and calls. Plain data, so that it can be shown and
//! shrunk.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use circuit_breaker::{Limits, Percent, Rate, Rates, Settings, Window};
use llm_protocol::{Clock, ErrorKind, FinishReason};
use llm_reliability::{QuorumPolicy, Timeouts, circuit_breaker, llm_protocol};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

/// All times lie on a grid of tenths of a second, so that they meet often.
pub(crate) const GRID: u64 = 100;

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// An error as a model tells it.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: ErrorKind,
    pub(crate) hint: Option<Duration>,
    pub(crate) should_retry: Option<bool>,
    pub(crate) status: Option<u16>,
}

/// How a call gets to its answer, or does not.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    PrepareError(Fault),
    PrepareStall,
    ConnectError(Fault),
    ConnectStall,
    Refused(Fault),
    Stall,
    Panic,
    Answer,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece {
    Started,
    Text,
    NoText,
    Reasoning,
    ToolCall,
    Refusal,
    Working,
    Usage(u64),
    Discard,
}

#[derive(Debug, Clone)]
pub(crate) enum Tail {
    Finish { reason: FinishReason, usage: Option<u64>, late: Option<(u64, Late)> },
    Cut,
    Error(Fault),
    Stall,
    Panic,
}

/// What comes after the terminal marker.
#[derive(Debug, Clone)]
pub(crate) enum Late {
    Usage(u64),
    Error(Fault),
    Stall,
    Panic,
}

/// One step of a script. Times are in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Take {
    pub(crate) prepare: u64,
    pub(crate) connect: u64,
    pub(crate) opening: u64,
    pub(crate) way: Way,
    pub(crate) pieces: Vec<(u64, Piece)>,
    pub(crate) tail: (u64, Tail),
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) streams: bool,
    pub(crate) whole: bool,
    pub(crate) priority: i32,
    pub(crate) weight: u32,
    pub(crate) window: Option<u64>,
    pub(crate) honours: Needs,
    pub(crate) price: Option<(u32, bool)>,
    pub(crate) quota: Option<usize>,
    pub(crate) timeouts: Timeouts,
    /// Begins anew at its end.
    pub(crate) script: Vec<Take>,
}

/// What a request asks for, or a model has to give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) tools: bool,
    pub(crate) json: bool,
    pub(crate) images: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) base: Base,
    pub(crate) stop_on: Option<ErrorKind>,
    pub(crate) retries: u32,
    pub(crate) retry_timeouts: bool,
    pub(crate) wait_out: Duration,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) restart: bool,
    pub(crate) hedge: Option<Hedging>,
    pub(crate) wait: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Base {
    Default,
    Keel,
    Robust,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Hedging {
    After(Duration),
    Observed(f64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Ordering {
    Unset,
    Listed,
    RoundRobin,
    Weighted,
    LeastInFlight,
    Fastest {
        samples: usize,
        explore: f64,
    },
    /// The users' own.
    Backwards,
    Panics,
    Refuses,
    TakesTime(u64),
}

#[derive(Debug, Clone)]
pub(crate) struct Seating {
    pub(crate) quorum: QuorumPolicy,
    pub(crate) grace: Duration,
    pub(crate) cutoff: Option<Duration>,
    pub(crate) concurrency: Option<NonZeroUsize>,
    pub(crate) seats: Option<Vec<usize>>,
    pub(crate) bench: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Failover,
    /// A pause before each event, and after how many of them the reader has had enough: it asks for the report, or drops
    /// the stream.
    Stream {
        pause: u64,
        stop: Option<(usize, bool)>,
    },
    FanOut,
    /// A pause before each attempt, and after how many of them the report is asked for.
    Panel {
        pause: u64,
        stop: Option<usize>,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// After the beginning of its group.
    pub(crate) after: u64,
    pub(crate) kind: Kind,
    pub(crate) needs: Needs,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) timeouts: Timeouts,
    pub(crate) rules: Option<Rules>,
    pub(crate) seating: Seating,
    /// The call is dropped so long after it began, unless it is over by then.
    pub(crate) dropped: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) breaker: Settings,
    /// Of the default limiter without.
    pub(crate) limits: Option<Limits>,
    /// Share and reserve; unlimited without.
    pub(crate) budget: Option<(f64, u32)>,
    pub(crate) hedges: f64,
    pub(crate) order: Ordering,
    pub(crate) rules: Rules,
    pub(crate) timeouts: Timeouts,
    /// Calls that run side by side, and how much time passes afterwards.
    pub(crate) groups: Vec<(Vec<Ask>, u64)>,
}

fn grid(steps: std::ops::Range<u64>) -> impl Strategy<Value = u64> {
    steps.prop_map(|steps| steps * GRID)
}

fn time(steps: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    grid(steps).prop_map(ms)
}

/// Most things come at once.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![5 => Just(0), 3 => grid(1..8), 1 => grid(5..40)]
}

fn kind() -> impl Strategy<Value = ErrorKind> {
    use ErrorKind::{
        Authentication, BadRequest, Billing, Connection, ContentFilter, ContextLength, ModelNotFound, Other,
        Overloaded, Permission, Protocol, QuotaExhausted, RateLimited, Refusal, Server, TooLarge, Truncated,
        Unsupported,
    };
    prop_oneof![
        3 => proptest::sample::select(vec![Server, Overloaded, Connection, Truncated, Protocol]),
        2 => proptest::sample::select(vec![RateLimited, QuotaExhausted]),
        1 => Just(ErrorKind::Timeout(Clock::Connect)),
        2 => Just(ContextLength),
        3 => proptest::sample::select(vec![
            Authentication, Permission, Billing, ModelNotFound, BadRequest, TooLarge, ContentFilter, Refusal,
            Unsupported, Other,
        ]),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let hint = weighted(0.35, prop_oneof![4 => time(0..10), 2 => time(5..60), 1 => Just(ms(400_000))]);
    let status = weighted(0.3, proptest::sample::select(vec![200_u16, 400, 429, 500, 529]));
    (kind(), hint, weighted(0.2, any::<bool>()), status)
        .prop_map(|(kind, hint, should_retry, status)| Fault { kind, hint, should_retry, status })
}

fn tokens() -> impl Strategy<Value = u64> {
    1..400_u64
}

fn tail() -> impl Strategy<Value = Tail> {
    let reason = prop_oneof![
        12 => Just(FinishReason::Stop),
        2 => Just(FinishReason::Length),
        1 => Just(FinishReason::ContentFilter),
        1 => Just(FinishReason::Error),
        1 => Just(FinishReason::Unknown),
    ];
    let late = prop_oneof![
        4 => tokens().prop_map(Late::Usage),
        1 => fault().prop_map(Late::Error),
        1 => Just(Late::Stall),
        1 => Just(Late::Panic),
    ];
    prop_oneof![
        14 => (reason, weighted(0.6, tokens()), weighted(0.15, (delay(), late)))
            .prop_map(|(reason, usage, late)| Tail::Finish { reason, usage, late }),
        1 => Just(Tail::Cut),
        2 => fault().prop_map(Tail::Error),
        1 => Just(Tail::Stall),
        1 => Just(Tail::Panic),
    ]
}

fn take() -> impl Strategy<Value = Take> {
    let piece = prop_oneof![
        10 => Just(Piece::Text),
        2 => Just(Piece::Reasoning),
        2 => Just(Piece::ToolCall),
        2 => Just(Piece::Started),
        1 => Just(Piece::NoText),
        1 => Just(Piece::Working),
        2 => tokens().prop_map(Piece::Usage),
        1 => prop_oneof![Just(Piece::Refusal), Just(Piece::Discard)],
    ];
    let way = prop_oneof![
        14 => Just(Way::Answer),
        1 => fault().prop_map(Way::PrepareError),
        1 => Just(Way::PrepareStall),
        1 => fault().prop_map(Way::ConnectError),
        1 => Just(Way::ConnectStall),
        5 => fault().prop_map(Way::Refused),
        1 => Just(Way::Stall),
        1 => Just(Way::Panic),
    ];
    let short = || prop_oneof![9 => Just(0), 1 => grid(1..6)];
    (short(), short(), delay(), way, vec((delay(), piece), 0..6), (delay(), tail())).prop_map(
        |(prepare, connect, opening, way, pieces, tail)| Take {
            prepare,
            connect,
            opening,
            way,
            pieces,
            tail,
        },
    )
}

fn timeouts(likely: f64) -> impl Strategy<Value = Timeouts> {
    // Half a step beside the grid, or on it.
    let limit =
        |steps| (time(steps), any::<bool>()).prop_map(|(time, beside)| time + ms(u64::from(beside) * 50));
    let own =
        (weighted(likely, limit(1..15)), weighted(likely, limit(1..15)), weighted(likely, limit(2..40)));
    own.prop_map(|(first_token, idle, attempt)| {
        let mut timeouts = Timeouts::new();
        (timeouts.first_token, timeouts.idle, timeouts.attempt) = (first_token, idle, attempt);
        timeouts
    })
}

fn with_total(likely: f64) -> impl Strategy<Value = Timeouts> {
    let total = prop_oneof![8 => time(1..60), 1 => Just(Duration::ZERO), 1 => Just(Duration::MAX)];
    (timeouts(likely), weighted(likely, total)).prop_map(|(mut timeouts, total)| {
        timeouts.total = total;
        timeouts
    })
}

fn needs(tools: f64, json: f64, images: f64) -> impl Strategy<Value = Needs> {
    let each = proptest::bool::weighted;
    (each(tools), each(json), each(images)).prop_map(|(tools, json, images)| Needs { tools, json, images })
}

fn member() -> impl Strategy<Value = Member> {
    let kind = (proptest::bool::weighted(0.8), proptest::bool::weighted(0.15));
    let rank = (-1..2_i32, 0..3_u32, weighted(0.7, 1..4_u64));
    let money = (weighted(0.6, (1..5000_u32, any::<bool>())), weighted(0.3, 0..2_usize));
    (kind, rank, needs(0.8, 0.8, 0.8), money, timeouts(0.15), vec(take(), 1..6)).prop_map(
        |((streams, whole), (priority, weight, window), honours, (price, quota), timeouts, script)| Member {
            streams,
            whole,
            priority,
            weight,
            window: window.map(|thousands| thousands * 1000),
            honours,
            price,
            quota,
            timeouts,
            script,
        },
    )
}

fn count(counts: std::ops::Range<u32>) -> impl Strategy<Value = NonZeroU32> {
    counts.prop_map(|count| NonZeroU32::new(count).unwrap())
}

fn breaker() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![count(1..6).prop_map(Window::Calls), time(5..60).prop_map(Window::Time)];
    let share = || (10..100_u8).prop_map(|share| Percent::new(share).unwrap());
    let rates = (window, share(), weighted(0.5, (time(1..20), share())), count(1..6));
    let settings = (time(1..80), weighted(0.8, count(1..3)), count(1..4), weighted(0.2, rates));
    settings.prop_map(|(cooldown, probes, failures, rates)| {
        let settings = Settings::default().cooldown(cooldown).probes(probes).failure_threshold(failures);
        match rates {
            Some((window, share, slow, least)) => {
                let rates = Rates::failures(share, window).minimum_calls(least);
                let slow = slow.map_or(rates, |(from, share)| rates.slow_calls(from, share));
                settings.trip(slow)
            }
            None => settings,
        }
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = |amounts: std::ops::Range<u64>| {
        (amounts, time(5..100))
            .prop_map(|(amount, period)| Rate::new(NonZeroU64::new(amount).unwrap(), period))
    };
    let tokens = || weighted(0.25, rate(20..600));
    (weighted(0.5, rate(1..6)), tokens(), tokens(), weighted(0.5, count(1..4))).prop_map(
        |(requests, input, output, in_flight)| {
            let mut limits = Limits::default();
            (limits.requests, limits.input_tokens, limits.output_tokens) = (requests, input, output);
            limits.in_flight = in_flight;
            limits
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    let base = prop_oneof![Just(Base::Default), Just(Base::Keel), Just(Base::Robust)];
    let hedge = prop_oneof![4 => time(1..12).prop_map(Hedging::After), 1 => Just(Hedging::Observed(0.5))];
    let retries = (prop_oneof![2 => Just(0), 3 => 1..4_u32], any::<bool>(), time(0..10));
    let wait = prop_oneof![2 => Just(Duration::ZERO), 1 => time(1..100)];
    let rest = (any::<bool>(), weighted(0.35, hedge), wait);
    (base, weighted(0.1, kind()), retries, (time(0..8), time(1..30)), rest).prop_map(
        |(base, stop_on, (retries, retry_timeouts, wait_out), backoff, (restart, hedge, wait))| Rules {
            base,
            stop_on,
            retries,
            retry_timeouts,
            wait_out,
            backoff,
            restart,
            hedge,
            wait,
        },
    )
}

fn ordering() -> impl Strategy<Value = Ordering> {
    prop_oneof![
        4 => Just(Ordering::Unset),
        1 => Just(Ordering::Listed),
        2 => Just(Ordering::RoundRobin),
        2 => Just(Ordering::Weighted),
        2 => Just(Ordering::LeastInFlight),
        2 => (1..4_usize, prop_oneof![Just(0.0), Just(0.3)])
            .prop_map(|(samples, explore)| Ordering::Fastest { samples, explore }),
        2 => Just(Ordering::Backwards),
        1 => Just(Ordering::Panics),
        1 => Just(Ordering::Refuses),
        1 => grid(1..80).prop_map(Ordering::TakesTime),
    ]
}

fn seating(members: usize) -> impl Strategy<Value = Seating> {
    let quorum = prop_oneof![
        3 => Just(QuorumPolicy::All),
        3 => (0..4_usize).prop_map(QuorumPolicy::AtLeast),
        2 => Just(QuorumPolicy::Majority),
        2 => Just(QuorumPolicy::First),
    ];
    let grace = prop_oneof![Just(Duration::ZERO), time(1..20)];
    let concurrency = weighted(0.4, (1..4_usize).prop_map(|places| NonZeroUsize::new(places).unwrap()));
    let who =
        (weighted(0.4, vec(0..members, 0..6)), prop_oneof![vec(0..members, 0..1), vec(0..members, 0..4)]);
    (quorum, grace, weighted(0.3, time(1..40)), concurrency, who).prop_map(
        |(quorum, grace, cutoff, concurrency, (seats, mut bench))| {
            // Two turns of one member at the same time could not be told apart.
            let mut benched = std::collections::HashSet::new();
            bench.retain(|member| benched.insert(*member));
            // Where seats wait for places, those of one member could not be told from its turns as a substitute.
            if let (Some(seats), Some(_)) = (&seats, concurrency) {
                bench.retain(|member| !seats.contains(member));
            }
            Seating { quorum, grace, cutoff, concurrency, seats, bench }
        },
    )
}

fn ask(members: usize) -> impl Strategy<Value = Ask> {
    let pause = || prop_oneof![4 => Just(0), 1 => grid(1..30)];
    let kind = prop_oneof![
        4 => Just(Kind::Failover),
        4 => (pause(), weighted(0.3, (0..6_usize, any::<bool>())))
            .prop_map(|(pause, stop)| Kind::Stream { pause, stop }),
        3 => Just(Kind::FanOut),
        2 => (pause(), weighted(0.3, 0..4_usize)).prop_map(|(pause, stop)| Kind::Panel { pause, stop }),
    ];
    let request = (needs(0.1, 0.1, 0.1), weighted(0.4, 1..300_u32));
    let own = (with_total(0.2), weighted(0.2, rules()), seating(members));
    (delay(), kind, request, own, weighted(0.2, grid(0..40))).prop_map(
        |(after, kind, (needs, max_tokens), (timeouts, rules, seating), dropped)| Ask {
            after,
            kind,
            needs,
            max_tokens,
            timeouts,
            rules,
            seating,
            dropped,
        },
    )
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let groups = |members| {
        let sizes = prop_oneof![4 => vec(ask(members), 1..2), 1 => vec(ask(members), 2..4)];
        vec((sizes, prop_oneof![3 => Just(0), 3 => grid(1..20), 2 => grid(20..200)]), 1..10)
    };
    let cast = vec(member(), 1..=5).prop_flat_map(move |members| {
        let groups = groups(members.len());
        (Just(members), groups)
    });
    let budget = prop_oneof![
        3 => Just(None),
        1 => Just(Some((0.2, 10))),
        2 => (prop_oneof![Just(0.0), Just(0.5), Just(1.0)], 0..3_u32).prop_map(Some),
    ];
    let hedges = prop_oneof![3 => Just(1.0), 1 => Just(0.5), 1 => Just(0.05)];
    let settings = (breaker(), weighted(0.4, limits()), budget, hedges, ordering(), rules(), with_total(0.3));
    (any::<u64>(), cast, settings).prop_map(
        |(seed, (members, groups), (breaker, limits, budget, hedges, order, rules, timeouts))| World {
            seed,
            members,
            breaker,
            limits,
            budget,
            hedges,
            order,
            rules,
            timeouts,
            groups,
        },
    )
}
