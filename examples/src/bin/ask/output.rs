//! What `ask` prints: answers to standard output, and why there is none to standard error.

use std::io::{self, ErrorKind, Write};

use llm_examples::seconds;
use llm_reliability::{Attempt, Outcome, Report, Strategy};

/// Standard output. Every piece is seen at once, and a failure is kept until the end: after it nothing is written.
pub(crate) struct Output<W> {
    out: W,
    inside_line: bool,
    failure: Option<io::Error>,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, inside_line: false, failure: None }
    }

    pub(crate) fn text(&mut self, text: &str) {
        let Some(last) = text.chars().last().filter(|_| !self.has_failed()) else { return };
        self.inside_line = last != '\n';
        self.failure = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).err();
    }

    /// So that what comes next starts a line of its own.
    pub(crate) fn end_line(&mut self) {
        if self.inside_line {
            self.text("\n");
        }
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.end_line();
        self.text(text);
        self.text("\n");
    }

    /// The answer of a failover; of a fan-out every answer under its model key.
    pub(crate) fn answers(&mut self, report: &Report) {
        for (at, (key, answer)) in report.responses().enumerate() {
            if report.strategy() == Strategy::FanOut {
                if at > 0 {
                    self.text("\n");
                }
                self.line(&format!("{key}:"));
            }
            self.text(&answer.text);
            self.end_line();
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether the reader has gone away (`ask … | head`), which is its right.
    pub(crate) fn is_gone(&self) -> bool {
        self.failure.as_ref().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        let gone = self.is_gone();
        self.failure.filter(|_| !gone).map_or(Ok(()), Err)
    }
}

/// What is wrong, on one line: names that the user gave can have line feeds in them.
pub(crate) fn complain(problem: &str) {
    // Where standard error is gone too, the exit code has to do.
    let _ = writeln!(io::stderr(), "ask: {}", problem.replace(char::is_control, " "));
}

/// What is wrong with the arguments: the first paragraph of clap's page, which the usage and hints follow.
pub(crate) fn usage(error: &clap::Error) -> String {
    let page = error.render().to_string();
    let paragraph: Vec<_> = page.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let line = paragraph.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// How a call without an answer ended, and a line for each attempt.
pub(crate) fn explain(report: &Report, err: &mut impl Write) -> io::Result<()> {
    write!(err, "ask: {}", report.ended())?;
    match report.retry_after() {
        Some(rest) => writeln!(err, "; try again in {}", seconds(rest))?,
        None => writeln!(err)?,
    }
    report.attempts().iter().try_for_each(|attempt| explain_attempt(attempt, err))
}

fn explain_attempt(attempt: &Attempt, err: &mut impl Write) -> io::Result<()> {
    write!(err, "  {}: {}", attempt.model_key, attempt.outcome.as_str())?;
    if let Some(phase) = attempt.phase {
        write!(err, " after {} ({})", seconds(attempt.latency), phase.as_str())?;
    }
    match &attempt.outcome {
        Outcome::PreemptedOpen { reason, .. } => write!(err, ": {reason}")?,
        Outcome::PreemptedLimited { reason, .. } => write!(err, ": {reason}")?,
        _ => attempt.error().map_or(Ok(()), |error| write!(err, ": {error}"))?,
    }
    writeln!(err)
}
