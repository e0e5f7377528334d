//! Behaviours as text: `status=529`, `first-token=5s!text=Hello`, `status=503!then!text=Back again`.

use std::str::FromStr;

use crate::{
    behaviour::Behaviour,
    fault::{Fault, Opening},
    given::Given,
    script::Script,
};

/// Why a text is no [`Behaviour`] or [`Script`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBehaviourError {
    /// There is no directive of this name.
    #[error("unknown directive `{name}`")]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// The directive needs a value, or another one.
    #[error("directive `{name}` takes {expected}, not `{value}`")]
    Value {
        /// The directive.
        name: String,
        /// The value that was given; empty if there was none.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// `then` and `flap` make a [`Script`], they are no part of one [`Behaviour`].
    #[error("`{name}` makes a script of several behaviours; a single one was expected here")]
    NotOne {
        /// The directive.
        name: String,
    },
}

/// Directives separated by `!`; a `!!` is a `!` in a value. The empty text is the default behaviour.
impl FromStr for Behaviour {
    type Err = ParseBehaviourError;

    fn from_str(text: &str) -> Result<Self, ParseBehaviourError> {
        directives(text).iter().try_fold(Self::default(), |behaviour, directive| {
            let (name, value) = match directive.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (directive.as_str(), None),
            };
            if matches!(name, "then" | "flap") {
                return Err(ParseBehaviourError::NotOne { name: name.to_owned() });
            }
            apply(behaviour, name, value)
        })
    }
}

/// Behaviours separated by the directive `then`; with `flap` in front they repeat from the start, else the last one
/// repeats.
impl FromStr for Script {
    type Err = ParseBehaviourError;

    fn from_str(text: &str) -> Result<Self, ParseBehaviourError> {
        let all = directives(text);
        let (around, all) = match all.split_first() {
            Some((first, rest)) if first == "flap" => (true, rest),
            _ => (false, all.as_slice()),
        };
        let steps = all
            .split(|directive| directive == "then")
            .map(|step| {
                // The quoting is put back so that there is one parser of directives.
                step.iter()
                    .map(|directive| directive.replace('!', "!!"))
                    .collect::<Vec<_>>()
                    .join("!")
                    .parse()
            })
            .collect::<Result<Vec<Behaviour>, _>>()?;
        Ok(if around { Self::flap(steps) } else { Self::from(steps) })
    }
}

/// Splits at single `!`; empty directives are dropped, so that a trailing `!` does no harm.
fn directives(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let quoted = character == '!' && characters.next_if_eq(&'!').is_some();
        if character == '!' && !quoted {
            all.push(String::new());
        } else if let Some(directive) = all.last_mut() {
            directive.push(character);
        }
    }
    all.retain(|directive| !directive.is_empty());
    all
}

fn apply(behaviour: Behaviour, name: &str, value: Option<&str>) -> Result<Behaviour, ParseBehaviourError> {
    let given = Given { name, value };
    Ok(match name {
        "text" => behaviour.text(given.text()?),
        "empty" => given.alone(behaviour.text(""))?,
        "reasoning" => behaviour.reasoning(given.text()?),
        "redacted" => behaviour.redacted_reasoning(given.text()?),
        "tool-call" => {
            let (name, arguments) = given.call()?;
            behaviour.tool_call(name, arguments)
        }
        "tool-call-with-id" => {
            let (id, name, arguments) = given.call_with_id()?;
            behaviour.tool_call_with_id(id, name, arguments)
        }
        "refusal" => behaviour.refusal(value.unwrap_or("I'm sorry, but I can't help with that.")),
        "finish" => behaviour.finish(given.text()?),
        "stop-sequence" => behaviour.stop_sequence(given.text()?),
        "host" => behaviour.host(given.host()?),
        "cached-for-an-hour" => given.alone(behaviour.cached_for_an_hour())?,
        "model-id" => behaviour.model_id(given.text()?),
        "usage" => behaviour.usage(given.usage()?),
        "no-usage" => given.alone(behaviour.no_usage())?,

        "lenient" => given.alone(behaviour.lenient())?,
        "refuses" => behaviour.refuses(given.text()?),
        "key" => behaviour.key(given.text()?),

        "status" => Behaviour { status: given.status()?, ..behaviour },
        "error-body" => Behaviour { error_body: Some(given.status_or(500)?), ..behaviour },
        "body" => behaviour.body(given.text()?),
        "html" => given.alone(Behaviour { body: Behaviour::html().body, ..behaviour })?,
        "header" => {
            let (header, value) = given.header()?;
            behaviour.header(header, value)
        }
        "retry-after" => behaviour.header("retry-after", given.text()?),
        "type" => behaviour.error_type(given.text()?),
        "code" => behaviour.error_code(given.text()?),
        "message" => behaviour.error_message(given.text()?),
        "json" => given.alone(behaviour.ignore_stream())?,
        "no-done" => given.alone(behaviour.no_done())?,

        "delay" => behaviour.delay(given.duration()?),
        "first-token" => behaviour.first_token(given.duration()?),
        "no-first-token" => given.alone(behaviour.no_first_token())?,
        "keep-alive" => behaviour.keep_alive(given.duration()?),
        "keep-alives-only" => behaviour.keep_alive(given.duration()?).no_first_token(),
        "text-delay" => behaviour.text_delay(given.duration()?),
        "token-delay" => behaviour.token_delay(given.duration()?),
        "drip" => {
            let (bytes, delay) = given.drip()?;
            behaviour.drip(bytes, delay)
        }
        "split-utf8" => given.alone(behaviour.split_utf8())?,

        "stall" => given.alone(Behaviour { opening: Opening::Stall, ..behaviour })?,
        "reset" => given.alone(Behaviour { opening: Opening::Reset, ..behaviour })?,
        "close" => given.alone(Behaviour { opening: Opening::Close, ..behaviour })?,
        "stall-after" => behaviour.fault_after(given.count()?, Fault::Stall),
        "reset-after" => behaviour.fault_after(given.count()?, Fault::Reset),
        "close-after" => behaviour.fault_after(given.count()?, Fault::Close),
        "truncate-after" => behaviour.fault_after(given.count()?, Fault::Truncate),
        "malformed-after" => behaviour.fault_after(given.count()?, Fault::Malformed),
        "invalid-utf8-after" => behaviour.fault_after(given.count()?, Fault::InvalidUtf8),
        "endless-event-after" => behaviour.fault_after(given.count()?, Fault::EndlessEvent),
        "endless-after" => behaviour.fault_after(given.count()?, Fault::Endless),
        "error-after" => {
            let (deltas, status) = given.error_after()?;
            behaviour.error_after(deltas, status)
        }
        _ => return Err(ParseBehaviourError::Unknown { name: name.to_owned() }),
    })
}
