//! Choices, made of the bytes that a fuzzer gives. Where they have run out, every choice is the first one, so that
//! whatever is made of them has an end.

/// What texts are made of: what JSON escapes, what frames look for, letters of every length.
const FRAGMENTS: [&str; 16] = [
    "word ",
    " ",
    "\n",
    "\r\n",
    "\"",
    "\\",
    "\\ud83d",
    "é",
    "😄",
    "\u{feff}",
    "\u{0}",
    "data: [DONE]\n\n",
    "{\"error\":{}}",
    "\u{2028}",
    "event: error",
    "message_stop",
];

pub(super) struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been used.
    pub(super) fn rest(self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub(super) fn number(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// One of the first `count` numbers, which is not 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let high = if count > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (high | usize::from(self.byte())) % count
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(super) fn text(&mut self) -> String {
        (0..self.below(6)).map(|_| self.pick(&FRAGMENTS)).collect()
    }

    /// The text in pieces, none of which is empty.
    pub(super) fn pieces(&mut self, text: &str) -> Vec<String> {
        let mut pieces = vec![String::new()];
        for letter in text.chars() {
            if self.one_in(4) {
                pieces.push(String::new());
            }
            pieces.last_mut().unwrap().push(letter);
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// The JSON text of an object.
    pub(super) fn object(&mut self) -> String {
        let word = serde_json::to_string(&self.text()).unwrap();
        match self.below(5) {
            0 => "{}".to_owned(),
            1 => format!("{{\"a\": {word} }}"),
            2 => format!("{{\"n\":1.50,\"b\":[null,{{}},{word}]}}"),
            3 => "{\"big\":12345678901234567890,\"e\":1e2}".to_owned(),
            _ => format!("{{\"deep\":[[{{\"{}\":true}}]]}}", self.below(10)),
        }
    }

    /// A number of tokens, or none.
    pub(super) fn tokens(&mut self) -> Option<u64> {
        self.flag().then(|| u64::from(self.number()))
    }
}

/// The bytes in pieces, by a seed.
pub(super) fn split(bytes: &[u8], seed: u32) -> Vec<&[u8]> {
    let largest = [1, 3, 40, 4000][seed as usize % 4];
    let mut random = seed | 1;
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        // An empty piece now and then: bodies may have them.
        let size = if random.is_multiple_of(31) { 0 } else { 1 + random as usize % largest };
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}
