//! What came of a suite, rule by rule.

use std::fmt;

/// What a suite has to say of a rule that did not simply hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remark {
    /// The rule.
    pub rule: &'static str,
    /// Why it was skipped, or where it was broken.
    pub reason: String,
}

/// What came of a suite. Its Display lists everything that did not simply hold.
#[derive(Clone, Debug)]
#[must_use]
pub struct Summary {
    contract: &'static str,
    passed: Vec<&'static str>,
    skipped: Vec<Remark>,
    late: Vec<Remark>,
    broken: Vec<Remark>,
}

impl Summary {
    pub(super) const fn new(contract: &'static str) -> Self {
        Self { contract, passed: Vec::new(), skipped: Vec::new(), late: Vec::new(), broken: Vec::new() }
    }

    /// The rules that held.
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }

    /// The rules that could not be tried, because the harness declined what they need, or a rule is broken that they
    /// build on.
    pub fn skipped(&self) -> &[Remark] {
        &self.skipped
    }

    /// The rules of which nothing can be told, because the machine or the backend was too slow for every time that
    /// was tried.
    pub fn late(&self) -> &[Remark] {
        &self.late
    }

    /// The rules that were broken.
    pub fn broken(&self) -> &[Remark] {
        &self.broken
    }

    pub(super) fn note(&mut self, rule: &'static str, verdict: Verdict) {
        match verdict {
            Ok(()) => self.passed.push(rule),
            Err(Finding::Skipped(reason)) => self.skipped.push(Remark { rule, reason }),
            Err(Finding::Late(reason)) => self.late.push(Remark { rule, reason }),
            // Where something is broken, that is why. Otherwise this is what is broken.
            Err(Finding::Unready(reason)) if !self.broken.is_empty() => {
                self.skipped.push(Remark { rule, reason: format!("it could not be got ready: {reason}") });
            }
            Err(Finding::Unready(reason) | Finding::Broken(reason)) => {
                self.broken.push(Remark { rule, reason });
            }
        }
    }

    /// Itself, where every rule was tried and held: for a backend that does all that the suite knows of.
    ///
    /// # Panics
    ///
    /// When a rule was broken, skipped, or [too slow to tell](Self::late). The message names them.
    #[track_caller]
    pub fn assert_complete(self) -> Self {
        let complete = self.skipped.is_empty() && self.late.is_empty();
        self.or_panic(complete)
    }

    /// Itself, where nothing was broken and something held.
    #[track_caller]
    pub(super) fn assert_sound(self) -> Self {
        self.or_panic(true)
    }

    #[track_caller]
    #[allow(clippy::panic, reason = "a test helper: panicking is how it fails the test")]
    fn or_panic(self, well: bool) -> Self {
        if well && self.broken.is_empty() && !self.passed.is_empty() { self } else { panic!("{self}") }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contract, passed, skipped, late, broken } = self;
        write!(
            f,
            "the {contract} contract: {} rules broken, {} held, {} skipped, {} too slow to tell",
            broken.len(),
            passed.len(),
            skipped.len(),
            late.len()
        )?;
        for Remark { rule, reason } in broken {
            write!(f, "\n  broken: {rule}\n          ({reason})")?;
        }
        for Remark { rule, reason } in skipped {
            write!(f, "\n  skipped: {rule} ({reason})")?;
        }
        for Remark { rule, reason } in late {
            write!(f, "\n  too slow to tell: {rule} ({reason})")?;
        }
        Ok(())
    }
}

/// What a rule comes to.
pub(super) type Verdict<T = ()> = Result<T, Finding>;

/// Why a rule did not simply hold.
#[derive(Debug)]
pub(super) enum Finding {
    /// It could not be tried.
    Skipped(String),
    /// The time had passed already in which it could be told.
    Late(String),
    /// What the rule is about could not be brought about, which is for another rule to tell.
    Unready(String),
    Broken(String),
}

/// What only leads to what a rule is about.
pub(super) fn ready<T>(verdict: Verdict<T>) -> Verdict<T> {
    verdict.map_err(|finding| match finding {
        Finding::Broken(reason) => Finding::Unready(reason),
        finding => finding,
    })
}

pub(super) fn skipped<T>(reason: impl Into<String>) -> Verdict<T> {
    Err(Finding::Skipped(reason.into()))
}

pub(super) fn broken<T>(reason: impl Into<String>) -> Verdict<T> {
    Err(Finding::Broken(reason.into()))
}

/// Holds, or is broken for this reason.
pub(super) fn require(holds: bool, reason: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { broken(reason()) }
}
