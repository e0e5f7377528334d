//! A report as an error, for those who only want the answer.

use std::fmt;

use super::{Ended, Report, decisive_error};

/// There is no answer. It carries the whole report.
pub struct NoAnswer(Box<Report>);

impl NoAnswer {
    pub(super) fn new(report: Report) -> Self {
        Self(Box::new(report))
    }

    /// How the call ended.
    pub fn ended(&self) -> Ended {
        self.0.ended()
    }

    /// The report, with every attempt.
    pub fn report(&self) -> &Report {
        &self.0
    }

    /// The report, to keep.
    pub fn into_report(self) -> Report {
        *self.0
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ended())?;
        let mut separator = " (";
        for attempt in self.0.attempts() {
            write!(f, "{separator}{}: {}", attempt.model_key, attempt.outcome.as_str())?;
            if let Some(error) = attempt.error() {
                write!(f, ", {}", error.kind().as_str())?;
            }
            separator = "; ";
        }
        if self.0.attempts().is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoAnswer").field(&self.0).finish()
    }
}

impl std::error::Error for NoAnswer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        decisive_error(self.0.attempts()).map(|error| error as &(dyn std::error::Error + 'static))
    }
}
