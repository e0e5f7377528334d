//! Credentials that change while an adapter lives.

use async_trait::async_trait;
use llm_protocol::{Error, Secret};

/// Where an adapter gets its credential from, for those that change: short-lived tokens, keys that a vault rotates.
/// One that stays is given as a value, with [`Builder::api_key`](crate::Builder::api_key).
///
/// It is asked once for each request, before anything is sent, so it should keep what it has until that is about to
/// expire. The caller's clocks tick meanwhile. Dropping the call drops the future.
///
/// ```
/// use llm_adapters::Credentials;
/// use llm_protocol::{Error, Secret};
///
/// struct TokenFile(std::path::PathBuf);
///
/// #[async_trait::async_trait]
/// impl Credentials for TokenFile {
///     async fn credential(&self) -> Result<Secret, Error> {
///         let token = std::fs::read_to_string(&self.0);
///         let token = token.map_err(|error| {
///             Error::new(llm_protocol::ErrorKind::Authentication, "the token file cannot be read").with_source(error)
///         })?;
///         Ok(token.trim().into())
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

    /// The provider has refused this credential as such (HTTP 401): it is time for another. Must not block.
    fn refused(&self, credential: &Secret) {
        let _ = credential;
    }
}
