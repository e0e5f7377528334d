//! Rules about answers that fail.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use crate::error::{Category, Error, ErrorKind};
use crate::event::StreamEvent;
use crate::testing::contract::evidence::{ANSWER_WORDS, Evidence, PROMPT_WORDS, RETRY_AFTER, TEXT};
use crate::testing::contract::harness::SECRET;
use crate::testing::contract::observe::{Mode, Observation, Outcome};
use crate::testing::contract::summary::{Finding, Verdict, require};

/// The error that a call must have ended with.
fn error(seen: &Observation) -> Result<&Error, Finding> {
    seen.error().ok_or_else(|| Finding::Broken(format!("{}: there is no error", seen.place())))
}

/// Every call in this scenario fails in one of these ways.
fn kinds(evidence: &Evidence, name: &str, expected: &[ErrorKind]) -> Verdict {
    for seen in evidence.of(name)? {
        let kind = error(seen)?.kind();
        require(expected.contains(&kind), || format!("{}: {kind:?}, not {expected:?}", seen.place()))?;
    }
    Ok(())
}

fn category(evidence: &Evidence, name: &str, expected: Category) -> Verdict {
    for seen in evidence.of(name)? {
        let error = error(seen)?;
        require(error.category() == expected, || {
            format!("{}: {:?}, not {expected:?}", seen.place(), error.kind())
        })?;
    }
    Ok(())
}

pub(super) fn cut(evidence: &Evidence) -> Verdict {
    for seen in evidence.of("Cut")? {
        let place = seen.place();
        if seen.mode == Mode::Whole {
            // The broken body of a whole answer may be the first thing to be noticed.
            let error = error(seen)?;
            let expected = error.category() == Category::Transient;
            require(expected, || format!("{place}: {:?} is not transient", error.kind()))?;
            continue;
        }
        // A stream may also just end: without its terminal marker that means the same.
        let marked = seen.events().any(|event| matches!(event, StreamEvent::Finish(_)));
        require(!marked, || format!("{place}: there is a terminal marker"))?;
        let kind = seen.error().map_or(ErrorKind::Truncated, Error::kind);
        require(kind == ErrorKind::Truncated, || format!("{place}: {kind:?}, not Truncated"))?;
        let told = text(seen);
        require(TEXT.starts_with(&told), || format!("{place}: {told:?} is not what was sent"))?;
    }
    Ok(())
}

pub(super) fn midway(evidence: &Evidence) -> Verdict {
    category(evidence, "FailsMidway", Category::Transient)?;
    for seen in evidence.of("FailsMidway")? {
        let told = text(seen);
        require(told == TEXT, || format!("{}: of {TEXT:?} came {told:?}", seen.place()))?;
    }
    Ok(())
}

fn text(seen: &Observation) -> String {
    let texts = seen.events().filter_map(|event| match event {
        StreamEvent::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

pub(super) fn last_word(evidence: &Evidence) -> Verdict {
    for seen in evidence.all() {
        let Outcome::Streamed(items) = &seen.outcome else { continue };
        let after = items.iter().skip_while(|item| item.is_ok()).skip(1).count();
        require(after == 0, || format!("{}: {after} items after the error", seen.place()))?;
    }
    Ok(())
}

pub(super) fn garbage(evidence: &Evidence) -> Verdict {
    kinds(evidence, "Garbage", &[ErrorKind::Protocol])
}

pub(super) fn throttled(evidence: &Evidence) -> Verdict {
    category(evidence, "Throttled", Category::Backpressure)?;
    for seen in evidence.of("Throttled")? {
        let hint = error(seen)?.retry_after();
        // Some hints are points in time, of which a moment has passed.
        let right =
            hint.is_some_and(|hint| hint <= RETRY_AFTER && hint + Duration::from_secs(2) > RETRY_AFTER);
        require(right, || format!("{}: the hint is {hint:?}, not {RETRY_AFTER:?}", seen.place()))?;
    }
    Ok(())
}

pub(super) fn overloaded(evidence: &Evidence) -> Verdict {
    category(evidence, "Overloaded", Category::Transient)
}

pub(super) fn fails(evidence: &Evidence) -> Verdict {
    category(evidence, "Fails", Category::Transient)
}

pub(super) fn unauthorized(evidence: &Evidence) -> Verdict {
    kinds(evidence, "Unauthorized", &[ErrorKind::Authentication])
}

pub(super) fn model_unknown(evidence: &Evidence) -> Verdict {
    kinds(evidence, "ModelUnknown", &[ErrorKind::ModelNotFound])
}

pub(super) fn context_exceeded(evidence: &Evidence) -> Verdict {
    kinds(evidence, "ContextExceeded", &[ErrorKind::ContextLength])
}

pub(super) fn unreachable(evidence: &Evidence) -> Verdict {
    kinds(evidence, "Unreachable", &[ErrorKind::Connection])
}

pub(super) fn named(evidence: &Evidence) -> Verdict {
    for seen in evidence.all() {
        let named = seen.error().is_none_or(|error| error.model_key() == Some(&evidence.key));
        require(named, || {
            let name = seen.error().and_then(Error::model_key);
            format!("{}: the error names {name:?}, the key is {:?}", seen.place(), evidence.key)
        })?;
    }
    Ok(())
}

pub(super) fn hide_credential(evidence: &Evidence) -> Verdict {
    hide(evidence, SECRET, "the credential")
}

pub(super) fn hide_words(evidence: &Evidence) -> Verdict {
    hide(evidence, PROMPT_WORDS, "the prompt")?;
    hide(evidence, ANSWER_WORDS, "the answer")
}

fn hide(evidence: &Evidence, words: &str, what: &str) -> Verdict {
    for seen in evidence.all() {
        let shown = seen.error().is_some_and(|error| everything(error).contains(words));
        require(!shown, || format!("{}: the error or one of its sources shows {what}", seen.place()))?;
    }
    Ok(())
}

/// All that an error and its sources would print.
pub(super) fn everything(error: &Error) -> String {
    let mut shown = format!("{:?} {:?} {:?}", error.message(), error.code(), error.request_id());
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        let _ = write!(shown, "\n{error}\n{error:?}\n{error:#?}");
        next = error.source();
    }
    shown
}
