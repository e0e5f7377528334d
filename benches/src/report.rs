//! What was measured, as tables: each row beside its floor, its peer and its targets.

use std::io::{self, Write};

use crate::rounds::{Series, THREADS};
use crate::row::{Group, Row, Target};
use crate::stats::{Spread, ratios};
use crate::table::{Table, number};

/// Writes a table for each group, and what is in each number.
pub(crate) fn write(
    out: &mut impl Write,
    groups: &[Group],
    series: &Series,
    markdown: bool,
) -> io::Result<()> {
    for group in groups {
        let rows: Vec<_> = group.rows.iter().filter(|row| series.contains_key(&(row.id, 1))).collect();
        if rows.is_empty() {
            continue;
        }
        let heading =
            ["row", "threads", "ns", "p10..p90", "x floor", "p10..p90", "x peer", "p10..p90", "target"];
        let mut table = Table::new(&heading);
        for row in &rows {
            for threads in THREADS {
                table.push(line(row, threads, series));
            }
        }
        title(out, group.title, markdown)?;
        write!(out, "{}", table.text(markdown))?;
        legend(out, &rows, markdown)?;
    }
    Ok(())
}

/// Writes a group's title.
pub(crate) fn title(out: &mut impl Write, title: &str, markdown: bool) -> io::Result<()> {
    if markdown { writeln!(out, "\n### {title}\n") } else { writeln!(out, "\n== {title}") }
}

/// Writes what is in the numbers of rows, and what they were compared with.
pub(crate) fn legend(out: &mut impl Write, rows: &[&Row], markdown: bool) -> io::Result<()> {
    writeln!(out)?;
    for row in rows {
        let compared = [("floor", row.floor), ("peer", row.peer)];
        let compared = compared.into_iter().filter_map(|(which, id)| Some(format!(" {which}: {}.", id?)));
        let compared: String = compared.collect();
        if markdown {
            writeln!(out, "- `{}`: {}.{compared}", row.id, row.what)?;
        } else {
            writeln!(out, "   {}: {}.{compared}", row.id, row.what)?;
        }
    }
    Ok(())
}

fn line(row: &Row, threads: usize, series: &Series) -> Vec<String> {
    let name = if threads == 1 { row.id.to_owned() } else { String::new() };
    let own = series.get(&(row.id, threads)).map_or(&[][..], Vec::as_slice);
    let mut cells = vec![name, threads.to_string()];
    cells.extend(spread(Spread::of(own)));
    for other in [row.floor, row.peer] {
        cells.extend(spread(beside(row.id, other, threads, series)));
    }
    let targets = row.targets.iter().filter_map(|target| judged(row, *target, threads, series));
    cells.push(targets.collect::<Vec<_>>().join("; "));
    cells
}

fn spread(spread: Option<Spread>) -> [String; 2] {
    let Some(Spread { low, median, high }) = spread else { return Default::default() };
    [number(median), format!("{}..{}", number(low), number(high))]
}

fn beside(id: &'static str, other: Option<&'static str>, threads: usize, series: &Series) -> Option<Spread> {
    let (ours, others) = (series.get(&(id, threads))?, series.get(&(other?, threads))?);
    Spread::of(&ratios(ours, others))
}

/// A target that is about so many threads, and whether it is met: by the median.
fn judged(row: &Row, target: Target, threads: usize, series: &Series) -> Option<String> {
    let met = |value: f64, most| if value <= most { "met" } else { "NOT met" };
    match target {
        Target::Nanoseconds { threads: of, most, stretch } if of == threads => {
            let median = Spread::of(series.get(&(row.id, threads))?)?.median;
            let stretch = stretch.map(|stretch| format!(", stretch {stretch}: {}", met(median, stretch)));
            Some(format!("<= {most} ns: {}{}", met(median, most), stretch.unwrap_or_default()))
        }
        Target::OfPeer { threads: of, most } if of == threads => {
            let median = beside(row.id, row.peer, threads, series)?.median;
            Some(format!("<= {most} x peer: {}", met(median, most)))
        }
        Target::Faster { least, stretch } if threads == 1 => {
            let (ours, peers) = (series.get(&(row.id, 1))?, series.get(&(row.peer?, 1))?);
            let Spread { low, median, high } = Spread::of(&ratios(peers, ours))?;
            let (times, spread) = (number(median), format!("{}..{}", number(low), number(high)));
            let (asked, better) = (met(least, median), met(stretch, median));
            Some(format!(
                ">= {least} x as fast as peer: {times} ({spread}), {asked}, stretch {stretch}: {better}"
            ))
        }
        Target::Flat { most } if threads == 2 => {
            let (alone, both) = (series.get(&(row.id, 1))?, series.get(&(row.id, 2))?);
            let median = Spread::of(&ratios(both, alone))?.median;
            Some(format!("<= {most} x one thread: {}, {}", number(median), met(median, most)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::each;

    fn row() -> Row {
        Row::new("ours", "a thing", || each(|_| || true))
            .floor("floor")
            .peer("peer")
            .target(Target::Nanoseconds { threads: 1, most: 5.0, stretch: Some(2.0) })
            .target(Target::OfPeer { threads: 1, most: 0.6 })
            .target(Target::Flat { most: 1.25 })
    }

    fn series() -> Series {
        [
            (("ours", 1), vec![4.0, 40.0, 4.0]),
            (("ours", 2), vec![6.0, 60.0, 6.0]),
            (("floor", 1), vec![1.0, 10.0, 1.0]),
            (("peer", 1), vec![8.0, 80.0, 8.0]),
        ]
        .into()
    }

    #[test]
    fn how_much_faster_it_is_than_its_peer_is_judged_round_by_round() {
        let judged =
            |least, stretch| judged(&row(), Target::Faster { least, stretch }, 1, &series()).unwrap();
        assert_eq!(judged(2.0, 3.0), ">= 2 x as fast as peer: 2.00 (2.00..2.00), met, stretch 3: NOT met");
        assert!(judged(2.1, 3.0).contains(", NOT met, stretch"));
    }

    #[test]
    fn a_row_stands_beside_its_floor_its_peer_and_its_targets() {
        let cells = line(&row(), 1, &series());
        assert_eq!(cells[..2], ["ours", "1"]);
        assert_eq!(cells[2], "4.00");
        assert_eq!(
            cells[4..8],
            ["4.00", "4.00..4.00", "0.50", "0.50..0.50"],
            "paired, a slow round is no spread"
        );
        assert_eq!(cells[8], "<= 5 ns: met, stretch 2: NOT met; <= 0.6 x peer: met");
    }

    #[test]
    fn what_was_not_measured_is_left_empty() {
        let cells = line(&row(), 2, &series());
        assert_eq!(cells[..3], ["", "2", "6.00"]);
        assert_eq!(cells[4..8], ["", "", "", ""]);
        assert_eq!(cells[8], "<= 1.25 x one thread: 1.50, NOT met");
    }

    #[test]
    fn only_rows_that_were_measured_are_shown() {
        let other = Row::new("other", "another thing", || each(|_| || true));
        let groups = [Group { title: "all", rows: vec![row(), other] }];
        let mut out = Vec::new();
        write(&mut out, &groups, &series(), false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("ours: a thing. floor: floor. peer: peer.") && !text.contains("other"),
            "{text}"
        );
    }
}
