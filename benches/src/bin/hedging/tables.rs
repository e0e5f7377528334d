//! The figures as text.

use std::fmt::Write;

use crate::simulation::Failure;
use crate::stages::{Summary, ordinary, outage, outage_rows, rows};

const WORLD: &str = "\
Three candidates. A first token takes 400 ms at the median, and 220 to 720 ms in nine of ten requests; 1.5 % are
stragglers and take ten times as long. 20 calls a second, at random; the budget is 5 %. Times in ms, from the call to
its first token.
";

/// Slowness that lasts longer than ten minutes is another matter.
const FIVE_MINUTES: u32 = 6000;

/// Everything that there is to tell. The same seed and the same number of calls give the same text.
pub(crate) fn text(seed: u64, calls: u32) -> Result<String, Failure> {
    let mut text =
        format!("Hedging in virtual time, seed {seed}\n\n{WORLD}\nOrdinary times, {calls} calls\n");
    heading(&mut text, "p99 lower")?;
    let mut before = None;
    for row in rows() {
        let outcomes = ordinary(seed, &row.policy, calls)?;
        let summary = Summary::of(&outcomes.stages.concat());
        let lower = summary.lower_than(before.get_or_insert(summary));
        line(&mut text, row.name, &summary, &format!("{lower:.1} %"))?;
    }
    let calls = calls.min(FIVE_MINUTES);
    for row in outage_rows() {
        writeln!(text, "\nEveryone is ten times slower for {calls} calls: {}", row.name)?;
        heading(&mut text, "which calls are hedged")?;
        let outcomes = outage(seed, &row.policy, calls)?;
        for (calls, stage) in outcomes.stages.iter().zip(["before", "all slow", "after"]) {
            let summary = Summary::of(calls);
            let hedged = summary.hedged.map_or("none".to_owned(), |(first, last)| {
                format!("no. {first} to {last} of {}", summary.calls)
            });
            let until =
                summary.last_hedge.map(|last| format!(", the last after {:.1} s", last.as_secs_f64()));
            line(&mut text, stage, &summary, &(hedged + &until.unwrap_or_default()))?;
        }
    }
    Ok(text)
}

fn heading(text: &mut String, last: &str) -> Result<(), Failure> {
    let columns = ["p50", "p90", "p99", "p99.9"].map(|column| format!("{column:>7}")).concat();
    writeln!(text, "{:<14}{columns}{:>8}{:>7}{:>9}  {last}", "", "hedges", "won", "extra")?;
    Ok(())
}

fn line(text: &mut String, name: &str, summary: &Summary, last: &str) -> Result<(), Failure> {
    let Summary { p50, p90, p99, p999, hedges, won, .. } = summary;
    let times = [p50, p90, p99, p999].map(|time| format!("{:>7}", time.as_millis())).concat();
    let extra = format!("{:.2} %", summary.extra());
    writeln!(text, "{name:<14}{times}{hedges:>8}{won:>7}{extra:>9}  {last}")?;
    Ok(())
}
