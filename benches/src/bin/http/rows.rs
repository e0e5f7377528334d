//! All calls that are measured: each by hand, and by a strategy.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::try_join_all;
use llm_adapters::HttpClient;
use llm_benches::Failure;
use llm_protocol::{FinishReason, Response};
use llm_reliability::StreamMode::{self, Auto, Never};
use llm_reliability::{Report, ResilientClient};

use crate::hand::{Answer, Hand};
use crate::ours;
use crate::row::{Calls, Row, Target, Work};
use crate::wire::Model::{self, Busy, Drip, Long, Short, Slow};
use crate::wire::TOKEN;

const FAILOVER: &[Target] = &[Target::Cpu { most: 1.10, stretch: Some(0.85) }];
const REFUSED: &[Target] = &[Target::Cpu { most: 1.10, stretch: Some(1.03) }];
const STREAM: &[Target] = &[Target::Cpu { most: 1.15, stretch: Some(0.8) }];
const DECISION: &[Target] = &[Target::AddedP99 { most: 20.0 }];

/// So many seats has a fan-out.
const SEATS: usize = 5;

/// All rows. Those by hand share one client and its connections, and those of ours another.
pub(crate) fn rows(address: SocketAddr) -> Result<Vec<Row>, Failure> {
    let hand = Arc::new(Hand::new(address)?);
    let http = HttpClient::new()?;
    let make = Make { hand, http, address };
    Ok(vec![
        row("hand/json", "one request, a short answer that comes whole", &[Short], make.ask(Short, false)),
        row(
            "ours/json",
            "failover with one candidate, StreamMode::Never",
            &[Short],
            make.failover(&[Short], Never)?,
        )
        .beside("hand/json", FAILOVER),
        row(
            "hand/sse",
            "one request, a short answer collected from a stream",
            &[Short],
            make.ask(Short, true),
        ),
        row(
            "ours/sse",
            "failover with one candidate, as it is by default",
            &[Short],
            make.failover(&[Short], Auto)?,
        )
        .beside("hand/sse", FAILOVER),
        row("hand/429-json", "429, read and parsed, then hand/json", &[Busy, Short], make.two(false)),
        row(
            "ours/429-json",
            "ours/json with a busy candidate before",
            &[Busy, Short],
            make.failover(&[Busy, Short], Never)?,
        )
        .beside("hand/429-json", REFUSED),
        row("hand/429-sse", "429, read and parsed, then hand/sse", &[Busy, Short], make.two(true)),
        row(
            "ours/429-sse",
            "ours/sse with a busy candidate before",
            &[Busy, Short],
            make.failover(&[Busy, Short], Auto)?,
        )
        .beside("hand/429-sse", REFUSED),
        row("hand/stream", "64 tokens in one write, each handed out, and kept", &[Long], make.read(Long)),
        row("ours/stream", "failover_stream, the same", &[Long], make.stream(Long)?)
            .beside("hand/stream", STREAM),
        row("hand/drip", "64 tokens in 64 writes, each handed out, and kept", &[Drip], make.read(Drip)),
        row("ours/drip", "failover_stream, the same", &[Drip], make.stream(Drip)?)
            .beside("hand/drip", STREAM),
        row("hand/fan-json", "join_all of five hand/json", &[Short; SEATS], make.join(false)),
        row(
            "ours/fan-json",
            "fan_out of five candidates, StreamMode::Never",
            &[Short; SEATS],
            make.fan_out(Never)?,
        )
        .beside("hand/fan-json", &[]),
        row("hand/fan-sse", "join_all of five hand/sse", &[Short; SEATS], make.join(true)),
        row(
            "ours/fan-sse",
            "fan_out of five candidates, as it is by default",
            &[Short; SEATS],
            make.fan_out(Auto)?,
        )
        .beside("hand/fan-sse", &[]),
        row("hand/slow", "hand/json, answered after 10 ms", &[Slow], make.ask(Slow, false)).under_load(),
        row("ours/slow", "ours/json, answered after 10 ms", &[Slow], make.failover(&[Slow], Never)?)
            .beside("hand/slow", DECISION)
            .under_load(),
    ])
}

fn row(id: &'static str, what: &'static str, asks: &'static [Model], work: Arc<dyn Work>) -> Row {
    Row { id, what, peer: None, asks, at: &[1, 64], longer: 1, targets: &[], work }
}

impl Row {
    fn beside(mut self, peer: &'static str, targets: &'static [Target]) -> Self {
        (self.peer, self.targets) = (Some(peer), targets);
        self
    }

    /// Only with many at once, and with enough calls for a tail.
    fn under_load(mut self) -> Self {
        (self.at, self.longer) = (&[64], 5);
        self
    }
}

/// Makes calls, and looks at their answers.
struct Make {
    hand: Arc<Hand>,
    http: HttpClient,
    address: SocketAddr,
}

impl Make {
    fn ask(&self, model: Model, streamed: bool) -> Arc<dyn Work> {
        let hand = Arc::clone(&self.hand);
        calls(move || {
            let hand = Arc::clone(&hand);
            async move { by_hand(&hand.ask(model, streamed).await?, model) }
        })
    }

    fn two(&self, streamed: bool) -> Arc<dyn Work> {
        let hand = Arc::clone(&self.hand);
        calls(move || {
            let hand = Arc::clone(&hand);
            async move { by_hand(&hand.ask_two([Busy, Short], streamed).await?, Short) }
        })
    }

    fn read(&self, model: Model) -> Arc<dyn Work> {
        let hand = Arc::clone(&self.hand);
        calls(move || {
            let hand = Arc::clone(&hand);
            async move {
                let mut handed = 0;
                let answer = hand.stream(model, |text| handed += text.len()).await?;
                met(handed == answer.text.len())?;
                by_hand(&answer, model)
            }
        })
    }

    fn join(&self, streamed: bool) -> Arc<dyn Work> {
        let hand = Arc::clone(&self.hand);
        calls(move || {
            let hand = Arc::clone(&hand);
            async move {
                let answers = try_join_all((0..SEATS).map(|_| hand.ask(Short, streamed))).await?;
                answers.iter().try_for_each(|answer| by_hand(answer, Short))
            }
        })
    }

    fn client(&self, models: &[Model], mode: StreamMode) -> Result<ResilientClient, Failure> {
        ours::client(&self.http, self.address, models, mode)
    }

    fn failover(&self, models: &[Model], mode: StreamMode) -> Result<Arc<dyn Work>, Failure> {
        let client = self.client(models, mode)?;
        let last = models.last().copied().unwrap_or(Short);
        Ok(calls(move || {
            let client = client.clone();
            async move { by_us(&ours::failover(&client).await?.into_result()?, last) }
        }))
    }

    fn stream(&self, model: Model) -> Result<Arc<dyn Work>, Failure> {
        let client = self.client(&[model], Auto)?;
        Ok(calls(move || {
            let client = client.clone();
            async move {
                let mut handed = 0;
                let report: Report = ours::stream(&client, |text| handed += text.len()).await?;
                let answer = report.into_result()?;
                met(handed == answer.text.len())?;
                by_us(&answer, model)
            }
        }))
    }

    fn fan_out(&self, mode: StreamMode) -> Result<Arc<dyn Work>, Failure> {
        let client = self.client(&[Short; SEATS], mode)?;
        Ok(calls(move || {
            let client = client.clone();
            async move {
                let report = ours::fan_out(&client).await?;
                met(report.responses().count() == SEATS)?;
                report.responses().try_for_each(|(_, answer)| by_us(answer, Short))
            }
        }))
    }
}

fn calls<F, C>(call: F) -> Arc<dyn Work>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Arc::new(Calls(call))
}

/// Whether everything is there that the caller wants to know.
fn by_hand(answer: &Answer, model: Model) -> Result<(), Failure> {
    let Answer { text, model: name, finish_reason, usage, request_id } = answer;
    let tokens = u64::try_from(model.tokens())?;
    met(text.len() == model.tokens() * TOKEN.len()
        && name == "short-1"
        && finish_reason.as_deref() == Some("stop")
        && usage.as_ref().is_some_and(|usage| usage.prompt_tokens > 0 && usage.completion_tokens == tokens)
        && request_id.is_some())
}

/// The same of ours.
fn by_us(answer: &Response, model: Model) -> Result<(), Failure> {
    let tokens = u64::try_from(model.tokens())?;
    met(answer.text.len() == model.tokens() * TOKEN.len()
        && answer.model_id.as_deref() == Some("short-1")
        && answer.finish_reason == FinishReason::Stop
        && answer.usage.input_tokens.is_some()
        && answer.usage.output_tokens == Some(tokens)
        && answer.request_id.is_some())
}

fn met(met: bool) -> Result<(), Failure> {
    if met { Ok(()) } else { Err("the answer is not what it should be".into()) }
}
