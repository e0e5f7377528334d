//! Reading a response: its headers, and its body within bounds.

use bytes::Bytes;
use futures::FutureExt;
use llm_protocol::{Error, ErrorKind, Scrubber};
use reqwest::header::HeaderMap;

use super::fault;

/// The header's value, where it is plain text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
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

    /// As much of the rest as the bound allows, up to where the connection breaks. For explanations of failures:
    /// half of one is better than none.
    pub(crate) async fn collect_some(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = self.response.chunk().await {
            let kept = chunk.get(..self.left.min(chunk.len())).unwrap_or_default();
            body.extend_from_slice(kept);
            self.left -= kept.len();
            if self.left == 0 {
                break;
            }
        }
        body
    }

    /// Looks once, without waiting, whether the body is at its end: that lets an HTTP/1 connection go back to the
    /// pool when the terminal marker of the answer came together with the end of the body.
    pub(crate) fn finish(&mut self) {
        let _at_end = self.response.chunk().now_or_never();
    }
}
