//! Lua scripts, and how one is run.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::Instant;

use super::key::Key;
use super::link::RedisConnection;
use crate::lease::LeaseId;
use crate::store::{Failure, StoreCause};

/// A script: its text, and the name that Redis knows it by.
pub(super) struct Script {
    text: &'static str,
    hashed: LazyLock<redis::Script>,
    /// The keys that it touches, by what follows their common part.
    keys: &'static [&'static str],
}

impl Script {
    pub(super) const fn new(
        text: &'static str,
        hashed: fn() -> redis::Script,
        keys: &'static [&'static str],
    ) -> Self {
        Self { text, hashed: LazyLock::new(hashed), keys }
    }
}

/// A script made of several files, one after the other.
macro_rules! script {
    ($keys:expr, $($file:literal),+) => {{
        const TEXT: &str = concat!($(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/redis/", $file))),+);
        $crate::redis::script::Script::new(TEXT, || redis::Script::new(TEXT), $keys)
    }};
}
pub(super) use script;

/// A script with what it is run on. It may be sent again and again: each time it says how long ago it was told.
#[derive(Clone)]
pub(super) struct Invocation {
    script: &'static Script,
    key: Key,
    rules: Rules,
    args: Vec<Arg>,
    told: Instant,
}

/// What every script of a backend takes first, written once, as it is the same for all calls.
#[derive(Clone, Default)]
pub(super) struct Rules(Arc<[Box<str>]>);

impl FromIterator<Arg> for Rules {
    fn from_iter<I: IntoIterator<Item = Arg>>(args: I) -> Self {
        Self(args.into_iter().map(Arg::written).collect())
    }
}

#[derive(Clone, Debug)]
pub(super) enum Arg {
    Number(u64),
    Real(f64),
    Text(Box<str>),
    Word(&'static str),
}

impl Arg {
    fn written(self) -> Box<str> {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Real(number) => format!("{number:e}").into(),
            Self::Text(text) => text,
            Self::Word(word) => word.into(),
        }
    }
}

impl Invocation {
    pub(super) fn new(
        script: &'static Script,
        key: Key,
        rules: Rules,
        args: impl IntoIterator<Item = Arg>,
    ) -> Self {
        Self { script, key, rules, args: args.into_iter().collect(), told: Instant::now() }
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    pub(super) const fn lane(&self) -> usize {
        self.key.lane
    }

    /// When what it tells took place.
    pub(super) const fn told(&self) -> Instant {
        self.told
    }

    /// Sends it by its name, and with its text where the store does not know the name: after a restart or a
    /// `SCRIPT FLUSH`. In a Cluster both go to the node that has the key, and to no other.
    pub(super) async fn run(
        &self,
        mut connection: RedisConnection,
        now: Option<u64>,
    ) -> Result<Value, Failure> {
        let by_name = self.command("EVALSHA", self.script.hashed.get_hash(), now);
        let answer = match connection.send(self.key.slot, &by_name).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let in_full = self.command("EVAL", self.script.text, now);
                connection.send(self.key.slot, &in_full).await
            }
            answer => answer,
        };
        answer.map_err(|error| failure(&error))
    }

    fn command(&self, how: &str, script: &str, now: Option<u64>) -> Cmd {
        let parts = 5 + self.script.keys.len() + self.rules.0.len() + self.args.len();
        let mut command = Cmd::with_capacity(parts, script.len() + 32 * parts);
        command.arg(how).arg(script).arg(self.script.keys.len());
        let mut name = String::new();
        for suffix in self.script.keys {
            self.key.write(suffix, &mut name);
            command.arg(&name);
        }
        // Without a clock of the caller's, the server's counts.
        match now {
            Some(now) => command.arg(now),
            None => command.arg(""),
        };
        command.arg(micros(self.told.elapsed()));
        for rule in &*self.rules.0 {
            command.arg(&**rule);
        }
        for arg in &self.args {
            match arg {
                Arg::Number(number) => command.arg(*number),
                Arg::Real(number) => command.arg(format!("{number:e}")),
                Arg::Text(text) => command.arg(&**text),
                Arg::Word(word) => command.arg(*word),
            };
        }
        command
    }
}

/// The largest number of microseconds that is written, some 35 years: sums of it stay whole numbers in Lua.
const LONGEST: u64 = 1 << 50;

/// In whole microseconds, rounded up, so that nothing is shorter than it should be.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX).min(LONGEST)
}

/// A lease as it is written.
pub(super) fn lease_arg(lease: LeaseId) -> Arg {
    Arg::Text(format!("{:032x}", lease.as_u128()).into())
}

/// Whose fault it is.
pub(super) fn failure(error: &RedisError) -> Failure {
    if error.is_timeout() {
        return Failure::Lost(StoreCause::Timeout);
    }
    match error.kind() {
        // Wrong for this call, and as likely right for the next: a key of somebody else's with this name, say.
        ErrorKind::Server(
            ServerErrorKind::ResponseError
            | ServerErrorKind::ExecAbort
            | ServerErrorKind::NoScript
            | ServerErrorKind::CrossSlot,
        )
        | ErrorKind::UnexpectedReturnType => Failure::Refused,
        ErrorKind::Server(ServerErrorKind::TryAgain) => Failure::NotNow,
        ErrorKind::Extension if error.code() == Some("WRONGTYPE") => Failure::Refused,
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            Failure::Lost(StoreCause::Refused(error.code().unwrap_or("AUTH").into()))
        }
        _ => Failure::Lost(StoreCause::Connection),
    }
}
