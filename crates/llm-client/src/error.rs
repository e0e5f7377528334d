//! Why no client can be made.

use std::fmt;

use llm_adapters::BuildError;
use llm_reliability::InputError;

use crate::config::without_keys;
use crate::factory::FactoryError;
use crate::from_env::Skipped;

/// Why no client can be made, of a configuration or of what a [`Builder`](crate::Builder) was given. Every message is
/// one line, and none shows a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is no TOML, or has a setting that does not exist or a value that it cannot have.
    #[error("line {line}, column {column}: {message}")]
    Toml {
        /// Which line, from 1.
        line: usize,
        /// Which character of the line, from 1.
        column: usize,
        /// What is wrong, with the name of the setting.
        message: String,
    },
    /// A setting that this version knows of and cannot do.
    #[error("`{setting}` is not built yet")]
    NotBuilt {
        /// Its full path, with the value where only that is the trouble.
        setting: String,
    },
    /// A setting that has no sense.
    #[error("`{path}` {reason}")]
    Invalid {
        /// Its full path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody has registered a provider of this name, and it gives no base URL either.
    #[error(
        "`{path}`: there is no provider `{provider}` among {}; any host that speaks the OpenAI format \
         needs a base_url, and a name of lower-case letters, digits, `-`, `_` and `.`",
        one_line(known.join(", "))
    )]
    UnknownProvider {
        /// The full path of the setting.
        path: String,
        /// The name; `***` where it could be a key.
        provider: String,
        /// The names that are registered.
        known: Vec<String>,
    },
    /// The provider exists, and this build leaves it out.
    #[error("`{path}`: `{provider}` is not in this build: compile llm-client with the feature `{feature}`")]
    ProviderNotCompiled {
        /// The full path of the setting.
        path: String,
        /// The provider.
        provider: String,
        /// The cargo feature of llm-client that brings it.
        feature: &'static str,
    },
    /// The setting exists, and this build leaves out what it is for.
    #[error("`{setting}` is not in this build: compile llm-client with the feature `{feature}`")]
    NotCompiled {
        /// Its full path.
        setting: String,
        /// The cargo feature of llm-client that brings it.
        feature: &'static str,
    },
    /// The environment variable that should hold a credential does not.
    #[error(
        "the environment variable{}, for the credential of `{path}`, is not set or empty",
        shown(variable.as_deref())
    )]
    MissingVariable {
        /// Which candidate.
        path: String,
        /// The variable. `None` where its name could be the key itself, put there by mistake: any name that is not
        /// in capitals and underscores.
        variable: Option<String>,
    },
    /// The provider needs a credential, and was given none.
    #[error("`{id}` has no credential, or an empty one: give it one with `api_key` or `credentials`")]
    MissingCredential {
        /// Its name.
        id: String,
    },
    /// None of the models can be asked that [`from_env`](crate::from_env) was called with.
    #[error("none of the models can be asked: {}", listed(skipped))]
    AllSkipped {
        /// Each of them, and why.
        skipped: Vec<Skipped>,
    },
    /// The provider cannot make an adapter of what the candidate says.
    #[error("`{path}` ({provider}): {}", one_line(cause))]
    Provider {
        /// Which candidate.
        path: String,
        /// The provider.
        provider: String,
        /// What it says; part of the message.
        cause: FactoryError,
    },
    /// The HTTP client that the candidates share cannot be made.
    #[error("{0}")]
    HttpClient(BuildError),
    /// Two candidates have one name, so their attempts and their circuits could not be told apart.
    #[error("two candidates are called `{id}`: give each an id of its own")]
    DuplicateId {
        /// The name.
        id: String,
    },
    /// A model that [`from_env`](crate::from_env) was called with is a candidate already. There is one credential for
    /// both, so that the second would do nothing that the first does not.
    #[error("`{id}` is there already: name it once (several keys of one provider need a `Builder` and ids)")]
    Repeated {
        /// The name.
        id: String,
    },
    /// There are no candidates.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl ConfigError {
    pub(crate) fn invalid(path: String, reason: impl Into<String>) -> Self {
        Self::Invalid { path, reason: reason.into() }
    }

    /// The position is counted here: the error's own text quotes the line, which is more than one line. `table` is what
    /// the text says, where it is TOML.
    pub(crate) fn in_toml(text: &str, mut error: toml::de::Error, table: Option<&toml::Table>) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        // Without its input the error names the path in place of the quoted line.
        error.set_input(None);
        // Before the lines are joined: what is quoted may have several.
        let message = without_keys(&error.to_string(), table);
        // How the TOML library hands a date to whoever asks for something else.
        let message = message.replace("unknown field `$__toml_private_datetime`", "invalid type: date");
        let message = one_line(message.lines().collect::<Vec<_>>().join(", "));
        Self::Toml { line: before.matches('\n').count() + 1, column, message }
    }
}

fn shown(variable: Option<&str>) -> String {
    match variable {
        Some(name) => format!(" `{name}`"),
        None => " (not shown: its name could be the key itself)".to_owned(),
    }
}

fn listed(skipped: &[Skipped]) -> String {
    skipped.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What others have written, as a part of a message.
pub(crate) fn one_line(text: impl fmt::Display) -> String {
    text.to_string().replace(breaks_lines, " ")
}

/// Whether this would end the line, or change the direction in which it is read.
pub(crate) fn breaks_lines(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
