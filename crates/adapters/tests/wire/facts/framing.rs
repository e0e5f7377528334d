//! How events are told apart, in every way in which bytes can come.

use super::{EVENTS, Facts, Failed, TRUNCATED, Wire, head, shown, stream};

/// A stream in the words of each vendor, each line of which ends in `\n`; the text in it takes several bytes a letter.
const STREAMS: [(Wire, &str); 2] = [
    (
        Wire::OpenAi,
        concat!(
            "data: {\"choices\":[{\"delta\":{\"content\":\"ö 😄\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: [DONE]\n\n",
        ),
    ),
    (
        Wire::Anthropic,
        concat!(
            "event: content_block_delta\n",
            "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"ö 😄\"}}\n\n",
            "event: message_delta\n",
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
    ),
];

const ANSWER: &str = "says ö 😄; ends Stop";

/// A stream in which every so many bytes are a chunk of their own, and so are read one after another.
fn in_pieces(wire: Wire, events: &str, bytes: usize) -> Vec<u8> {
    let mut sent = head(wire, 200, &[EVENTS, "transfer-encoding: chunked"]).into_bytes();
    for piece in events.as_bytes().chunks(bytes) {
        sent.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        sent.extend([piece, b"\r\n"].concat());
    }
    sent.extend(b"0\r\n\r\n");
    sent
}

impl Facts {
    /// The stream gives the answer, at once and in pieces that split lines, letters and the ends of lines.
    async fn reads(&mut self, wire: Wire, says: &str, events: &str) {
        self.streams(wire, says, &stream(wire, events), ANSWER).await;
        for bytes in [1, 2, 3, 7] {
            let says = format!("{says}, {bytes} bytes at a time");
            self.streams(wire, &says, &in_pieces(wire, events, bytes), ANSWER).await;
        }
    }
}

#[tokio::test]
async fn lines_end_and_begin_as_the_host_likes() {
    let mut facts = Facts::new().await;
    for (wire, events) in STREAMS {
        let ended = |end: &str| events.replace('\n', end);
        let split = |data: &str| data.replace("\":", "\":\ndata: ");
        for (says, events) in [
            ("LF", events.to_owned()),
            ("CR", ended("\r")),
            ("CRLF", ended("\r\n")),
            ("each event in its own way", events.replacen('\n', "\r\n", 2).replacen("}\n\n", "}\r\r", 1)),
            ("a byte order mark", format!("\u{feff}{events}")),
            ("a byte order mark and CRLF", format!("\u{feff}{}", ended("\r\n"))),
            ("data in several lines", split(events)),
            ("data in several lines and CR", split(events).replace('\n', "\r")),
            ("no space behind the colon", events.replace("data: ", "data:").replace("event: ", "event:")),
            // They also take the names away from the data, which say all that is needed.
            ("empty lines", format!("\n\n{}", ended("\n\n"))),
            ("other fields", events.replace("data: {", "id: 1\nretry: 5\nunknown\ndata: {")),
            ("comments", events.replace("data: {", ": comment\ndata: {")),
        ] {
            facts.reads(wire, says, &events).await;
        }
    }
}

/// What a vendor adds must not break those who do not know it yet.
#[tokio::test]
async fn unknown_events_are_skipped() {
    let mut facts = Facts::new().await;
    for (wire, events) in STREAMS {
        for event in [
            "event: brand_new\ndata: {\"type\":\"brand_new\",\"value\":1}\n\n",
            "event: brand_new\ndata: words\n\n",
            "event: brand_new\ndata: [1]\n\n",
            "event: brand_new\ndata:\n\n",
            "event: brand_new\n\n",
            "event: ping\ndata: {\"type\":\"ping\"}\n\n",
            "event: keepalive\ndata:\n\n",
            "data: {\"type\":\"brand_new\"}\n\n",
            "data: {}\n\n",
            "data:\n\n",
        ] {
            let ends = events.match_indices("\n\n").map(|(at, _)| at + 2);
            for at in [0].into_iter().chain(ends) {
                let (before, after) = events.split_at(at);
                let says = format!("{event:?} at {at}");
                facts.streams(wire, &says, &stream(wire, format!("{before}{event}{after}")), ANSWER).await;
            }
        }
    }
}

#[tokio::test]
async fn an_event_without_its_end_is_dropped() {
    let mut facts = Facts::new().await;
    for (wire, events) in STREAMS {
        let mark = match wire {
            Wire::OpenAi | Wire::OpenRouter => "data: {\"choices\":[{\"delta\":{},\"finish",
            Wire::Anthropic => "event: message_stop",
        };
        let begin = events.find(mark).unwrap();
        let end = begin + events[begin..].find("\n\n").unwrap();
        // The marker is there, but not the empty line behind it.
        for cut in [&events[..end], &events[..=end], &events[..end - 1], &events[..begin]] {
            for sent in [stream(wire, cut), in_pieces(wire, cut, 1)] {
                let came = facts.breaks(wire, cut, &sent, &Failed::inside(TRUNCATED)).await;
                facts.holds(cut, &*shown::content(&came), "says ö 😄");
            }
        }
        facts.reads(wire, "behind the end", &format!("{events}data: {{\"error\":{{}}}}")).await;
        let within = [events.as_bytes(), b"data: \xc3"].concat();
        facts.streams(wire, "in the midst of a letter", &stream(wire, within), ANSWER).await;
    }
}
