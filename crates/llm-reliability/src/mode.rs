//! A person's hand on a circuit: held open, held closed, or switched off, while the client runs.

use circuit_breaker::Mode;

use crate::client::ResilientClient;

/// Why a candidate's circuit could not be put into a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// No candidate has this key.
    #[error("no candidate is called `{0}`")]
    UnknownCandidate(String),
    /// The breaker did not do it.
    #[error(transparent)]
    Refused(#[from] circuit_breaker::ModeError),
}

impl ResilientClient {
    /// Puts a candidate's circuit into a mode, for all clones of this client, until another mode is set.
    ///
    /// Held [open](Mode::ForcedOpen), the candidate is not asked: its attempts are
    /// [`PreemptedOpen`](crate::Outcome::PreemptedOpen) with the reason `forced_open`, and nobody knows when it will be
    /// over. Held [closed](Mode::ForcedClosed) or [switched off](Mode::Disabled), it is asked whatever it did before;
    /// its limiter has its say all the same. [`Mode::Automatic`] gives it back to its breaker, with a closed circuit.
    /// Attempts that are under way go on, and their results no longer count. The observer is told
    /// ([`Transition::mode`](circuit_breaker::Transition::mode)), and [`status`](Self::status) shows it.
    ///
    /// ```
    /// use llm_reliability::circuit_breaker::Mode;
    /// use llm_reliability::llm_protocol::testing::ScriptedModel;
    /// use llm_reliability::{Ended, ResilientClient};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = ResilientClient::builder().candidate(ScriptedModel::new("acme:large")).build()?;
    /// client.set_mode("acme:large", Mode::ForcedOpen).await?;
    /// assert_eq!(client.failover("hi").await?.ended(), Ended::Unavailable);
    /// client.set_mode("acme:large", Mode::Automatic).await?;
    /// assert_eq!(client.failover("hi").await?.ended(), Ended::Answered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Where the breaker shares its circuits through a store, the mode is for all who share it. A breaker that was handed in
    /// decides for itself whether it [can](circuit_breaker::Breaker::set_mode).
    ///
    /// # Errors
    ///
    /// [`ModeError`], and nothing has changed, unless a store did not answer.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped may have changed the mode, or not.
    pub async fn set_mode(&self, key: &str, mode: Mode) -> Result<(), ModeError> {
        if !self.candidates().any(|candidate| candidate.key() == key) {
            return Err(ModeError::UnknownCandidate(key.to_owned()));
        }
        Ok(self.breaker().set_mode(key, mode).await?)
    }
}
