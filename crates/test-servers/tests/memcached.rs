//! A Memcached of our own: it starts, is broken in every way, and starts again on the same port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{io, net::SocketAddr, time::Duration};

use test_servers::MemcachedServer;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
    time::timeout,
};

async fn ask(address: SocketAddr, command: &str) -> io::Result<String> {
    let mut stream = BufStream::new(TcpStream::connect(address).await?);
    stream.write_all(command.as_bytes()).await?;
    stream.flush().await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line)
}

#[tokio::test]
async fn a_memcached_is_frozen_killed_and_started_again_with_nothing_in_it() {
    let server = MemcachedServer::start().await.unwrap();
    let (address, pid) = (server.address(), server.pid());
    assert_eq!(server.url(), format!("tcp://127.0.0.1:{}", server.port()));
    assert_eq!(ask(address, "set key 0 0 5\r\nvalue\r\n").await.unwrap(), "STORED\r\n");
    assert_eq!(ask(address, "get key\r\n").await.unwrap(), "VALUE key 0 5\r\n");

    server.freeze().unwrap();
    let asked = timeout(Duration::from_millis(300), ask(address, "get key\r\n")).await;
    assert!(asked.is_err(), "a frozen server answered {asked:?}");
    server.thaw().unwrap();
    assert_eq!(ask(address, "get key\r\n").await.unwrap(), "VALUE key 0 5\r\n");

    server.kill();
    assert_eq!(server.pid(), None);
    assert_eq!(ask(address, "get key\r\n").await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    server.restart().await.unwrap();
    assert_eq!(server.address(), address);
    assert_ne!(server.pid(), pid);
    assert_eq!(ask(address, "get key\r\n").await.unwrap(), "END\r\n");
}
