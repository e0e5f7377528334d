//! A step made ready for playing: worked out once, when it joins the script, so that a call costs little.

use std::sync::Arc;
use std::time::Duration;

use super::step::Step;
use crate::error::{Error, ErrorKind};
use crate::event::{ResponseBuilder, StreamEvent};
use crate::request::Request;
use crate::response::Response;

/// Makes the step of each call out of its request.
pub(super) type Responder = Arc<dyn Fn(&Request) -> Step + Send + Sync>;

/// What happens at a point that a call has to pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    pub(super) delay: Duration,
    pub(super) then: Then,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Then {
    #[default]
    Pass,
    Stall,
    Fail(Error),
    Panic,
}

impl Gate {
    fn is_open(&self) -> bool {
        self.delay.is_zero() && matches!(self.then, Then::Pass)
    }

    /// Lets the call pass, or not.
    pub(super) async fn pass(&self) -> Result<(), Error> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        match &self.then {
            Then::Pass => Ok(()),
            Then::Stall => std::future::pending().await,
            Then::Fail(error) => Err(error.clone()),
            Then::Panic => scripted_panic(),
        }
    }
}

/// Something that a stream does.
#[derive(Clone, Debug)]
pub(super) enum Beat {
    Pause(Duration),
    Event(StreamEvent),
    Fail(Error),
    Stall,
    Panic,
}

/// A step made ready.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) prepare: Gate,
    pub(super) connect: Gate,
    pub(super) opening: Gate,
    /// The stream, which ends after the last of them.
    pub(super) beats: Vec<Beat>,
    /// The same as a whole answer, where nothing needs waiting for.
    pub(super) whole: Option<Result<Response, Error>>,
    /// Whether nothing keeps the call from its first beat.
    pub(super) at_once: bool,
}

impl Plan {
    pub(super) fn new(gates: [Gate; 3], beats: Vec<Beat>, key: &Arc<str>) -> Self {
        let [prepare, connect, opening] = gates.map(|mut gate| {
            if let Then::Fail(error) = &mut gate.then {
                named(error, key);
            }
            gate
        });
        let mut beats = beats;
        for beat in &mut beats {
            if let Beat::Fail(error) = beat {
                named(error, key);
            }
        }
        let whole = whole(&beats, key);
        let at_once = prepare.is_open() && connect.is_open() && opening.is_open();
        Self { prepare, connect, opening, beats, whole, at_once }
    }
}

/// The answer that these beats add up to, if no time passes in them and they come to an end.
fn whole(beats: &[Beat], key: &Arc<str>) -> Option<Result<Response, Error>> {
    let mut builder = ResponseBuilder::default();
    for beat in beats {
        match beat {
            Beat::Event(event) => builder.absorb(event),
            Beat::Fail(error) => return Some(Err(error.clone())),
            Beat::Pause(_) | Beat::Stall | Beat::Panic => return None,
        }
    }
    Some(finished(builder, key))
}

/// What was collected, if its terminal marker came.
pub(super) fn finished(builder: ResponseBuilder, key: &Arc<str>) -> Result<Response, Error> {
    if builder.is_finished() {
        Ok(builder.into_response())
    } else {
        Err(Error::new(ErrorKind::Truncated, "the answer broke off").with_model_key(Arc::clone(key)))
    }
}

fn named(error: &mut Error, key: &Arc<str>) {
    if error.model_key().is_none() {
        *error = error.clone().with_model_key(Arc::clone(key));
    }
}

#[allow(clippy::panic, reason = "the script asks for it: strategies must survive a panicking adapter")]
pub(super) fn scripted_panic() -> ! {
    panic!("the script says: panic")
}

/// The steps of a model, in the order in which its calls use them up.
#[derive(Default)]
pub(super) struct Script {
    plans: Vec<Arc<Plan>>,
    next: usize,
    starts_over: bool,
    responder: Option<Responder>,
    /// Whether the only plan is the one that every model starts with.
    is_default: bool,
}

impl Script {
    pub(super) fn set_default(&mut self, plan: Plan) {
        self.plans = vec![Arc::new(plan)];
        self.is_default = true;
    }

    pub(super) fn push(&mut self, plan: Arc<Plan>) {
        if std::mem::take(&mut self.is_default) {
            self.plans.clear();
        }
        self.plans.push(plan);
    }

    pub(super) fn start_over(&mut self) {
        self.starts_over = true;
    }

    pub(super) fn respond(&mut self, responder: Responder) {
        self.responder = Some(responder);
    }

    /// The next plan, or whom to ask for it.
    pub(super) fn advance(&mut self) -> Result<Arc<Plan>, Responder> {
        if let Some(responder) = &self.responder {
            return Err(Arc::clone(responder));
        }
        let last = self.plans.len().saturating_sub(1);
        let at = self.next.min(last);
        self.next = if at < last {
            at + 1
        } else if self.starts_over {
            0
        } else {
            last
        };
        match self.plans.get(at) {
            Some(plan) => Ok(Arc::clone(plan)),
            None => Err(Arc::new(|_| Step::default())),
        }
    }
}
