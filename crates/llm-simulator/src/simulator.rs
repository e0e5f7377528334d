//! The simulator: a listener on loopback and a handle to it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    select,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{
    behaviour::Behaviour, connection::serve, keys::Key, received::Received, script::Script, state::Shared,
};

/// A provider of language models that misbehaves on demand, on a port of its own.
///
/// Dropping it stops it: the listener is closed and all connections are aborted. See the [crate page](crate) for an
/// example.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Simulator {
    /// The name under which requests for the list of models are scripted and counted, for health checks that fail.
    pub const MODELS: &str = "/models";

    /// Starts on a free port of the loopback interface.
    pub async fn start() -> io::Result<Self> {
        Self::bind((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts on this address. It speaks plain HTTP and lets everyone in: loopback is the place for it.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new());
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`, without a slash at the end. What a client calls its base URL may need `/v1` after it.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, requests for this model get these behaviours, one each; the last one repeats (or see
    /// [`Script::flap`]). The model is matched as the client names it, before any directives in its name are read.
    pub fn script(&self, model: &str, script: impl Into<Script>) {
        self.shared.script(model, script.into());
    }

    /// From now on, every request for this model gets this behaviour.
    pub fn on(&self, model: &str, behaviour: Behaviour) {
        self.script(model, [behaviour]);
    }

    /// From now on, models that are neither scripted nor have directives in their names get this behaviour instead
    /// of the default one. The [list of models](Self::MODELS) is not meant by it.
    pub fn otherwise(&self, behaviour: Behaviour) {
        self.shared.otherwise([behaviour].into());
    }

    /// From now on, requests with another API key than this one, or without any, get the vendor's 401, the list of
    /// models included: OpenAI's key is a bearer token (or Azure's `api-key`), Anthropic's is in `x-api-key` (or a
    /// bearer token). They are counted like all others, and take no step of a script.
    pub fn require_key(&self, key: impl Into<String>) {
        self.shared.require(Some(Key(key.into())));
    }

    /// From now on, requests are answered whatever their API key, as at the start.
    pub fn accept_any_key(&self) {
        self.shared.require(None);
    }

    /// How many requests for this model have been received, directives being part of its name.
    pub fn received(&self, model: &str) -> usize {
        self.shared.received(model)
    }

    /// How many requests have been received, for whatever model or path.
    pub fn received_total(&self) -> u64 {
        self.shared.received_total()
    }

    /// The requests for this model, oldest first. At most ten thousand requests (64 MiB of heads and bodies) are remembered
    /// for all models together, while the counts are exact.
    ///
    /// A client can have read an answer a moment before [`Received::ended`] says so:
    /// [`wait_idle`](Self::wait_idle) first.
    pub fn requests(&self, model: &str) -> Vec<Received> {
        self.shared.requests(Some(model))
    }

    /// All requests that are remembered, oldest first.
    pub fn all_requests(&self) -> Vec<Received> {
        self.shared.requests(None)
    }

    /// How many requests have been received and have not ended.
    pub fn open_requests(&self) -> usize {
        self.shared.open_requests()
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections()
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open_connections()
    }

    /// Waits until this many requests for this model have been received. Like all waits here it has no time limit
    /// of its own and can be dropped at any time.
    pub async fn wait_received(&self, model: &str, requests: usize) {
        self.wait_until(|simulator| simulator.received(model) >= requests).await;
    }

    /// Waits until no request is open any more: every one was answered, cut, or given up by its client.
    pub async fn wait_idle(&self) {
        self.wait_until(|simulator| simulator.open_requests() == 0).await;
    }

    /// Waits until something is true of the simulator; it is asked again whenever a request or a connection begins
    /// or ends.
    pub async fn wait_until(&self, mut met: impl FnMut(&Self) -> bool) {
        let mut changed = self.shared.subscribe();
        while !met(self) {
            if changed.changed().await.is_err() {
                return; // cannot be: the other end lives as long as `self`
            }
        }
    }

    /// Stops it, and returns when the port is closed and all connections are.
    pub async fn stop(mut self) {
        self.task.abort();
        // It was aborted, so there is nothing to learn from how it ended.
        let _ = (&mut self.task).await;
        self.wait_until(|simulator| simulator.open_connections() == 0).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections until it is aborted, which aborts them too.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    /// Before the next attempt when the process has too many files open.
    const PAUSE: Duration = Duration::from_millis(10);
    let mut connections = JoinSet::new();
    loop {
        let accepted: io::Result<(TcpStream, SocketAddr)> = select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
