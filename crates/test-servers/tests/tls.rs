//! A Redis that speaks TLS only, with a certificate that its own authority signed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{io, sync::Arc};

use test_servers::{RedisCluster, RedisServer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

async fn ping(server: &RedisServer, authority: &[u8]) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(server.address()).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn who_trusts_the_authority_shakes_hands_and_others_do_not() {
    let server = RedisServer::builder().tls().start().await.unwrap();
    let other = RedisServer::builder().tls().start().await.unwrap();
    assert_eq!(server.url(), format!("rediss://127.0.0.1:{}", server.port()));
    let authority = std::fs::read(server.ca_path().unwrap()).unwrap();
    assert_eq!(authority, server.ca_pem().unwrap().as_bytes());

    assert_eq!(ping(&server, &authority).await.unwrap(), "+PONG\r\n");
    let refused = ping(&server, other.ca_pem().unwrap().as_bytes()).await.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");

    server.restart().await.unwrap();
    assert_eq!(ping(&server, &authority).await.unwrap(), "+PONG\r\n");
}

#[tokio::test]
async fn a_cluster_speaks_tls_with_one_authority_for_all_nodes() {
    let cluster = RedisCluster::start_with(RedisServer::builder().tls(), 3, 0).await.unwrap();
    let authority = cluster.nodes()[0].ca_pem().unwrap();
    for node in cluster.nodes() {
        assert_eq!(ping(node, authority.as_bytes()).await.unwrap(), "+PONG\r\n");
    }
    let slot = cluster.slot_of("key").await.unwrap();
    let from = cluster.owner_of(slot).await.unwrap();
    cluster.nodes()[from].cli(&["SET", "key", "value"]).await.unwrap();
    let to = (from + 1) % 3;
    cluster.move_slot(slot, to).await.unwrap();
    assert_eq!(cluster.nodes()[to].cli(&["GET", "key"]).await.unwrap().text(), "value");
}
