//! What the author of an adapter brings to the contract suite: an adapter, and a provider that behaves as asked.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::adapter::ModelAdapter;
use crate::testing::ScriptedModel;
use crate::tool::ToolCall;
use crate::usage::Usage;

/// The credential that the adapter under test is made with. The suite looks for it wherever it must not show.
pub const SECRET: &str = "marzipan-lighthouse-4711";

/// Wires the adapter under test to providers that behave as the suite asks: a server on loopback, a fake of the
/// vendor's client, whatever lies below the adapter.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The adapter under test.
    type Adapter: ModelAdapter + fmt::Debug;

    /// A new adapter, made with [`SECRET`] as its credential, on a new provider that behaves like this.
    ///
    /// `None` when the provider cannot be made to (an in-process model has no connection to break, say): the rules
    /// that need it are skipped, and the [`Summary`](super::Summary) lists them. Say so for scenarios that you do
    /// not know, too: later versions may add some. The suite cannot do without [`Scenario::Answers`].
    async fn wire(&self, scenario: &Scenario) -> Option<Wired<Self::Adapter>>;

    /// How long any call may take that is not meant to hang. 10 seconds unless overridden.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// An adapter and the provider that it talks to.
pub struct Wired<A> {
    pub(super) adapter: A,
    pub(super) provider: Box<dyn Provider>,
}

impl<A> Wired<A> {
    /// This adapter talks to this provider, and nobody else does.
    pub fn new(adapter: A, provider: impl Provider + 'static) -> Self {
        Self { adapter, provider: Box::new(provider) }
    }
}

impl<A: fmt::Debug> fmt::Debug for Wired<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wired").field("adapter", &self.adapter).finish_non_exhaustive()
    }
}

/// What the provider saw. Requests for answers count; whether health checks do makes no difference.
#[async_trait]
pub trait Provider: Send + Sync {
    /// How many requests it has received so far.
    fn received(&self) -> usize;

    /// How many of them have not ended: not answered to the end, and not given up by the caller.
    fn open(&self) -> usize;

    /// All of what the latest request said, where the provider keeps it: as text, in any form that names what was
    /// said. `None` unless overridden.
    fn last_request(&self) -> Option<String> {
        None
    }

    /// Gives the provider time to notice what happened; the suite calls it between two looks at the numbers, at most
    /// a thousand times in a row. A millisecond of [`tokio::time`] unless overridden.
    async fn breathe(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A scripted model is its own provider.
#[async_trait]
impl Provider for ScriptedModel {
    fn received(&self) -> usize {
        self.started()
    }

    fn open(&self) -> usize {
        self.open()
    }
}

/// How the provider behaves, towards every request it receives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scenario {
    /// It answers with this text, complete, and reports this usage as far as its wire format can. Streamed, the text
    /// comes in several pieces. A health check finds it well.
    Answers {
        /// The whole text.
        text: String,
        /// The tokens of the call.
        usage: Usage,
    },
    /// It answers with this text and says that the token limit was reached.
    ReachesTokenLimit {
        /// The whole text.
        text: String,
    },
    /// It asks for these tool calls and says nothing.
    CallsTools {
        /// The calls; a wire format without call ids leaves them out.
        calls: Vec<ToolCall>,
    },
    /// It answers without any text, complete.
    Empty,
    /// It takes the request and never answers.
    Silent,
    /// It streams this text and then nothing more, without ending the answer. Only asked of models that stream.
    Stalls {
        /// What comes before the silence.
        text: String,
    },
    /// It breaks off after this text, without the wire format's end of an answer. Where the answer is not streamed,
    /// its body breaks off somewhere.
    Cut {
        /// What comes before the break.
        text: String,
    },
    /// It streams this text and then an error of its own, in the wire format's words for an overload or a failure.
    /// Only asked of models that stream.
    FailsMidway {
        /// What comes before the error.
        text: String,
    },
    /// It accepts the request and answers with something else than the wire format: a page of HTML, say.
    Garbage,
    /// It refuses for the moment and asks to be left alone for this long, a number of whole seconds.
    Throttled {
        /// How long.
        retry_after: Duration,
    },
    /// It is overloaded.
    Overloaded,
    /// It fails, as with HTTP status 500.
    Fails,
    /// It refuses the credential, and repeats it in the text of its answer as some providers do. A health check fares
    /// no better.
    Unauthorized,
    /// It does not know the model.
    ModelUnknown,
    /// It says that the conversation is longer than the context window.
    ContextExceeded,
    /// There is nobody to connect to.
    Unreachable,
}

impl Scenario {
    /// The name, for messages and skip lists.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Answers { .. } => "Answers",
            Self::ReachesTokenLimit { .. } => "ReachesTokenLimit",
            Self::CallsTools { .. } => "CallsTools",
            Self::Empty => "Empty",
            Self::Silent => "Silent",
            Self::Stalls { .. } => "Stalls",
            Self::Cut { .. } => "Cut",
            Self::FailsMidway { .. } => "FailsMidway",
            Self::Garbage => "Garbage",
            Self::Throttled { .. } => "Throttled",
            Self::Overloaded => "Overloaded",
            Self::Fails => "Fails",
            Self::Unauthorized => "Unauthorized",
            Self::ModelUnknown => "ModelUnknown",
            Self::ContextExceeded => "ContextExceeded",
            Self::Unreachable => "Unreachable",
        }
    }
}
