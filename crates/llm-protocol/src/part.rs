//! The pieces that a turn is made of.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::redact::Redacted;
use crate::tool::ToolCall;

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
    /// told; it never changes an answer, only what it costs.
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
/// others would refuse it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Opaque {
    /// The [provider](crate::ModelAdapter::provider) that made it.
    pub provider: String,
    /// What it is, in the provider's own words.
    pub value: Value,
}

impl Opaque {
    /// A piece that this provider made.
    pub fn new(provider: impl Into<String>, value: Value) -> Self {
        Self { provider: provider.into(), value }
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opaque").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// An opaque piece, and where it stands in its answer: vendors want their own turns back in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// How many bytes of the answer's text come before it.
    pub after_text: usize,
    /// How many of the answer's tool calls come before it.
    pub after_calls: usize,
    /// What it is.
    pub part: Opaque,
}

/// How long the vendor shall keep a marked prompt in its cache, counted from its last use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheTtl {
    /// The vendor's usual time, five minutes with those that let one choose.
    #[default]
    Usual,
    /// An hour, at a higher price for writing.
    Hour,
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
                Part::Opaque(Opaque::new("acme", json!({"signed": [1]}))),
                json!({"type": "opaque", "provider": "acme", "value": {"signed": [1]}}),
            ),
            (Part::CacheMark { ttl: CacheTtl::Hour }, json!({"type": "cache_mark", "ttl": "hour"})),
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
            Part::Opaque(Opaque::new("acme", json!("marmalade"))),
        ];
        let shown = format!("{parts:?}{parts:#?}");
        assert!(!shown.contains("marmalade") && shown.contains("acme"), "{shown}");
    }
}
