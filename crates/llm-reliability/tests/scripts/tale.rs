//! One call of a case, with all that the log and the models have on it.

use std::time::Duration;

use llm_protocol::{ErrorKind, ModelAdapter};
use llm_reliability::{Attempt, Outcome, Phase, Timeouts, llm_protocol};
use tokio::time::Instant;

use crate::expected::{Clocks, Course, course};
use crate::play::{Played, Story};
use crate::stage::{What, key, member_of, request};
use crate::world::{Hedging, Rules};

/// An attempt, as its observer was told of it.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    pub(crate) attempt: &'a Attempt,
    pub(crate) member: usize,
    /// When it landed, and where in the log.
    pub(crate) at: Instant,
    pub(crate) place: usize,
    /// Where in the log its adapter was called, when, and for which time.
    pub(crate) asked: Option<(usize, Instant, usize)>,
    /// Whether its circuit was open then.
    pub(crate) open: bool,
}

impl Trace<'_> {
    /// Whether its provider has received it.
    pub(crate) fn was_received(&self) -> bool {
        matches!(self.attempt.phase, Some(Phase::FirstToken | Phase::Stream | Phase::Response))
    }

    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        self.attempt.error().map(llm_protocol::Error::kind)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self.attempt.outcome, Outcome::Cancelled)
    }
}

pub(crate) struct Tale<'a> {
    pub(crate) story: &'a Story,
    pub(crate) number: usize,
    pub(crate) call: &'a Played,
    /// In the order of their ordinals.
    pub(crate) traces: Vec<Trace<'a>>,
    /// The members, as the call was to ask them.
    pub(crate) line: Vec<usize>,
}

impl<'a> Tale<'a> {
    pub(crate) fn new(story: &'a Story, number: usize) -> Self {
        let call = &story.calls[number];
        let members = &story.stage.world.members;
        let own = || story.log.iter().enumerate().filter(move |(_, entry)| entry.call == number);
        let mut traces: Vec<_> = own()
            .filter_map(|(place, entry)| {
                let What::Landed { attempt, open, .. } = &entry.what else { return None };
                let member = member_of(&attempt.model_key);
                Some(Trace { attempt, member, at: entry.at, place, asked: None, open: *open })
            })
            .collect();
        traces.sort_by_key(|trace| trace.attempt.ordinal);
        for (member, model) in story.stage.models.iter().enumerate() {
            let mut asked = own().filter_map(|(place, entry)| match entry.what {
                What::Asked { member: found, nth } if found == member => Some((place, entry.at, nth)),
                _ => None,
            });
            let lacks = model.capabilities().missing(&request(number, &call.ask));
            for trace in traces.iter_mut().filter(|trace| trace.member == member) {
                let refused =
                    matches!(trace.attempt.outcome, Outcome::PreemptedUnsupported(_)) && lacks.is_none();
                if trace.attempt.phase.is_some() || refused {
                    trace.asked = asked.next();
                    assert!(
                        trace.asked.is_some(),
                        "{} went out, and nobody asked its adapter",
                        trace.attempt
                    );
                }
            }
            assert_eq!(asked.next(), None, "{} was asked by more than its attempts", key(member));
        }
        let mut line: Vec<_> = (0..members.len()).collect();
        line.sort_by_key(|member| members[*member].priority);
        for (_, entry) in own() {
            if let What::Arranged { line: arranged, .. } = &entry.what {
                line.clone_from(arranged);
            }
        }
        Self { story, number, call, traces, line }
    }

    /// The trail in short, with times.
    pub(crate) fn trail(&self) -> String {
        let line = |Trace { attempt, .. }: &Trace<'_>| {
            let (launch, start, latency) = (attempt.launch, attempt.start, attempt.latency);
            format!("  {attempt} {launch:?} from {start:?} for {latency:?}, {:?}\n", attempt.retry_after())
        };
        let lines: String = self.traces.iter().map(line).collect();
        format!("call {}, over at {:?}\n{lines}", self.number, self.since(self.call.over))
    }

    pub(crate) fn rules(&self) -> &Rules {
        self.call.ask.rules.as_ref().unwrap_or(&self.story.stage.world.rules)
    }

    pub(crate) fn hedge(&self) -> Option<Hedging> {
        self.rules().hedge.filter(|_| self.call.is_failover())
    }

    fn timeouts(&self, member: usize) -> Timeouts {
        let world = &self.story.stage.world;
        self.call.ask.timeouts.or(&world.members[member].timeouts).or(&world.timeouts)
    }

    pub(crate) fn attempt_limit(&self, member: usize) -> Duration {
        self.timeouts(member).attempt.unwrap_or(Duration::from_secs(60))
    }

    /// The limit on the whole call.
    pub(crate) fn total(&self) -> Option<Duration> {
        let set = self.call.ask.timeouts.or(&self.story.stage.world.timeouts).total;
        let members = 0..self.story.stage.world.members.len();
        let all = || members.map(|member| self.attempt_limit(member)).sum::<Duration>();
        let cap = Duration::from_secs(360);
        set.or_else(|| self.call.is_failover().then(|| (all() + Duration::from_secs(60)).min(cap)))
    }

    /// Since the beginning of the call.
    pub(crate) fn since(&self, at: Instant) -> Duration {
        at.duration_since(self.call.started)
    }

    pub(crate) fn is_streamed(&self, member: usize) -> bool {
        let member = &self.story.stage.world.members[member];
        member.streams && !member.whole
    }

    /// All that the attempt's model has to say, if it is given the time; `None` where it was not asked.
    pub(crate) fn script(&self, trace: &Trace<'_>) -> Option<Course> {
        let ever = Duration::from_secs(1_000_000);
        self.take(trace, Clocks { first_token: ever, idle: ever, attempt: ever, total: None })
    }

    fn take(&self, trace: &Trace<'_>, clocks: Clocks) -> Option<Course> {
        let (_, _, nth) = trace.asked?;
        let script = &self.story.stage.world.members[trace.member].script;
        let name = (trace.member, nth);
        Some(course(&script[nth % script.len()], name, self.is_streamed(trace.member), clocks))
    }

    /// What becomes of the attempt if nobody disturbs it; `None` where it did not go out.
    pub(crate) fn course(&self, trace: &Trace<'_>) -> Option<Course> {
        let (_, asked, _) = trace.asked?;
        let timeouts = self.timeouts(trace.member);
        let clocks = Clocks {
            first_token: timeouts.first_token.unwrap_or(Duration::from_secs(15)),
            idle: timeouts.idle.unwrap_or(Duration::from_secs(30)),
            attempt: self.attempt_limit(trace.member),
            total: self.total().map(|total| total.saturating_sub(self.since(asked))),
        };
        self.take(trace, clocks)
    }

    /// Those that ask a candidate for the first time in this call.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = &Trace<'a>> {
        self.traces.iter().enumerate().filter_map(|(at, trace)| {
            let again = self.traces[..at].iter().any(|earlier| earlier.member == trace.member);
            (!again).then_some(trace)
        })
    }
}
