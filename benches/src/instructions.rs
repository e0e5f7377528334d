//! Instructions an operation, counted by Valgrind's callgrind: they hardly differ from run to run, where times do.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{ErrorKind, Write};
use std::process::Command;

use crate::report::{legend, title};
use crate::row::{Body, Failure, Group, Row};
use crate::table::{Table, number};

/// Operations of the shorter run, at least.
const LEAST: u32 = 2_000;
/// Wholes of the shorter run, so that what comes once in several does not come in one of the two runs by chance.
const WHOLES: u32 = 5;

/// Counts the instructions of `rows`, and writes tables. Where there is no Valgrind, it says so.
pub(crate) fn write(
    out: &mut impl Write,
    groups: &[Group],
    rows: &[&Row],
    markdown: bool,
) -> Result<(), Failure> {
    match Command::new("valgrind").arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            writeln!(out, "valgrind is not installed: no instructions were counted")?;
            return Ok(());
        }
        output => write!(out, "{}", String::from_utf8_lossy(&output?.stdout))?,
    }
    let mut counts = BTreeMap::new();
    for row in rows {
        counts.insert(row.id, count(row).map_err(|error| format!("{}: {error}", row.id))?);
    }
    for group in groups {
        let rows: Vec<_> = group.rows.iter().filter(|row| counts.contains_key(row.id)).collect();
        if !rows.is_empty() {
            title(out, group.title, markdown)?;
            write!(out, "{}", table(&rows, &counts).text(markdown))?;
            legend(out, &rows, markdown)?;
        }
    }
    Ok(())
}

fn table(rows: &[&Row], counts: &BTreeMap<&str, f64>) -> Table {
    let mut table = Table::new(&["row", "instructions", "x floor", "x peer", ""]);
    for row in rows {
        let Some(own) = counts.get(row.id) else { continue };
        let beside =
            |other: Option<&str>| other.and_then(|id| counts.get(id)).map(|other| number(own / other));
        let [floor, peer] = [row.floor, row.peer].map(|other| beside(other).unwrap_or_default());
        table.push([row.id.to_owned(), format!("{own:.1}"), floor, peer, String::new()]);
    }
    table
}

/// The instructions of one operation: what a run of twice as many takes more, so that what comes once cancels out.
fn count(row: &Row) -> Result<f64, Failure> {
    let times = row.whole.saturating_mul(WHOLES).max(LEAST);
    let more = collected(row.id, times * 2)?.checked_sub(collected(row.id, times)?);
    let more = more.ok_or("a longer run took fewer instructions")?;
    Ok(f64::from(u32::try_from(more)?) / f64::from(times))
}

/// Runs this program under callgrind, which collects inside of [`counted`] only.
fn collected(id: &str, times: u32) -> Result<u64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*instructions*counted*")
        .arg(std::env::current_exe()?)
        .args(["--count", id, "--times", &times.to_string()])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind failed: {log}").into());
    }
    match parse(&log) {
        None | Some(0) => Err(format!("valgrind collected nothing: {log}").into()),
        Some(collected) => Ok(collected),
    }
}

/// Reads `==123== Collected : 456`.
fn parse(log: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.split_whitespace().next()?.parse().ok()
}

/// The part of the program that runs under callgrind: one row, in one thread.
pub(crate) fn run(row: &Row, times: u32) -> Result<(), Failure> {
    let mut body = (row.setup)()?(0);
    // What is made when it is first needed is made now.
    if !body.check(LEAST.next_multiple_of(row.whole)) {
        return Err(format!("{} did not do what it should", row.id).into());
    }
    counted(&mut *body, times);
    Ok(())
}

/// A function of its own, and not the last thing that its caller does, so that callgrind sees it begin and end.
#[inline(never)]
fn counted(body: &mut dyn Body, times: u32) {
    body.run(black_box(times));
    black_box(());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_valgrinds_words() {
        let log = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n==7== I   refs:      123,456\n";
        assert_eq!(parse(log), Some(123_456));
        assert_eq!(parse("==7== Events : Ir\n"), None);
    }
}
