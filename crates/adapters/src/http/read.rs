//! Reading a response: its headers, and its body within bounds.

use std::time::Duration;

use bytes::Bytes;
use llm_protocol::{Error, ErrorKind, Scrubber};
use reqwest::header::{HeaderMap, HeaderName};

use super::fault;

/// How long the end of a body may be behind the end of the answer in it. Whoever streams has seen every piece by then,
/// but not that it was the last, and whoever collects has nothing yet: so it is short. All that is at stake is a new
/// connection. Hosts that write the two apart without `TCP_NODELAY` are some 40 ms late.
const END_OF_BODY: Duration = Duration::from_millis(50);

/// How long the explanation of a failure may take. Status and headers are there and say the most; a host that stalls
/// half-way must not keep them back until some clock of the caller's makes a timeout of them.
const EXPLANATION: Duration = Duration::from_secs(1);

/// The header's value, where it is plain text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A response body that is read within a bound, counted after decompression.
pub(crate) struct Reader {
    response: reqwest::Response,
    left: usize,
    limit: usize,
}

impl Reader {
    pub(crate) fn new(response: reqwest::Response, limit: usize) -> Self {
        Self { response, left: limit, limit }
    }

    /// The next bytes, `None` at a clean end. Cancel safe.
    pub(crate) async fn chunk(&mut self, scrubber: &Scrubber) -> Result<Option<Bytes>, Error> {
        let chunk = self.response.chunk().await.map_err(|fault| fault::in_body(fault, scrubber))?;
        if let Some(chunk) = &chunk {
            self.left = self.left.checked_sub(chunk.len()).ok_or_else(|| {
                Error::new(ErrorKind::Protocol, format!("the response is larger than {} bytes", self.limit))
            })?;
        }
        Ok(chunk)
    }

    /// The whole rest.
    pub(crate) async fn collect(&mut self, scrubber: &Scrubber) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(scrubber).await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// As much of the rest as the bound allows, up to where the connection breaks, and what came of it within
    /// [`EXPLANATION`]. For explanations of failures: half of one is better than none.
    pub(crate) async fn collect_some(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        let rest = async {
            while let Ok(Some(chunk)) = self.response.chunk().await {
                let kept = chunk.get(..self.left.min(chunk.len())).unwrap_or_default();
                body.extend_from_slice(kept);
                self.left -= kept.len();
                if self.left == 0 {
                    break;
                }
            }
        };
        let _in_time = tokio::time::timeout(EXPLANATION, rest).await;
        body
    }

    /// Reads to the end of the body, which lies just behind the terminal marker of the answer: only then an HTTP/1
    /// connection can be used again. Many hosts write the two apart, so it may take a moment to come.
    pub(crate) async fn finish(&mut self) {
        let rest = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        let _at_end = tokio::time::timeout(END_OF_BODY, rest).await;
    }
}
