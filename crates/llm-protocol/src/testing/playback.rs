//! The stream of a scripted answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep};

use super::log::{Ending, Ticket};
use super::plan::{Beat, Plan, scripted_panic};
use crate::error::Error;
use crate::event::StreamEvent;

/// Plays the beats of a plan; the call is open until it has been played or is dropped.
pub(super) struct Playback {
    plan: Arc<Plan>,
    at: usize,
    pause: Option<Pin<Box<Sleep>>>,
    /// Whether the pause runs; its timer is kept for the next one.
    pausing: bool,
    finished: bool,
    /// `None` when the call is over.
    ticket: Option<Ticket>,
}

impl Playback {
    pub(super) fn new(plan: Arc<Plan>, ticket: Ticket) -> Self {
        Self { plan, at: 0, pause: None, pausing: false, finished: false, ticket: Some(ticket) }
    }

    fn end(&mut self, ending: Ending) {
        if let Some(mut ticket) = self.ticket.take() {
            ticket.ends(ending);
        }
    }
}

impl Stream for Playback {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ticket.is_none() {
            return Poll::Ready(None);
        }
        loop {
            if this.pausing
                && let Some(pause) = &mut this.pause
            {
                ready!(pause.as_mut().poll(cx));
                this.pausing = false;
            }
            let Some(beat) = this.plan.beats.get(this.at) else {
                this.end(if this.finished { Ending::Completed } else { Ending::Failed });
                return Poll::Ready(None);
            };
            match beat {
                Beat::Pause(delay) => {
                    this.at += 1;
                    this.pausing = true;
                    match &mut this.pause {
                        Some(pause) => pause.as_mut().reset(Instant::now() + *delay),
                        None => this.pause = Some(Box::pin(sleep(*delay))),
                    }
                }
                Beat::Event(event) => {
                    let event = event.clone();
                    this.at += 1;
                    this.finished |= matches!(event, StreamEvent::Finish(_));
                    if this.finished {
                        if let Some(ticket) = &mut this.ticket {
                            ticket.ends(Ending::Completed);
                        }
                        // Nothing is left to come: over, whether or not anyone asks for the end.
                        if this.at == this.plan.beats.len() {
                            this.end(Ending::Completed);
                        }
                    }
                    return Poll::Ready(Some(Ok(event)));
                }
                Beat::Fail(error) => {
                    let error = error.clone();
                    this.end(Ending::Failed);
                    return Poll::Ready(Some(Err(error)));
                }
                Beat::Stall => return Poll::Pending,
                Beat::Panic => {
                    this.end(Ending::Failed);
                    scripted_panic()
                }
            }
        }
    }
}
