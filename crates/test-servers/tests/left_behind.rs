//! No server is left behind, however the process that started it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use test_servers::{MemcachedServer, RedisServer};
use tokio::time::{Instant, sleep};

const ROLE: &str = "TEST_SERVERS_CHILD";

/// This test program again, for one test of it, in which [`ROLE`] is set.
fn child(test: &str, directory: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, "1")
        .env("TMPDIR", directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The rest of the first line that the child prints with this in it.
fn told(child: &mut Child, key: &str) -> Vec<u32> {
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        if let Some((_, rest)) = line.unwrap().split_once(key) {
            return rest.split_whitespace().map(|id| id.parse().unwrap()).collect();
        }
    }
    panic!("the child ended without telling its {key}");
}

fn alive(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

async fn until(what: &str, met: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !met() {
        assert!(Instant::now() < deadline, "still not: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn servers_die_when_the_process_that_started_them_is_killed() {
    if env::var_os(ROLE).is_some() {
        let frozen = RedisServer::start().await.unwrap();
        let running = RedisServer::start().await.unwrap();
        let memcached = MemcachedServer::start().await.unwrap();
        frozen.freeze().unwrap();
        let ids = [frozen.pid(), running.pid(), memcached.pid()].map(Option::unwrap);
        println!("servers: {} {} {}", ids[0], ids[1], ids[2]);
        std::future::pending::<()>().await;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = child("servers_die_when_the_process_that_started_them_is_killed", directory.path());
    let ids = told(&mut child, "servers: ");
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| alive(*id)), "they ran");
    assert_eq!(entries(directory.path()).len(), 3);

    child.kill().unwrap(); // SIGKILL: nothing of it runs any more, no destructor either
    child.wait().unwrap();
    until("all servers are dead", || !ids.iter().any(|id| alive(*id))).await;
    until("their directories are gone", || entries(directory.path()).is_empty()).await;
}

#[tokio::test]
async fn a_dropped_server_is_dead_even_if_it_was_frozen() {
    let server = RedisServer::start().await.unwrap();
    let id = server.pid().unwrap();
    server.freeze().unwrap();
    drop(server);
    assert!(!alive(id));
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_no_server() {
    if env::var_os(ROLE).is_some() {
        for micros in (0..40_000).step_by(2_000) {
            let _ = tokio::time::timeout(Duration::from_micros(micros), RedisServer::start()).await;
        }
        // Asked of the system, not of ourselves: whoever has our directory in its command line.
        let directory = env::temp_dir();
        let ours = std::fs::read_dir("/proc").unwrap().filter(|process| {
            let command = process.as_ref().unwrap().path().join("cmdline");
            let command = std::fs::read(command).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&*directory.to_string_lossy())
        });
        println!("left: {} {}", ours.count(), entries(&directory).len());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = child("a_start_that_is_given_up_leaves_no_server", directory.path());
    assert_eq!(told(&mut child, "left: "), [0, 0]);
    child.wait().unwrap();
}
