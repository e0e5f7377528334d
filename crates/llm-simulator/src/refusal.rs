//! Why a request is refused, and which behaviour lets it pass all the same.

use serde_json::Value;

use crate::{
    behaviour::Behaviour,
    fault::ErrorWords,
    keys::Key,
    wire::{Asked, Wire},
};

/// What a vendor says to a request that it will not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: u16,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
}

impl Refusal {
    /// A 400 with this message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { status: 400, code: None, param: None, message: message.into() }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// OpenAI's word for what is wrong.
    pub(crate) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The field that is wrong, which OpenAI names beside the message.
    pub(crate) fn param(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    pub(crate) fn behaviour(self) -> Behaviour {
        let error = ErrorWords {
            kind: None,
            code: self.code.map(str::to_owned),
            param: self.param,
            message: Some(self.message),
        };
        Behaviour { error, ..Behaviour::status(self.status) }
    }
}

/// A request that has been looked through before it is known what it gets.
#[derive(Debug)]
pub(crate) struct Screened<'a> {
    wire: Wire,
    body: Option<&'a Value>,
    key: Option<Key>,
    /// What no behaviour lets pass.
    always: Option<Refusal>,
    /// What all but the lenient ones refuse.
    strict: Option<Refusal>,
}

impl<'a> Screened<'a> {
    pub(crate) fn new(
        wire: Wire,
        asked: Option<Asked<'a>>,
        key: Option<Key>,
        always: Option<Refusal>,
    ) -> Self {
        let asked = asked.filter(|_| always.is_none());
        let strict = asked.and_then(|asked| wire.codec().check(asked).err());
        Self { wire, body: asked.map(|asked| asked.body), key, always, strict }
    }

    /// Why the request gets no answer of this behaviour. What takes long has been done before.
    pub(crate) fn judge(&self, behaviour: &Behaviour, required: Option<&Key>) -> Result<(), Refusal> {
        for required in [required, behaviour.key.as_ref()].into_iter().flatten() {
            required.check(self.key.as_ref(), self.wire)?;
        }
        let strict = self.strict.as_ref().filter(|_| !behaviour.lenient);
        if let Some(refusal) = self.always.as_ref().or(strict) {
            return Err(refusal.clone());
        }
        let (Some(body), codec) = (self.body, self.wire.codec()) else { return Ok(()) };
        if !behaviour.lenient {
            codec.check_host(body, behaviour.said.host)?;
        }
        let refused = behaviour.refused.iter().find(|field| body.get(field.as_str()).is_some());
        refused.map_or(Ok(()), |field| Err(codec.unknown_field(field)))
    }
}
