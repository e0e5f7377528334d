//! What Anthropic refuses of images.

use serde_json::Value;

use super::check::{Checked, required, string};
use crate::{opaque::is_base64, refusal::Refusal};

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Looks at an image; `path` ends with a point.
pub(crate) fn image(block: &Value, path: &str) -> Checked {
    let path = format!("{path}source");
    let source = block.get("source").ok_or_else(|| required(&path))?;
    match string(source, &format!("{path}."), "type")? {
        "base64" => {
            let path = format!("{path}.base64");
            let media_type = string(source, &format!("{path}."), "media_type")?;
            let data = string(source, &format!("{path}."), "data")?;
            if !IMAGES.contains(&media_type) {
                let message = format!(
                    "{path}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
                );
                return Err(Refusal::new(message));
            }
            if !is_base64(data) {
                return Err(Refusal::new(format!("{path}: invalid base64 data")));
            }
            Ok(())
        }
        "url" => {
            let url = string(source, &format!("{path}.url."), "url")?;
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_some_and(|host| !host.is_empty()) {
                return Ok(());
            }
            Err(Refusal::new(format!("{path}.url.url: Only HTTP and HTTPS URLs are supported")))
        }
        // It was sent before.
        "file" => string(source, &format!("{path}.file."), "file_id").map(|_| ()),
        other => {
            let message = format!(
                "{path}: Input tag '{other}' found using 'type' does not match any of the expected tags: 'base64', 'file', 'url'"
            );
            Err(Refusal::new(message))
        }
    }
}
