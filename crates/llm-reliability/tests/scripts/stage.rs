//! A case made ready: scripted models, a client over them, and one log of all that happens.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use circuit_breaker::{InProcessBreaker, InProcessLimiter, RotationError, Transition};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{
    Error, Image, Message, Request, ResponseFormat, Started, StreamEvent, Tool, ToolCallDelta, Usage,
};
use llm_reliability::{
    Attempt, Candidate, FanOut, FastestFirstToken, Hedge, LeastInFlight, Lineup, Listed, Observer, Order,
    Policy, Price, ResilientClient, RetryBudget, RoundRobin, StreamMode, Weighted, circuit_breaker,
    llm_protocol,
};
use parking_lot::Mutex;
use rust_decimal::Decimal;
use tokio::time::Instant;

use crate::world::{
    Ask, Base, Fault, Hedging, Late, Member, Ordering, Piece, Rules, Seating, Tail, Take, Way, World, ms,
};

tokio::task_local! {
    /// Which call is being polled, or dropped.
    static CALL: usize;
}

/// Has everything that a call does known as its doing.
pub(crate) fn as_call<F: Future>(call: usize, doing: F) -> impl Future<Output = F::Output> {
    CALL.scope(call, doing)
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A model's adapter was called, for the n-th time.
    Asked {
        member: usize,
        nth: usize,
    },
    Landed {
        attempt: Box<Attempt>,
        open: bool,
        failures: u32,
    },
    Moved(Transition),
    /// Members in the order in which they are to be asked, and how many attempts are under way at each, as listed.
    Arranged {
        before: Vec<usize>,
        line: Vec<usize>,
        in_flight: Vec<usize>,
        speeds: Vec<Option<std::time::Duration>>,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    pub(crate) call: usize,
    pub(crate) what: What,
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Entry>>>);

impl Log {
    fn write(&self, what: What) {
        let call = CALL.try_with(|call| *call).unwrap_or(usize::MAX);
        self.0.lock().push(Entry { at: Instant::now(), call, what });
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().clone()
    }
}

pub(crate) fn key(member: usize) -> String {
    format!("acme:m{member}")
}

pub(crate) fn member_of(key: &str) -> usize {
    key.strip_prefix("acme:m").unwrap().parse().unwrap()
}

pub(crate) fn quota_key(member: usize, quota: Option<usize>) -> String {
    quota.map_or_else(|| key(member), |quota| format!("credential {quota}"))
}

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) models: Vec<ScriptedModel>,
    pub(crate) client: ResilientClient,
    pub(crate) breaker: Arc<InProcessBreaker>,
    pub(crate) limiter: Arc<InProcessLimiter>,
    pub(crate) log: Log,
}

impl Stage {
    pub(crate) fn new(world: World) -> Self {
        let log = Log::default();
        let told = log.clone();
        let breaker = InProcessBreaker::new(world.breaker.clone())
            .on_transition(move |transition| told.write(What::Moved(transition.clone())));
        let (breaker, limiter) =
            (Arc::new(breaker), Arc::new(InProcessLimiter::new(world.limits.unwrap_or_default())));
        let models: Vec<_> =
            world.members.iter().enumerate().map(|(at, member)| model(at, member, log.clone())).collect();
        let candidates = models.iter().zip(&world.members).enumerate().map(|(at, (model, member))| {
            let mut candidate = Candidate::from(model.clone())
                .timeouts(member.timeouts)
                .priority(member.priority)
                .weight(member.weight)
                .stream(if member.whole { StreamMode::Never } else { StreamMode::Auto })
                .quota_key(quota_key(at, member.quota));
            if let Some(price) = price(member) {
                candidate = candidate.price(price);
            }
            candidate
        });
        let watcher = Watcher { log: log.clone(), breaker: Arc::clone(&breaker) };
        let budget = world
            .budget
            .map_or(RetryBudget::unlimited(), |(share, reserve)| RetryBudget::new(share, reserve));
        let mut builder = ResilientClient::builder()
            .candidates(candidates)
            .breaker(breaker.clone())
            .policy(policy(&world.rules))
            .retry_budget(budget)
            .hedge_budget(world.hedges)
            .timeouts(world.timeouts)
            .observer(watcher);
        if world.limits.is_some() {
            builder = builder.limiter(limiter.clone());
        }
        if let Some(order) = order(world.order) {
            builder = builder.order(Watched { order, log: log.clone() });
        }
        Self { client: builder.build().unwrap(), world, models, breaker, limiter, log }
    }
}

fn model(at: usize, member: &Member, log: Log) -> ScriptedModel {
    let (script, asked) = (member.script.clone(), Mutex::new(0_usize));
    let respond = move |_: &Request| {
        let nth = {
            let mut asked = asked.lock();
            *asked += 1;
            *asked - 1
        };
        log.write(What::Asked { member: at, nth });
        step(&script[nth % script.len()], at, nth)
    };
    let mut model = ScriptedModel::new(&key(at)).respond_with(respond);
    model = if member.streams { model } else { model.without_streaming() };
    model = if member.honours.tools { model.with_tools() } else { model };
    model = if member.honours.json { model.with_json_object() } else { model };
    model = if member.honours.images { model.with_images() } else { model };
    member.window.map_or(model.clone(), |window| model.with_context_window(window))
}

pub(crate) fn price(member: &Member) -> Option<Price> {
    let (cents, euros) = member.price?;
    let currency = if euros { "EUR" } else { "USD" };
    Some(Price::new(currency, Decimal::new(cents.into(), 2), Decimal::new(i64::from(cents) * 4, 2)))
}

fn error(fault: &Fault) -> Error {
    let mut error = Error::new(fault.kind, "scripted");
    error = fault.hint.map_or(error.clone(), |hint| error.with_retry_after(hint));
    error = fault.should_retry.map_or(error.clone(), |should| error.with_should_retry(should));
    fault.status.map_or(error.clone(), |status| error.with_status(status))
}

/// What a piece is on the wire. Every text says who said it, and when.
pub(crate) fn event(piece: Piece, (member, nth, place): (usize, usize, usize)) -> StreamEvent {
    match piece {
        Piece::Started => StreamEvent::Started(Started::default()),
        Piece::Text => StreamEvent::Text(format!("m{member} n{nth} p{place} ")),
        Piece::NoText => StreamEvent::Text(String::new()),
        Piece::Reasoning => StreamEvent::Reasoning(format!("r{place} ")),
        Piece::ToolCall => StreamEvent::ToolCall(ToolCallDelta {
            index: u32::try_from(place).unwrap(),
            id: Some(format!("c{member}-{nth}-{place}")),
            name: Some("look".into()),
            arguments: "{}".into(),
        }),
        Piece::Refusal => StreamEvent::Refusal("no".into()),
        Piece::Working => StreamEvent::Working,
        Piece::Usage(tokens) => StreamEvent::Usage(usage(tokens)),
        Piece::Discard => StreamEvent::Discard,
    }
}

/// Some providers say more, some less.
pub(crate) fn usage(tokens: u64) -> Usage {
    Usage {
        input_tokens: (!tokens.is_multiple_of(3)).then_some(tokens),
        output_tokens: Some(tokens / 2),
        cache_read_tokens: tokens.is_multiple_of(5).then_some(tokens * 3),
        cache_write_tokens: tokens.is_multiple_of(7).then_some(tokens * 2),
        reasoning_tokens: None,
    }
}

fn step(take: &Take, member: usize, nth: usize) -> Step {
    let step = match &take.way {
        Way::PrepareError(fault) => Step::prepare_error(error(fault)),
        Way::PrepareStall => Step::prepare_stall(),
        Way::ConnectError(fault) => Step::connect_error(error(fault)),
        Way::ConnectStall => Step::connect_stall(),
        Way::Refused(fault) => Step::error(error(fault)),
        Way::Stall => Step::stall(),
        Way::Panic => Step::panic(),
        Way::Answer => Step::events([]),
    };
    let mut step =
        step.prepared_after(ms(take.prepare)).connected_after(ms(take.connect)).delayed(ms(take.opening));
    if !matches!(take.way, Way::Answer) {
        return step;
    }
    let after = |step: Step, pause: u64| if pause > 0 { step.after(ms(pause)) } else { step };
    for (place, (pause, piece)) in take.pieces.iter().enumerate() {
        step = after(step, *pause).then_event(event(*piece, (member, nth, place)));
    }
    step = after(step, take.tail.0);
    match &take.tail.1 {
        Tail::Finish { reason, usage: told, late } => {
            step = told.iter().fold(step, |step, tokens| step.then_event(StreamEvent::Usage(usage(*tokens))));
            step = step.then_event(StreamEvent::Finish(*reason));
            let Some((pause, late)) = late else { return step };
            step = after(step, *pause);
            match late {
                Late::Usage(tokens) => step.then_event(StreamEvent::Usage(usage(*tokens))),
                Late::Error(fault) => step.then_error(error(fault)),
                Late::Stall => step.then_stall(),
                Late::Panic => step.then_panic(),
            }
        }
        Tail::Cut => step.then_end(),
        Tail::Error(fault) => step.then_error(error(fault)),
        Tail::Stall => step.then_stall(),
        Tail::Panic => step.then_panic(),
    }
}

pub(crate) fn policy(rules: &Rules) -> Policy {
    let policy = match rules.base {
        Base::Default => Policy::default(),
        Base::Keel => Policy::keel(),
        Base::Robust => Policy::robust(),
    };
    let hedge = rules.hedge.map(|hedge| match hedge {
        Hedging::After(delay) => Hedge::after(delay),
        Hedging::Observed(share) => Hedge::observed(share),
    });
    rules
        .stop_on
        .iter()
        .fold(policy, |policy, kind| policy.stop_on(*kind))
        .transient_retries(rules.retries)
        .retry_timeouts(rules.retry_timeouts)
        .wait_out_backpressure(rules.wait_out)
        .backoff(rules.backoff.0, rules.backoff.1)
        .restart_on_cut(rules.restart)
        .hedge(hedge)
        .wait_when_unavailable(rules.wait)
}

pub(crate) fn fan_out(seating: &Seating) -> FanOut {
    let mut fan_out = FanOut::new(seating.quorum)
        .grace(seating.grace)
        .bench(seating.bench.iter().map(|member| key(*member)));
    fan_out = seating.cutoff.map_or(fan_out.clone(), |cutoff| fan_out.cutoff(cutoff));
    fan_out = seating.concurrency.map_or(fan_out.clone(), |places| fan_out.concurrency(places));
    match &seating.seats {
        Some(seats) => fan_out.seats(seats.iter().map(|member| key(*member))),
        None => fan_out,
    }
}

pub(crate) fn request(number: usize, ask: &Ask) -> Request {
    let mut message = Message::user(format!("call {number}"));
    if ask.needs.images {
        message = message.image(Image::url("https://example.com/a.png"));
    }
    let mut request = Request::new([message]);
    if ask.needs.tools {
        request = request.tool(Tool::new("look", serde_json::json!({})));
    }
    if ask.needs.json {
        request = request.response_format(ResponseFormat::JsonObject);
    }
    request.max_tokens = ask.max_tokens;
    request
}

pub(crate) fn call(number: usize, ask: &Ask) -> llm_reliability::Call {
    let call = llm_reliability::Call::new(request(number, ask))
        .timeouts(ask.timeouts)
        .fan_out(fan_out(&ask.seating));
    ask.rules.iter().fold(call, |call, rules| call.policy(policy(rules)))
}

/// Which call a request is from.
pub(crate) fn call_of(request: &Request) -> usize {
    request.messages[0].text().strip_prefix("call ").unwrap().parse().unwrap()
}

struct Watcher {
    log: Log,
    breaker: Arc<InProcessBreaker>,
}

impl Observer for Watcher {
    fn on_attempt(&self, attempt: &Attempt) {
        let snapshots = self.breaker.snapshots();
        let status =
            snapshots.iter().find(|(key, _)| *key == attempt.model_key).map(|(_, found)| found.status);
        let status = status.unwrap_or_default();
        let open = status.state == circuit_breaker::State::Open;
        self.log.write(What::Landed { attempt: Box::new(attempt.clone()), open, failures: status.failures });
    }
}

/// An order, and what came of it.
struct Watched {
    order: Arc<dyn Order>,
    log: Log,
}

#[async_trait]
impl Order for Watched {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        let before = lineup.iter().map(|candidate| candidate.position()).collect();
        let speeds = lineup.listed().map(|candidate| candidate.first_token(1)).collect();
        let arranged = self.order.arrange(lineup).await;
        let in_flight = lineup.listed().map(|candidate| candidate.in_flight()).collect();
        let line = lineup.iter().map(|candidate| candidate.position()).collect();
        self.log.write(What::Arranged { before, line, in_flight, speeds });
        arranged
    }
}

struct Own(Ordering);

#[async_trait]
impl Order for Own {
    async fn arrange(&self, lineup: &mut Lineup<'_>) -> Result<(), RotationError> {
        lineup.sort_by_key(|candidate| std::cmp::Reverse(candidate.position()));
        match self.0 {
            Ordering::TakesTime(time) => tokio::time::sleep(ms(time)).await,
            Ordering::Refuses => return Err(RotationError::StoreUnavailable),
            _ => {}
        }
        Ok(())
    }
}

fn order(order: Ordering) -> Option<Arc<dyn Order>> {
    Some(match order {
        Ordering::Unset => return None,
        Ordering::Listed => Arc::new(Listed),
        Ordering::RoundRobin => Arc::new(RoundRobin::default()),
        Ordering::Weighted => Arc::new(Weighted),
        Ordering::LeastInFlight => Arc::new(LeastInFlight),
        Ordering::Fastest { samples, explore } => {
            Arc::new(FastestFirstToken::default().samples(samples).explore(explore))
        }
        Ordering::Panics => Arc::new(|lineup: &mut Lineup<'_>| {
            lineup.start_with(usize::MAX);
            panic!("the script says: panic");
        }),
        own => Arc::new(Own(own)),
    })
}
