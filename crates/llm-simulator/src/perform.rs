//! Performs a behaviour: decides what is sent, and sends what is no stream.

use std::{future::pending, io, pin::pin, time::Duration};

use tokio::{select, time::sleep};

use crate::{
    answer::Answer,
    exchange::Exchange,
    fault::{Fault, Opening},
    out::{Framing, Out},
    stream,
    wire::Route,
};

/// Stands for bytes that are no UTF-8 until the text has become JSON.
const PLACEHOLDER: &str = "\u{FFFD}";
const NO_UTF8: [u8; 3] = [0xC3, 0x28, 0xFF];

/// Bytes for what never ends.
pub(crate) const FILLER: [u8; 4096] = [b'x'; 4096];

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The answer is out; another request may come.
    Complete,
    /// The connection is to be closed.
    Closed,
    /// The connection is to be reset.
    Reset,
}

/// Answers a request as its behaviour says.
pub(crate) async fn perform(exchange: &Exchange, keep_alive: bool, out: &mut Out<'_>) -> io::Result<Ending> {
    let behaviour = &exchange.behaviour;
    pause(behaviour.delay).await;
    match behaviour.opening {
        Opening::Stall => return pending().await,
        Opening::Reset => return Ok(Ending::Reset),
        Opening::Close => return Ok(Ending::Closed),
        Opening::Respond => {}
    }
    let mut response = Response { exchange, keep_alive, out };
    if let Some(body) = &behaviour.body {
        return response.whole(behaviour.status, guess_type(body), body).await;
    }
    if let Some(status) = behaviour.error_body {
        return response.error(200, status).await;
    }
    if !(200..300).contains(&behaviour.status) {
        return response.error(behaviour.status, behaviour.status).await;
    }
    match exchange.route {
        _ if behaviour.status == 204 => response.whole(204, JSON, b"").await,
        Route::Models => {
            let models = exchange.codec().models(&exchange.models);
            response.whole(behaviour.status, JSON, models.as_bytes()).await
        }
        _ if exchange.call.streamed && !behaviour.ignore_stream => stream::perform(response).await,
        _ => response.answer().await,
    }
}

const JSON: &str = "application/json";

fn guess_type(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => JSON,
        Some(b'<') => "text/html; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

/// A response that is being written.
pub(crate) struct Response<'a, 'b> {
    pub(crate) exchange: &'a Exchange,
    keep_alive: bool,
    pub(crate) out: &'a mut Out<'b>,
}

impl Response<'_, '_> {
    pub(crate) async fn head(&mut self, status: u16, content_type: &str, framing: Framing) -> io::Result<()> {
        let headers = self.exchange.headers(status, content_type, self.keep_alive);
        self.out.head(status, &headers, framing).await
    }

    /// A body that is known from its start.
    async fn whole(&mut self, status: u16, content_type: &str, body: &[u8]) -> io::Result<Ending> {
        // These have no body by definition.
        if matches!(status, 204 | 304) {
            self.head(status, content_type, Framing::Empty).await?;
            return Ok(Ending::Complete);
        }
        self.head(status, content_type, Framing::Length(body.len())).await?;
        if !self.exchange.head_only {
            self.out.send_last(body).await?;
        }
        Ok(Ending::Complete)
    }

    async fn error(&mut self, status: u16, words_of: u16) -> io::Result<Ending> {
        let envelope = self.exchange.error(words_of);
        self.whole(status, JSON, envelope.as_bytes()).await
    }

    /// An answer that is not streamed: it takes as long as the stream would, and its faults strike in mid-body.
    async fn answer(&mut self) -> io::Result<Ending> {
        let behaviour = &self.exchange.behaviour;
        let fault = behaviour.fault.map(|(_, fault)| fault);
        let body = self.body(fault == Some(Fault::InvalidUtf8));
        let half = body.get(..body.len() / 2).unwrap_or_default();
        let (sent, promised) = match fault {
            None | Some(Fault::InvalidUtf8) => (body.clone(), body.len()),
            Some(Fault::Truncate) => (half.to_vec(), half.len()),
            // In front, so that it reads as nonsense and not as something cut.
            Some(Fault::Malformed) => ([b"}{", half].concat(), half.len() + 2),
            Some(Fault::Error(status)) => {
                let envelope = self.exchange.error(status).into_bytes();
                let length = envelope.len();
                (envelope, length)
            }
            Some(Fault::Stall | Fault::Reset | Fault::Close | Fault::EndlessEvent | Fault::Endless) => {
                (half.to_vec(), body.len())
            }
        };
        let endless = matches!(fault, Some(Fault::Endless | Fault::EndlessEvent));
        let alive = behaviour.keep_alive.is_some();
        let framing = if endless || alive { Framing::Chunked } else { Framing::Length(promised) };
        if alive {
            self.head(behaviour.status, JSON, framing).await?;
        }
        // White space before the JSON keeps the connection alive, as some vendors do it.
        self.wait(generation_time(self.exchange), "\n         ").await?;
        if !alive {
            self.head(behaviour.status, JSON, framing).await?;
        }
        match fault {
            Some(Fault::Stall | Fault::Reset | Fault::Close | Fault::EndlessEvent | Fault::Endless) => {
                self.out.send(&sent).await?;
            }
            _ => self.out.send_last(&sent).await?,
        }
        match fault {
            Some(Fault::Stall) => pending().await,
            Some(Fault::Reset) => Ok(Ending::Reset),
            Some(Fault::Close) => Ok(Ending::Closed),
            Some(Fault::EndlessEvent | Fault::Endless) => self.endless().await,
            _ => Ok(Ending::Complete),
        }
    }

    fn body(&self, invalid: bool) -> Vec<u8> {
        let (exchange, id) = (self.exchange, self.exchange.answer_id());
        if !invalid {
            return exchange.codec().body(&exchange.reply(&id, &exchange.answer)).into_bytes();
        }
        let mut answer: Answer = exchange.answer.clone();
        answer.text.push(PLACEHOLDER.to_owned());
        invalidate(&exchange.codec().body(&exchange.reply(&id, &answer)))
    }

    /// One more delta after so many, with bytes that are no UTF-8.
    pub(crate) fn invalid_delta(&self, deltas: usize) -> Vec<u8> {
        let (exchange, id) = (self.exchange, self.exchange.answer_id());
        let (reply, place) = (exchange.reply(&id, &exchange.answer), exchange.answer.place(deltas));
        invalidate(&exchange.codec().delta(&reply, place, PLACEHOLDER))
    }

    /// Bytes for ever; ends when the client does.
    pub(crate) async fn endless(&mut self) -> io::Result<Ending> {
        loop {
            self.out.send(&FILLER).await?;
        }
    }

    /// Waits this long (`None`: for ever), and keeps the connection alive meanwhile if the behaviour says so.
    pub(crate) async fn wait(&mut self, time: Option<Duration>, keep_alive: &str) -> io::Result<()> {
        let over = async {
            match time {
                Some(time) => pause(time).await,
                None => pending().await,
            }
        };
        let mut over = pin!(over);
        let Some(interval) = self.exchange.behaviour.keep_alive else {
            over.await;
            return Ok(());
        };
        loop {
            select! {
                biased;
                () = &mut over => return Ok(()),
                () = sleep(interval) => {}
            }
            // Outside of the `select`, or the end of the wait could cut it in half.
            self.out.send(keep_alive.as_bytes()).await?;
        }
    }
}

/// Even the shortest sleep takes a tick of the timer; no delay takes no time.
async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn invalidate(json: &str) -> Vec<u8> {
    let (before, after) = json.split_once(PLACEHOLDER).unwrap_or((json, ""));
    [before.as_bytes(), &NO_UTF8, after.as_bytes()].concat()
}

/// How long a stream would take; `None` if it would never end.
fn generation_time(exchange: &Exchange) -> Option<Duration> {
    let (behaviour, id) = (&exchange.behaviour, exchange.answer_id());
    // Of the stream itself, as formats differ in what they have a place for.
    let events = exchange.codec().events(&exchange.reply(&id, &exchange.answer));
    let (reasoning, deltas) = (events.reasoning.len(), events.deltas.len());
    let pauses = reasoning.saturating_sub(1) + deltas.saturating_sub(1);
    let between = behaviour.token_delay.saturating_mul(u32::try_from(pauses).unwrap_or(u32::MAX));
    let text_delay = if reasoning == 0 { Duration::ZERO } else { behaviour.text_delay };
    Some(behaviour.first_token?.saturating_add(text_delay).saturating_add(between))
}
