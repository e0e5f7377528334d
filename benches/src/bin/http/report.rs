//! What was measured, as tables: each row beside its peer and what is asked of it.

use std::io::{self, Write};

use llm_benches::{Spread, Table, number, ratios};

use crate::load::Slice;
use crate::rounds::Series;
use crate::row::{Row, Target};
use crate::stalled::{KINDS, Kind, Measured};

/// What the held streams measured, in the order of [`KINDS`]: of each one number a process.
pub(crate) type Held = Vec<(&'static Kind, Vec<Measured>)>;

/// Memory and time of stalled streams.
const MOST_MEMORY: f64 = 1.1;
const MOST_MILLISECONDS: f64 = 100.0;

pub(crate) fn write_calls(
    out: &mut impl Write,
    rows: &[&Row],
    series: &Series,
    markdown: bool,
) -> io::Result<()> {
    title(out, "calls", markdown)?;
    let heading = [
        "row", "at once", "p50 µs", "x peer", "p10..p90", "calls/s", "CPU µs", "x peer", "p10..p90",
        "p99 µs", "- peer", "p10..p90", "target",
    ];
    let mut table = Table::new(&heading);
    for row in rows {
        for (nth, &at_once) in row.at.iter().enumerate() {
            let name = if nth == 0 { row.id } else { "" };
            table.push(line(name, row, at_once, series));
        }
    }
    write!(out, "{}", table.text(markdown))?;
    legend(out, rows.iter().map(|row| (row.id, row.what, row.peer)), markdown)
}

fn line(name: &str, row: &Row, at_once: usize, series: &Series) -> Vec<String> {
    let own = series.get(&(row.id, at_once)).map_or(&[][..], Vec::as_slice);
    let peer = row.peer.and_then(|peer| series.get(&(peer, at_once))).map_or(&[][..], Vec::as_slice);
    let median = |what: fn(&Slice) -> f64| Spread::of(&figures(own, what)).map(|spread| spread.median);
    let cell = |value: Option<f64>| value.filter(|value| value.is_finite()).map(number).unwrap_or_default();
    let ratio = |what: fn(&Slice) -> f64| Spread::of(&ratios(&figures(own, what), &figures(peer, what)));
    let (p50, cpu) = (ratio(|slice| slice.p50), ratio(cpu).filter(|ratio| ratio.median.is_finite()));
    let added = Spread::of(&own.iter().zip(peer).map(|(own, peer)| own.p99 - peer.p99).collect::<Vec<_>>());
    let mut cells = vec![name.to_owned(), at_once.to_string(), cell(median(|slice| slice.p50))];
    cells.extend(spread(p50));
    cells.push(median(|slice| slice.calls_per_second).map(|speed| format!("{speed:.0}")).unwrap_or_default());
    cells.push(cell(median(self::cpu)));
    cells.extend(spread(cpu));
    cells.push(cell(median(|slice| slice.p99)));
    cells.extend(added.map_or_else(Default::default, |added| {
        [format!("{:+.0}", added.median), format!("{:+.0}..{:+.0}", added.low, added.high)]
    }));
    let targets = row.targets.iter().filter(|_| at_once > 1).filter_map(|target| judged(*target, cpu, added));
    cells.push(targets.collect::<Vec<_>>().join("; "));
    cells
}

fn figures(slices: &[Slice], what: fn(&Slice) -> f64) -> Vec<f64> {
    slices.iter().map(what).collect()
}

fn cpu(slice: &Slice) -> f64 {
    slice.cpu.unwrap_or(f64::NAN)
}

/// Whether a target is met: by the median.
fn judged(target: Target, cpu: Option<Spread>, added: Option<Spread>) -> Option<String> {
    Some(match target {
        Target::Cpu { most, stretch } => {
            let median = cpu?.median;
            let stretch = stretch.map(|stretch| format!(", stretch {stretch}: {}", met(median <= stretch)));
            format!("CPU <= {most} x peer: {}{}", met(median <= most), stretch.unwrap_or_default())
        }
        Target::AddedP99 { most } => format!("p99 <= peer + {most} µs: {}", met(added?.median <= most)),
    })
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "NOT met" }
}

pub(crate) fn write_held(
    out: &mut impl Write,
    held: &Held,
    streams: usize,
    markdown: bool,
) -> io::Result<()> {
    title(out, &format!("{streams} streams that stand still"), markdown)?;
    let heading =
        ["row", "KiB each", "p10..p90", "x peer", "p10..p90", "ms until closed", "p10..p90", "target"];
    let mut table = Table::new(&heading);
    for (kind, measured) in held {
        let memory = |measured: &[Measured]| measured.iter().map(|one| one.kib).collect::<Vec<_>>();
        let peer = held.iter().find(|(other, _)| kind.peer == Some(other.id));
        let beside = peer.and_then(|(_, peer)| Spread::of(&ratios(&memory(measured), &memory(peer))));
        let closed = Spread::of(&measured.iter().map(|one| one.closed).collect::<Vec<_>>());
        let mut cells = vec![kind.id.to_owned()];
        cells.extend(spread(Spread::of(&memory(measured))));
        cells.extend(spread(beside));
        cells.extend(spread(closed));
        let memory = beside
            .map(|beside| format!("KiB <= {MOST_MEMORY} x peer: {}", met(beside.median <= MOST_MEMORY)));
        let closed = closed.filter(|_| kind.peer.is_some()).map(|closed| {
            format!("closed <= {MOST_MILLISECONDS} ms: {}", met(closed.median <= MOST_MILLISECONDS))
        });
        cells.push([memory, closed].into_iter().flatten().collect::<Vec<_>>().join("; "));
        table.push(cells);
    }
    write!(out, "{}", table.text(markdown))?;
    legend(out, held.iter().map(|(kind, _)| (kind.id, kind.what, kind.peer)), markdown)
}

fn spread(spread: Option<Spread>) -> [String; 2] {
    let Some(Spread { low, median, high }) = spread else { return Default::default() };
    [number(median), format!("{}..{}", number(low), number(high))]
}

fn title(out: &mut impl Write, title: &str, markdown: bool) -> io::Result<()> {
    if markdown { writeln!(out, "\n### {title}\n") } else { writeln!(out, "\n== {title}") }
}

/// What is in the numbers, and what they were compared with.
fn legend<'a>(
    out: &mut impl Write,
    rows: impl Iterator<Item = (&'a str, &'a str, Option<&'a str>)>,
    markdown: bool,
) -> io::Result<()> {
    writeln!(out)?;
    for (id, what, peer) in rows {
        let peer = peer.map(|peer| format!(" peer: {peer}.")).unwrap_or_default();
        if markdown {
            writeln!(out, "- `{id}`: {what}.{peer}")?;
        } else {
            writeln!(out, "   {id}: {what}.{peer}")?;
        }
    }
    Ok(())
}

/// The kinds that a filter lets through.
pub(crate) fn kinds(named: impl Fn(&str) -> bool) -> Vec<&'static Kind> {
    let wanted = |kind: &&Kind| {
        let beside = |other: &Kind| other.peer == Some(kind.id) && named(other.id);
        named(kind.id) || KINDS.iter().any(beside)
    };
    KINDS.iter().filter(wanted).collect()
}
