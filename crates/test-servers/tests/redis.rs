//! A Redis of our own: it starts, is broken in every way, and starts again on the same port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use test_servers::{RedisServer, Reply, ServerError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

async fn ping(server: &RedisServer) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server.address()).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_server_is_killed_and_started_again_on_its_port_with_nothing_in_it() {
    let server = RedisServer::start().await.unwrap();
    let (port, pid) = (server.port(), server.pid());
    assert_eq!(server.url(), format!("redis://127.0.0.1:{port}"));
    assert_eq!(server.cli(&["SET", "key", "value"]).await.unwrap().text(), "OK");
    assert_eq!(ping(&server).await.unwrap(), "+PONG\r\n");

    server.kill();
    assert_eq!(server.pid(), None);
    assert_eq!(ping(&server).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(matches!(server.freeze(), Err(ServerError::NotRunning)));

    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    assert_eq!(ping(&server).await.unwrap(), "+PONG\r\n");
    assert_eq!(server.cli(&["GET", "key"]).await.unwrap(), Reply::Nil);
}

#[tokio::test]
async fn a_frozen_server_answers_when_it_is_thawed() {
    let server = RedisServer::start().await.unwrap();
    server.freeze().unwrap();
    let asked = timeout(Duration::from_millis(300), ping(&server)).await;
    assert!(asked.is_err(), "a frozen server answered {asked:?}");
    server.thaw().unwrap();
    assert_eq!(ping(&server).await.unwrap(), "+PONG\r\n");
}

#[tokio::test]
async fn a_password_is_asked_for_and_stands_in_the_url_but_in_no_debug_output() {
    let password = r#"o"p\e n@é"#;
    let server = RedisServer::builder().password(password).start().await.unwrap();
    assert_eq!(server.url(), format!("redis://:o%22p%5Ce%20n%40%C3%A9@{}", server.address()));
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"-NOAUTH");
    assert_eq!(server.cli(&["PING"]).await.unwrap().text(), "PONG");
    assert!(!format!("{server:?}").contains('@'));
    assert!(!format!("{:?}", RedisServer::builder().password("sesame")).contains("sesame"));
}

#[tokio::test]
async fn further_directives_are_obeyed_and_commands_that_are_refused_say_why() {
    let server = RedisServer::builder().config("maxclients", "17").start().await.unwrap();
    let answer = server.cli(&["CONFIG", "GET", "maxclients"]).await.unwrap();
    assert_eq!(answer, Reply::Array(vec![Reply::Text("maxclients".into()), Reply::Text("17".into())]));
    assert_eq!(server.cli(&["INCR", "count"]).await.unwrap(), Reply::Integer(1));
    match server.cli(&["GET", "with", "secrets"]).await {
        Err(ServerError::Refused { command, message }) => {
            assert_eq!(command, "GET");
            assert!(message.contains("wrong number of arguments"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let failed = RedisServer::builder().config("no-such-directive", "7").start().await.unwrap_err();
    assert!(matches!(failed, ServerError::Died { .. }), "{failed:?}");
    assert!(failed.to_string().contains("no-such-directive"), "{failed}");

    let first = RedisServer::start().await.unwrap();
    let failed = RedisServer::builder().port(first.port()).start().await.unwrap_err();
    assert!(failed.to_string().contains("Address already in use"), "{failed}");
    assert_eq!(ping(&first).await.unwrap(), "+PONG\r\n");
}

#[tokio::test]
async fn many_servers_start_at_once_each_on_a_port_of_its_own() {
    let starts: Vec<_> = (0..16).map(|_| tokio::spawn(RedisServer::start())).collect();
    let mut servers = Vec::new();
    for start in starts {
        servers.push(start.await.unwrap().unwrap());
    }
    let ports: std::collections::HashSet<u16> = servers.iter().map(RedisServer::port).collect();
    assert_eq!(ports.len(), servers.len());
    for server in &servers {
        assert_eq!(ping(server).await.unwrap(), "+PONG\r\n");
    }
}

#[tokio::test]
async fn valkey_is_started_where_it_can_be_had_and_else_is_said_to_be_missing() {
    match RedisServer::builder().valkey().start().await {
        Ok(server) => {
            let told = server.cli(&["INFO", "server"]).await.unwrap().text();
            assert!(told.contains("valkey_version"), "{told}");
        }
        Err(ServerError::Missing { program: "valkey-server", .. }) => {}
        Err(error) => panic!("{error}"),
    }
}
