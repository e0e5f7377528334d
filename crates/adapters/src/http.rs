//! The HTTP client under every adapter.

mod body;
mod fault;
mod proxy;
mod read;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use body::Announced;
pub(crate) use fault::before_head;
pub(crate) use read::{Reader, header};

use crate::builder::BuildError;

/// How long connecting may take, unless the user says otherwise: DNS, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a connection with requests on it is asked whether it is alive, and how long it may take to answer.
/// Without it a dead HTTP/2 connection would stay in the pool and swallow every later request.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// An HTTP client with the settings that adapters rely on. Making one takes some milliseconds (it reads the system's
/// certificate authorities); cloning is cheap, and clones share their connections: give one client to all adapters.
///
/// The proxies of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) are used, but never for the
/// loopback. It never retries and never follows redirects, since strategies must see every request that a provider receives,
/// and it has no timeout for calls but the one for connecting, since strategies hold the clocks. Connections are another
/// matter: one whose other end shows no sign of life for half a minute is given up (by HTTP/2 pings, and on Linux by
/// TCP, which waits so long for bytes to be acknowledged). Use it within the runtime that first used it: connections
/// belong to their runtime.
///
/// ```
/// use llm_adapters::HttpClient;
///
/// let client = HttpClient::configure(|http| http.user_agent("my-app/1.0"))?;
/// # Ok::<(), llm_adapters::BuildError>(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
    /// Made here, and so without TLS in a build without TLS.
    ours: bool,
}

impl HttpClient {
    /// A client that gives up connecting after ten seconds.
    pub fn new() -> Result<Self, BuildError> {
        Self::configure(|http| http)
    }

    /// A client that gives up connecting (DNS, TCP and TLS together) after this long.
    pub fn connect_timeout(timeout: Duration) -> Result<Self, BuildError> {
        Self::configure(|http| http.connect_timeout(timeout))
    }

    /// A client with further settings: a proxy, certificate authorities, a user agent.
    pub fn configure(
        further: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, BuildError> {
        let settings = reqwest::Client::builder()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Some hosts' firewalls refuse requests that have none.
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE);
        // Named, because reqwest itself takes the platform's library as soon as anybody in the build enables it.
        #[cfg(feature = "rustls")]
        let settings = settings.tls_backend_rustls();
        let settings = proxy::from_environment(settings, |name| std::env::var(name).ok());
        let inner = further(settings).build();
        let inner = inner.map_err(|error| BuildError::Client(Arc::new(error.without_url())))?;
        Ok(Self { inner, ours: true })
    }

    pub(crate) fn inner(&self) -> &reqwest::Client {
        &self.inner
    }

    /// Nobody can tell of a client that the user made.
    pub(crate) fn may_have_tls(&self) -> bool {
        !self.ours || cfg!(any(feature = "rustls", feature = "native-tls"))
    }
}

/// A client of the user's own making. It should not retry, follow redirects or have an overall timeout; see
/// [`HttpClient`] for the reasons.
impl From<reqwest::Client> for HttpClient {
    fn from(client: reqwest::Client) -> Self {
        Self { inner: client, ours: false }
    }
}

/// Without the settings: proxies and default headers may hold credentials.
impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No host can be relied on to keep a test waiting for ten seconds, and no test should.
    #[test]
    fn connecting_ends_without_a_word_from_the_user() {
        let mut told = String::new();
        HttpClient::configure(|http| {
            told = format!("{http:?}");
            http
        })
        .unwrap();
        assert!(told.contains("connect_timeout: 10s"), "{told}");
    }
}
