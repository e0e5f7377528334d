//! What was measured, as tables: each row beside its floor and what is asked of it.

use std::io::{self, Write};

use llm_benches::{Spread, Table, number, ratios};

use crate::load::Slice;
use crate::rounds::Series;
use crate::row::{AT_ONCE, Row};
use crate::views::{self, THREADS, View};
use crate::{frozen, looks};

/// An admission that asks the store, beside the same script by hand.
const MOST_P50: f64 = 1.1;
const LEAST_CALLS: f64 = 0.9;
/// An admission while the store stands still, in microseconds.
const MOST_FROZEN: f64 = 2_000.0;

pub(crate) fn write_calls(
    out: &mut impl Write,
    rows: &[&Row],
    series: &Series,
    markdown: bool,
) -> io::Result<()> {
    title(out, "calls that ask the store", markdown)?;
    let heading = [
        "row", "at once", "p50 µs", "x floor", "p10..p90", "calls/s", "x floor", "p10..p90", "CPU µs",
        "x floor", "p10..p90", "p99 µs", "target",
    ];
    let mut table = Table::new(&heading);
    for row in rows {
        for at_once in AT_ONCE {
            table.push(line(row, at_once, series));
        }
    }
    write!(out, "{}", table.text(markdown))?;
    legend(out, rows.iter().map(|row| (row.id, row.what, row.floor, None)), markdown)
}

fn line(row: &Row, at_once: usize, series: &Series) -> Vec<String> {
    let of = |id| series.get(&(id, at_once)).map_or(&[][..], Vec::as_slice);
    let (own, floor) = (of(row.id), row.floor.map_or(&[][..], of));
    let median = |what: fn(&Slice) -> f64| {
        Spread::of(&figures(own, what)).map_or_else(String::new, |spread| finite(spread.median))
    };
    let ratio = |what: fn(&Slice) -> f64| Spread::of(&ratios(&figures(own, what), &figures(floor, what)));
    let (p50, speed) = (ratio(|slice| slice.p50), ratio(|slice| slice.calls_per_second));
    let cpu = ratio(|slice| slice.cpu).filter(|ratio| ratio.median.is_finite());
    let name = if at_once == 1 { row.id } else { "" };
    let mut cells = vec![name.to_owned(), at_once.to_string(), median(|slice| slice.p50)];
    cells.extend(spread(p50));
    cells.push(median(|slice| slice.calls_per_second));
    cells.extend(spread(speed));
    cells.push(median(|slice| slice.cpu));
    cells.extend(spread(cpu));
    cells.push(median(|slice| slice.p99));
    let target = if at_once == 1 {
        p50.map(|p50| format!("p50 <= {MOST_P50} x floor: {}", met(p50.median <= MOST_P50)))
    } else {
        speed.map(|speed| format!("calls >= {LEAST_CALLS} x floor: {}", met(speed.median >= LEAST_CALLS)))
    };
    cells.push(target.filter(|_| row.judged).unwrap_or_default());
    cells
}

fn figures(slices: &[Slice], what: fn(&Slice) -> f64) -> Vec<f64> {
    slices.iter().map(what).collect()
}

pub(crate) fn write_views(
    out: &mut impl Write,
    views: &[&View],
    series: &views::Series,
    markdown: bool,
) -> io::Result<()> {
    title(out, "calls that are answered from what is known", markdown)?;
    let heading = ["row", "threads", "ns", "p10..p90", "x floor", "p10..p90", "x peer", "p10..p90", "target"];
    let mut table = Table::new(&heading);
    for view in views {
        for threads in THREADS {
            let of = |id| series.get(&(id, threads)).map_or(&[][..], Vec::as_slice);
            let own = Spread::of(of(view.id));
            let name = if threads == 1 { view.id } else { "" };
            let mut cells = vec![name.to_owned(), threads.to_string()];
            cells.extend(spread(own));
            for other in [view.floor, view.peer] {
                cells.extend(spread(other.and_then(|other| Spread::of(&ratios(of(view.id), of(other))))));
            }
            let target = view.most.zip(own);
            let target = target.map(|(most, own)| format!("<= {most} ns: {}", met(own.median <= most)));
            cells.push(target.unwrap_or_default());
            table.push(cells);
        }
    }
    write!(out, "{}", table.text(markdown))?;
    legend(out, views.iter().map(|view| (view.id, view.what, view.floor, view.peer)), markdown)
}

pub(crate) fn write_looks(
    out: &mut impl Write,
    measured: &[(&looks::Kind, looks::Measured)],
    markdown: bool,
) -> io::Result<()> {
    title(out, "what a healthy store is asked", markdown)?;
    let heading = ["row", "calls/s", "calls that asked", "scripts/s", "scripts/s a key", "target"];
    let mut table = Table::new(&heading);
    for (kind, seen) in measured {
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let each = seen.scripts_per_second / kind.keys as f64;
        let numbers = [seen.calls_per_second, f64::from(seen.asked), seen.scripts_per_second, each];
        let mut cells = vec![kind.id.to_owned()];
        cells.extend(numbers.map(number));
        cells.push(format!("no call asks: {}", met(seen.asked == 0)));
        table.push(cells);
    }
    write!(out, "{}", table.text(markdown))?;
    legend(out, measured.iter().map(|(kind, _)| (kind.id, kind.what, None, None)), markdown)
}

pub(crate) fn write_frozen(
    out: &mut impl Write,
    measured: &[(&frozen::Kind, Vec<frozen::Measured>)],
    markdown: bool,
) -> io::Result<()> {
    title(out, "1,000 calls a second, and a store that stands still and goes on", markdown)?;
    let heading = [
        "row", "part", "calls", "without", "p50 µs", "p99 µs", "p10..p90", "most µs", "ms", "p10..p90",
        "target",
    ];
    let mut table = Table::new(&heading);
    for (kind, episodes) in measured {
        for (nth, name) in frozen::PARTS.into_iter().enumerate() {
            let parts: Vec<_> = episodes.iter().filter_map(|episode| episode.parts.get(nth)).collect();
            let parts: Vec<_> = parts.into_iter().filter(|part| part.calls > 0).collect();
            if parts.is_empty() {
                continue;
            }
            let figures =
                |what: fn(&frozen::Part) -> f64| parts.iter().map(|part| what(part)).collect::<Vec<_>>();
            let p99 = Spread::of(&figures(|part| part.p99));
            let mut cells = vec![if nth == 0 { kind.id.to_owned() } else { String::new() }, name.to_owned()];
            cells.push(parts.iter().map(|part| part.calls).sum::<usize>().to_string());
            cells.push(parts.iter().map(|part| part.degraded).sum::<usize>().to_string());
            cells.push(
                Spread::of(&figures(|part| part.p50)).map_or_else(String::new, |p50| number(p50.median)),
            );
            cells.extend(spread(p99));
            cells.push(number(figures(|part| part.most).into_iter().fold(0.0, f64::max)));
            let time = |what: fn(&frozen::Measured) -> Option<f64>| {
                Spread::of(&episodes.iter().filter_map(what).collect::<Vec<_>>())
            };
            cells.extend(spread(match nth {
                1 => time(|episode| episode.lost),
                3 => time(|episode| episode.back),
                _ => None,
            }));
            let target = p99.filter(|_| nth == 2);
            let target = target.map(|p99| format!("p99 < 2 ms: {}", met(p99.median < MOST_FROZEN)));
            cells.push(target.unwrap_or_default());
            table.push(cells);
        }
    }
    write!(out, "{}", table.text(markdown))?;
    legend(out, measured.iter().map(|(kind, _)| (kind.id, kind.what, None, None)), markdown)?;
    writeln!(out)?;
    for line in [
        "µs: from when a call was due until it was admitted; p50, p99: medians of the episodes; most: of all of them",
        "without: calls that were answered without the store; the time in `ms` is until it counts as lost, and, once it \
         goes on, until the last answer without it",
    ] {
        writeln!(out, "{}{line}", if markdown { "- " } else { "   " })?;
    }
    Ok(())
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "NOT met" }
}

fn finite(value: f64) -> String {
    if value.is_finite() { number(value) } else { String::new() }
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
    rows: impl Iterator<Item = (&'a str, &'a str, Option<&'a str>, Option<&'a str>)>,
    markdown: bool,
) -> io::Result<()> {
    writeln!(out)?;
    for (id, what, floor, peer) in rows {
        let compared = [("floor", floor), ("peer", peer)];
        let compared = compared.into_iter().filter_map(|(which, id)| Some(format!(" {which}: {}.", id?)));
        let compared: String = compared.collect();
        if markdown {
            writeln!(out, "- `{id}`: {what}.{compared}")?;
        } else {
            writeln!(out, "   {id}: {what}.{compared}")?;
        }
    }
    Ok(())
}
