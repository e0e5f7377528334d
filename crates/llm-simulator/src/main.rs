//! The simulator as a program: prints its base URL and serves until it is interrupted.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use clap::Parser;
use llm_simulator::{Behaviour, Script, Simulator};

/// A provider of language models that misbehaves on demand.
///
/// The model's name says how: `claude-x!status=529` is overloaded, `gpt-x!first-token=5s` is slow. The README lists
/// every directive.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Listens even if the address can be reached from other machines.
    #[arg(long)]
    allow_remote: bool,
    /// What a model gets, as MODEL=DIRECTIVES (`gpt-x=status=503!then!text=Back`); can be given several times.
    #[arg(long = "on", value_name = "MODEL=DIRECTIVES", value_parser = scripted)]
    scripts: Vec<(String, Script)>,
    /// What every other model gets, as directives.
    #[arg(long, value_name = "DIRECTIVES")]
    otherwise: Option<Behaviour>,
    /// The API key that requests must have; without it all are let in.
    #[arg(long)]
    key: Option<String>,
}

fn scripted(argument: &str) -> Result<(String, Script), String> {
    let (model, directives) = argument.split_once('=').ok_or("there is no `=` after the model")?;
    let script = directives.parse().map_err(|error: llm_simulator::ParseBehaviourError| error.to_string())?;
    Ok((model.to_owned(), script))
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "llm-simulator: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> std::io::Result<()> {
    if !arguments.address.is_loopback() && !arguments.allow_remote {
        let why = format!(
            "{} is no loopback address; --allow-remote listens there all the same",
            arguments.address
        );
        return Err(std::io::Error::other(why));
    }
    let simulator = Simulator::bind(SocketAddr::new(arguments.address, arguments.port)).await?;
    for (model, script) in arguments.scripts {
        simulator.script(&model, script);
    }
    if let Some(behaviour) = arguments.otherwise {
        simulator.otherwise(behaviour);
    }
    if let Some(key) = arguments.key {
        simulator.require_key(key);
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", simulator.base_url())?;
    stdout.flush()?;
    tokio::signal::ctrl_c().await?;
    simulator.stop().await;
    Ok(())
}
