//! The contract suite: what every adapter keeps to, yours included.
//!
//! Strategies rely on more than the signatures of [`ModelAdapter`](crate::ModelAdapter) say: that a cut answer is
//! never passed off as a whole one, that throttling is told from failure, that a dropped call ends, that no error
//! shows a credential. Implement [`Harness`] for your adapter and let [`check`] find out:
//!
//! ```
//! use llm_protocol::testing::contract::{self, Harness, Scenario, Wired};
//! use llm_protocol::testing::{ScriptedModel, Step};
//! use llm_protocol::{Error, ErrorKind, Response};
//!
//! struct MyHarness;
//!
//! #[async_trait::async_trait]
//! impl Harness for MyHarness {
//!     // Your own adapter; its provider would be a server on loopback.
//!     type Adapter = ScriptedModel;
//!
//!     async fn wire(&self, scenario: &Scenario) -> Option<Wired<ScriptedModel>> {
//!         let step = match scenario {
//!             Scenario::Answers { text, usage } => Step::answer(text).usage(*usage),
//!             Scenario::Throttled { retry_after } => {
//!                 Step::error(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(*retry_after))
//!             }
//!             Scenario::Silent => Step::stall(),
//!             _ => return None,
//!         };
//!         let model = ScriptedModel::new("acme:large").then(step);
//!         Some(Wired::new(model.clone(), model))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let summary = contract::check(&MyHarness).await;
//! println!("{summary}"); // with every rule that was skipped, and why
//! assert!(summary.skipped().iter().any(|skip| skip.reason.contains("Garbage")));
//! # }
//! ```

mod evidence;
mod harness;
mod observe;
mod rules;
mod summary;

pub use harness::{Harness, Provider, SECRET, Scenario, Wired};
pub use summary::{Remark, Summary};

use evidence::Evidence;

/// Puts the adapter through every rule of the contract.
///
/// # Panics
///
/// When a rule is broken, or when the harness declines [`Scenario::Answers`]. The message names every broken rule
/// and where it was broken. [`examine`] tells the same without panicking.
#[allow(clippy::panic, reason = "a test helper: panicking is how it fails the test")]
pub async fn check<H: Harness>(harness: &H) -> Summary {
    let summary = examine(harness).await;
    if summary.broken().is_empty() { summary } else { panic!("{summary}") }
}

/// Puts the adapter through every rule of the contract and tells what came of it.
///
/// It needs a Tokio runtime with time enabled. Paused time works where the provider lives in the same process
/// without sockets.
pub async fn examine<H: Harness>(harness: &H) -> Summary {
    let mut summary = Summary::default();
    match Evidence::gather(harness).await {
        Some(evidence) => {
            rules::judge(&evidence, &mut summary);
            rules::try_out(harness, &evidence, &mut summary).await;
        }
        None => summary.note(
            "a model answers",
            summary::broken("the harness declines Answers, which the suite cannot do without"),
        ),
    }
    summary
}
