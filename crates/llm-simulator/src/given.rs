//! The value of one directive, read as what the directive takes.

use std::time::Duration;

use crate::{answer::Usage, behaviour::Behaviour, host::Host, syntax::ParseBehaviourError};

/// The value of one directive, read as what the directive takes.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn refuse(self, expected: &'static str) -> ParseBehaviourError {
        let value = self.value.unwrap_or_default().to_owned();
        ParseBehaviourError::Value { name: self.name.to_owned(), value, expected }
    }

    pub(crate) fn alone(self, behaviour: Behaviour) -> Result<Behaviour, ParseBehaviourError> {
        if self.value.is_none() { Ok(behaviour) } else { Err(self.refuse("no value")) }
    }

    pub(crate) fn text(self) -> Result<&'a str, ParseBehaviourError> {
        self.value.ok_or_else(|| self.refuse("a text"))
    }

    pub(crate) fn count(self) -> Result<usize, ParseBehaviourError> {
        let count = self.value.and_then(|value| value.parse().ok());
        count.ok_or_else(|| self.refuse("a number of deltas"))
    }

    pub(crate) fn duration(self) -> Result<Duration, ParseBehaviourError> {
        let duration = self.value.and_then(|value| humantime::parse_duration(value).ok());
        duration.ok_or_else(|| self.refuse("a duration such as 500ms or 5s"))
    }

    pub(crate) fn status(self) -> Result<u16, ParseBehaviourError> {
        let status = self.value.and_then(status);
        status.ok_or_else(|| self.refuse("a status from 200 to 599"))
    }

    pub(crate) fn status_or(self, default: u16) -> Result<u16, ParseBehaviourError> {
        if self.value.is_none() { Ok(default) } else { self.status() }
    }

    pub(crate) fn error_after(self) -> Result<(usize, u16), ParseBehaviourError> {
        let value = self.value.unwrap_or_default();
        let (deltas, code) = value.split_once(',').unwrap_or((value, "529"));
        let both = deltas.parse().ok().zip(status(code));
        both.ok_or_else(|| self.refuse("a number of deltas and perhaps a status, as in 2,529"))
    }

    pub(crate) fn header(self) -> Result<(&'a str, &'a str), ParseBehaviourError> {
        let header = self.value.and_then(|value| value.split_once(':')).map(|(n, v)| (n.trim(), v.trim()));
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        header
            .filter(|(name, value)| {
                !name.is_empty() && name.chars().all(token) && !value.contains(|c: char| c.is_control())
            })
            .ok_or_else(|| self.refuse("a name and a value, as in retry-after:7"))
    }

    pub(crate) fn drip(self) -> Result<(usize, Duration), ParseBehaviourError> {
        let parts = self.value.and_then(|value| value.split_once(','));
        let both = parts.and_then(|(bytes, delay)| {
            let bytes = bytes.parse().ok().filter(|bytes| *bytes > 0)?;
            Some((bytes, humantime::parse_duration(delay).ok()?))
        });
        both.ok_or_else(|| self.refuse("bytes and a delay, as in 3,10ms"))
    }

    /// A name and what comes after the comma.
    pub(crate) fn call(self) -> Result<(&'a str, &'a str), ParseBehaviourError> {
        let value = self.value.unwrap_or_default();
        let (name, arguments) = value.split_once(',').unwrap_or((value, "{}"));
        if name.is_empty() {
            return Err(self.refuse("a tool and perhaps its arguments, as in look_up,{\"word\": \"a\"}"));
        }
        Ok((name, arguments))
    }

    pub(crate) fn call_with_id(self) -> Result<(&'a str, &'a str, &'a str), ParseBehaviourError> {
        let (id, rest) = self.value.unwrap_or_default().split_once(',').unwrap_or_default();
        let given = Self { value: Some(rest), ..self };
        let expected = "an id, a tool and perhaps its arguments, as in call_1,look_up,{}";
        given.call().map(|(name, arguments)| (id, name, arguments)).map_err(|_| self.refuse(expected))
    }

    pub(crate) fn host(self) -> Result<Host, ParseBehaviourError> {
        let host = self.value.and_then(Host::named);
        host.ok_or_else(|| self.refuse("openai, groq, openrouter, deepseek or mistral"))
    }

    pub(crate) fn usage(self) -> Result<Usage, ParseBehaviourError> {
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
