//! One request and what it is to get: the wire format with all that it needs to know.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::{
    answer::Answer,
    behaviour::Behaviour,
    fault::Opening,
    opaque::Ids,
    refusal::Refusal,
    simulator::Simulator,
    wire::{Call, Codec, Reply, Route, Wire},
};

/// Everything that is known when a request is about to be answered.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) wire: Wire,
    pub(crate) route: Route,
    pub(crate) call: Call,
    pub(crate) behaviour: Behaviour,
    /// What the behaviour says to this request.
    pub(crate) answer: Answer,
    pub(crate) number: u64,
    /// The answer is to have no body.
    pub(crate) head_only: bool,
    /// For the list of models.
    pub(crate) models: Vec<String>,
    created: u64,
}

impl Exchange {
    pub(crate) fn new(wire: Wire, route: Route, head_only: bool) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let call = Call { model: String::new(), streamed: false, usage: false };
        Self {
            wire,
            route,
            call,
            behaviour: Behaviour::default(),
            answer: Answer::default(),
            number: 0,
            head_only,
            models: Vec::new(),
            created,
        }
    }

    /// Reads the body: the model to count the request under, and why it is not answerable, whatever the behaviour.
    pub(crate) fn read(&mut self, body: Option<&Value>) -> (String, Option<Refusal>) {
        let named = body.and_then(|body| body.get("model")).and_then(Value::as_str).unwrap_or_default();
        match (self.route, body) {
            (Route::Models, _) => (Simulator::MODELS.to_owned(), None),
            (Route::Unknown, _) => {
                let nothing = Refusal::new("there is nothing at this path").code("unknown_url");
                (named.to_owned(), Some(nothing.status(404)))
            }
            (Route::WrongMethod, _) => {
                (named.to_owned(), Some(Refusal::new("wrong method for this path").status(405)))
            }
            (Route::Answer, None) => (String::new(), Some(Refusal::new("the body is no JSON"))),
            (Route::Answer, Some(body)) => match self.codec().read(body) {
                Err(refusal) => (named.to_owned(), Some(refusal)),
                Ok(call) => {
                    let model = call.model.clone();
                    self.call = call;
                    (model, None)
                }
            },
        }
    }

    /// Takes the behaviour on, and finds what it says to this request.
    pub(crate) fn behave(&mut self, behaviour: Behaviour, body: Option<&Value>, ids: Ids) {
        let (codec, number, host) = (self.codec(), self.number, behaviour.said.host);
        if is_answered(&behaviour) {
            let wanted = || body.and_then(|body| codec.wanted(body));
            self.answer = behaviour.said.answer(wanted, |index| codec.call_id(ids, number, index, host));
        }
        self.behaviour = behaviour;
    }

    pub(crate) fn codec(&self) -> &'static dyn Codec {
        self.wire.codec()
    }

    /// Unique for the request, and easy to find in the log.
    fn unique(&self) -> String {
        format!("sim{:x}{:012}", self.created, self.number)
    }

    pub(crate) fn answer_id(&self) -> String {
        self.codec().answer_id(&self.unique())
    }

    /// The model that the answer names: the one asked for without its directives.
    pub(crate) fn model(&self) -> &str {
        let asked = self.call.model.as_str();
        let asked = asked.split_once('!').map_or(asked, |(model, _)| model);
        self.behaviour.model_id.as_deref().unwrap_or(asked)
    }

    pub(crate) fn reply<'a>(&'a self, id: &'a str, answer: &'a Answer) -> Reply<'a> {
        Reply { id, created: self.created, model: self.model(), answer, usage: self.call.usage }
    }

    /// The vendor's headers, then those of the behaviour, which replace them.
    pub(crate) fn headers(&self, status: u16, content_type: &str, keep_alive: bool) -> Vec<(String, String)> {
        let (id_name, id) = self.codec().request_id(&self.unique());
        let mut headers =
            vec![("content-type".to_owned(), content_type.to_owned()), (id_name.to_owned(), id)];
        let vendor = self.codec().headers(status, self.created);
        headers.extend(vendor.into_iter().map(|(name, value)| (name.to_owned(), value)));
        if !keep_alive {
            headers.push(("connection".to_owned(), "close".to_owned()));
        }
        for (name, value) in &self.behaviour.headers {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.clone()));
        }
        headers
    }

    /// The vendor's error envelope for a status.
    pub(crate) fn error(&self, status: u16) -> String {
        let (_, id) = self.codec().request_id(&self.unique());
        let host = self.behaviour.said.host;
        self.codec().error(status, &self.behaviour.error, (self.model(), host), &id)
    }
}

/// Whether the model gets to say anything.
fn is_answered(behaviour: &Behaviour) -> bool {
    behaviour.opening == Opening::Respond
        && behaviour.body.is_none()
        && behaviour.error_body.is_none()
        && (200..300).contains(&behaviour.status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Exchange, Ids, Route, Wire};

    #[test]
    fn an_error_says_nothing() {
        let body = json!({"model": "m", "tool_choice": "required",
            "tools": [{"type": "function", "function": {"name": "f"}}]});
        let calls = |behaviour: &str| {
            let mut exchange = Exchange::new(Wire::OpenAi, Route::Answer, false);
            exchange.behave(behaviour.parse().unwrap_or_default(), Some(&body), Ids::new());
            exchange.answer.calls.len()
        };
        assert_eq!(["", "status=201", "keep-alive=1s"].map(calls), [1, 1, 1]);
        assert_eq!(["status=500", "error-body", "html", "stall", "reset"].map(calls), [0; 5]);
    }
}
