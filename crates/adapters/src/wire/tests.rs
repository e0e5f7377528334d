//! Details that no answer is thrown away for.

use llm_protocol::ErrorKind;

use super::*;

#[test]
fn numbers_are_read_as_they_are_written() {
    for (json, count) in [
        ("18", Some(18)),
        ("18.0", Some(18)),
        ("1.8e1", Some(18)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18.5", None),
        ("-1", None),
        ("-1.0", None),
        ("1e300", None),
        ("\"18\"", None),
        ("true", None),
        ("null", None),
        ("[18]", None),
        ("{\"a\":18}", None),
    ] {
        assert_eq!(read::<Count>(json).unwrap().0, count, "{json}");
    }
}

#[test]
fn halves_of_letters_are_replaced() {
    for (json, expected) in [
        (r#""plain""#, r#""plain""#),
        (r#""\ud83d\ude00 \u00e9""#, r#""\ud83d\ude00 \u00e9""#),
        (r#""\ud83d""#, r#""\ufffd""#),
        (r#""\uDE00a""#, r#""\ufffda""#),
        (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
        (r#""\ud83d\n""#, r#""\ufffd\n""#),
        (r#""\\ud83d""#, r#""\\ud83d""#),
        (r#""\\\ud83d""#, r#""\\\ufffd""#),
        (r#""\ud8""#, r#""\ud8""#),
        ("\\", "\\"),
    ] {
        assert_eq!(mended(json), expected);
    }
    assert!(matches!(mended(r#""\ud83d\ude00""#), Cow::Borrowed(_)));
}

#[test]
fn errors_that_say_that_there_is_none_are_none() {
    for (json, is_error) in [
        ("null", false),
        ("false", false),
        ("\"\"", false),
        ("\" \"", false),
        ("{ }", false),
        ("[]", false),
        ("true", true),
        ("\"words\"", true),
        ("{\"code\":1}", true),
        ("[0]", true),
    ] {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let mut slot = None;
        take_error(&mut slot, raw);
        assert_eq!(slot.is_some(), is_error, "{json}");
    }
}

#[test]
fn huge_errors_are_not_looked_into() {
    assert_eq!(explanation("{\"a\":1}")["a"], 1);
    assert_eq!(explanation("words"), "words");
    assert!(explanation(&format!("[{}0]", "0,".repeat(40_000))).is_null());
}

#[test]
fn an_answer_that_breaks_off_in_a_number_is_cut() {
    let kind = |text: &str| unreadable(text, &serde_json::from_str::<&RawValue>(text).unwrap_err()).kind;
    for text in ["{", "{\"a\":1", "{\"a\":1.", "{\"a\":-", "[1,\n2e", "{\"é\":2e+"] {
        assert_eq!(kind(text), ErrorKind::Truncated, "{text}");
    }
    for text in ["", " ", "{\"a\":1.}", "{\"a\":maybe", "<html>", "{}}"] {
        assert_eq!(kind(text), ErrorKind::Protocol, "{text}");
    }
}
