//! The event reader: a response body on one side, the events of an answer on the other.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use futures::{StreamExt, stream};
use llm_protocol::{Error, EventStream, StreamEvent};
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use crate::call::{Call, request_id};
use crate::failure::Failure;
use crate::http::{Reader, header};
use crate::sse;
use crate::vendor::{Decode, Flow, Vendor};

mod lead;

use lead::Lead;

/// In which form an answer to a streaming request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As events.
    Events,
    /// As one JSON document: an error, or a whole answer from a host that does not stream.
    Json,
}

impl Shape {
    /// Told by the content type. One that is missing is taken for events: some small hosts leave it out. What is said
    /// to be events may still turn out to be JSON.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let value = header(headers, &CONTENT_TYPE).unwrap_or("text/event-stream").to_ascii_lowercase();
        let essence = value.split(';').next().unwrap_or_default().trim();
        match essence {
            "text/event-stream" => Ok(Self::Events),
            json if json == "application/json" || json.ends_with("+json") => Ok(Self::Json),
            _ => Err(Failure::protocol("the answer is neither an event stream nor JSON")),
        }
    }
}

/// The answer as a stream.
pub(crate) fn open<V: Vendor>(call: Call<V>, head: reqwest::Response) -> Result<EventStream, Error> {
    let request_id = request_id(head.headers()).map(str::to_owned);
    let shape = Shape::of(head.headers());
    let shape = shape.map_err(|failure| call.name(failure, request_id.as_deref()))?;
    let shared = &call.shared;
    let answer = Answer {
        events: Events::new(shared.vendor.decoder(&shared.provider), shared.max_event_bytes, call.keep_raw),
        body: Some(Reader::new(head, shared.max_response_bytes)),
        document: Vec::new(),
        lead: Lead::default(),
        stage: Stage::Head(shape),
        request_id,
        call,
    };
    let events = stream::unfold(Box::new(answer), |mut answer| async {
        let event = answer.next().await?;
        Some((event, answer))
    });
    Ok(Box::pin(events.fuse()))
}

/// An answer while it comes in.
struct Answer<V: Vendor> {
    call: Call<V>,
    request_id: Option<String>,
    /// Until the answer ended: a stream that nobody drops must not keep a connection.
    body: Option<Reader>,
    /// What has come of an answer that is one JSON document.
    document: Vec<u8>,
    lead: Lead,
    events: Events,
    stage: Stage,
}

/// What comes next of an answer.
enum Stage {
    /// That it began: said before any of its body, so that a caller who gives up waiting knows the request's id.
    Head(Shape),
    Body,
    Json,
    Buffered(std::vec::IntoIter<StreamEvent>),
    End,
}

impl<V: Vendor> Answer<V> {
    /// The next event. Cancel safe.
    async fn next(&mut self) -> Option<Result<StreamEvent, Error>> {
        loop {
            match &mut self.stage {
                Stage::Head(shape) => {
                    self.stage = if *shape == Shape::Json { Stage::Json } else { Stage::Body };
                    let started = self.call.started(self.request_id.as_deref());
                    return Some(Ok(StreamEvent::Started(started)));
                }
                Stage::Body => {
                    let next = self.next_from_body().await;
                    if !matches!(self.stage, Stage::Json) {
                        return next;
                    }
                }
                Stage::Json => match self.whole().await {
                    Ok(events) => self.stage = Stage::Buffered(events.into_iter()),
                    Err(error) => return Some(Err(self.fail(error))),
                },
                Stage::Buffered(events) => return events.next().map(Ok),
                Stage::End => return None,
            }
        }
    }

    /// The next of the events in the body. When it turns out to hold none, the stage says so.
    async fn next_from_body(&mut self) -> Option<Result<StreamEvent, Error>> {
        loop {
            match self.events.step() {
                Step::Event(event) => return Some(Ok(self.call.shown(event))),
                Step::Failed(failure) => {
                    let error = self.call.name(failure, self.request_id.as_deref());
                    return Some(Err(self.fail(error)));
                }
                Step::Done => {
                    if let Some(body) = &mut self.body {
                        body.finish().await;
                    }
                    self.body = None;
                    self.stage = Stage::End;
                    return None;
                }
                Step::MoreBytes => match self.chunk().await {
                    Ok(Some(bytes)) => {
                        if let Some(json) = self.lead.json(&bytes) {
                            self.document.extend_from_slice(json);
                            self.stage = Stage::Json;
                            return None;
                        }
                        self.events.push(&bytes);
                    }
                    Ok(None) => self.events.end(),
                    // Nothing is lost by a break after the end: at most the count of tokens.
                    Err(_) if self.events.is_complete() => self.events.end(),
                    Err(error) => {
                        let error = self.call.during(error, self.request_id.as_deref());
                        return Some(Err(self.fail(error)));
                    }
                },
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.body {
            Some(body) => body.chunk(self.call.scrubber()).await,
            None => Ok(None),
        }
    }

    /// The events of an answer that came whole.
    async fn whole(&mut self) -> Result<Vec<StreamEvent>, Error> {
        loop {
            match self.chunk().await {
                Ok(Some(bytes)) => self.document.extend_from_slice(&bytes),
                Ok(None) => break,
                Err(error) => return Err(self.call.during(error, self.request_id.as_deref())),
            }
        }
        self.body = None;
        let document = mem::take(&mut self.document);
        let response = self.call.read(&document, self.request_id.clone())?;
        Ok(response.into_events())
    }

    /// The last thing that is said.
    fn fail(&mut self, error: Error) -> Error {
        self.stage = Stage::End;
        self.body = None;
        error
    }
}

/// The pure half of the event reader: bytes in, events out, in any split.
pub(crate) struct Events {
    frames: sse::Events,
    decoder: Box<dyn Decode>,
    keep_raw: bool,
    ready: VecDeque<StreamEvent>,
    ending: Ending,
}

enum Ending {
    Open,
    Done,
    /// Told after everything that came before it.
    Failed(Failure),
}

/// What to do next.
pub(crate) enum Step {
    Event(StreamEvent),
    MoreBytes,
    Failed(Failure),
    Done,
}

impl Events {
    pub(crate) fn new(decoder: Box<dyn Decode>, max_event_bytes: usize, keep_raw: bool) -> Self {
        Self {
            frames: sse::Events::new(max_event_bytes),
            decoder,
            keep_raw,
            ready: VecDeque::new(),
            ending: Ending::Open,
        }
    }

    /// Takes in more bytes, after [`step`](Self::step) asked for them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// The body is at its end.
    pub(crate) fn end(&mut self) {
        if matches!(self.ending, Ending::Open) {
            self.ending = if self.decoder.is_complete() {
                Ending::Done
            } else {
                Ending::Failed(Failure::truncated("the stream ended before the answer did"))
            };
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    pub(crate) fn step(&mut self) -> Step {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Step::Event(event);
            }
            match mem::replace(&mut self.ending, Ending::Done) {
                Ending::Done => return Step::Done,
                Ending::Failed(failure) => return Step::Failed(failure),
                Ending::Open => {}
            }
            self.ending = match self.frames.next() {
                Ok(Some(event)) => {
                    // One without data says nothing, and could be one of millions.
                    if self.keep_raw && !event.data.is_empty() {
                        self.ready.push_back(StreamEvent::Raw(event.data.to_owned()));
                    }
                    match self.decoder.event(event, &mut self.ready) {
                        Ok(Flow::More) => Ending::Open,
                        Ok(Flow::Done) => Ending::Done,
                        Err(failure) => Ending::Failed(failure),
                    }
                }
                Ok(None) => {
                    self.ending = Ending::Open;
                    return Step::MoreBytes;
                }
                // Nothing of an answer comes after its end: at most the count of tokens is lost.
                Err(_) if self.decoder.is_complete() => Ending::Done,
                Err(failure) => Ending::Failed(failure),
            };
        }
    }
}
