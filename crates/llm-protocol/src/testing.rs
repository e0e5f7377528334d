//! A model that answers from a script, without a network.
//!
//! [`ScriptedModel`] is an adapter for tests: it answers, fails, waits, stalls, breaks off and panics as its
//! [`Step`]s say, and writes down every [`Call`] that reached it. Waiting is `tokio::time`, so paused time works.
//! [`contract`] is the other way round: what strategies expect of adapters, to be run against yours.
//!
//! ```
//! use llm_protocol::testing::{Ending, ScriptedModel, Step};
//! use llm_protocol::{Error, ErrorKind, ModelAdapter, Progress, Request};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let model = ScriptedModel::new("acme:large")
//!     .then(Step::error(Error::new(ErrorKind::Overloaded, "busy")))
//!     .then(Step::answer("Hello there."));
//!
//! let request = Request::from("Say hello.");
//! let refused = model.generate(&request, &Progress::new()).await.unwrap_err();
//! assert_eq!((refused.kind(), refused.model_key()), (ErrorKind::Overloaded, Some("acme:large")));
//! let answer = model.generate(&request, &Progress::new()).await.unwrap();
//! assert_eq!(answer.text, "Hello there.");
//!
//! let endings: Vec<Ending> = model.calls().iter().map(|call| call.ending).collect();
//! assert_eq!(endings, [Ending::Failed, Ending::Completed]);
//! # }
//! ```

pub mod contract;
mod log;
mod model;
mod plan;
mod playback;
mod step;

pub use log::{Call, Ending};
pub use model::ScriptedModel;
pub use step::Step;
