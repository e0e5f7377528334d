//! Performs a streamed answer.

use std::{io, ops::ControlFlow, time::Duration};

use crate::{
    answer::Answer,
    fault::Fault,
    out::Framing,
    perform::{Ending, Response},
    wire::Events,
};

/// Sends the answer as events, and whatever goes wrong among them.
pub(crate) async fn perform(mut response: Response<'_, '_>) -> io::Result<Ending> {
    let exchange = response.exchange;
    let behaviour = &exchange.behaviour;
    let id = exchange.answer_id();
    let events = exchange.codec().events(&exchange.reply(&id, &exchange.answer));
    response.head(behaviour.status, "text/event-stream; charset=utf-8", Framing::Chunked).await?;
    response.send_all(&events.opening, Duration::ZERO).await?;
    response.pause(behaviour.first_token).await?;
    if !events.reasoning.is_empty() {
        response.send_all(&events.reasoning, behaviour.token_delay).await?;
        response.pause(Some(behaviour.text_delay)).await?;
    }

    let deltas = events.deltas.as_slice();
    let (before, after) = match behaviour.fault {
        Some((count, fault)) => deltas.split_at(place(count, fault, &exchange.answer).min(deltas.len())),
        None => (deltas, [].as_slice()),
    };
    response.send_all(before, behaviour.token_delay).await?;
    if let Some((_, fault)) = behaviour.fault
        && let ControlFlow::Break(ending) = response.fail(fault, before.len()).await?
    {
        return Ok(ending);
    }
    response.send_all(after, behaviour.token_delay).await?;
    response.finish(&events).await
}

/// After how many deltas a fault happens. One that is itself a delta needs a block to be in.
fn place(deltas: usize, fault: Fault, answer: &Answer) -> usize {
    let is_delta = matches!(fault, Fault::Endless | Fault::InvalidUtf8);
    if is_delta && answer.text.is_empty() { deltas.max(1) } else { deltas }
}

impl Response<'_, '_> {
    /// Sends events with this delay between them.
    async fn send_all(&mut self, events: &[String], delay: Duration) -> io::Result<()> {
        for (number, event) in events.iter().enumerate() {
            if number > 0 && !delay.is_zero() {
                self.pause(Some(delay)).await?;
            }
            self.out.send(event.as_bytes()).await?;
        }
        Ok(())
    }

    /// Waits this long (`None`: for ever).
    async fn pause(&mut self, time: Option<Duration>) -> io::Result<()> {
        self.wait(time, self.exchange.codec().keep_alive()).await
    }

    /// Finish reason, usage and markers; the last of them ends the body.
    async fn finish(&mut self, events: &Events) -> io::Result<Ending> {
        let done = events.done.iter().filter(|_| self.exchange.behaviour.done);
        let all: Vec<&String> = events.finish.iter().chain(done).collect();
        let Some((last, others)) = all.split_last() else { return self.end().await };
        for event in others {
            self.out.send(event.as_bytes()).await?;
        }
        self.out.send_last(last.as_bytes()).await?;
        Ok(Ending::Complete)
    }

    /// Ends the body as HTTP wants it.
    async fn end(&mut self) -> io::Result<Ending> {
        self.out.send_last(b"").await?;
        Ok(Ending::Complete)
    }

    /// Breaks off after so many deltas, or goes on if the fault is a single bad event.
    async fn fail(&mut self, fault: Fault, deltas: usize) -> io::Result<ControlFlow<Ending>> {
        let codec = self.exchange.codec();
        let ending = match fault {
            Fault::Malformed => {
                self.out.send(codec.malformed().as_bytes()).await?;
                return Ok(ControlFlow::Continue(()));
            }
            Fault::InvalidUtf8 => {
                let delta = self.invalid_delta(deltas);
                self.out.send(&delta).await?;
                return Ok(ControlFlow::Continue(()));
            }
            Fault::Stall => {
                self.pause(None).await?;
                Ending::Closed
            }
            Fault::Reset => Ending::Reset,
            Fault::Close => Ending::Closed,
            Fault::Truncate => self.end().await?,
            Fault::Error(status) => {
                let event = codec.error_event(&self.exchange.error(status));
                self.out.send_last(event.as_bytes()).await?;
                Ending::Complete
            }
            Fault::EndlessEvent => {
                self.out.send(codec.endless().as_bytes()).await?;
                self.endless().await?
            }
            Fault::Endless => {
                let id = self.exchange.answer_id();
                let (behaviour, answer) = (&self.exchange.behaviour, &self.exchange.answer);
                let delta = codec.delta(&self.exchange.reply(&id, answer), answer.place(deltas), " again");
                loop {
                    self.out.send(delta.as_bytes()).await?;
                    if !behaviour.token_delay.is_zero() {
                        self.pause(Some(behaviour.token_delay)).await?;
                    }
                }
            }
        };
        Ok(ControlFlow::Break(ending))
    }
}
