//! The trail of a call as a table.

use std::io::{self, Write};

use anstyle::Style;
use llm_protocol::{Error, ErrorKind};
use llm_reliability::Attempt;

use crate::paint::{Paint, seconds, tint};

const HEADER: [&str; 8] = ["#", "candidate", "outcome", "error", "category", "phase", "first token", "total"];
const NOTHING: &str = "–";

/// Prints one row for each attempt.
pub fn attempts(out: &mut impl Write, margin: &str, attempts: &[Attempt]) -> io::Result<()> {
    let rows: Vec<_> = attempts.iter().map(|attempt| (tint(attempt), row(attempt))).collect();
    let plain = |cells: &[String; 8]| cells.clone().map(|cell| cell.chars().count());
    let mut widths = plain(&HEADER.map(str::to_owned));
    for (_, cells) in &rows {
        for (width, cell) in widths.iter_mut().zip(plain(cells)) {
            *width = cell.max(*width);
        }
    }
    let header = HEADER.map(str::to_owned);
    for (style, cells) in std::iter::once(&(Style::new().dimmed(), header)).chain(&rows) {
        let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{margin}{}", Paint(*style, cells.join("  ").trim_end()))?;
    }
    Ok(())
}

fn row(attempt: &Attempt) -> [String; 8] {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let error = attempt.error();
    let went_out = attempt.phase.is_some();
    [
        attempt.ordinal.to_string(),
        attempt.model_key.to_string(),
        attempt.outcome.as_str().replace('_', " "),
        or_nothing(error.map(cause)),
        or_nothing(error.map(|error| error.category().as_str().to_owned())),
        or_nothing(attempt.phase.map(|phase| phase.as_str().replace('_', " "))),
        or_nothing(attempt.first_token.map(seconds)),
        or_nothing(went_out.then(|| seconds(attempt.latency))),
    ]
}

/// An error in two words.
fn cause(error: &Error) -> String {
    let kind = error.kind().as_str().replace('_', " ");
    match (error.kind(), error.status()) {
        (ErrorKind::Timeout(clock), _) => format!("{kind}: {}", clock.as_str().replace('_', " ")),
        (_, Some(status)) => format!("{kind} ({status})"),
        _ => kind,
    }
}
