//! What came of the suite, rule by rule.

use std::fmt;

/// What the suite has to say of a rule that did not simply hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remark {
    /// The rule.
    pub rule: &'static str,
    /// Why it was skipped, or where it was broken.
    pub reason: String,
}

/// What came of the suite. Its Display lists everything that did not simply hold.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Summary {
    passed: Vec<&'static str>,
    skipped: Vec<Remark>,
    broken: Vec<Remark>,
}

impl Summary {
    /// The rules that held.
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }

    /// The rules that could not be tried, because the adapter does not claim the ability or the harness declined
    /// the scenario.
    pub fn skipped(&self) -> &[Remark] {
        &self.skipped
    }

    /// The rules that were broken.
    pub fn broken(&self) -> &[Remark] {
        &self.broken
    }

    pub(super) fn note(&mut self, rule: &'static str, verdict: Verdict) {
        match verdict {
            Ok(()) => self.passed.push(rule),
            Err(Finding::Skipped(reason)) => self.skipped.push(Remark { rule, reason }),
            Err(Finding::Broken(reason)) => self.broken.push(Remark { rule, reason }),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, skipped, broken) = (self.passed.len(), self.skipped.len(), self.broken.len());
        write!(f, "the adapter contract: {broken} rules broken, {passed} held, {skipped} skipped")?;
        for Remark { rule, reason } in &self.broken {
            write!(f, "\n  broken: {rule}\n          ({reason})")?;
        }
        for Remark { rule, reason } in &self.skipped {
            write!(f, "\n  skipped: {rule} ({reason})")?;
        }
        Ok(())
    }
}

/// What a rule comes to.
pub(super) type Verdict = Result<(), Finding>;

/// Why a rule did not simply hold.
#[derive(Debug)]
pub(super) enum Finding {
    Skipped(String),
    Broken(String),
}

pub(super) fn skipped(reason: impl Into<String>) -> Verdict {
    Err(Finding::Skipped(reason.into()))
}

pub(super) fn broken(reason: impl Into<String>) -> Verdict {
    Err(Finding::Broken(reason.into()))
}

/// Holds, or is broken for this reason.
pub(super) fn require(holds: bool, reason: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { broken(reason()) }
}
