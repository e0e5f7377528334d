//! What the simulator remembers of a request.

use std::fmt;

use serde_json::Value;

use crate::{http::find, wire::Wire};

/// Headers that carry credentials; their values are kept out of `Debug`.
const SECRET: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "cookie",
];

/// One request, as it came in, and how it ended.
///
/// A request is received once its head and body have been read whole; whatever is less is no request.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// Numbers the requests of a simulator from zero.
    pub number: u64,
    /// Numbers the connection it came on, from zero: requests with the same number shared a connection.
    pub connection: u64,
    /// The model as the client named it, directives included; [`Simulator::MODELS`](crate::Simulator::MODELS) for
    /// the list of models; empty if none was named.
    pub model: String,
    /// The wire format of the path.
    pub wire: Wire,
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Whether a stream was asked for.
    pub streamed: bool,
    /// The body; null if there was none or it was no JSON.
    pub body: Value,
    /// How it ended.
    pub ended: Ended,
    pub(crate) headers: Vec<(String, String)>,
}

impl Received {
    /// The first value of a header, whatever the case of its name. Credentials are not masked here.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// All headers in the order in which they came. Credentials are not masked here.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Received {
    /// What it takes to remember all but the body.
    pub(crate) fn head_bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize =
            headers.map(|(name, value)| size_of::<(String, String)>() + name.len() + value.len()).sum();
        headers + self.model.len() + self.method.len() + self.path.len()
    }
}

/// A path without the credentials that some hosts want in the query.
fn without_credentials(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let masked = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret_parameter(name) => format!("{name}=***"),
        _ => parameter.to_owned(),
    });
    format!("{path}?{}", masked.collect::<Vec<_>>().join("&"))
}

/// Whether a parameter is called something like a key. A name with escapes can be anything.
fn is_secret_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let like = ["key", "token", "secret", "sig", "auth", "pass", "credential", "%"];
    like.iter().any(|like| name.contains(like))
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.headers().map(|(name, value)| {
            let secret = SECRET.iter().any(|known| known.eq_ignore_ascii_case(name));
            (name, if secret { "***" } else { value })
        });
        f.debug_struct("Received")
            .field("number", &self.number)
            .field("connection", &self.connection)
            .field("model", &self.model)
            .field("wire", &self.wire)
            .field("method", &self.method)
            .field("path", &without_credentials(&self.path))
            .field("streamed", &self.streamed)
            .field("headers", &shown.collect::<Vec<_>>())
            .field("body", &self.body)
            .field("ended", &self.ended)
            .finish()
    }
}

/// How a request ended, seen from the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// It is being answered, or the simulator stalls.
    Open,
    /// Everything that was to be said has been written, errors included.
    Completed,
    /// The simulator cut the connection, as the behaviour asked.
    Cut,
    /// The client went away before the end. One that closes only its sending side counts as gone, too.
    Disconnected,
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn keys_in_the_query_are_masked_and_nothing_else_is() {
        for (path, shown) in [
            ("/v1/messages", "/v1/messages"),
            ("/v1/models?limit=5&beta", "/v1/models?limit=5&beta"),
            ("/v1?key=hush", "/v1?key=***"),
            ("/v1?api-version=1&Api_Key=hush=hush&x=1", "/v1?api-version=1&Api_Key=***&x=1"),
            ("/v1?access_token=hush&k%65y=hush", "/v1?access_token=***&k%65y=***"),
            ("/v1?key=", "/v1?key=***"),
        ] {
            assert_eq!(without_credentials(path), shown);
        }
    }
}
