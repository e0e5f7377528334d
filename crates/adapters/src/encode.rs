//! What the encoders of all vendors share.

use std::collections::HashSet;

use llm_protocol::{CacheTtl, Error, ErrorKind, Request, ResponseFormat, ToolChoice};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

/// The fields of a request body, in order, each of which the user's own parameters may replace.
pub(crate) struct Fields<'a, M> {
    map: M,
    extra: Option<&'a Map<String, Value>>,
    /// A parameter of theirs that is written already.
    written: Option<&'static str>,
}

impl<'a, M: SerializeMap> Fields<'a, M> {
    pub(crate) fn new<S>(serializer: S, extra: Option<&'a Map<String, Value>>) -> Result<Self, S::Error>
    where
        S: Serializer<SerializeMap = M, Error = M::Error>,
    {
        Ok(Self { map: serializer.serialize_map(None)?, extra, written: None })
    }

    /// Writes a field, unless the user's own parameters have it.
    pub(crate) fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), M::Error> {
        if self.extra.is_some_and(|extra| extra.contains_key(name)) {
            return Ok(());
        }
        self.map.serialize_entry(name, value)
    }

    /// Writes a field that may be unset.
    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.field(name, &value))
    }

    /// Writes a field into which the user's own parameters have gone already.
    #[cfg(feature = "anthropic")]
    pub(crate) fn merged(&mut self, name: &'static str, value: &impl Serialize) -> Result<(), M::Error> {
        self.written = Some(name);
        self.map.serialize_entry(name, value)
    }

    /// Writes the user's own parameters.
    pub(crate) fn end(mut self) -> Result<M::Ok, M::Error> {
        let extra = self.extra.into_iter().flatten();
        for (name, value) in extra.filter(|(name, _)| Some(name.as_str()) != self.written) {
            self.map.serialize_entry(name, value)?;
        }
        self.map.end()
    }
}

/// Refuses what no vendor could make sense of.
pub(crate) fn check(request: &Request) -> Result<(), Error> {
    if request.is_empty() {
        return Err(bad_request("the request asks nothing: no message says anything"));
    }
    if request.temperature.is_some_and(|temperature| !temperature.is_finite()) {
        return Err(bad_request("the temperature is not a number"));
    }
    match &request.tool_choice {
        Some(ToolChoice::Required) if request.tools.is_empty() => {
            return Err(bad_request("a tool must be called, and there is none"));
        }
        Some(ToolChoice::Named(name)) if !request.tools.iter().any(|tool| tool.name == *name) => {
            return Err(bad_request("the tool that must be called is not among the tools"));
        }
        // Without tools some of them say nothing, and are left out.
        None | Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Required | ToolChoice::Named(_)) => {}
        Some(_) => return Err(Error::unsupported("a tool choice of an unknown kind")),
    }
    match &request.response_format {
        None
        | Some(ResponseFormat::Text | ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. }) => {}
        Some(_) => return Err(Error::unsupported("a response format of an unknown kind")),
    }
    let mut names = HashSet::new();
    for tool in &request.tools {
        if !tool.parameters.is_object() {
            return Err(bad_request("the parameters of a tool are no JSON Schema of an object"));
        }
        if !names.insert(&tool.name) {
            return Err(bad_request("two tools have one name"));
        }
    }
    Ok(())
}

/// The schema of a tool's arguments. What goes without saying is said: vendors want it.
pub(crate) struct Parameters<'a>(pub(crate) &'a Value);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(schema) = self.0.as_object() else { return self.0.serialize(serializer) };
        let mut object = serializer.serialize_map(None)?;
        for (name, value) in schema {
            object.serialize_entry(name, value)?;
        }
        if !schema.contains_key("type") {
            object.serialize_entry("type", "object")?;
        }
        if !schema.contains_key("properties") {
            object.serialize_entry("properties", &Map::new())?;
        }
        object.end()
    }
}

/// The user's own parameters for this provider. They may replace what the codec writes, but not what the answer's
/// reading depends on.
pub(crate) fn extra<'a>(
    request: &'a Request,
    provider: &str,
    reserved: &[&str],
) -> Result<Option<&'a Map<String, Value>>, Error> {
    let extra = request.extra.get(provider);
    match reserved.iter().find(|name| extra.is_some_and(|extra| extra.contains_key(**name))) {
        Some(name) => {
            Err(bad_request(&format!("the extra parameter {name} cannot be set: the request sets it")))
        }
        None => Ok(extra),
    }
}

/// The body's bytes.
pub(crate) fn bytes(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|_| bad_request("the request cannot be written as JSON"))
}

pub(crate) fn bad_request(message: &str) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

/// A mark for the prompt cache, in Anthropic's words, which others have taken over.
#[derive(Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum CacheControl {
    Ephemeral {
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<&'static str>,
    },
}

impl From<CacheTtl> for CacheControl {
    fn from(ttl: CacheTtl) -> Self {
        Self::Ephemeral { ttl: (ttl == CacheTtl::OneHour).then_some("1h") }
    }
}

/// Whether the answer's form is in the body, if it is not replaced; `None` when none was asked for.
pub(crate) fn honored(request: &Request, replaced: bool) -> Option<bool> {
    match &request.response_format {
        None | Some(ResponseFormat::Text) => None,
        Some(_) => Some(!replaced),
    }
}
