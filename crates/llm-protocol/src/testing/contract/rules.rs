//! The rules of the contract, by name.

mod answers;
mod failures;
mod live;
mod manners;

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::evidence::Evidence;
use super::harness::Harness;
use super::summary::{Summary, Verdict, broken};

type Rule = fn(&Evidence) -> Verdict;

/// The rules that are judged by what was seen already.
const RULES: &[(&str, Rule)] = &[
    ("every call comes to an end", manners::ends),
    ("an answer arrives as it was given", answers::arrives),
    ("the token limit is told", answers::token_limit),
    ("an empty answer stays empty", answers::empty),
    ("tool calls arrive as they were made", answers::tool_calls),
    ("whole or streamed, an answer is the same", answers::same),
    ("a whole stream ends with its terminal marker", answers::marker),
    ("a cut answer is never a whole one", failures::cut),
    ("a failure in the middle of an answer is a transient error", failures::midway),
    ("nothing follows an error", failures::last_word),
    ("garbage is a protocol error", failures::garbage),
    ("throttling is backpressure and carries its hint", failures::throttled),
    ("overload is transient", failures::overloaded),
    ("a provider's failure is transient", failures::fails),
    ("a refused credential is an authentication error", failures::unauthorized),
    ("an unknown model is told", failures::model_unknown),
    ("a conversation that is too long is told", failures::context_exceeded),
    ("a missing connection is told", failures::unreachable),
    ("errors name the model", failures::named),
    ("errors hide the credential", failures::hide_credential),
    ("errors hide what was said", failures::hide_words),
    ("one call is one request", manners::one_request),
    ("progress tells whether the provider was asked", manners::progress),
    ("a call that is over leaves nothing open", manners::closed),
];

pub(super) fn judge(evidence: &Evidence, summary: &mut Summary) {
    for (name, rule) in RULES {
        summary.note(name, rule(evidence));
    }
}

/// The rules that need calls of their own.
pub(super) async fn try_out<H: Harness>(harness: &H, evidence: &Evidence, summary: &mut Summary) {
    summary.note("names are there, and stay", guarded(live::names(harness)).await);
    summary.note("the adapter's Debug hides the credential", guarded(live::debug(harness)).await);
    summary.note("a health check answers", guarded(live::health(harness)).await);
    summary
        .note("a health check sees a refused credential", guarded(live::ill_health(harness, evidence)).await);
    summary
        .note("an empty request is refused before it is sent", live::empty_request(harness, evidence).await);
    summary
        .note("what the adapter lacks is refused before it is sent", live::lacking(harness, evidence).await);
    summary.note(
        "another vendor's tool calls are taken over",
        guarded(live::foreign_calls(harness, evidence)).await,
    );
    summary.note(
        "another vendor's opaque parts are left out",
        guarded(live::foreign_thoughts(harness, evidence)).await,
    );
    summary.note("text is handed out as it comes", guarded(live::handed_out(harness, evidence)).await);
    summary.note("a silent provider is waited for", guarded(live::patient(harness, evidence)).await);
    summary.note("a dropped call ends its request", guarded(live::dropped_call(harness, evidence)).await);
    summary.note("a dropped stream ends its request", guarded(live::dropped_stream(harness, evidence)).await);
}

async fn guarded(rule: impl Future<Output = Verdict>) -> Verdict {
    AssertUnwindSafe(rule).catch_unwind().await.unwrap_or_else(|_| broken("the adapter panicked"))
}
