//! The program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use llm_simulator::Wire;

/// Ends the program with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_prints_its_url_and_refuses_to_be_reached_from_outside() {
    let program = || Command::new(env!("CARGO_BIN_EXE_llm-simulator"));
    let refused = program().args(["--address", "0.0.0.0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--allow-remote"));
    let refused = program().args(["--on", "m=explode"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("unknown directive `explode`"));

    let mut child = Killed(
        program().args(["--on", "m=status=418", "--key", "k"]).stdout(Stdio::piped()).spawn().unwrap(),
    );
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("http://").expect("a base URL");
    let body = common::body(Wire::OpenAi, "m", false).to_string();
    for (key, status) in [("k", 418), ("another", 401)] {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n";
        let key = format!("authorization: Bearer {key}\r\n");
        write!(stream, "{head}{key}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}
