//! Through a pipe so narrow that nothing goes through it in one piece.

use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};

use super::*;

fn count(key: &str) -> Command {
    Command::Count { key: key.into(), lasts: Duration::from_secs(9) }
}

/// Answers so many commands with their numbers, and says what they were.
async fn answer(stream: DuplexStream, commands: usize) -> Vec<String> {
    let (reader, mut writer) = split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut heard = Vec::new();
    while heard.len() < commands {
        let line = lines.next_line().await.unwrap().unwrap();
        let number = line.rsplit_once('O').unwrap().1;
        writer.write_all(format!("VA {} O{number}\r\n{number}\r\n", number.len()).as_bytes()).await.unwrap();
        heard.push(line);
    }
    heard
}

#[tokio::test]
async fn what_goes_through_in_pieces_arrives_whole() {
    let (ours, theirs) = duplex(7);
    let server = tokio::spawn(answer(theirs, 600));
    let connection = Connection::new(ours);
    let keys = (0..600).map(|number| format!("key-{number}")).collect::<Vec<_>>();
    let answers = join_all(keys.iter().map(|key| connection.ask(count(key)))).await;
    let heard = server.await.unwrap();
    for (number, line) in (1_u64..).zip(&heard) {
        let asked = line.split(' ').nth(1).unwrap();
        let at = keys.iter().position(|key| key == asked).unwrap();
        assert_eq!(answers[at], Ok(Reply::Number(number)), "{line}");
    }
}

#[tokio::test]
async fn nothing_is_written_for_somebody_who_is_gone() {
    let (ours, theirs) = duplex(4096);
    let connection = Connection::new(ours);
    let gone = connection.ask(count("gone"));
    assert!(futures::poll!(Box::pin(gone)).is_pending(), "it is waiting for its turn to be written");
    let server = tokio::spawn(answer(theirs, 1));
    assert_eq!(connection.ask(count("key")).await, Ok(Reply::Number(1)));
    assert_eq!(server.await.unwrap(), ["ma key N9 J0 T9 v O1"]);
}

#[tokio::test]
async fn whoever_asks_after_its_end_is_told() {
    let (ours, theirs) = duplex(4096);
    let connection = Connection::new(ours);
    drop(theirs);
    for _ in 0..2 {
        let lost = Err(Failure::Lost(StoreCause::Connection));
        assert_eq!(connection.ask(count("key")).await, lost);
    }
}
