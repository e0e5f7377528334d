//! One connection: reads a request, finds what it gets, performs it, and again.

use std::{io, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    select,
    time::timeout,
};

use crate::{
    exchange::Exchange,
    fault::Pace,
    http::{self, Request, Unread},
    input::{Input, discard},
    keys::Key,
    out::{Framing, Out},
    perform::{Ending, perform},
    received::{Ended, Received},
    refusal::Screened,
    state::Shared,
    wire::{Asked, Route, route},
};

/// How long and how much is read of what will not be answered, so that the client sees the answer before it
/// sees the connection closed.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Serves a connection until either side closes it.
pub(crate) async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let connection = Connected::new(shared);
    // Small writes are the point of several behaviours.
    let _ = stream.set_nodelay(true);
    let mut input = Input::default();
    loop {
        let (mut read, mut write) = stream.split();
        let request = match http::read_request(&mut read, &mut write, &mut input).await {
            Ok(request) => request,
            Err(Unread::Gone) => return,
            Err(Unread::Refused(status, why)) => return refuse(read, write, status, why).await,
        };
        let keep_alive = request.keep_alive;
        let ending = answer(&connection, request, read, write, &mut input).await;
        match ending {
            Some(Ending::Complete) if keep_alive && !input.lost() => {}
            Some(Ending::Complete) if input.lost() => {
                let (read, mut write) = stream.split();
                let _ = write.shutdown().await;
                return linger(read).await;
            }
            Some(Ending::Reset) => {
                let _ = stream.set_zero_linger();
                return;
            }
            _ => return,
        }
    }
}

/// Answers one request; `None` when the client went away.
async fn answer(
    connection: &Connected,
    request: Request,
    mut read: ReadHalf<'_>,
    write: WriteHalf<'_>,
    input: &mut Input,
) -> Option<Ending> {
    let keep_alive = request.keep_alive;
    let (mut open, exchange) = connection.begin(request);
    let mut out = Out::new(write, exchange.behaviour.pace);
    let ending = select! {
        // What has been written whole is complete, even if the client was quick to leave.
        biased;
        ending = perform(&exchange, keep_alive, &mut out) => ending.ok(),
        () = input.gone(&mut read) => None,
    };
    open.ended = match &ending {
        Some(Ending::Complete) => Ended::Completed,
        Some(Ending::Closed | Ending::Reset) => Ended::Cut,
        None => Ended::Disconnected,
    };
    if matches!(ending, Some(Ending::Closed)) {
        let _ = out.shut().await;
    }
    ending
}

/// Says why this is no request, and closes.
async fn refuse(read: ReadHalf<'_>, write: WriteHalf<'_>, status: u16, why: &str) {
    let mut out = Out::new(write, Pace::Whole);
    let answered: io::Result<()> = async {
        let headers = [("content-type", "text/plain"), ("connection", "close")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        out.head(status, &headers, Framing::Length(why.len())).await?;
        out.send(why.as_bytes()).await?;
        out.shut().await
    }
    .await;
    if answered.is_ok() {
        linger(read).await;
    }
}

/// Closing with unread bytes would reset the connection, and the client would never see the answer.
async fn linger(mut read: ReadHalf<'_>) {
    let _ = timeout(LINGER, discard(&mut read, LINGER_BYTES)).await;
}

/// Counts a connection for as long as it lives.
struct Connected {
    number: u64,
    shared: Arc<Shared>,
}

impl Connected {
    fn new(shared: Arc<Shared>) -> Self {
        Self { number: shared.connected(), shared }
    }

    /// Makes of a request what it gets, and takes it into the log.
    fn begin(&self, request: Request) -> (OpenRequest, Exchange) {
        let (wire, route) =
            route(&request.method, &request.target, request.header("anthropic-version").is_some());
        let body: Option<Value> = serde_json::from_slice(&request.body).ok();
        let mut exchange = Exchange::new(wire, route, request.method == "HEAD");
        let (model, always) = exchange.read(body.as_ref());
        let version = request.header("anthropic-version").map(str::to_owned);
        let interleaved = request.all("anthropic-beta").any(|beta| beta.contains("interleaved-thinking"));
        let asked = body.as_ref().filter(|_| route == Route::Answer).map(|body| Asked {
            body,
            version: version.as_deref(),
            interleaved,
        });
        let screened = Screened::new(wire, asked, Key::of(&request, wire), always);
        let received = Received {
            number: 0,
            connection: self.number,
            model,
            wire,
            method: request.method,
            path: request.target,
            streamed: exchange.call.streamed,
            body: Value::Null,
            ended: Ended::Open,
            headers: request.headers,
        };
        let (number, chosen) = self.shared.begin(received, &request.body, screened);
        let open = OpenRequest { number, ended: Ended::Disconnected, shared: Arc::clone(&self.shared) };
        exchange.number = number;
        let behaviour = chosen.unwrap_or_else(|refusal| Box::new(refusal.behaviour()));
        exchange.behave(*behaviour, body.as_ref(), self.shared.ids());
        if route == Route::Models {
            exchange.models = self.shared.models();
        }
        (open, exchange)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.shared.disconnected();
    }
}

/// Counts a request as open for as long as it lives, even if the simulator is stopped meanwhile.
struct OpenRequest {
    number: u64,
    ended: Ended,
    shared: Arc<Shared>,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.shared.end(self.number, self.ended);
    }
}
