//! The strategies with a real adapter over loopback HTTP, beside reqwest by hand that does the same work.

mod hand;
mod load;
mod ours;
mod place;
mod provider;
mod report;
mod rounds;
mod row;
mod rows;
mod server;
mod stalled;
mod wire;

use std::collections::BTreeSet;
use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use llm_benches::{Failure, facts, load as machine_load};
use tokio::runtime::{Builder, Runtime};

use crate::provider::{Provider, Witness};
use crate::report::Held;
use crate::rounds::{Plan, measure};
use crate::row::{Row, now};

/// Measures calls over HTTP beside the same by hand.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
struct Options {
    /// Only rows whose name contains one of these, and what they are compared with.
    filters: Vec<String>,
    /// Run everything briefly: shows that it works, and nothing else.
    #[arg(long, conflicts_with_all = ["rounds", "slice", "processes"])]
    quick: bool,
    /// Print tables as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Name the rows and run nothing.
    #[arg(long)]
    list: bool,
    /// How often each row is measured.
    #[arg(long, default_value_t = 40)]
    rounds: u32,
    /// How long a row is measured each time, in milliseconds.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    slice: u64,
    /// How many processes hold streams, one after the other, for each row that does.
    #[arg(long, default_value_t = 7)]
    processes: u32,
    /// What a profiler runs: this row alone, and nothing printed.
    #[arg(long, hide = true)]
    count: Option<String>,
    /// With `--count`: so many calls.
    #[arg(long, hide = true, default_value_t = 1)]
    times: u32,
    /// With `--count`: so many at once.
    #[arg(long, hide = true, default_value_t = 1)]
    at_once: usize,
    /// What the server's process runs.
    #[arg(long, hide = true)]
    serve: bool,
    /// What a process runs that holds streams.
    #[arg(long, hide = true, requires = "server")]
    hold: Option<String>,
    /// With `--hold`: where the server is.
    #[arg(long, hide = true)]
    server: Option<SocketAddr>,
    /// With `--hold`: so many.
    #[arg(long, hide = true, default_value_t = 1)]
    streams: usize,
}

fn main() -> ExitCode {
    match execute(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(options: &Options) -> Result<(), Failure> {
    if options.serve {
        return server::serve();
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    if let Some((id, server)) = options.hold.as_ref().zip(options.server) {
        return runtime.block_on(stalled::hold(id, server, options.streams));
    }
    place::raise_files();
    let provider = Provider::start()?;
    let rows = rows::rows(provider.address)?;
    if let Some(id) = &options.count {
        let row = rows.iter().find(|row| row.id == id).ok_or("there is no such row")?;
        return runtime.block_on(load::run(row, options.at_once, options.times)).map(drop);
    }
    let (rows, kinds) = chosen(&rows, &options.filters)?;
    let mut out = stdout();
    if options.list {
        for id in rows.iter().map(|row| row.id).chain(kinds.iter().map(|kind| kind.id)) {
            writeln!(out, "{id}")?;
        }
        return Ok(());
    }
    writeln!(out, "llm-reliability with llm-adapters over loopback HTTP, beside reqwest by hand")?;
    for fact in facts() {
        writeln!(out, "{fact}")?;
    }
    writeln!(out, "{}", place::keep_apart(provider.id()))?;
    writeln!(out, "client and server each a process with one thread; HTTP/1.1, connections kept alive")?;
    run(&mut out, &runtime, &provider, &rows, &kinds, options)
}

fn run(
    out: &mut impl Write,
    runtime: &Runtime,
    provider: &Provider,
    rows: &[&Row],
    kinds: &[&'static stalled::Kind],
    options: &Options,
) -> Result<(), Failure> {
    let (plan, processes, streams) = if options.quick {
        (Plan { rounds: 2, slice: Duration::from_millis(1) }, 1, 50)
    } else {
        let plan = Plan { rounds: options.rounds.max(1), slice: Duration::from_millis(options.slice) };
        (plan, options.processes.max(1), 1_000)
    };
    let (load, start) = (machine_load(), now());
    let mut held: Held = kinds.iter().map(|kind| (*kind, Vec::new())).collect();
    for _ in 0..processes {
        for (kind, measured) in &mut held {
            measured.push(stalled::measure(kind, provider.address, streams)?);
        }
    }
    let series = runtime.block_on(async {
        let mut witness = Witness::new(provider.address).await?;
        measure(rows, plan, &mut witness).await
    })?;
    let Plan { rounds, slice, .. } = plan;
    let (took, after) = (start.elapsed().as_secs_f64(), machine_load());
    writeln!(out, "{rounds} rounds in turns of {slice:?}; {took:.0} s; load {load} before, {after} after")?;
    writeln!(out, "numbers: medians of the rounds; x peer, - peer: medians of the rounds' own")?;
    if !rows.is_empty() {
        report::write_calls(out, rows, &series, options.markdown)?;
    }
    if !held.is_empty() {
        report::write_held(out, &held, streams, options.markdown)?;
    }
    Ok(())
}

/// The rows that a filter names, and those they are compared with. Each filter has to name some: nothing measured is
/// no success.
fn chosen<'a>(
    rows: &'a [Row],
    filters: &[String],
) -> Result<(Vec<&'a Row>, Vec<&'static stalled::Kind>), Failure> {
    let ids: Vec<_> =
        rows.iter().map(|row| row.id).chain(stalled::KINDS.iter().map(|kind| kind.id)).collect();
    if let Some(filter) = filters.iter().find(|filter| !ids.iter().any(|id| id.contains(&***filter))) {
        return Err(format!("no row's name contains {filter:?}. There are:\n{}", ids.join("\n")).into());
    }
    let named = |id: &str| filters.is_empty() || filters.iter().any(|filter| id.contains(&**filter));
    let wanted = rows.iter().filter(|row| named(row.id));
    let wanted: BTreeSet<_> = wanted.flat_map(|row| [Some(row.id), row.peer]).flatten().collect();
    Ok((rows.iter().filter(|row| wanted.contains(row.id)).collect(), report::kinds(named)))
}
