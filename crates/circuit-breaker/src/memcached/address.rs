//! Where a Memcached is.

use std::fmt;

/// The port that is meant when none is named.
const PORT: u16 = 11_211;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port`. The host is looked up each time that it is connected to.
    Tcp(Box<str>),
    /// A path.
    #[cfg(unix)]
    Unix(Box<str>),
}

impl Address {
    /// `host`, `host:port` or `[ipv6]:port`, also after `tcp://`, or `unix:///path`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix://") {
            #[cfg(unix)]
            return (path.starts_with('/') && !path.contains('\0')).then(|| Self::Unix(path.into()));
            #[cfg(not(unix))]
            return None;
        }
        let text = text.strip_prefix("tcp://").unwrap_or(text);
        let (host, port) = match text.rsplit_once(':') {
            // What is after the last colon of an IPv6 address is no port.
            Some((host, port)) if !port.ends_with(']') => (host, number(port)?),
            _ => (text, PORT),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let fits = bare.map_or_else(
            || !host.is_empty() && host.bytes().all(is_name),
            |ipv6| ipv6.parse::<std::net::Ipv6Addr>().is_ok(),
        );
        fits.then(|| Self::Tcp(format!("{host}:{port}").into()))
    }
}

/// A port that can be connected to.
fn number(port: &str) -> Option<u16> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port > 0)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.into())
    }

    #[test]
    fn a_host_has_a_port_or_the_usual_one() {
        assert_eq!(Address::parse("cache.example:1"), Some(tcp("cache.example:1")));
        assert_eq!(Address::parse("tcp://127.0.0.1:65535"), Some(tcp("127.0.0.1:65535")));
        assert_eq!(Address::parse("cache_1"), Some(tcp("cache_1:11211")));
        assert_eq!(Address::parse("[::1]:2"), Some(tcp("[::1]:2")));
        assert_eq!(Address::parse("[2001:db8::1]"), Some(tcp("[2001:db8::1]:11211")));
    }

    #[cfg(unix)]
    #[test]
    fn a_path_is_one_of_the_whole_system() {
        assert_eq!(Address::parse("unix:///run/a b"), Some(Address::Unix("/run/a b".into())));
        assert_eq!(Address::parse("unix://run"), None);
        assert_eq!(Address::parse("unix:///run/\0"), None);
        assert_eq!(Address::parse("unix:///run").unwrap().to_string(), "unix:///run");
    }

    #[test]
    fn what_is_no_address_is_not_taken_for_one() {
        let none = [
            "",
            ":",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:-1",
            "host:x",
            "::1",
            "::1:2",
            "[::1",
            "[]:1",
            "[x]:1",
            "a b:1",
            "user:word@host:1",
            "http://host:1",
            "tcp://",
            "host/1",
            "host:1/",
            "h\r\n:1",
            "ü:1",
        ];
        for text in none {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
