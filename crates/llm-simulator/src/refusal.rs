//! Why a request is refused, and which behaviour lets it pass all the same.

use serde_json::Value;

use crate::{
    behaviour::Behaviour,
    fault::ErrorWords,
    host::Host,
    keys::Key,
    wire::{Asked, Wire},
};

/// What a vendor says to a request that it will not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: u16,
    kind: Option<&'static str>,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    /// Whose words it is in.
    host: Host,
}

impl Refusal {
    /// A 400 with this message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: None,
            code: None,
            param: None,
            message: message.into(),
            host: Host::default(),
        }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The error's type, where it is not the one that goes with the status.
    pub(crate) fn kind(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
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
            kind: self.kind.map(str::to_owned),
            code: self.code.map(str::to_owned),
            param: self.param,
            message: Some(self.message),
        };
        Behaviour { error, ..Behaviour::status(self.status) }.host(self.host)
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
    /// What a host thinks of it, which has been found out before it is needed.
    known: Option<(Host, bool, Result<(), Refusal>)>,
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
        Self { wire, body: asked.map(|asked| asked.body), key, always, strict, known: None }
    }

    /// Does now what takes long, for a behaviour that will probably be the one.
    pub(crate) fn prepare(&mut self, behaviour: &Behaviour) {
        let (host, thinking) = (behaviour.said.host, thinks(behaviour));
        let found = self.at_host(behaviour);
        self.known = Some((host, thinking, found));
    }

    fn at_host(&self, behaviour: &Behaviour) -> Result<(), Refusal> {
        let (host, thinking) = (behaviour.said.host, thinks(behaviour));
        match (&self.known, self.body) {
            (Some((known, thought, found)), _) if (*known, *thought) == (host, thinking) => found.clone(),
            (_, Some(body)) => self.wire.codec().check_host(body, host, thinking),
            (_, None) => Ok(()),
        }
    }

    /// Why the request gets no answer of this behaviour. What takes long has been done before.
    pub(crate) fn judge(&self, behaviour: &Behaviour, required: Option<&Key>) -> Result<(), Refusal> {
        let refusal = self.judged(behaviour, required);
        refusal.map_err(|refusal| Refusal { host: behaviour.said.host, ..refusal })
    }

    fn judged(&self, behaviour: &Behaviour, required: Option<&Key>) -> Result<(), Refusal> {
        for required in [required, behaviour.key.as_ref()].into_iter().flatten() {
            required.check(self.key.as_ref(), self.wire)?;
        }
        let strict = self.strict.as_ref().filter(|_| !behaviour.lenient);
        if let Some(refusal) = self.always.as_ref().or(strict) {
            return Err(refusal.clone());
        }
        let (Some(body), codec) = (self.body, self.wire.codec()) else { return Ok(()) };
        if !behaviour.lenient {
            self.at_host(behaviour)?;
        }
        let refused = behaviour.refused.iter().find(|field| body.get(field.as_str()).is_some());
        refused.map_or(Ok(()), |field| Err(codec.unknown_field(field)))
    }
}

fn thinks(behaviour: &Behaviour) -> bool {
    !behaviour.said.reasoning.is_empty()
}
