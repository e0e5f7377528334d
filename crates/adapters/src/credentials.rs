//! Credentials that change while an adapter lives.

use async_trait::async_trait;
use llm_protocol::{Error, Secret};

/// Where an adapter gets its credential from, for those that change: short-lived tokens, keys that a vault rotates.
/// One that stays is given as a value, with [`Builder::api_key`](crate::Builder::api_key).
///
/// It is asked once for each request, before anything is sent, so it should keep what it has until that is about to
/// expire, and not block. The caller's clocks tick meanwhile; a health check has none. Dropping the call drops the future.
///
/// ```
/// use std::sync::Mutex;
///
/// use llm_adapters::Credentials;
/// use llm_protocol::{Error, ErrorKind, Secret};
///
/// /// A key, and those to take when it is refused.
/// struct Ring(Mutex<Vec<Secret>>);
///
/// #[async_trait::async_trait]
/// impl Credentials for Ring {
///     async fn credential(&self) -> Result<Secret, Error> {
///         let keys = self.0.lock().unwrap();
///         keys.last().cloned().ok_or_else(|| Error::new(ErrorKind::Authentication, "no key is left"))
///     }
///
///     fn refused(&self, credential: &Secret) {
///         let mut keys = self.0.lock().unwrap();
///         // Calls that were under way with the old key are refused too, and later: only the key itself tells.
///         if keys.last().is_some_and(|key| key.expose() == credential.expose()) {
///             keys.pop();
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The credential for one request.
    ///
    /// # Errors
    ///
    /// The request is not sent then, and the call fails with this error. Its kind decides what becomes of the call:
    /// [`Connection`](llm_protocol::ErrorKind::Connection) suits a vault that cannot be reached,
    /// [`Authentication`](llm_protocol::ErrorKind::Authentication) one that has no credential.
    async fn credential(&self) -> Result<Secret, Error>;

    /// The provider has refused this credential: an answer, or an error in one, was classified as
    /// [`Authentication`](llm_protocol::ErrorKind::Authentication). Told once for each call, also for those that were
    /// under way when another took its place. Must not block.
    fn refused(&self, credential: &Secret) {
        let _ = credential;
    }
}
