//! Whom a failover asks first, and who comes after.

mod lineup;
mod starts;

use std::sync::Arc;

use async_trait::async_trait;
use circuit_breaker::RotationError;

pub use self::lineup::{Lineup, Standing};
pub use self::starts::{FastestFirstToken, LeastInFlight, Listed, RoundRobin, Weighted};

/// Whom a `failover` asks, and in which order. It is asked once a call, before anyone else.
///
/// A [`Lineup`] comes with all candidates in the order of the fallback: by their
/// [priority](crate::Candidate::priority), and as listed where that is the same. An order changes who comes where, as far
/// as it wants to; every candidate stays in the line once. Those that are here choose who
/// [goes first](Lineup::start_with), and leave the fallback to the priorities.
///
/// Any `Fn(&mut Lineup<'_>)` is an order (its argument's type has to be written out):
///
/// ```
/// use llm_reliability::{Lineup, ResilientClient};
/// use llm_reliability::llm_protocol::testing::ScriptedModel;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ResilientClient::builder()
///     .candidates([ScriptedModel::new("acme:large"), ScriptedModel::new("acme:small")])
///     // The small model for short questions.
///     .order(|lineup: &mut Lineup<'_>| {
///         let short = lineup.request().messages.len() == 1;
///         lineup.sort_by_key(|candidate| short != candidate.key().ends_with("small"));
///     })
///     .build()?;
/// let report = client.failover("Is the sky blue?").await?;
/// assert_eq!(&*report.attempts()[0].model_key, "acme:small");
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Order: Send + Sync {
    /// Arranges the candidates for one call.
    ///
    /// A panic leaves the line as it is by then. An answer that takes longer than five seconds is not waited for: the
    /// call ends as if the store were not there.
    ///
    /// # Errors
    ///
    /// [`RotationError::StoreUnavailable`]: nobody is asked, and the call ends as
    /// [`Ended::StoreUnavailable`](crate::Ended::StoreUnavailable).
    ///
    /// # Cancellation
    ///
    /// Dropped with its call.
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError>;
}

#[async_trait]
impl<O: Order + ?Sized> Order for Arc<O> {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        (**self).arrange(lineup).await
    }
}

#[async_trait]
impl<F: Fn(&mut Lineup<'_>) + Send + Sync> Order for F {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        self(lineup);
        Ok(())
    }
}
