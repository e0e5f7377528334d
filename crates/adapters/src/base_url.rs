//! Base URLs: which are accepted, and how paths are joined to them.

use std::net::{Ipv4Addr, Ipv6Addr};

use llm_protocol::Secret;
use reqwest::Url;

use crate::builder::BuildError;

/// The URL, if credentials and prompts may be sent to it.
pub(crate) fn parse(text: &str, allow_plain_http: bool) -> Result<Url, BuildError> {
    let mut url = Url::parse(text.trim()).map_err(|_| BuildError::BaseUrl("it does not parse"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(BuildError::BaseUrl("it is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BuildError::UserInfo);
    }
    if url.scheme() == "http" && !allow_plain_http && !is_loopback(&url) {
        return Err(BuildError::PlainHttp);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The URL parser has made a number of every way to write an address, and lower case of every name.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let v6 = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || v6.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// The path below the base; a query stays.
pub(crate) fn join(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// What the query holds, as it stands there and decoded: any of it may be a key.
pub(crate) fn secrets(url: &Url) -> Vec<Secret> {
    let parts = url.query().unwrap_or_default().split('&');
    let plain = parts.map(|part| part.split_once('=').map_or(part, |(_, value)| value).to_owned());
    // A part without a value may be the key itself.
    let decoded =
        url.query_pairs().map(|(name, value)| if value.is_empty() { name } else { value }.into_owned());
    plain.chain(decoded).map(Secret::from).collect()
}

/// The URL as it may be shown: queries can hold keys.
pub(crate) fn shown(url: &Url) -> Url {
    let mut shown = url.clone();
    shown.set_query(None);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_with_or_without_a_slash() {
        for (base, joined) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"),
            (" https://h ", "https://h/chat/completions"),
            ("https://h:8443/a/b?x=1#f", "https://h:8443/a/b/chat/completions?x=1"),
        ] {
            let url = parse(base, false).unwrap();
            assert_eq!(join(&url, &["chat", "completions"]).as_str(), joined);
        }
    }

    #[test]
    fn plain_http_is_for_the_loopback() {
        for url in [
            "http://localhost:1",
            "http://LOCALHOST",
            "http://127.0.0.1:8080/v1",
            "http://127.8.9.1",
            "http://[::1]:9",
            "http://0x7f.1/",
        ] {
            assert!(parse(url, false).is_ok(), "{url}");
        }
        for url in [
            "http://example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://[::2]",
            "http://0.0.0.0",
            "http://128.0.0.1",
            "http://127.0.0.1.example.com",
        ] {
            assert!(matches!(parse(url, false), Err(BuildError::PlainHttp)), "{url}");
            assert!(parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn refusals_show_no_credentials() {
        for (url, allowed) in [
            ("https://user:hunter2@host/v1", true),
            ("https://hunter2@host/v1", true),
            ("ftp://hunter2/", true),
            ("http://hunter2.example/", false),
            ("hunter2", true),
            ("", true),
        ] {
            let error = parse(url, allowed).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(matches!(parse("https://u:p@h", true), Err(BuildError::UserInfo)));
        assert!(matches!(parse("https://:p@h", true), Err(BuildError::UserInfo)));
    }

    #[test]
    fn values_of_queries_are_secrets() {
        let url = parse("https://h/v1?api-version=2024&key=a%2Fb&c%20d", false).unwrap();
        let secrets: Vec<_> = secrets(&url).iter().map(|secret| secret.expose().to_owned()).collect();
        assert_eq!(secrets, ["2024", "a%2Fb", "c%20d", "2024", "a/b", "c d"]);
    }

    #[test]
    fn queries_are_not_shown() {
        assert_eq!(shown(&parse("https://h/v1?key=hunter2", false).unwrap()).as_str(), "https://h/v1");
    }
}
