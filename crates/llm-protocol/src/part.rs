//! The pieces that a turn is made of.

use std::fmt;
use std::sync::Arc;

use crate::redact::Redacted;
use crate::tool::ToolCall;
use serde::{Deserialize, Serialize};

/// A piece of a turn.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// An image, for the model to look at.
    Image(Image),
    /// A call that the model asked for, in its own turn.
    ToolCall(ToolCall),
    /// Something of one vendor's own that only it can read.
    Opaque(Opaque),
    /// Everything up to here is worth keeping in the vendor's prompt cache. Vendors that cache by themselves are not
    /// told; it never changes an answer, only what it costs. Where a vendor takes only so many marks (Anthropic: four),
    /// those of tools and instructions count first, then the latest.
    CacheMark {
        /// For how long.
        ttl: CacheTtl,
    },
}

impl Part {
    /// A part of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The text, of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            _ => None,
        }
    }

    /// Whether it says nothing: blank text, or a mark.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Text { text } => text.trim().is_empty(),
            Self::CacheMark { .. } => true,
            Self::Image(_) | Self::ToolCall(_) | Self::Opaque(_) => false,
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text } => f.debug_tuple("Text").field(&Redacted(text)).finish(),
            Self::Image(image) => image.fmt(f),
            Self::ToolCall(call) => call.fmt(f),
            Self::Opaque(opaque) => opaque.fmt(f),
            Self::CacheMark { ttl } => f.debug_tuple("CacheMark").field(ttl).finish(),
        }
    }
}

/// An image: where it is, or the image itself. Cloning is cheap.
///
/// ```
/// use llm_protocol::{Image, Message};
///
/// let png = [0x89, b'P', b'N', b'G'];
/// let question = Message::user("What changed?")
///     .image(Image::url("https://example.com/before.png"))
///     .image(Image::bytes("image/png", png));
/// # assert_eq!(question.content.len(), 3);
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Image {
    /// An address from which the vendor fetches it.
    Url {
        /// The address.
        url: String,
    },
    /// The image itself.
    Bytes {
        /// Its media type: `image/png`, `image/jpeg`, `image/gif` or `image/webp` with most vendors.
        media_type: String,
        /// The file's bytes; base64 in JSON.
        #[serde(with = "base64")]
        data: Arc<[u8]>,
    },
}

impl Image {
    /// An image that the vendor fetches from this address.
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url { url: url.into() }
    }

    /// The bytes of an image file of this media type.
    pub fn bytes(media_type: impl Into<String>, data: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes { media_type: media_type.into(), data: data.into() }
    }
}

/// Without the address, which may hold a signature, and without the image.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url } => f.debug_tuple("Image").field(&Redacted(url)).finish(),
            Self::Bytes { media_type, data } => f
                .debug_tuple("Image")
                .field(media_type)
                .field(&format_args!("<{} bytes>", data.len()))
                .finish(),
        }
    }
}

/// A piece of an answer that only its vendor can read: a signed thought, a search result, whatever has no word here.
///
/// In a conversation that goes on, it is sent back to the provider of this name as it came, and to nobody else:
/// others would refuse it. In a turn of the user's it is something for one provider, in that provider's own words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Opaque {
    /// The [provider](crate::ModelAdapter::provider) that made it.
    pub provider: String,
    /// What it is, in the provider's own words: a JSON text, kept to the letter.
    pub json: String,
}

impl Opaque {
    /// A piece that this provider made, as JSON text.
    pub fn new(provider: impl Into<String>, json: impl Into<String>) -> Self {
        Self { provider: provider.into(), json: json.into() }
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opaque")
            .field("provider", &self.provider)
            .field("json", &Redacted(&self.json))
            .finish()
    }
}

/// An opaque piece, and where it stands in its answer: vendors want their own turns back in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Placed {
    /// How many bytes of the answer's text come before it.
    pub after_text: usize,
    /// How many of the answer's tool calls come before it.
    pub after_calls: usize,
    /// What it is.
    pub part: Opaque,
}

impl Placed {
    /// A piece with this much of the answer before it.
    pub fn new(after_text: usize, after_calls: usize, part: Opaque) -> Self {
        Self { after_text, after_calls, part }
    }
}

/// How long the vendor shall keep a marked prompt in its cache, counted from its last use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheTtl {
    /// Five minutes: the usual time.
    #[default]
    FiveMinutes,
    /// An hour, at a higher price for writing. Vendors want what is kept longer ahead of what is kept shorter: behind a
    /// mark for five minutes it counts as one for five minutes.
    OneHour,
}

/// Bytes as base64, the way JSON formats carry them.
mod base64 {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(data))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Into::into).map_err(|_| D::Error::custom("the image is not valid base64"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_can_be_kept_as_json() {
        for (part, written) in [
            (Part::text("hi"), json!({"type": "text", "text": "hi"})),
            (
                Part::Image(Image::url("https://example.com/cat.png")),
                json!({"type": "image", "source": "url", "url": "https://example.com/cat.png"}),
            ),
            (
                Part::Image(Image::bytes("image/png", *b"\x00cat")),
                json!({"type": "image", "source": "bytes", "media_type": "image/png", "data": "AGNhdA=="}),
            ),
            (
                Part::Opaque(Opaque::new("acme", r#"{"signed": 1.50}"#)),
                json!({"type": "opaque", "provider": "acme", "json": r#"{"signed": 1.50}"#}),
            ),
            (Part::CacheMark { ttl: CacheTtl::OneHour }, json!({"type": "cache_mark", "ttl": "one_hour"})),
        ] {
            assert_eq!(serde_json::to_value(&part).unwrap(), written);
            assert_eq!(serde_json::from_value::<Part>(written).unwrap(), part);
        }
        let broken = json!({"type": "image", "source": "bytes", "media_type": "image/png", "data": "A==="});
        assert!(serde_json::from_value::<Part>(broken).is_err());
    }

    #[test]
    fn debug_shows_neither_images_nor_thoughts() {
        let parts = [
            Part::Image(Image::url("https://marmalade.example/?sig=marmalade")),
            Part::Image(Image::bytes("image/png", *b"marmalade")),
            Part::Opaque(Opaque::new("acme", "\"marmalade\"")),
        ];
        let shown = format!("{parts:?}{parts:#?}");
        assert!(!shown.contains("marmalade") && shown.contains("acme"), "{shown}");
    }
}
