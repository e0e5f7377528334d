//! What the user brings along for the way: proxies, certificate authorities.

use llm_adapters::{HttpClient, OpenAi, reqwest};

use crate::raw::{ANSWER, Server, generate, reply};

#[tokio::test]
async fn a_proxy_is_asked_in_place_of_the_provider() {
    let mut proxy = Server::start(reply("200 OK", ANSWER.as_bytes())).await;
    let through =
        reqwest::Proxy::all(format!("http://{}", proxy.address)).unwrap().basic_auth("me", "marmalade");
    let http = HttpClient::configure(|http| http.no_proxy().proxy(through)).unwrap();
    let adapter = OpenAi::builder("m").base_url("http://llm.invalid/v1").allow_plain_http();
    let adapter = adapter.api_key("key").http_client(http).build().unwrap();
    assert_eq!(generate(&adapter).await.unwrap().text, "hi");
    let asked = proxy.received().remove(0);
    assert!(asked.starts_with("POST http://llm.invalid/v1/chat/completions HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("proxy-authorization: Basic "), "{asked}");
}

#[cfg(feature = "rustls")]
mod tls {
    use std::sync::Arc;

    use llm_adapters::reqwest::Certificate;
    use llm_protocol::ErrorKind;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    /// A host over TLS whose certificate only its own authority vouches for: its address, and that authority.
    async fn host() -> (String, Certificate) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // Who does not trust the certificate hangs up.
                let Ok(mut socket) = acceptor.accept(socket).await else { continue };
                let mut request = vec![0; 16 << 10];
                let _read = socket.read(&mut request).await.unwrap();
                socket.write_all(&reply("200 OK", ANSWER.as_bytes())).await.unwrap();
                let _closed = socket.shutdown().await;
            }
        });
        (format!("https://localhost:{port}/v1"), Certificate::from_der(authority.der()).unwrap())
    }

    #[tokio::test]
    async fn an_authority_of_ones_own_is_trusted_when_it_is_given_and_not_before() {
        let (base_url, authority) = host().await;
        let adapter = |http| OpenAi::builder("m").base_url(&base_url).http_client(http).build().unwrap();
        let trusting = HttpClient::configure(|http| http.no_proxy().tls_certs_merge([authority])).unwrap();
        assert_eq!(generate(&adapter(trusting)).await.unwrap().text, "hi");
        let wary = HttpClient::configure(reqwest::ClientBuilder::no_proxy).unwrap();
        let error = generate(&adapter(wary)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    }
}
