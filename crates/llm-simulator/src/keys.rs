//! Which credentials are accepted, and who refuses the others.

use std::fmt;

use crate::{http::Request, refusal::Refusal, wire::Wire};

/// A credential; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Key {
    /// The credential of a request, from where its vendor looks for one.
    pub(crate) fn of(request: &Request, wire: Wire) -> Option<Self> {
        let header = |name| request.header(name).map(str::trim);
        let bearer = || {
            let (scheme, token) = header("authorization")?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        };
        let key = match wire {
            Wire::OpenAi => bearer().or_else(|| header("api-key")),
            Wire::Anthropic => header("x-api-key").or_else(bearer),
        };
        key.filter(|key| !key.is_empty()).map(|key| Self(key.to_owned()))
    }

    /// Refuses another credential than this one.
    pub(crate) fn check(&self, given: Option<&Self>, wire: Wire) -> Result<(), Refusal> {
        if given == Some(self) {
            return Ok(());
        }
        let why = match (wire, given) {
            (Wire::OpenAi, Some(_)) => {
                "Incorrect API key provided: ********. You can find your API key at https://platform.openai.com/account/api-keys."
            }
            (Wire::OpenAi, None) => {
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            }
            (Wire::Anthropic, Some(_)) => "invalid x-api-key",
            (Wire::Anthropic, None) => "x-api-key header is required",
        };
        Err(Refusal::new(why).status(401))
    }
}
