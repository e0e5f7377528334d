//! What OpenAI refuses of the parts of a message.

use serde_json::Value;

use super::check::{Checked, missing, string, wrong_type, wrong_value};
use crate::{opaque::is_base64, refusal::Refusal};

const IMAGES: [&str; 5] = ["png", "jpeg", "jpg", "gif", "webp"];

/// Looks through the parts of a message with this role.
pub(crate) fn check(parts: &[Value], role: &str, path: &str) -> Checked {
    let allowed: &[&str] = match role {
        "user" => &["text", "image_url", "input_audio", "file"],
        "assistant" => &["text", "refusal"],
        _ => &["text"],
    };
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{path}.content[{index}]");
        if !part.is_object() {
            return Err(wrong_type(&at, "an object", part));
        }
        match string(part, &at, "type")? {
            "image_url" if role != "user" => {
                let message = format!(
                    "Invalid '{path}'. Image URLs are only allowed for messages with role 'user', but this message with role '{role}' contains an image URL."
                );
                return Err(Refusal::new(message).param(path).code("invalid_value"));
            }
            kind if !allowed.contains(&kind) => {
                return Err(wrong_value(&format!("{at}.type"), kind, allowed));
            }
            "image_url" => image(part, &format!("{at}.image_url"))?,
            // The simulator does not look into them.
            "input_audio" | "file" => {}
            // Text and refusal stand under the name of their type.
            kind => string(part, &at, kind).map(|_| ())?,
        }
    }
    Ok(())
}

fn image(part: &Value, path: &str) -> Checked {
    let image = part.get("image_url").ok_or_else(|| missing(path))?;
    if !image.is_object() {
        return Err(wrong_type(path, "an object", image));
    }
    let url = string(image, path, "url")?;
    let Some(data) = url.strip_prefix("data:") else {
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if host.is_some_and(|host| !host.is_empty()) {
            return Ok(());
        }
        let message = format!(
            "Invalid image URL: '{path}.url'. Expected a valid URL, but got a value with an invalid format."
        );
        return Err(Refusal::new(message).param(format!("{path}.url")).code("invalid_value"));
    };
    let (kind, data) = data.split_once(";base64,").unwrap_or_default();
    if !is_base64(data) {
        return Err(Refusal::new("Invalid base64 image_url.")
            .param(format!("{path}.url"))
            .code("invalid_value"));
    }
    if !kind.strip_prefix("image/").is_some_and(|kind| IMAGES.contains(&kind)) {
        let message = "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].";
        return Err(Refusal::new(message).code("invalid_image_format"));
    }
    Ok(())
}
