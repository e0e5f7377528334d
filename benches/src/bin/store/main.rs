//! The backends with a shared store beside what one asks of the store by hand, and while it stands still.

mod floors;
mod frozen;
mod hand;
mod load;
mod looks;
mod ours;
mod pace;
// A thousand streams at once are not for this one.
#[path = "../http/place.rs"]
#[expect(dead_code, reason = "the other half is for the benchmark over HTTP")]
mod place;
mod report;
mod rounds;
mod row;
mod server;
mod views;

use std::collections::BTreeSet;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use llm_benches::{Failure, facts, load as machine_load};
use tokio::runtime::{Builder, Runtime};

use crate::row::{Row, now};
use crate::server::Servers;
use crate::views::View;

/// Measures what a shared store costs.
#[derive(Debug, Parser)]
struct Options {
    /// Only rows whose name contains one of these, and what they are compared with.
    filters: Vec<String>,
    /// Run everything briefly: shows that it works, and nothing else.
    #[arg(long, conflicts_with_all = ["rounds", "slice", "episodes"])]
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
    /// How often the store stands still.
    #[arg(long, default_value_t = 5)]
    episodes: u32,
    /// What a profiler runs: this row alone, and nothing printed.
    #[arg(long, hide = true)]
    count: Option<String>,
    /// With `--count`: so many calls.
    #[arg(long, hide = true, default_value_t = 1)]
    times: u32,
    /// With `--count`: so many at once.
    #[arg(long, hide = true, default_value_t = 1)]
    at_once: usize,
}

/// How long everything takes.
struct Plan {
    rounds: rounds::Plan,
    looks: Duration,
    frozen: frozen::Plan,
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
    // Whoever asks for a view is no thread of a runtime, which looks again while others call.
    let behind = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Whoever asks the store shares a thread with what sends and receives, so that client and server have a core each.
    let asking = Builder::new_current_thread().enable_all().build()?;
    let servers = behind.block_on(Servers::start())?;
    let rows = asking.block_on(async {
        let mut rows = floors::rows(&servers).await?;
        rows.extend(ours::rows(&servers).await?);
        Ok::<_, Failure>(rows)
    })?;
    let views = behind.block_on(views::views(&servers))?;
    if let Some(id) = &options.count {
        return match (rows.iter().find(|row| row.id == id), views.iter().find(|view| view.id == id)) {
            (Some(row), _) => asking.block_on(load::run(row, options.at_once, options.times)).map(drop),
            (_, Some(view)) => {
                views::count(view, options.times, &behind);
                Ok(())
            }
            _ => Err("there is no such row".into()),
        };
    }
    let chosen = Chosen::new(&rows, &views, &options.filters)?;
    let mut out = stdout();
    if options.list {
        for id in chosen.ids() {
            writeln!(out, "{id}")?;
        }
        return Ok(());
    }
    writeln!(out, "circuit-breaker with Redis and Memcached over loopback, beside the same by hand")?;
    for fact in facts() {
        writeln!(out, "{fact}")?;
    }
    let (load, start) = (machine_load(), now());
    run(&mut out, &[&behind, &asking], &servers, &chosen, options)?;
    let took = start.elapsed().as_secs_f64();
    writeln!(out, "\n{took:.0} s; load {load} before, {} after", machine_load())?;
    Ok(())
}

fn run(
    out: &mut impl Write,
    [behind, asking]: &[&Runtime; 2],
    servers: &Servers,
    chosen: &Chosen<'_>,
    options: &Options,
) -> Result<(), Failure> {
    let Plan { rounds, looks, frozen } = plan(options);
    let markdown = options.markdown;
    writeln!(
        out,
        "{} rounds in turns of {:?}, {} episodes; numbers: medians; ratios: medians of the rounds' own",
        rounds.rounds, rounds.slice, frozen.episodes
    )?;
    writeln!(
        out,
        "servers each in a process of their own; one connection carries all calls of a store, TCP_NODELAY"
    )?;
    if !chosen.views.is_empty() {
        let series = views::measure(&chosen.views, rounds.rounds, rounds.slice, behind)?;
        report::write_views(out, &chosen.views, &series, markdown)?;
    }
    let seen = chosen.looks.iter().map(|kind| Ok((*kind, looks::measure(kind, looks, servers, behind)?)));
    let seen = seen.collect::<Result<Vec<_>, Failure>>()?;
    if !seen.is_empty() {
        report::write_looks(out, &seen, markdown)?;
    }
    let mut held: Vec<_> = chosen.frozen.iter().map(|kind| (*kind, Vec::new())).collect();
    for _ in 0..frozen.episodes {
        for (kind, episodes) in &mut held {
            let measured = behind.block_on(frozen::measure(kind, frozen, servers));
            episodes.push(measured.map_err(|error| format!("{}: {error}", kind.id))?);
        }
    }
    if !held.is_empty() {
        report::write_frozen(out, &held, markdown)?;
    }
    if !chosen.rows.is_empty() {
        // Only now, as threads have to be somewhere else than this one before.
        let server = servers.redis.pid().ok_or("the Redis has ended")?;
        writeln!(out, "\n{}", place::keep_apart(server))?;
        let series = asking.block_on(rounds::measure(&chosen.rows, rounds, servers))?;
        report::write_calls(out, &chosen.rows, &series, markdown)?;
    }
    Ok(())
}

fn plan(options: &Options) -> Plan {
    let ms = Duration::from_millis;
    if options.quick {
        return Plan {
            rounds: rounds::Plan { rounds: 2, slice: ms(1) },
            looks: ms(300),
            frozen: frozen::Plan { episodes: 1, before: ms(100), without: ms(150), behind: ms(50) },
        };
    }
    Plan {
        rounds: rounds::Plan { rounds: options.rounds.max(1), slice: ms(options.slice) },
        looks: ms(3_000),
        frozen: frozen::Plan {
            episodes: options.episodes.max(1),
            before: ms(2_000),
            without: ms(3_000),
            behind: ms(1_000),
        },
    }
}

/// What is to be measured.
struct Chosen<'a> {
    views: Vec<&'a View>,
    looks: Vec<&'static looks::Kind>,
    frozen: Vec<&'static frozen::Kind>,
    rows: Vec<&'a Row>,
}

impl<'a> Chosen<'a> {
    /// The rows that a filter names, and those they are compared with. Each filter has to name some: nothing measured is
    /// no success.
    fn new(rows: &'a [Row], views: &'a [View], filters: &[String]) -> Result<Self, Failure> {
        let all = Self {
            views: views.iter().collect(),
            looks: looks::KINDS.iter().collect(),
            frozen: frozen::KINDS.iter().collect(),
            rows: rows.iter().collect(),
        };
        let ids: Vec<_> = all.ids().collect();
        if let Some(filter) = filters.iter().find(|filter| !ids.iter().any(|id| id.contains(&***filter))) {
            return Err(format!("no row's name contains {filter:?}. There are:\n{}", ids.join("\n")).into());
        }
        let named = |id: &str| filters.is_empty() || filters.iter().any(|filter| id.contains(&**filter));
        let mut wanted: BTreeSet<_> = ids.iter().copied().filter(|id| named(id)).collect();
        for view in all.views.iter().filter(|view| named(view.id)) {
            wanted.extend(view.floor.into_iter().chain(view.peer));
        }
        for row in all.rows.iter().filter(|row| named(row.id)) {
            wanted.extend(row.floor);
        }
        if all.frozen.iter().any(|kind| named(kind.id)) {
            wanted.insert(frozen::ALONE);
        }
        Ok(Self {
            views: all.views.into_iter().filter(|view| wanted.contains(view.id)).collect(),
            looks: all.looks.into_iter().filter(|kind| wanted.contains(kind.id)).collect(),
            frozen: all.frozen.into_iter().filter(|kind| wanted.contains(kind.id)).collect(),
            rows: all.rows.into_iter().filter(|row| wanted.contains(row.id)).collect(),
        })
    }

    fn ids(&self) -> impl Iterator<Item = &'static str> {
        let views = self.views.iter().map(|view| view.id);
        let looks = self.looks.iter().map(|kind| kind.id);
        let frozen = self.frozen.iter().map(|kind| kind.id);
        views.chain(looks).chain(frozen).chain(self.rows.iter().map(|row| row.id))
    }
}
