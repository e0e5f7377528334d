//! Several processes that need a server at once bring it here once.

use std::{env, os::unix::fs::MetadataExt as _, path::PathBuf, process::Command};

use super::MEMCACHED;

const DIRECTORY: &str = "TEST_SERVERS_DIRECTORY";

#[tokio::test]
async fn processes_that_need_a_server_at_once_unpack_it_once() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        let program = MEMCACHED.unpacked(&PathBuf::from(directory)).await.unwrap();
        let version = Command::new(&program).arg("--version").output().unwrap();
        assert!(String::from_utf8_lossy(&version.stdout).starts_with("memcached "), "{version:?}");
        println!("unpacked: {}", program.metadata().unwrap().ino());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let processes: Vec<_> = (0..3)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .args([
                    "program::tests::processes_that_need_a_server_at_once_unpack_it_once",
                    "--exact",
                    "--nocapture",
                ])
                .env(DIRECTORY, directory.path().join("servers"))
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let told = processes.into_iter().map(|process| {
        let output = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
        let line =
            output.lines().find_map(|line| line.split_once("unpacked: ").map(|(_, inode)| inode.to_owned()));
        line.unwrap_or_else(|| panic!("{output}"))
    });
    let told: Vec<String> = told.collect();
    assert!(told.iter().all(|inode| *inode == told[0]), "they found different files: {told:?}");
    let left = std::fs::read_dir(directory.path().join("servers")).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("unpack."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
