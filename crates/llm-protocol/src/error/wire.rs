//! An error as JSON: what a report says of it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Category, Clock, Error, ErrorKind};

#[derive(Serialize, Deserialize)]
struct Wire {
    kind: String,
    timeout: Option<Clock>,
    category: Category,
    status: Option<u16>,
    code: Option<String>,
    retry_after_ms: Option<f64>,
    message: String,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let timeout = match self.kind() {
            ErrorKind::Timeout(clock) => Some(clock),
            _ => None,
        };
        Wire {
            kind: self.kind().as_str().to_owned(),
            timeout,
            category: self.category(),
            status: self.status(),
            code: self.code().map(str::to_owned),
            retry_after_ms: self.retry_after().map(to_ms),
            message: self.message().to_owned(),
        }
        .serialize(serializer)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a double holds nanoseconds exactly for three months")]
fn to_ms(delay: Duration) -> f64 {
    // A century is longer than any hint means, and can be read back.
    delay.min(Duration::from_secs(100 * 365 * 24 * 3600)).as_nanos() as f64 / 1e6
}

/// The category is derived from the kind and not read back; a kind of a later version reads as `Other`.
impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let kind = match (wire.kind.as_str(), wire.timeout) {
            ("timeout", Some(clock)) => ErrorKind::Timeout(clock),
            ("timeout", None) => return Err(serde::de::Error::missing_field("timeout")),
            (name, _) => PLAIN.into_iter().find(|kind| kind.as_str() == name).unwrap_or(ErrorKind::Other),
        };
        let mut error = Self::new(kind, wire.message);
        error.0.status = wire.status;
        error.0.code = wire.code;
        error.0.retry_after = wire
            .retry_after_ms
            .map(|ms| Duration::try_from_secs_f64(ms / 1000.0).map_err(serde::de::Error::custom))
            .transpose()?;
        Ok(error)
    }
}

/// Every kind that its name alone tells.
pub(super) const PLAIN: [ErrorKind; 18] = [
    ErrorKind::RateLimited,
    ErrorKind::QuotaExhausted,
    ErrorKind::Overloaded,
    ErrorKind::Connection,
    ErrorKind::Server,
    ErrorKind::Truncated,
    ErrorKind::Protocol,
    ErrorKind::Authentication,
    ErrorKind::Permission,
    ErrorKind::Billing,
    ErrorKind::ModelNotFound,
    ErrorKind::BadRequest,
    ErrorKind::TooLarge,
    ErrorKind::ContextLength,
    ErrorKind::ContentFilter,
    ErrorKind::Refusal,
    ErrorKind::Unsupported,
    ErrorKind::Other,
];
