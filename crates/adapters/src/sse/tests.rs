//! Framing, in every split.

use super::*;

const LIMIT: usize = 1000;

/// Every event of these pieces as `name|data`, and the failure that ended them, if one did.
fn read(pieces: &[&[u8]], limit: usize) -> (Vec<String>, Option<String>) {
    let mut events = Events::new(limit);
    let mut seen = Vec::new();
    for piece in pieces {
        events.push(piece);
        loop {
            match events.next() {
                Ok(Some(event)) => seen.push(format!("{}|{}", event.name, event.data)),
                Ok(None) => break,
                Err(failure) => return (seen, Some(failure.message.into_owned())),
            }
        }
    }
    (seen, None)
}

fn well(text: &str) -> Vec<String> {
    let (events, failure) = read(&[text.as_bytes()], LIMIT);
    assert_eq!(failure, None, "{text:?}");
    events
}

#[test]
fn events_are_read_as_the_specification_says() {
    for (text, events) in [
        ("", vec![]),
        ("data: a\n\n", vec!["|a"]),
        ("data:a\n\n", vec!["|a"]),
        ("data:  a \n\n", vec!["| a "]),
        ("data: a\r\rdata: b\r\r", vec!["|a", "|b"]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["|a", "|b"]),
        ("data: a\r\n\ndata: b\n\r\n", vec!["|a", "|b"]),
        ("data: a\ndata: b\n\n", vec!["|a\nb"]),
        ("data\n\n", vec!["|"]),
        ("data:\ndata:\n\n", vec!["|\n"]),
        ("\u{feff}data: a\n\n", vec!["|a"]),
        ("\u{feff}\u{feff}data: a\n\n", vec![]),
        (": comment\n\n: more\n\ndata: a\n\n", vec!["|a"]),
        (":\n\n:data: a\n\n", vec![]),
        ("event: x\ndata: a\n\ndata: b\n\n", vec!["x|a", "|b"]),
        ("event: x\n\ndata: b\n\n", vec!["|b"]),
        ("event: x\nevent: y\ndata: b\n\n", vec!["y|b"]),
        ("data: a\nevent:x\n\n", vec!["x|a"]),
        ("id: 1\nretry: 5\ndata: a\nother: b\nother\n\n", vec!["|a"]),
        ("Data: a\n\ndatas: a\n\n data: a\n\n", vec![]),
        ("data: a:b: c\n\n", vec!["|a:b: c"]),
        ("\n\n\ndata: a\n\n\n\n", vec!["|a"]),
        ("data: a\n", vec![]),
        ("data: a\n\ndata: b\n", vec!["|a"]),
        ("data: a\n\ndata: b", vec!["|a"]),
    ] {
        assert_eq!(well(text), events, "{text:?}");
    }
}

#[test]
fn a_carriage_return_ends_an_event_at_once() {
    assert_eq!(read(&[b"data: a\r\n\r"], LIMIT).0, ["|a"]);
    assert_eq!(read(&[b"data: a\r\n\r", b"\n", b"data: b\r", b"\r"], LIMIT).0, ["|a", "|b"]);
}

#[test]
fn a_character_may_come_in_two_reads() {
    assert_eq!(read(&[b"data: \xf0\x9f", b"\x98\x84\n\n"], LIMIT), (vec!["|😄".to_owned()], None));
    assert_eq!(read(&[b"\xef", b"\xbb", b"\xbfdata: a\n\n"], LIMIT).0, ["|a"]);
}

#[test]
fn bytes_that_are_no_text_are_a_failure() {
    let (events, failure) = read(&[b"data: a\n\ndata: \xff\n\ndata: b\n\n"], LIMIT);
    assert_eq!((events, failure.as_deref()), (vec!["|a".to_owned()], Some("an event is not valid UTF-8")));
    assert!(read(&[b"event: \xff\ndata: a\n\n"], LIMIT).1.is_some());
    // Where nobody looks, anything may be.
    assert_eq!(read(&[b": \xff\n\xff: \xff\ndata: a\n\n"], LIMIT), (vec!["|a".to_owned()], None));
}

#[test]
fn events_have_a_bound() {
    let fits = format!("data: {}\n\n", "x".repeat(94));
    assert_eq!(read(&[fits.as_bytes()], 100).1, None);
    for text in [
        format!("data: {}\n\n", "x".repeat(95)),
        format!("data: {}", "x".repeat(95)),
        format!(": {}", "x".repeat(99)),
        "data: 123456789\n".repeat(20),
        // What joins the lines counts too.
        "data: 1234\n".repeat(21),
        "data\n".repeat(102),
    ] {
        let (events, failure) = read(&[text.as_bytes()], 100);
        assert_eq!(events, [""; 0]);
        assert_eq!(failure.as_deref(), Some("an event is larger than 100 bytes"), "{text}");
    }
}

#[test]
fn an_endless_line_is_kept_within_the_bound() {
    let mut events = Events::new(10_000);
    let mut pushed = 0;
    while events.next().is_ok() {
        events.push(&[b'x'; 100]);
        pushed += 100;
        assert!(pushed <= 10_100);
        assert!(events.held() <= 32_768);
    }
}

/// A line that comes byte by byte is looked at once: 8 MiB of them are read in a moment, not in hours.
#[test]
fn long_lines_in_small_pieces_take_linear_time() {
    let mut events = Events::new(16 << 20);
    events.push(b"data: ");
    for _ in 0..(8 << 20) / 16 {
        events.push(&[b'x'; 16]);
        assert!(events.next().is_ok_and(|event| event.is_none()));
    }
    events.push(b"\n\n");
    assert_eq!(events.next().unwrap().unwrap().data.len(), 8 << 20);
}
