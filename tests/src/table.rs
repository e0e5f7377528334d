//! Tables of faults: what a provider does, and how an attempt at it ends by either strategy.

use std::time::Duration;

use futures::{StreamExt, stream};
use llm_adapters::HttpClient;
use llm_protocol::{Clock, ErrorKind};
use llm_reliability::{Attempt, Ended, Launch, Report, ResilientClient, StreamMode, Timeouts};
use llm_simulator::{Behaviour, Wire};

use crate::{
    Asked, Lab, Seen, Strategy, WIRES, ask, assert_received, assert_times, http, other, secs, trail, within,
};

/// How many rows of a table are tried at a time.
const AT_A_TIME: usize = 8;

/// What the candidate after the faulty one answers.
const RESCUE: &str = "It works with me";

/// Who faults, and how it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub wire: Wire,
    pub strategy: Strategy,
    pub stream: StreamMode,
}

impl Mode {
    /// Every way to ask.
    pub fn all() -> impl Iterator<Item = Self> {
        let strategies = WIRES.into_iter().flat_map(|wire| Strategy::ALL.map(|strategy| (wire, strategy)));
        strategies.flat_map(|(wire, strategy)| {
            [StreamMode::Auto, StreamMode::Never].map(|stream| Self { wire, strategy, stream })
        })
    }
}

/// A row: what a provider does, and what is to come of it.
pub struct Fault {
    name: &'static str,
    behaviour: Behaviour,
    failover: &'static str,
    failover_stream: &'static str,
    text: &'static str,
    open_ended: bool,
    timeouts: Timeouts,
    neutral: bool,
}

impl Fault {
    /// The attempt ends like this by both strategies: outcome, kind and phase.
    pub fn new(name: &'static str, behaviour: Behaviour, ends: &'static str) -> Self {
        Self {
            name,
            behaviour,
            failover: ends,
            failover_stream: ends,
            text: "",
            open_ended: false,
            timeouts: Timeouts::new(),
            neutral: false,
        }
    }

    /// The attempt ends like this in a `failover_stream`, which has handed this text out by then.
    pub fn streamed(mut self, ends: &'static str, text: &'static str) -> Self {
        self.failover_stream = ends;
        self.text = text;
        self
    }

    /// The text of an attempt that succeeds.
    pub fn text(mut self, text: &'static str) -> Self {
        self.text = text;
        self
    }

    /// The text that was handed out only begins as it was said to.
    pub fn open_ended(mut self) -> Self {
        self.open_ended = true;
        self
    }

    /// Limits of the faulty candidate.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// It says nothing of the candidate's health, although the kind alone would.
    pub fn neutral(mut self) -> Self {
        self.neutral = true;
        self
    }

    fn ends(&self, strategy: Strategy) -> &'static str {
        match strategy {
            Strategy::Failover => self.failover,
            Strategy::FailoverStream => self.failover_stream,
        }
    }

    /// Whether a breaker counts it.
    fn counts(&self, ends: &str) -> bool {
        const NEUTRAL: [&str; 8] = [
            "rate_limited",
            "bad_request",
            "too_large",
            "context_length",
            "content_filter",
            "refusal",
            "unsupported",
            "other",
        ];
        !self.neutral && !ends.split(' ').any(|word| word == "success" || NEUTRAL.contains(&word))
    }
}

/// Tries every row, several at a time, each with a simulator and a client of its own.
pub async fn run(mode: Mode, faults: Vec<Fault>) {
    let http = http(secs(30));
    let rows = faults.iter().map(|fault| within(check(mode, fault, http.clone())));
    stream::iter(rows).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
}

async fn check(mode: Mode, fault: &Fault, http: HttpClient) {
    let lab = Lab::with(http).await;
    lab.simulator.on("faulty", fault.behaviour.clone());
    lab.simulator.on("rescue", Behaviour::answer(RESCUE));
    let (observer, seen) = Seen::observer();
    let faulty = lab.candidate(mode.wire, "faulty").timeouts(fault.timeouts).stream(mode.stream);
    let client = ResilientClient::builder()
        .candidate(faulty)
        .candidate(lab.candidate(other(mode.wire), "rescue"))
        .observer(observer)
        .build()
        .unwrap();
    let Asked { report, text, .. } = ask(&client, mode.strategy, "Does it work?").await;

    let named = format!("{} ({mode:?})", fault.name);
    let ends = fault.ends(mode.strategy);
    let ended = match ends.split(' ').next() {
        Some("interrupted") => Ended::Interrupted,
        _ if ends.starts_with("failed refusal") => Ended::Stopped,
        _ => Ended::Answered,
    };
    let moves_on = ended == Ended::Answered && !ends.starts_with("success");
    let mut expected = vec![format!("faulty {ends}")];
    expected.extend(moves_on.then(|| "rescue success @stream".to_owned()));
    assert_eq!(trail(&report), expected, "{named}: {report:?}");
    assert_eq!(report.ended(), ended, "{named}");
    assert_eq!(seen.trail(), expected, "{named}: the observer sees the same");
    assert_text(fault, &named, moves_on, &text);

    assert_times(&report);
    let [attempt, later @ ..] = report.attempts() else { panic!("{named}: nobody was asked") };
    assert_eq!(attempt.launch, Launch::Primary, "{named}");
    assert!(later.iter().all(|attempt| attempt.launch == Launch::Failover), "{named}");
    let json = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!((trail(&read), read.ended()), (expected, ended), "{named}: {json}");

    lab.simulator.wait_idle().await;
    assert_received(&lab.simulator, report.attempts(), &["faulty", "rescue"]);
    let requests = lab.simulator.requests("faulty");
    let [request] = &requests[..] else { panic!("{named}: it was asked once, not {requests:?}") };
    assert_eq!(request.streamed, mode.stream == StreamMode::Auto, "{named}: it was asked for a stream");
    if let Some(limit) = ran_out(fault, attempt) {
        assert!(attempt.latency >= limit, "{named}: it was given up after {:?}", attempt.latency);
        assert_eq!(request.ended, llm_simulator::Ended::Disconnected, "{named}: its connection is closed");
    }

    let (failures, counted) = (client.status().await[0].1.failures, u32::from(fault.counts(ends)));
    // On a machine that is busy enough the reader of a stream is late, and a clock that it kept waiting is excused: the
    // attempt's, which is the model's only while somebody waits, and any other that is noticed a second late. That they
    // count otherwise is shown in virtual time.
    let is_late = |limit: Duration| attempt.latency > limit + secs(1);
    let slowed = attempt.error().is_some_and(|error| error.kind() == ErrorKind::Timeout(Clock::Attempt));
    let was_slow = slowed || ran_out(fault, attempt).is_some_and(is_late);
    let excused = ends.starts_with("interrupted") && was_slow && failures == 0;
    assert!(failures == counted || excused, "{named}: the breaker counts {failures} failures, not {counted}");
}

fn assert_text(fault: &Fault, named: &str, moves_on: bool, text: &str) {
    let expected = if moves_on { RESCUE } else { fault.text };
    if fault.open_ended && !moves_on {
        assert!(text.starts_with(expected), "{named}: the text is {text:?}");
    } else {
        assert_eq!(text, expected, "{named}: the text");
    }
}

/// The limit that ran out, where one did.
fn ran_out(fault: &Fault, attempt: &Attempt) -> Option<Duration> {
    let ErrorKind::Timeout(clock) = attempt.error()?.kind() else { return None };
    match clock {
        Clock::FirstToken => fault.timeouts.first_token,
        Clock::Idle => fault.timeouts.idle,
        Clock::Attempt => fault.timeouts.attempt,
        _ => None,
    }
}
