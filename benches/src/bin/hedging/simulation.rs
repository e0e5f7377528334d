//! The simulated world: candidates whose first tokens mostly come soon, and calls that arrive at random, in virtual time.

use std::error::Error;
use std::f64::consts::TAU;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Message, Request};
use llm_reliability::{Launch, Outcome, Policy, ResilientClient, Timeouts};
use tokio::time::{Instant, sleep_until};

/// Whatever went wrong.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The median of an ordinary first token, in milliseconds.
const MEDIAN: f64 = 400.0;

/// The standard deviation of its logarithm: nine of ten take between 220 and 720 ms.
const SPREAD: f64 = 0.36;

/// One request in so many is a straggler, and takes so many times as long: 1.5 %.
const STRAGGLERS: f64 = 0.015;
const STRAGGLING: f64 = 10.0;

/// Calls that arrive in a second, on average.
const RATE: f64 = 20.0;

/// How long an answer goes on after its first token.
const REST: Duration = Duration::from_millis(1500);

/// Nobody's limits are in the way.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A time in which requests take so many times as long as they usually do, whoever is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) calls: u32,
    pub(crate) slowness: f64,
}

/// What became of one call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// How long its caller waited for the first token.
    pub(crate) first_token: Duration,
    /// When it arrived, and when its hedges were sent, from the beginning of the simulation.
    pub(crate) arrived: Duration,
    pub(crate) hedges: Vec<Duration>,
    /// Whether the answer came from a hedge.
    pub(crate) won: bool,
}

/// The calls of each stage, in the order in which they arrived, and how many requests the candidates received for them.
#[derive(Debug)]
pub(crate) struct Outcomes {
    pub(crate) stages: Vec<Vec<Call>>,
    pub(crate) requests: usize,
}

/// Runs the stages one after the other through one client with this policy. Whatever the policy, the same calls arrive at
/// the same time, and a candidate takes the same time over each.
pub(crate) fn simulate(seed: u64, policy: &Policy, stages: &[Stage]) -> Result<Outcomes, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    // For whatever the library draws itself.
    fastrand::seed(seed);
    runtime.block_on(run(seed, policy, stages))
}

async fn run(seed: u64, policy: &Policy, stages: &[Stage]) -> Result<Outcomes, Failure> {
    let models = ["one:a", "two:b", "three:c"].map(|name| model(name, seed));
    let limits = Timeouts::new().first_token(PATIENCE).idle(PATIENCE).attempt(PATIENCE).total(PATIENCE);
    let client = ResilientClient::builder()
        .candidates(models.clone())
        .policy(policy.clone())
        .timeouts(limits)
        .build()?;
    let start = Instant::now();
    let mut arrivals = fastrand::Rng::with_seed(seed);
    let (mut at, mut number) = (Duration::ZERO, 0_u64);
    let mut under_way = FuturesUnordered::new();
    let mut done = Vec::new();
    for (stage, Stage { calls, slowness }) in stages.iter().enumerate() {
        for _ in 0..*calls {
            at += Duration::from_secs_f64(exponential(&mut arrivals) / RATE);
            number += 1;
            let (client, arrival) = (&client, start + at);
            let mut due = std::pin::pin!(sleep_until(arrival));
            loop {
                tokio::select! {
                    biased;
                    () = &mut due => break,
                    Some(call) = under_way.next() => done.push(call),
                }
            }
            let question = format!("{number} {slowness}");
            under_way.push(async move { (stage, number, ask(client, question, start).await) });
        }
    }
    done.extend(under_way.collect::<Vec<_>>().await);
    done.sort_by_key(|(_, number, _)| *number);
    let mut outcomes = Outcomes { stages: vec![Vec::new(); stages.len()], requests: 0 };
    for (stage, _, call) in done {
        outcomes.stages.get_mut(stage).ok_or("a stage of its own")?.push(call?);
    }
    outcomes.requests = models.iter().map(ScriptedModel::started).sum();
    Ok(outcomes)
}

async fn ask(client: &ResilientClient, question: String, start: Instant) -> Result<Call, Failure> {
    let arrival = Instant::now();
    let mut stream = client.failover_stream(question).await?;
    let first_token = stream.elapsed();
    while let Some(event) = stream.next().await {
        event?;
    }
    let report = stream.into_report();
    let hedges = report.attempts().iter().filter(|attempt| attempt.launch == Launch::Hedge);
    let arrived = arrival.duration_since(start);
    let won = |outcome: &Outcome| matches!(outcome, Outcome::Success(_));
    Ok(Call {
        first_token,
        arrived,
        hedges: hedges.clone().map(|attempt| arrived + attempt.start).collect(),
        won: hedges.clone().any(|attempt| won(&attempt.outcome)),
    })
}

/// A candidate that takes its time over each call as the seed and the call's number say, so that what is compared has the
/// same luck.
fn model(name: &'static str, seed: u64) -> ScriptedModel {
    let answer = move |request: &Request| {
        let question = request.messages.first().map(Message::text).unwrap_or_default();
        let mut numbers = question.split(' ');
        let number = numbers.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
        let slowness = numbers.next().and_then(|slowness| slowness.parse::<f64>().ok()).unwrap_or(1.0);
        let luck = name.bytes().fold(seed ^ number.rotate_left(32), |luck, byte| {
            (luck ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
        });
        let mut random = fastrand::Rng::with_seed(luck);
        Step::events([])
            .delayed(first_token(&mut random, slowness))
            .then_text("so ")
            .after(REST)
            .then_answer("it is")
    };
    ScriptedModel::new(name).without_log().respond_with(answer)
}

/// Log-normal, with stragglers.
fn first_token(random: &mut fastrand::Rng, slowness: f64) -> Duration {
    let straggling = if random.f64() < STRAGGLERS { STRAGGLING } else { 1.0 };
    let radius = (2.0 * exponential(random)).sqrt();
    let normal = radius * (TAU * random.f64()).cos();
    Duration::from_secs_f64(MEDIAN / 1000.0 * (SPREAD * normal).exp() * straggling * slowness)
}

/// With a mean of 1.
fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}
