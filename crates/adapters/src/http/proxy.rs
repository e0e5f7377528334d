//! The proxies that the environment names, as every HTTP program reads them, but never for the loopback.

use reqwest::{ClientBuilder, NoProxy, Proxy};

/// What never goes through a proxy, whatever the environment says: plain http is allowed to the loopback because
/// nobody listens on the way.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// Sets the proxies of `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` but for the hosts of `NO_PROXY` (in capitals or
/// not, capitals first). One that is no URL is passed over, as the HTTP client itself would.
pub(super) fn from_environment(
    settings: ClientBuilder,
    variable: impl Fn(&str) -> Option<String>,
) -> ClientBuilder {
    let first = |name: &str| {
        let value = variable(name).or_else(|| variable(&name.to_ascii_lowercase()));
        value.filter(|value| !value.trim().is_empty())
    };
    let exempt = NoProxy::from_string(&match first("NO_PROXY") {
        Some(hosts) => format!("{hosts},{LOOPBACK}"),
        None => LOOPBACK.to_owned(),
    });
    // In a CGI program HTTP_PROXY is the header `Proxy` of whoever asks (httpoxy, CVE-2016-5388).
    let http = first("HTTP_PROXY").filter(|_| variable("REQUEST_METHOD").is_none());
    let proxies =
        [first("HTTPS_PROXY").map(Proxy::https), http.map(Proxy::http), first("ALL_PROXY").map(Proxy::all)];
    // Which also keeps the HTTP client from looking into the environment itself.
    proxies
        .into_iter()
        .flatten()
        .flatten()
        .fold(settings.no_proxy(), |settings, proxy| settings.proxy(proxy.no_proxy(exempt.clone())))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one request with its own name, and its URL.
    async fn server(name: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 1024]).await;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    async fn answered_by(variables: &[(&str, &str)], url: &str) -> String {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let client = from_environment(ClientBuilder::new(), lookup).build().unwrap();
        match client.get(url).send().await {
            Ok(response) => response.text().await.unwrap(),
            Err(_) => "nobody".to_owned(),
        }
    }

    #[tokio::test]
    async fn proxies_are_used_but_never_for_the_loopback() {
        let (proxy, host) = (server("proxy").await, server("host").await);
        let elsewhere = "http://somewhere.invalid/";
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            assert_eq!(answered_by(&[(name, &proxy)], elsewhere).await, "proxy", "{name}");
            assert_eq!(answered_by(&[(name, &proxy)], &host).await, "host", "{name}");
            let localhost = host.replace("127.0.0.1", "localhost");
            assert_eq!(answered_by(&[(name, &proxy)], &localhost).await, "host", "{name}");
        }
        assert_eq!(answered_by(&[("HTTPS_PROXY", &proxy)], elsewhere).await, "nobody");
        assert_eq!(
            answered_by(&[("HTTP_PROXY", &proxy), ("NO_PROXY", "invalid")], elsewhere).await,
            "nobody"
        );
        assert_eq!(
            answered_by(&[("HTTP_PROXY", &proxy), ("NO_PROXY", "other.invalid")], &host).await,
            "host"
        );
        assert_eq!(
            answered_by(&[("HTTP_PROXY", &proxy), ("REQUEST_METHOD", "GET")], elsewhere).await,
            "nobody"
        );
        assert_eq!(answered_by(&[("HTTP_PROXY", "::no url::")], &host).await, "host");
    }
}
