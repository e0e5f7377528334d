//! The command line that every benchmark has.

use std::collections::BTreeSet;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::rounds::{Plan, THREADS, measure};
use crate::row::{Failure, Group, Row};
use crate::{instructions, machine, report};

/// Measures operations beside their floors and their peers.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
struct Options {
    /// Only rows whose name contains one of these, and what they are compared with.
    filters: Vec<String>,
    /// Run everything briefly: shows that it works, and nothing else.
    #[arg(long, conflicts_with_all = ["rounds", "slice", "instructions"])]
    quick: bool,
    /// Count instructions under Valgrind instead, with one thread.
    #[arg(long, conflicts_with_all = ["rounds", "slice"])]
    instructions: bool,
    /// Print tables as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Name the rows and run nothing.
    #[arg(long)]
    list: bool,
    /// Also measure keel, a package for Python: it is installed below the target folder, from the network.
    #[arg(long, conflicts_with = "instructions")]
    keel: bool,
    /// How often each row is measured.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// How long a row is measured each time, in milliseconds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    slice: u64,
    /// What Valgrind runs: this row alone, and nothing printed.
    #[arg(long, hide = true)]
    count: Option<String>,
    /// With `--count`: so many operations.
    #[arg(long, hide = true, default_value_t = 1)]
    times: u32,
}

/// Runs a benchmark as the command line says. This is its `main`.
pub fn run(title: &str, groups: &[Group]) -> ExitCode {
    match execute(title, groups, &Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(title: &str, groups: &[Group], options: &Options) -> Result<(), Failure> {
    let mut out = stdout();
    if let Some(id) = &options.count {
        let row = rows(groups).find(|row| row.id == id).ok_or("there is no such row")?;
        return instructions::run(row, options.times);
    }
    if options.keel && !rows(groups).any(|row| row.needs_keel) {
        return Err("keel has nothing to do with this".into());
    }
    let rows = chosen(groups, options)?;
    if options.list {
        for row in rows {
            writeln!(out, "{}", row.id)?;
        }
        return Ok(());
    }
    writeln!(out, "{title}")?;
    for fact in machine::facts() {
        writeln!(out, "{fact}")?;
    }
    if options.instructions {
        return instructions::write(&mut out, groups, &rows, options.markdown);
    }
    let plan = if options.quick {
        Plan { rounds: 3, slice: Duration::from_micros(200), steady: false }
    } else {
        Plan { rounds: options.rounds.max(1), slice: Duration::from_millis(options.slice), steady: true }
    };
    let (load, start) = (machine::load(), now());
    let series = measure(&rows, plan)?;
    let Plan { rounds, slice, .. } = plan;
    writeln!(
        out,
        "{} rows with {THREADS:?} threads, {rounds} rounds in turns of {slice:?}; {:.0} s; load {load} before, {} after",
        rows.len(),
        start.elapsed().as_secs_f64(),
        machine::load(),
    )?;
    writeln!(
        out,
        "ns: of one thread for one operation, the median of the rounds; ratios: medians of the rounds' ratios"
    )?;
    report::write(&mut out, groups, &series, options.markdown)?;
    Ok(())
}

fn rows(groups: &[Group]) -> impl Iterator<Item = &Row> {
    groups.iter().flat_map(|group| &group.rows)
}

/// The rows that a filter names, and those they are compared with. Each filter has to name some: nothing measured is
/// no success.
fn chosen<'a>(groups: &'a [Group], options: &Options) -> Result<Vec<&'a Row>, Failure> {
    let Options { filters, keel, .. } = options;
    let rows = || rows(groups).filter(|row| *keel || !row.needs_keel);
    if let Some(filter) = filters.iter().find(|filter| !rows().any(|row| row.id.contains(&***filter))) {
        let ids: Vec<_> = rows().map(|row| row.id).collect();
        return Err(format!("no row's name contains {filter:?}. There are:\n{}", ids.join("\n")).into());
    }
    let named = |row: &&Row| filters.is_empty() || filters.iter().any(|filter| row.id.contains(&**filter));
    let wanted = rows().filter(named);
    let wanted: BTreeSet<_> = wanted.flat_map(|row| [Some(row.id), row.floor, row.peer]).flatten().collect();
    Ok(rows().filter(|row| wanted.contains(row.id)).collect())
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::each;

    #[test]
    fn a_filter_brings_along_what_its_rows_are_compared_with() {
        let row = |id| Row::new(id, "", || each(|_| || true));
        let groups = [Group {
            title: "",
            rows: vec![
                row("floor"),
                row("other"),
                row("ours").floor("floor").peer("peer"),
                row("peer"),
                row("beside").peer("keel"),
                row("keel").needs_keel(),
            ],
        }];
        let ids = |arguments: &[&str]| {
            let options = Options::parse_from([&["bench"], arguments].concat());
            let rows = chosen(&groups, &options).map_err(|error| error.to_string())?;
            Ok::<_, String>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(&[]).unwrap(), ["floor", "other", "ours", "peer", "beside"]);
        assert_eq!(ids(&["our"]).unwrap(), ["floor", "ours", "peer"]);
        assert_eq!(ids(&["peer", "oth"]).unwrap(), ["other", "peer"]);
        assert_eq!(ids(&["besi"]).unwrap(), ["beside"]);
        assert_eq!(ids(&["besi", "--keel"]).unwrap(), ["beside", "keel"]);
        assert_eq!(
            ids(&["our", "none"]).unwrap_err(),
            "no row's name contains \"none\". There are:\nfloor\nother\nours\npeer\nbeside"
        );
    }
}
