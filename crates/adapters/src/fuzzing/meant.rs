//! An answer that is meant, and how it goes over the wire: streamed, and whole.

use llm_protocol::Response;

use super::json;
use super::source::Source;

pub(super) struct Meant {
    pub(super) response: Response,
    /// Written in ASCII.
    pub(super) ascii: bool,
    pub(super) frames: Vec<Frame>,
    /// The whole answer's JSON.
    pub(super) whole: String,
    /// An error that may come at any time before the end, and the kind that it is.
    pub(super) error: (Frame, llm_protocol::ErrorKind),
    /// What says nothing, and may come at any time before the end.
    pub(super) noise: Vec<Frame>,
}

/// An event.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) name: &'static str,
    pub(super) data: String,
    /// The answer is complete with it.
    pub(super) completes: bool,
    /// Nothing may come after it.
    pub(super) is_last: bool,
}

impl Frame {
    #[expect(clippy::needless_pass_by_value, reason = "most are made where they are passed")]
    pub(super) fn new(name: &'static str, data: impl ToString) -> Self {
        Self { name, data: data.to_string(), completes: false, is_last: false }
    }

    pub(super) fn completing(self) -> Self {
        Self { completes: true, ..self }
    }

    pub(super) fn last(self) -> Self {
        Self { is_last: true, ..self }
    }
}

impl Meant {
    /// Puts what says nothing among the events.
    pub(super) fn add_noise(&mut self, source: &mut Source<'_>) {
        let mut frames = Vec::new();
        for frame in self.frames.drain(..) {
            while source.one_in(4) {
                frames.push(self.noise[source.below(self.noise.len())].clone());
            }
            frames.push(frame);
        }
        self.frames = frames;
    }

    /// The frames that errors may come before.
    pub(super) fn open_frames(&self) -> usize {
        self.frames.iter().position(|frame| frame.is_last).map_or(self.frames.len(), |last| last + 1)
    }

    /// Each event's bytes, framed in one of the ways that the specification allows.
    pub(super) fn written(&self, source: &mut Source<'_>) -> Vec<Vec<u8>> {
        let endings = source.pick(&[&["\n"][..], &["\r\n"], &["\r"], &["\n", "\r\n"]]);
        let named = source.flag();
        let mut written = Vec::new();
        for (at, frame) in self.frames.iter().enumerate() {
            let data = if self.ascii { json::ascii(&frame.data) } else { frame.data.clone() };
            let mut lines = Vec::new();
            match source.below(8) {
                5 => lines.push(": a comment".to_owned()),
                6 => lines.push(format!("id: {at}")),
                7 => lines.push("retry: 10".to_owned()),
                _ => {}
            }
            // What is no JSON is told by its name.
            if !frame.name.is_empty() && (named || !data.starts_with('{')) {
                lines.push(format!("event: {}", frame.name));
            }
            let space = source.pick(&[" ", ""]);
            let data = match data.strip_prefix('{') {
                Some(rest) if source.one_in(6) => format!("{{\n{rest}"),
                _ => data,
            };
            lines.extend(data.split('\n').map(|line| format!("data:{space}{line}")));
            lines.push(String::new());
            let mut bytes = String::new();
            if at == 0 && source.one_in(6) {
                bytes.push('\u{feff}');
            }
            for line in lines {
                bytes.push_str(&line);
                bytes.push_str(source.pick(endings));
            }
            written.push(bytes.into_bytes());
        }
        written
    }

    /// The bytes of the answer that comes whole.
    pub(super) fn written_whole(&self, source: &mut Source<'_>) -> Vec<u8> {
        let json = if self.ascii { json::ascii(&self.whole) } else { self.whole.clone() };
        let (before, after) = source.pick(&[("", ""), ("\u{feff}", ""), (" \r\n", "\n"), ("", " \t")]);
        format!("{before}{json}{after}").into_bytes()
    }
}
