//! Why a server could not be had, or did not do what it was told.

use std::{io, path::PathBuf, time::Duration};

/// Why a server could not be had, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The program is not on this machine and could not be brought to it.
    #[error(
        "there is no `{program}` on the PATH, and it could not be unpacked from the Debian package `{package}`: \
         install that package, or name the program in the variable {variable}\n{output}"
    )]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// The environment variable that can name the program instead.
        variable: &'static str,
        /// What the attempt to unpack it said.
        output: String,
    },
    /// An environment variable names a program that is not there.
    #[error("{variable} names {}, which is no file", path.display())]
    Named {
        /// The environment variable.
        variable: &'static str,
        /// What it names.
        path: PathBuf,
    },
    /// The server ended instead of starting.
    #[error("{program} ended while it started; the last lines that it wrote:\n{output}")]
    Died {
        /// The program.
        program: &'static str,
        /// The last lines that it wrote.
        output: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not come about within {limit:?}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
    },
    /// The server is not running, so it can be neither frozen nor thawed.
    #[error("the server is not running")]
    NotRunning,
    /// There is no such node in the cluster.
    #[error("the cluster has no node {0}")]
    NoNode(usize),
    /// The server answered a command with an error.
    #[error("the server refused {command}: {message}")]
    Refused {
        /// The command's name, without its arguments.
        command: String,
        /// The server's words.
        message: String,
    },
    /// The certificates for TLS could not be made.
    #[cfg(feature = "tls")]
    #[error("no certificates could be made")]
    Certificates(#[from] rcgen::Error),
    /// The operating system refused something.
    #[error("could not {doing}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

impl ServerError {
    /// For `map_err`.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
