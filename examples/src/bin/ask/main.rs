//! One prompt through the library from the shell: the answer, or the whole report as JSON.
//!
//! `ask --config FILE.toml --strategy failover|fan_out [--stream] [--json] [-- PROMPT]`; the prompt comes from standard
//! input when there is none. It exits with 0 when there is an answer, 1 when there is none, and 2 for bad input or a
//! setting that this build does not have.

mod output;

use std::error::Error;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use futures::StreamExt;
use llm_client::{Config, Registry};
use llm_protocol::StreamEvent;
use llm_reliability::{Report, ResilientClient};

use crate::output::Output;

/// Sends one prompt to the models of a configuration. Exits with 0 when there is an answer, 1 when there is none, and 2
/// for bad input or a setting that this build does not have.
#[derive(Parser)]
#[command(name = "ask", version)]
struct Options {
    /// The candidates and what decides between them, as TOML.
    #[arg(long, value_name = "FILE.toml")]
    config: PathBuf,
    /// One good answer, or several that are asked for side by side.
    #[arg(long, value_enum, default_value_t = Strategy::Failover)]
    strategy: Strategy,
    /// Print the answer while it arrives; failover only.
    #[arg(long)]
    stream: bool,
    /// Print the report as the last line, as JSON.
    #[arg(long)]
    json: bool,
    /// What to ask; standard input without it.
    #[arg(last = true)]
    prompt: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Strategy {
    Failover,
    #[value(name = "fan_out", alias = "fan-out")]
    FanOut,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Options::try_parse() {
        Ok(options) => run(options).await,
        Err(error) if error.use_stderr() => Err(output::usage(&error).into()),
        // `--help` and `--version`.
        Err(text) => Ok(text.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)),
    };
    done.unwrap_or_else(|error| {
        output::complain(&error.to_string());
        ExitCode::from(2)
    })
}

/// An error is bad input; everything else is told by the report.
async fn run(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    if options.stream && options.strategy == Strategy::FanOut {
        return Err("--stream is for failover: the answers of a fan_out arrive side by side".into());
    }
    let client = client(&options.config)?;
    let prompt = prompt(&options.prompt)?;
    let mut output = Output::new(io::stdout().lock());
    let report = match options.strategy {
        Strategy::FanOut => client.fan_out(prompt).await?,
        Strategy::Failover if options.stream => stream(&client, prompt, &mut output).await?,
        Strategy::Failover => client.failover(prompt).await?,
    };
    if options.json {
        output.line(&serde_json::to_string(&report)?);
    } else {
        if !options.stream {
            output.answers(&report);
        }
        if !report.succeeded() && !output.is_gone() {
            let _ = output::explain(&report, &mut io::stderr().lock());
        }
    }
    // What the attempts were like is for others to know too. Whether it reached them changes nothing about the answer.
    client.shutdown().await;
    Ok(match output.finish() {
        Ok(()) if report.succeeded() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            output::complain(&format!("cannot write the answer: {error}"));
            ExitCode::FAILURE
        }
    })
}

fn client(path: &Path) -> Result<ResilientClient, Box<dyn Error>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let config = Config::from_toml(&text).map_err(|error| format!("{shown}: {error}"))?;
    Ok(config.build(&Registry::new()).map_err(|error| format!("{shown}: {error}"))?)
}

fn prompt(words: &[String]) -> Result<String, Box<dyn Error>> {
    if !words.is_empty() {
        return Ok(words.join(" "));
    }
    let mut stdin = io::stdin();
    if stdin.is_terminal() {
        return Err("no prompt: give one after `--`, or on standard input".into());
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).map_err(|error| format!("cannot read the prompt: {error}"))?;
    // What `echo` adds is not meant for the model.
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// Prints the answer while it arrives. When nobody reads it any more, the call ends.
async fn stream(
    client: &ResilientClient,
    prompt: String,
    output: &mut Output<impl Write>,
) -> Result<Report, Box<dyn Error>> {
    let mut answer = client.failover_stream(prompt).await?;
    while let Some(event) = answer.next().await {
        match event {
            Ok(StreamEvent::Text(text)) => output.text(&text),
            // What is printed stays printed: the new answer starts on a line of its own.
            Ok(StreamEvent::Discard) => {
                output.end_line();
                output::complain("the answer was cut, and another candidate starts anew");
            }
            _ => {}
        }
        if output.has_failed() {
            break;
        }
    }
    output.end_line();
    Ok(answer.into_report())
}
