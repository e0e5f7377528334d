//! Rules that take calls of their own: names, health, refusals, and calls that are given up.

use std::future::Future;

use futures::StreamExt;
use futures::future::{Either, select};
use tokio::time::timeout;

use super::failures::everything;
use crate::adapter::{HealthState, HealthStatus, ModelAdapter};
use crate::error::{Category, Error, ErrorKind};
use crate::event::StreamEvent;
use crate::message::{Message, Role};
use crate::part::{Image, Opaque, Part};
use crate::progress::{Progress, Stage};
use crate::request::{Request, ResponseFormat};
use crate::testing::contract::evidence::{
    Evidence, FOREIGN_WORDS, PROMPT_WORDS, TEXT, answers, plain, with_tool,
};
use crate::testing::contract::harness::{Harness, SECRET, Scenario, Wired};
use crate::testing::contract::observe::{Mode, observe, talk, until};
use crate::testing::contract::summary::{Finding, Verdict, broken, require, skipped};
use crate::tool::ToolCall;

async fn wire<H: Harness>(harness: &H, scenario: &Scenario) -> Result<Wired<H::Adapter>, Finding> {
    let declined = || Finding::Skipped(format!("the harness declines {}", scenario.name()));
    harness.wire(scenario).await.ok_or_else(declined)
}

/// The result, if it comes while anyone would wait.
async fn soon<H: Harness, T>(harness: &H, what: &str, future: impl Future<Output = T>) -> Result<T, Finding> {
    let late = |_| Finding::Broken(format!("{what}: nothing came of it in time"));
    timeout(harness.patience(), future).await.map_err(late)
}

pub(super) async fn names<H: Harness>(harness: &H) -> Verdict {
    let Wired { adapter, provider: _alive } = wire(harness, &answers()).await?;
    let names =
        |adapter: &dyn ModelAdapter| [adapter.key(), adapter.provider(), adapter.model()].map(str::to_owned);
    let before = names(&adapter);
    require(before.iter().all(|name| !name.trim().is_empty()), || {
        format!("key, provider, model are {before:?}")
    })?;
    let _ = soon(harness, "generate", adapter.generate(&plain(), &Progress::new())).await?;
    let after = names(&adapter);
    require(before == after, || format!("{before:?} became {after:?}"))?;
    let capabilities = adapter.capabilities();
    let others = [
        capabilities.streaming().map(|other| [other.key(), other.provider(), other.model()]),
        capabilities.tools().map(|other| [other.key(), other.provider(), other.model()]),
    ];
    let same = others.iter().flatten().all(|other| *other == after);
    require(same, || format!("{after:?} hands out abilities of {others:?}"))
}

pub(super) async fn debug<H: Harness>(harness: &H) -> Verdict {
    let wired = wire(harness, &answers()).await?;
    let shown = format!("{:?}{:#?}{:?}", wired.adapter, wired.adapter, wired.adapter.capabilities());
    require(!shown.contains(SECRET), || "it shows the credential".to_owned())
}

pub(super) async fn health<H: Harness>(harness: &H) -> Verdict {
    let Wired { adapter, provider: _alive } = wire(harness, &answers()).await?;
    let status = soon(harness, "the health check", adapter.health_check()).await?;
    let key = adapter.key();
    require(&*status.model_key == key, || format!("it is about {:?}, not {key:?}", status.model_key))?;
    let ill = status.state == HealthState::Unhealthy || status.error.is_some();
    require(!ill, || format!("a provider that is well is reported as {status:?}"))
}

pub(super) async fn ill_health<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    let Wired { adapter, provider: _alive } = wire(harness, &Scenario::Unauthorized).await?;
    let status: HealthStatus = soon(harness, "the health check", adapter.health_check()).await?;
    let Some(error) = &status.error else {
        let unknown = status.state == HealthState::Unknown;
        return require(unknown, || format!("{:?} without an error", status.state));
    };
    require(status.state == HealthState::Unhealthy, || format!("{:?} with an error", status.state))?;
    require(!everything(error).contains(SECRET), || "its error shows the credential".to_owned())?;
    require(error.model_key() == Some(&evidence.key), || "its error does not name the model".to_owned())
}

pub(super) async fn empty_request<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    for (what, request) in [("no message", Request::default()), ("a blank message", Request::from(" \n"))] {
        refused(harness, evidence, what, &request, |error| {
            error.category() == Category::Terminal && !error.blames_model()
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn lacking<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    let Wired { adapter, provider: _alive } = wire(harness, &answers()).await?;
    let schema = ResponseFormat::json_schema("reply", serde_json::json!({"type": "object"}));
    let picture = Message::user(PROMPT_WORDS).image(Image::url("https://example.com/cat.png"));
    let demanding = [
        with_tool(),
        plain().response_format(ResponseFormat::JsonObject),
        plain().response_format(schema),
        Request::new([picture]),
    ];
    let mut tried = false;
    for request in demanding {
        let Some(missing) = adapter.capabilities().missing(&request) else { continue };
        tried = true;
        let unsupported = |error: &Error| error.kind() == ErrorKind::Unsupported;
        refused(harness, evidence, missing.as_str(), &request, unsupported).await?;
    }
    if tried { Ok(()) } else { skipped("the adapter lacks nothing") }
}

async fn refused<H: Harness>(
    harness: &H,
    evidence: &Evidence,
    what: &str,
    request: &Request,
    expected: impl Fn(&Error) -> bool,
) -> Verdict {
    for mode in evidence.all_modes() {
        let Some(seen) = observe(harness, &answers(), *mode, request).await else { continue };
        let place = format!("{what}, {}", seen.place());
        require(seen.received == 0, || format!("{place}: the provider received it"))?;
        let Some(error) = seen.error() else { return broken(format!("{place}: there is no error")) };
        require(expected(error), || format!("{place}: {:?}", error.kind()))?;
        require(seen.stage == Stage::Prepare, || format!("{place}: progress says {:?}", seen.stage))?;
        require(error.model_key() == Some(&evidence.key), || {
            format!("{place}: the error does not name the model")
        })?;
    }
    Ok(())
}

pub(super) async fn foreign_calls<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    if !evidence.calls_tools {
        return skipped("the adapter does not call tools");
    }
    // Longer than some vendors take, and with characters that others refuse.
    let id = "call|0123456789:abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned();
    let call =
        ToolCall { id: id.clone(), name: "weather".to_owned(), arguments: r#"{"city":"Ulm"}"#.to_owned() };
    let mut request = with_tool();
    request.messages.push(Message::new(Role::Assistant, vec![Part::ToolCall(call)]));
    request.messages.push(Message::tool(id, "weather", "sunny"));
    for mode in evidence.all_modes() {
        let Some(seen) = observe(harness, &answers(), *mode, &request).await else { continue };
        require(seen.response().is_some(), || format!("{}: {:?}", seen.place(), seen.error()))?;
    }
    Ok(())
}

pub(super) async fn foreign_thoughts<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    let mut request = plain();
    let thought = Opaque::new("another vendor", format!(r#"{{"signature":"{FOREIGN_WORDS}"}}"#));
    request.messages.push(Message::new(Role::Assistant, vec![Part::Opaque(thought), Part::text("I see.")]));
    request.messages.push(Message::user("Go on."));
    for mode in evidence.all_modes() {
        let Some(seen) = observe(harness, &answers(), *mode, &request).await else { continue };
        let place = seen.place();
        require(seen.response().is_some(), || format!("{place}: {:?}", seen.error()))?;
        let told = seen.told.as_deref().is_some_and(|told| told.contains(FOREIGN_WORDS));
        require(!told, || format!("{place}: the provider was sent another vendor's part"))?;
    }
    Ok(())
}

pub(super) async fn patient<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    for mode in evidence.all_modes() {
        let wired = wire(harness, &Scenario::Silent).await?;
        let (request, progress) = (plain(), Progress::new());
        let call = Box::pin(talk(&wired.adapter, *mode, &request, &progress));
        let asked = Box::pin(async {
            let asked = until(&*wired.provider, |provider| provider.received() > 0).await;
            for _ in 0..20 {
                wired.provider.breathe().await;
            }
            asked
        });
        match select(call, asked).await {
            Either::Left((outcome, _)) => return broken(format!("it gave up by itself: {outcome:?}")),
            Either::Right((false, _)) => return broken("the provider never received the request"),
            Either::Right((true, _)) => {}
        }
        let stage = progress.stage();
        require(stage == Stage::Sent, || format!("the provider was asked, and progress says {stage:?}"))?;
    }
    Ok(())
}

pub(super) async fn dropped_call<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    for mode in evidence.all_modes() {
        let wired = wire(harness, &Scenario::Silent).await?;
        let (request, progress) = (plain(), Progress::new());
        let call = Box::pin(talk(&wired.adapter, *mode, &request, &progress));
        let asked = Box::pin(until(&*wired.provider, |provider| provider.received() > 0));
        drop(select(call, asked).await);
        let closed = until(&*wired.provider, |provider| provider.open() == 0).await;
        let what = if *mode == Mode::Whole { "generate" } else { "stream" };
        require(closed, || format!("{what}: the provider still has the request open"))?;
    }
    Ok(())
}

pub(super) async fn handed_out<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    stalled(harness, evidence).await.map(|_| ())
}

pub(super) async fn dropped_stream<H: Harness>(harness: &H, evidence: &Evidence) -> Verdict {
    // Whether the text came is another rule's business.
    let wired = match stalled(harness, evidence).await {
        Ok(wired) => wired,
        Err(Finding::Broken(_)) => return skipped("the text before the silence did not come"),
        Err(skipped) => return Err(skipped),
    };
    let closed = until(&*wired.provider, |provider| provider.open() == 0).await;
    require(closed, || "the provider still has the request open".to_owned())
}

/// Reads a stream that stalls up to there, and drops it.
async fn stalled<H: Harness>(harness: &H, evidence: &Evidence) -> Result<Wired<H::Adapter>, Finding> {
    if !evidence.streams {
        return Err(Finding::Skipped("the adapter does not stream".to_owned()));
    }
    let wired = wire(harness, &Scenario::Stalls { text: TEXT.to_owned() }).await?;
    let Some(streaming) = wired.adapter.capabilities().streaming() else {
        return Err(Finding::Broken("streaming was there before, and is gone".to_owned()));
    };
    let mut text = String::new();
    let reading = async {
        let mut events = streaming.stream(&plain(), &Progress::new()).await?;
        while text != TEXT {
            match events.next().await {
                Some(Ok(StreamEvent::Text(piece))) => text.push_str(&piece),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        Ok(())
    };
    let result = timeout(harness.patience(), reading).await;
    match result {
        Ok(Ok(())) if text == TEXT => Ok(wired),
        Ok(Err(error)) => Err(Finding::Broken(format!("it ended by itself: {error}"))),
        _ => Err(Finding::Broken(format!("of {TEXT:?} came {text:?}"))),
    }
}
