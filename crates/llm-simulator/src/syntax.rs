//! Behaviours as text: `status=529`, `first-token=5s!text=Hello`, `status=503!then!text=Back again`.

use std::{str::FromStr, time::Duration};

use crate::{
    answer::Usage,
    behaviour::Behaviour,
    fault::{Fault, Opening},
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
        "refusal" => behaviour.refusal(value.unwrap_or("I'm sorry, but I can't help with that.")),
        "finish" => behaviour.finish(given.text()?),
        "model-id" => behaviour.model_id(given.text()?),
        "usage" => behaviour.usage(given.usage()?),
        "no-usage" => given.alone(behaviour.no_usage())?,

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

/// The value of one directive, read as what the directive takes.
#[derive(Clone, Copy)]
struct Given<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn refuse(self, expected: &'static str) -> ParseBehaviourError {
        let value = self.value.unwrap_or_default().to_owned();
        ParseBehaviourError::Value { name: self.name.to_owned(), value, expected }
    }

    fn alone(self, behaviour: Behaviour) -> Result<Behaviour, ParseBehaviourError> {
        if self.value.is_none() { Ok(behaviour) } else { Err(self.refuse("no value")) }
    }

    fn text(self) -> Result<&'a str, ParseBehaviourError> {
        self.value.ok_or_else(|| self.refuse("a text"))
    }

    fn count(self) -> Result<usize, ParseBehaviourError> {
        let count = self.value.and_then(|value| value.parse().ok());
        count.ok_or_else(|| self.refuse("a number of deltas"))
    }

    fn duration(self) -> Result<Duration, ParseBehaviourError> {
        let duration = self.value.and_then(|value| humantime::parse_duration(value).ok());
        duration.ok_or_else(|| self.refuse("a duration such as 500ms or 5s"))
    }

    fn status(self) -> Result<u16, ParseBehaviourError> {
        let status = self.value.and_then(status);
        status.ok_or_else(|| self.refuse("a status from 200 to 599"))
    }

    fn status_or(self, default: u16) -> Result<u16, ParseBehaviourError> {
        if self.value.is_none() { Ok(default) } else { self.status() }
    }

    fn error_after(self) -> Result<(usize, u16), ParseBehaviourError> {
        let value = self.value.unwrap_or_default();
        let (deltas, code) = value.split_once(',').unwrap_or((value, "529"));
        let both = deltas.parse().ok().zip(status(code));
        both.ok_or_else(|| self.refuse("a number of deltas and perhaps a status, as in 2,529"))
    }

    fn header(self) -> Result<(&'a str, &'a str), ParseBehaviourError> {
        let header = self.value.and_then(|value| value.split_once(':')).map(|(n, v)| (n.trim(), v.trim()));
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        header
            .filter(|(name, value)| {
                !name.is_empty() && name.chars().all(token) && !value.contains(|c: char| c.is_control())
            })
            .ok_or_else(|| self.refuse("a name and a value, as in retry-after:7"))
    }

    fn drip(self) -> Result<(usize, Duration), ParseBehaviourError> {
        let parts = self.value.and_then(|value| value.split_once(','));
        let both = parts.and_then(|(bytes, delay)| {
            let bytes = bytes.parse().ok().filter(|bytes| *bytes > 0)?;
            Some((bytes, humantime::parse_duration(delay).ok()?))
        });
        both.ok_or_else(|| self.refuse("bytes and a delay, as in 3,10ms"))
    }

    fn usage(self) -> Result<Usage, ParseBehaviourError> {
        let expected = "input,output[,cache read[,cache write[,reasoning]]] tokens";
        let parts = self.value.unwrap_or_default().split(',').map(|part| part.parse().ok());
        let counts: Option<Vec<u64>> = parts.collect();
        let counts = counts.filter(|counts| (2..=5).contains(&counts.len()));
        let mut counts = counts.ok_or_else(|| self.refuse(expected))?.into_iter();
        let mut next = || counts.next().unwrap_or_default();
        Ok(Usage {
            input_tokens: next(),
            output_tokens: next(),
            cache_read_tokens: next(),
            cache_write_tokens: next(),
            reasoning_tokens: next(),
        })
    }
}

fn status(value: &str) -> Option<u16> {
    value.parse().ok().filter(|status| (200..600).contains(status))
}
