//! The contract suites: what every backend keeps to, yours included.
//!
//! Callers rely on more than the signatures of [`Breaker`](crate::Breaker), [`Limiter`](crate::Limiter) and
//! [`Rotation`](crate::Rotation) say: that a late result changes nothing, that a lease nobody ends does so by itself,
//! that no more probes are out than were asked for however many ask at once. Implement a harness that makes your
//! backend as the suite asks for it, and let [`check_breaker`], [`check_limiter`] or [`check_rotation`] find out:
//!
//! ```
//! # #[cfg(feature = "in-process")]
//! # mod example {
//! use std::sync::Arc;
//! use circuit_breaker::testing::contract::{self, BreakerHarness, BreakerPlan};
//! use circuit_breaker::{Breaker, InProcessBreaker, Settings, async_trait};
//!
//! struct MyHarness;
//!
//! #[async_trait]
//! impl BreakerHarness for MyHarness {
//!     // Your own backend, with nothing in its store.
//!     async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
//!         if plan.hold.is_some() {
//!             return None; // Where a backend cannot do something, the rules that need it are skipped.
//!         }
//!         let settings = Settings::default().failure_threshold(plan.failures).cooldown(plan.cooldown);
//!         Some(Arc::new(InProcessBreaker::new(settings.probes(plan.probes))))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # pub async fn main() {
//! let summary = contract::check_breaker(&MyHarness).await;
//! println!("{summary}"); // with every rule that was skipped, and why
//! assert!(summary.skipped().iter().any(|skip| skip.reason.contains("no second client")));
//! // Of a backend that does all that is asked for: `examine_breaker(&MyHarness).await.assert_complete()`.
//! # } }
//! # #[cfg(feature = "in-process")]
//! # example::main();
//! ```
//!
//! # Time
//!
//! The suites sleep on Tokio's clock. Backends in this process are tried in no time under paused time
//! (`#[tokio::test(start_paused = true)]`), as long as they take the time from that clock. Those with sockets need real
//! time; their harness says how long a cooldown has to be to be told from none, and how far behind the store a client
//! may be: the [`Pace`]. Where the machine was too slow to tell what a rule asks about, the rule is tried again with
//! longer times, and listed as [too slow to tell](Summary::late) where that did not help.
//!
//! Rules are tried one at a time, so that a harness may empty the only store it has. [`Pace::at_once`] has several tried
//! at a time.
//!
//! # What they do not look at
//!
//! A backend that passes may still be wrong in what the suites leave to its own tests:
//!
//! - **Blocking** that takes less than a millisecond, or comes only now and then, and blocking while asked or flushed:
//!   only what holds up whoever settles, abandons or defers a millisecond and longer *each time* is found.
//! - **Outages**: a store that is slow, unreachable, or comes back; what is answered without it, and that it says so
//!   ([degraded](crate::Admission::degraded)); what a full queue leaves out.
//! - **Verdicts that are sent twice**: a backend that repeats a request to its store has to count it once. The suites
//!   tell each verdict once, as callers do.
//! - **Other settings** than a plan names: shares of a window, slow calls and latencies, more than one result of probes,
//!   jitter, cooldowns that grow or do not end, how long a circuit may be half-open.
//! - **[Modes](crate::Mode)** set by hand, listeners, and what is read beyond the [`Status`](crate::Status).
//! - **Room**: how many keys and leases are kept, and what becomes of keys that nobody asks for any more.
//! - **Clocks** of clients that disagree, and how fast anything is.

mod breaker;
mod limiter;
mod pace;
mod rotation;
mod run;
mod summary;

pub use breaker::{BreakerHarness, BreakerPlan, check_breaker, examine_breaker};
pub use limiter::{LimiterHarness, LimiterPlan, RatePlan, check_limiter, examine_limiter};
pub use pace::Pace;
pub use rotation::{RotationHarness, check_rotation, examine_rotation};
pub use summary::{Remark, Summary};
