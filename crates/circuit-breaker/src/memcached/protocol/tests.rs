//! What is read of answers: whole ones, parts of them, and what is none.

use proptest::prelude::*;

use super::*;

fn number(value: u64, number: u64) -> Answer {
    Answer { outcome: Ok(Reply::Number(value)), number: Some(number) }
}

fn whole(bytes: &[u8]) -> Answer {
    let (answer, length) = parse(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len(), "{bytes:?}");
    answer
}

#[test]
fn commands_are_the_documented_ones() {
    let mut out = Vec::new();
    Command::Count { key: "a".into(), lasts: Duration::from_secs(9) }.write(1, &mut out);
    Command::Delete { key: "b".into() }.write(u64::MAX, &mut out);
    assert_eq!(out, b"ma a N9 J0 T9 v O1\r\nmd b O18446744073709551615\r\n");
}

#[test]
fn answers_are_read() {
    assert_eq!(whole(b"VA 1 O7\r\n0\r\n"), number(0, 7));
    assert_eq!(whole(b"VA 20 O7\r\n18446744073709551615\r\n"), number(u64::MAX, 7));
    assert_eq!(whole(b"VA 4 t9 O7 W\r\n0   \r\n"), number(0, 7));
    let told = |outcome| Answer { outcome, number: Some(3) };
    assert_eq!(whole(b"HD O3\r\n"), told(Ok(Reply::Done)));
    assert_eq!(whole(b"NF O3\r\n"), told(Ok(Reply::Done)));
    assert_eq!(whole(b"NS O3\r\n"), told(Err(Failure::Refused)));
    assert_eq!(whole(b"CLIENT_ERROR not a number O3\r\n"), error(Failure::Refused));
    assert_eq!(whole(b"SERVER_ERROR out of memory\r\n"), error(lost("SERVER_ERROR")));
    assert_eq!(whole(b"ERROR\r\n"), error(lost("ERROR")));
    assert_eq!(parse(b"HD O3\r\nHD O4\r\n").unwrap().unwrap(), (told(Ok(Reply::Done)), 7));
}

#[test]
fn what_is_no_answer_is_garbage() {
    let garbage: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"HD\r\n",
        b"HD O3\n",
        b"HD O\r\n",
        b"HD Ox\r\n",
        b"hd O3\r\n",
        b"VA\r\n",
        b"VA O3\r\n",
        b"VA 1\r\n0\r\n",
        b"VA 0 O3\r\n\r\n",
        b"VA 1 O3\r\nx\r\n",
        b"VA 1 O3\r\n00\r\n",
        b"VA 2 O3\r\n0\r\n",
        b"VA 2 O3\r\n+1\r\n",
        b"VA 2 O3\r\n-1\r\n",
        b"VA 2 O3\r\n 1\r\n",
        b"VA -1 O3\r\n0\r\n",
        b"VA 33 O3\r\n",
        b"VA 20 O3\r\n18446744073709551616\r\n",
        b"VA 99999999999999999999 O3\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"ERRORS\r\n",
        b"\x80\x00\xff\r\n",
    ];
    for bytes in garbage {
        assert_eq!(parse(bytes), Err(Garbage), "{:?}", bytes.escape_ascii().to_string());
    }
}

#[test]
fn a_line_without_an_end_is_not_waited_for() {
    assert_eq!(parse(&[b'H'; LONGEST_LINE + 1]), Ok(None));
    assert_eq!(parse(&[b'H'; LONGEST_LINE + 2]), Err(Garbage));
    let longest = [&[b'x'; LONGEST_LINE - 13][..], b"\r\n"].concat();
    assert_eq!(whole(&[b"CLIENT_ERROR ", &*longest].concat()), error(Failure::Refused));
}

proptest! {
    #[test]
    fn part_of_an_answer_is_waited_for(value: u64, sent: u64, padding in 0..12_usize) {
        let value_text = format!("{value}{}", " ".repeat(padding));
        let text = format!("VA {} O{sent}\r\n{value_text}\r\n", value_text.len());
        for end in 0..text.len() {
            prop_assert_eq!(parse(&text.as_bytes()[..end]), Ok(None));
        }
        prop_assert_eq!(whole(text.as_bytes()), number(value, sent));
    }

    /// Nothing panics, no more is taken than is there, and what more there is does not change what was read.
    #[test]
    fn anything_may_come(bytes in "(VA |HD|NF|O|[0-9]{1,3}| |\r|\n|\r\n|ERROR|[^a]){0,24}", more: Vec<u8>) {
        let bytes = bytes.as_bytes();
        let read = parse(bytes);
        if let Ok(Some((_, length))) = &read {
            prop_assert!(*length <= bytes.len());
        }
        if read != Ok(None) {
            prop_assert_eq!(parse(&[bytes, &more].concat()), read);
        }
    }
}
