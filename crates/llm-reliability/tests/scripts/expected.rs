//! What an attempt comes to that nobody disturbs: worked out from the script and the clocks alone.

use std::time::Duration;

use llm_protocol::{Clock, ErrorKind, FinishReason, Response, ResponseBuilder, StreamEvent};
use llm_reliability::{Phase, llm_protocol};

use crate::stage::{event, usage};
use crate::world::{Late, Tail, Take, Way, ms};

/// What may follow the terminal marker has this long.
const TAIL: Duration = Duration::from_secs(1);

/// The clocks of one attempt, from its dispatch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    pub(crate) first_token: Duration,
    pub(crate) idle: Duration,
    pub(crate) attempt: Duration,
    /// What is left of the call's time.
    pub(crate) total: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Whole,
    Error(ErrorKind),
}

/// How an attempt ends by itself.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    pub(crate) at: Duration,
    pub(crate) end: End,
    pub(crate) phase: Phase,
    /// What there is of the answer.
    pub(crate) answer: Response,
    /// From when on there is something for a reader.
    pub(crate) token: Option<Duration>,
    /// The first visible text or tool call.
    pub(crate) first_token: Option<Duration>,
    /// The events of its stream, and when they come.
    pub(crate) events: Vec<(Duration, StreamEvent)>,
}

/// Something on the way.
enum Beat {
    Event(StreamEvent),
    Error(ErrorKind),
    Stall,
    End,
}

/// What happens once the provider answers, and how long after what came before it.
fn beats(take: &Take, (member, nth): (usize, usize)) -> Vec<(u64, Beat)> {
    let pieces = take.pieces.iter().enumerate();
    let mut beats: Vec<_> = pieces
        .map(|(place, (pause, piece))| (*pause, Beat::Event(event(*piece, (member, nth, place)))))
        .collect();
    let panic = Beat::Error(ErrorKind::Other);
    let told = |tokens: u64| Beat::Event(StreamEvent::Usage(usage(tokens)));
    let pause = take.tail.0;
    match &take.tail.1 {
        Tail::Finish { reason, usage, late } => {
            beats.extend(usage.map(|tokens| (pause, told(tokens))));
            let pause = if usage.is_some() { 0 } else { pause };
            beats.push((pause, Beat::Event(StreamEvent::Finish(*reason))));
            match late {
                Some((pause, Late::Usage(tokens))) => beats.extend([(*pause, told(*tokens)), (0, Beat::End)]),
                Some((pause, Late::Error(fault))) => beats.push((*pause, Beat::Error(fault.kind))),
                Some((pause, Late::Stall)) => beats.push((*pause, Beat::Stall)),
                Some((pause, Late::Panic)) => beats.push((*pause, panic)),
                None => beats.push((0, Beat::End)),
            }
        }
        Tail::Cut => beats.push((pause, Beat::End)),
        Tail::Error(fault) => beats.push((pause, Beat::Error(fault.kind))),
        Tail::Stall => beats.push((pause, Beat::Stall)),
        Tail::Panic => beats.push((pause, panic)),
    }
    beats
}

impl Clocks {
    /// Whichever runs out first of those that run whether or not anything comes. Between two that run out together, an
    /// attempt's own goes before the caller's.
    fn hard(&self, first_token: bool) -> (Duration, Clock) {
        let own = if first_token && self.first_token <= self.attempt {
            (self.first_token, Clock::FirstToken)
        } else {
            (self.attempt, Clock::Attempt)
        };
        let total = self.total.map(|total| (total, Clock::Total));
        total.filter(|total| total.0 < own.0).unwrap_or(own)
    }
}

/// The course of an attempt that nobody disturbs, and whose events are taken as they come. What comes at the very moment
/// when a clock runs out has come in time.
pub(crate) fn course(take: &Take, name: (usize, usize), streamed: bool, clocks: Clocks) -> Course {
    let mut course = Course {
        at: Duration::ZERO,
        end: End::Whole,
        phase: Phase::Prepare,
        answer: Response::default(),
        token: None,
        first_token: None,
        events: Vec::new(),
    };
    let asked = if streamed { Phase::FirstToken } else { Phase::Response };
    let (due, clock) = clocks.hard(streamed);
    let gates = [(take.prepare, Phase::Prepare), (take.connect, Phase::Connect), (take.opening, asked)];
    for (delay, phase) in gates {
        course.phase = phase;
        let opens = course.at + ms(delay);
        let stops = match (&take.way, phase) {
            (Way::PrepareError(fault), Phase::Prepare)
            | (Way::ConnectError(fault), Phase::Connect)
            | (Way::Refused(fault), Phase::FirstToken | Phase::Response) => Some(Some(fault.kind)),
            (Way::Panic, Phase::FirstToken | Phase::Response) => Some(Some(ErrorKind::Other)),
            (Way::PrepareStall, Phase::Prepare)
            | (Way::ConnectStall, Phase::Connect)
            | (Way::Stall, Phase::FirstToken | Phase::Response) => Some(None),
            _ => None,
        };
        if opens > due || stops == Some(None) {
            return course.ends(due, End::Error(ErrorKind::Timeout(clock)));
        }
        course.at = opens;
        if let Some(Some(kind)) = stops {
            return course.ends(opens, End::Error(kind));
        }
    }
    let beats = beats(take, name);
    if streamed { course.stream(beats, clocks) } else { course.collect(beats, (due, clock)) }
}

impl Course {
    fn ends(mut self, at: Duration, end: End) -> Self {
        (self.at, self.end) = (at, end);
        self
    }

    /// A whole answer: nothing of it shows before it is there.
    fn collect(mut self, beats: Vec<(u64, Beat)>, (due, clock): (Duration, Clock)) -> Self {
        let mut builder = ResponseBuilder::default();
        for (pause, beat) in beats {
            let at = self.at + ms(pause);
            if at > due || matches!(beat, Beat::Stall) {
                return self.ends(due, End::Error(ErrorKind::Timeout(clock)));
            }
            self.at = at;
            match beat {
                Beat::Event(event) => builder.absorb(&event),
                Beat::Error(kind) => return self.ends(at, End::Error(kind)),
                Beat::Stall | Beat::End => break,
            }
        }
        let at = self.at;
        if !builder.is_finished() {
            return self.ends(at, End::Error(ErrorKind::Truncated));
        }
        self.answer = builder.into_response();
        self.token = (!self.answer.is_empty()).then_some(at);
        let end = whole(&self.answer);
        self.ends(at, end)
    }

    fn stream(mut self, beats: Vec<(u64, Beat)>, clocks: Clocks) -> Self {
        let mut builder = ResponseBuilder::default();
        let (mut progress, mut finished) = (None, None);
        let mut end = None;
        for (pause, beat) in beats {
            let at = self.at + ms(pause);
            let hard = clocks.hard(progress.is_none());
            let quiet = match finished {
                Some(finished) => Some(finished + clocks.idle.min(TAIL)),
                None => progress.map(|progress: Duration| progress + clocks.idle),
            };
            let (due, clock) = quiet.filter(|due| *due <= hard.0).map_or(hard, |due| (due, Clock::Idle));
            if at > due || matches!(beat, Beat::Stall) {
                end = Some((due, End::Error(ErrorKind::Timeout(clock))));
                break;
            }
            self.at = at;
            match beat {
                Beat::Event(StreamEvent::Discard) => end = Some((at, End::Error(ErrorKind::Protocol))),
                Beat::Event(event) => {
                    if event.is_progress() {
                        progress = Some(at);
                    }
                    if event.is_token() {
                        self.first_token.get_or_insert(at);
                    }
                    builder.absorb(&event);
                    if matches!(event, StreamEvent::Finish(_)) {
                        finished = Some(at);
                    }
                    if !builder.response().is_empty() {
                        self.token.get_or_insert(at);
                    }
                    self.events.push((at, event));
                    continue;
                }
                Beat::Error(kind) => end = Some((at, End::Error(kind))),
                Beat::Stall | Beat::End => end = Some((at, End::Error(ErrorKind::Truncated))),
            }
            break;
        }
        if self.first_token.is_some() || finished.is_some() {
            self.phase = Phase::Stream;
        }
        self.answer = builder.into_response();
        let (at, end) = end.unwrap();
        let end = if finished.is_some() { whole(&self.answer) } else { end };
        self.ends(at, end)
    }
}

/// An answer with its terminal marker may be none all the same.
fn whole(answer: &Response) -> End {
    match answer.finish_reason {
        _ if answer.refusal.is_some() => End::Error(ErrorKind::Refusal),
        FinishReason::Error => End::Error(ErrorKind::Server),
        FinishReason::ContentFilter if answer.is_empty() => End::Error(ErrorKind::ContentFilter),
        _ => End::Whole,
    }
}
