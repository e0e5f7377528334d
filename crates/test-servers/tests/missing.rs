//! What is said on a machine that neither has the servers nor can get them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{env, os::unix::fs::symlink, path::Path, process::Command};

use test_servers::{MemcachedServer, RedisServer};

const ROLE: &str = "TEST_SERVERS_CHILD";

/// What this test program prints when it runs one of its tests again in a world of its own.
fn told(test: &str, variables: &[(&str, &Path)]) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, "1")
        .env_remove("REDIS_SERVER_BIN")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_machine_without_a_server_and_without_apt_is_told_what_to_install() {
    if env::var_os(ROLE).is_some() {
        println!("{}", RedisServer::start().await.unwrap_err());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let tools = directory.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for tool in ["flock", "mkdir", "mktemp", "rm", "sh"] {
        let path =
            env::split_paths(&env::var_os("PATH").unwrap()).map(|path| path.join(tool)).find(|p| p.is_file());
        symlink(path.unwrap(), tools.join(tool)).unwrap();
    }
    let told = told(
        "a_machine_without_a_server_and_without_apt_is_told_what_to_install",
        &[("PATH", &tools), ("CARGO_TARGET_DIR", directory.path())],
    );
    let wanted =
        ["no `redis-server` on the PATH", "package `redis-server`", "REDIS_SERVER_BIN", "no apt-get here"];
    assert!(wanted.iter().all(|words| told.contains(words)), "{told}");
}

#[tokio::test]
async fn a_variable_names_the_program_and_one_that_names_nothing_is_no_reason_to_take_another() {
    if env::var_os(ROLE).is_some() {
        match MemcachedServer::start().await {
            Ok(server) => println!(
                "started {}",
                std::fs::read_to_string(format!("/proc/{}/comm", server.pid().unwrap())).unwrap()
            ),
            Err(error) => println!("{error}"),
        }
        return;
    }
    let test = "a_variable_names_the_program_and_one_that_names_nothing_is_no_reason_to_take_another";
    let directory = tempfile::tempdir().unwrap();
    let named = directory.path().join("my-own-memcached");
    let missing = told(test, &[("MEMCACHED_BIN", &named)]);
    assert!(
        missing.contains(&format!("MEMCACHED_BIN names {}, which is no file", named.display())),
        "{missing}"
    );

    let server = MemcachedServer::start().await.unwrap();
    let real = std::fs::read_link(format!("/proc/{}/exe", server.pid().unwrap())).unwrap();
    std::fs::copy(real, &named).unwrap();
    let started = told(test, &[("MEMCACHED_BIN", &named)]);
    assert!(started.contains("started my-own-memcache"), "{started}");
}
