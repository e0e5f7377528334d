//! Requests, in order and not.

use llm_protocol::{CacheTtl, Image, Message, Opaque, Part, Request, Role, Tool, ToolCall, ToolChoice};
use serde_json::{Value, json};

use crate::fuzzing::source::Source;

/// Ids as vendors and hosts make them, good and bad, and such as the encoders make.
const IDS: [&str; 10] = [
    "call_abc",
    "call_abc",
    "",
    "a|b",
    "call00001",
    "call00002",
    "ABCdef123",
    "toolu_01",
    "ü",
    "an id that is much longer than any of the vendors takes, with spaces",
];

pub(super) struct Made {
    pub(super) request: Request,
    /// Something in it may be refused.
    pub(super) is_odd: bool,
}

/// A conversation under way.
struct Draft<'a, 'b> {
    source: &'a mut Source<'b>,
    messages: Vec<Message>,
    may_be_odd: bool,
    is_odd: bool,
    /// Every text is told from every other by a number.
    texts: usize,
}

pub(super) fn request(source: &mut Source<'_>) -> Made {
    let may_be_odd = source.flag();
    let mut draft = Draft { source, messages: Vec::new(), may_be_odd, is_odd: false, texts: 0 };
    for _ in 0..draft.source.below(3) {
        let text = draft.text();
        draft.messages.push(Message::system(text));
    }
    draft.user();
    for _ in 0..draft.source.below(6) {
        draft.exchange();
    }
    if draft.odd() {
        draft.shuffle();
    }
    let Draft { source, messages, mut is_odd, .. } = draft;
    let mut request = Request::new(messages);
    if source.one_in(3) {
        request = request.tool(Tool::new("t", json!({"type": "object"})).cached(CacheTtl::OneHour));
        request.tool_choice = source
            .pick(&[None, Some(0), Some(1)])
            .map(|choice| if choice == 0 { ToolChoice::Required } else { ToolChoice::Named("t".into()) });
        request.parallel_tool_calls = source.pick(&[None, Some(true), Some(false)]);
    }
    if source.one_in(4) {
        request = request.extra("openai", "user", "u").extra("anthropic", "metadata", json!({"a": 1}));
    }
    if source.one_in(8) {
        is_odd = true;
        request.seed = Some(1);
        request.temperature = source.pick(&[None, Some(f64::NAN), Some(1.0)]);
    }
    Made { request, is_odd }
}

impl Draft<'_, '_> {
    /// Whether something odd is done here.
    fn odd(&mut self) -> bool {
        let odd = self.may_be_odd && self.source.one_in(6);
        self.is_odd |= odd;
        odd
    }

    /// A text that stands nowhere else.
    fn text(&mut self) -> String {
        self.texts += 1;
        format!("<{}>{}", self.texts, self.source.text())
    }

    fn blank(&mut self) -> Part {
        let text = self.source.pick(&["", " ", "\n\t"]);
        Part::text(text)
    }

    fn opaque(&mut self, provider: &str) -> Part {
        self.texts += 1;
        let kind = self.source.pick(&["thinking", "redacted_thinking", "document"]);
        // Named apart: parts of one turn may become fields of one message.
        let value = [
            ("type".to_owned(), json!(kind)),
            (format!("mark{}", self.texts), json!(format!("<<{}>>", self.texts))),
        ];
        Part::Opaque(Opaque::new(provider, Value::from_iter(value).to_string()))
    }

    fn image(&mut self) -> Part {
        let image = if self.source.flag() {
            Image::url("https://example.com/cat.png")
        } else {
            Image::bytes("image/png", *b"\x00cat")
        };
        Part::Image(image)
    }

    /// What may stand in any turn.
    fn part(&mut self, role: Role) -> Part {
        match self.source.below(6) {
            0 => self.blank(),
            1 => Part::CacheMark { ttl: CacheTtl::FiveMinutes },
            2 if role == Role::User || self.odd() => self.image(),
            3 if role == Role::Assistant || self.odd() => {
                let provider = self.source.pick(&["openai", "anthropic", "mistral", "acme"]);
                self.opaque(provider)
            }
            _ => Part::text(self.text()),
        }
    }

    fn parts(&mut self, role: Role) -> Vec<Part> {
        (0..self.source.below(4)).map(|_| self.part(role)).collect()
    }

    fn user(&mut self) {
        let mut parts = self.parts(Role::User);
        if !self.odd() {
            let text = Part::text(self.text());
            parts.push(text);
        }
        self.messages.push(Message::new(Role::User, parts));
    }

    /// The model speaks, its calls are answered, and the user goes on.
    fn exchange(&mut self) {
        let mut parts = self.parts(Role::Assistant);
        let mut calls = Vec::new();
        for _ in 0..self.source.below(4) {
            let call = self.call();
            calls.push((call.id.clone(), call.name.clone()));
            parts.push(Part::ToolCall(call));
        }
        self.messages.push(Message::new(Role::Assistant, parts));
        while self.source.one_in(4) {
            let parts = self.parts(Role::Assistant);
            self.messages.push(Message::new(Role::Assistant, parts));
        }
        while !calls.is_empty() {
            let (id, name) = calls.remove(self.source.below(calls.len()));
            if self.odd() {
                continue;
            }
            if self.source.one_in(6) {
                self.user();
            }
            self.texts += 1;
            let mut result = Message::tool(id, name, format!("<{}>", self.texts));
            let more = self.parts(Role::Tool);
            result.content.extend(more);
            if self.odd() {
                result.tool_call_id = self.source.flag().then(|| self.source.pick(&IDS).to_owned());
            }
            self.messages.push(result);
        }
        if self.odd() {
            let text = self.text();
            self.messages.push(Message::system(text));
        }
        if self.source.flag() {
            self.user();
        }
    }

    fn call(&mut self) -> ToolCall {
        let arguments = if self.odd() {
            self.source.pick(&["[1]", "{\"a\":", "null", "words"]).to_owned()
        } else if self.source.one_in(4) {
            self.source.pick(&["", " \n"]).to_owned()
        } else {
            self.source.object()
        };
        self.texts += 1;
        ToolCall { id: self.source.pick(&IDS).to_owned(), name: format!("tool{}", self.texts), arguments }
    }

    /// Turns in an order that nobody meant.
    fn shuffle(&mut self) {
        for _ in 0..self.source.below(5) {
            let count = self.messages.len();
            if count == 0 {
                return;
            }
            let (one, other) = (self.source.below(count), self.source.below(count));
            match self.source.below(3) {
                0 => self.messages.swap(one, other),
                1 => drop(self.messages.remove(one)),
                _ => self.messages.insert(one, self.messages[other].clone()),
            }
        }
    }
}

/// A list in a body.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
