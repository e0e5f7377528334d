//! The main job in five seconds: an answer streamed live although one vendor was overloaded and another stayed silent,
//! then several models asked at once.
//!
//! `cargo run --bin quickstart` needs no key and no network: a simulator on loopback plays the vendors. With
//! `-- --live` the real ones answer whose keys are in `ANTHROPIC_API_KEY` and `OPENAI_API_KEY`.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anstyle::Style;
use clap::Parser;
use futures::StreamExt;
use llm_adapters::{Anthropic, OpenAi};
use llm_examples::{Paint, Wrapped, attempts, seconds, tint};
use llm_protocol::StreamEvent;
use llm_reliability::{Attempt, Candidate, Report, ResilientClient, Timeouts};
use llm_simulator::{Behaviour, Simulator};
use tokio::time::Instant;

const QUESTION: &str = "Why is the sky blue? Answer in two sentences.";
const ANSWER: &str = "Sunlight holds every colour, and the air scatters the short blue waves far more than the long \
                      red ones. So wherever you look, some of that scattered blue reaches your eye.";
const MARGIN: &str = "    ";

/// Shows a failover and a fan-out, offline or with real vendors.
#[derive(Parser)]
struct Options {
    /// Let the real vendors answer whose keys are in `ANTHROPIC_API_KEY` and `OPENAI_API_KEY`.
    #[arg(long)]
    live: bool,
    /// The Anthropic model to ask with --live.
    #[arg(long, default_value = "claude-haiku-4-5")]
    anthropic_model: String,
    /// The OpenAI model to ask with --live.
    #[arg(long, default_value = "gpt-5-mini")]
    openai_model: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "quickstart: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether both strategies came to an answer.
async fn run(options: Options) -> Result<bool, Box<dyn Error>> {
    let simulator = Simulator::start().await?;
    let vendors = if options.live { real(&options)? } else { simulated(&simulator)? };
    let bold = Style::new().bold();
    let mut out = anstream::stdout();
    let cast = if options.live { "the vendors that fail" } else { "all vendors" };
    writeln!(out, "\nA simulator at {} plays {cast}.", simulator.base_url())?;

    writeln!(out, "\n{} one good answer, streamed\n", Paint(bold, "failover_stream:"))?;
    let one = failover(&simulator, &vendors).await?;
    show(&one)?;

    writeln!(out, "\n{} all at once, every answer kept\n", Paint(bold, "fan_out:"))?;
    let all = fan_out(&simulator, &vendors).await?;
    for (key, response) in all.responses() {
        writeln!(out, "{MARGIN}{}", Paint(bold, key))?;
        let mut text = Wrapped::new(anstream::stdout(), "      ", 90)?;
        text.push(response.text.trim())?;
        text.finish()?;
    }
    show(&all)?;
    writeln!(out)?;
    Ok(one.succeeded() && all.succeeded())
}

/// Two that fail, each in its own way, and then those that answer. Nobody waits for the first, and nobody waits long
/// for the second.
async fn failover(simulator: &Simulator, vendors: &[Candidate]) -> Result<Report, Box<dyn Error>> {
    simulator.on("claude-busy", Behaviour::status(529));
    simulator.on("gpt-silent", Behaviour::keep_alives_only(Duration::from_millis(200)));
    let silent = OpenAi::builder("gpt-silent").base_url(format!("{}/v1", simulator.base_url())).build()?;
    let client = ResilientClient::builder()
        .candidate(Anthropic::builder("claude-busy").base_url(simulator.base_url()).build()?)
        .candidate(Candidate::from(silent).timeouts(Timeouts::new().first_token(Duration::from_secs(1))))
        .candidates(vendors.iter().cloned())
        .observer(live_line(Instant::now()))
        .build()?;

    let mut stream = client.failover_stream(QUESTION).await?;
    let mut out = anstream::stdout();
    writeln!(out)?;
    let mut text = Wrapped::new(anstream::stdout(), "    │ ", 90)?;
    while let Some(event) = stream.next().await {
        match event {
            Ok(StreamEvent::Text(delta)) => text.push(&delta)?,
            Ok(_) => {}
            Err(error) => text.push(&format!("[{error}]"))?,
        }
    }
    text.finish()?;
    Ok(stream.into_report())
}

/// Three seats, one of them throttled: it is healthy, so it is deferred and not counted as a failure.
async fn fan_out(simulator: &Simulator, vendors: &[Candidate]) -> Result<Report, Box<dyn Error>> {
    simulator.on("claude-throttled", Behaviour::status(429).header("retry-after", "7"));
    let mut seats = vendors.to_vec();
    let throttled = Anthropic::builder("claude-throttled").base_url(simulator.base_url()).build()?;
    seats.insert(1, throttled.into());
    Ok(ResilientClient::builder().candidates(seats).build()?.fan_out(QUESTION).await?)
}

/// What the simulator answers with: two hosts, of two formats.
fn simulated(simulator: &Simulator) -> Result<Vec<Candidate>, Box<dyn Error>> {
    let answer = Behaviour::answer(ANSWER).delay(Duration::from_millis(80));
    simulator.on("llama-steady", answer.token_delay(Duration::from_millis(40)));
    simulator.on("claude-steady", Behaviour::answer("Because air scatters blue light the most."));
    let llama = OpenAi::builder("llama-steady").provider("groq");
    Ok(vec![
        llama.base_url(format!("{}/openai/v1", simulator.base_url())).build()?.into(),
        Anthropic::builder("claude-steady").base_url(simulator.base_url()).build()?.into(),
    ])
}

/// The vendors whose keys are in the environment.
fn real(options: &Options) -> Result<Vec<Candidate>, Box<dyn Error>> {
    let models = [("anthropic", &options.anthropic_model), ("openai", &options.openai_model)];
    let ready = llm_client::from_env(models)?;
    for skipped in &ready.skipped {
        writeln!(anstream::stderr(), "quickstart: without {skipped}")?;
    }
    Ok(ready.client.candidates().cloned().collect())
}

/// An observer that prints what is left behind, when it is left behind.
fn live_line(start: Instant) -> impl Fn(&Attempt) + Send + Sync {
    move |attempt| {
        if attempt.succeeded() {
            return;
        }
        let at = Paint(Style::new().dimmed(), format!("{:>8}", seconds(start.elapsed())));
        let why = attempt.error().map(ToString::to_string).unwrap_or_default();
        let name = Paint(tint(attempt), &attempt.model_key);
        let _ = writeln!(anstream::stdout(), "{MARGIN}{at}  {name}: {why}");
    }
}

/// The table of attempts, and the sum of it.
fn show(report: &Report) -> io::Result<()> {
    let mut out = anstream::stdout();
    writeln!(out)?;
    attempts(&mut out, MARGIN, report.attempts())?;
    let mut facts = vec![
        format!("{} of {} answered", report.responses().count(), report.attempts().len()),
        format!("{} in all", seconds(report.elapsed())),
    ];
    facts.extend(report.usage().total().map(|tokens| format!("{tokens} tokens")));
    facts.extend(report.degraded().then(|| "degraded: not everything went as it should".to_owned()));
    writeln!(out, "\n{MARGIN}{}", Paint(Style::new().dimmed(), facts.join(" · ")))
}
