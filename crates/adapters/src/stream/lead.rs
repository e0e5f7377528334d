//! The first bytes of a body that should hold events: some hosts answer with bare JSON under the name of events, errors
//! above all.

/// The mark with which some servers begin a text in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Looks at the beginning of a body, until something tells what it is. No event begins with a brace or a bracket.
#[derive(Default)]
pub(super) struct Lead {
    /// How much of a byte order mark has come.
    mark: usize,
    told: bool,
}

impl Lead {
    /// The JSON that begins in these bytes, the next of the body. What came before it is blank.
    pub(super) fn json<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if self.told {
            return None;
        }
        for (at, byte) in bytes.iter().enumerate() {
            if BOM.get(self.mark) == Some(byte) {
                self.mark += 1;
                continue;
            }
            self.mark = BOM.len();
            if !byte.is_ascii_whitespace() {
                self.told = true;
                return matches!(byte, b'{' | b'[').then(|| bytes.get(at..)).flatten();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_events_in_every_split() {
        for (body, json) in [
            (&b"{\"a\":1}"[..], Some(&b"{\"a\":1}"[..])),
            (b"\xef\xbb\xbf\r\n [1]", Some(b"[1]")),
            (b"data: {}", None),
            (b"\n: comment\n{", None),
            (b"\xef\xbb\xbfdata: {}", None),
            (b" \n", None),
            (b"", None),
        ] {
            assert_eq!(Lead::default().json(body), json);
            let mut lead = Lead::default();
            let mut bytes = body.chunks(1);
            let begun = bytes.by_ref().find_map(|byte| lead.json(byte));
            assert_eq!(begun, json.map(|json| &json[..1]));
        }
    }
}
