//! What a worker tells the auditor: one line each.

use std::fmt;

/// Two times of the server between which something took place, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) since: u64,
    pub(crate) until: u64,
}

/// A call that a breaker let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) id: u64,
    pub(crate) asked: Span,
    /// For how long it asked, in microseconds.
    pub(crate) hold: u64,
    pub(crate) probe: bool,
    pub(crate) epoch: u64,
}

/// Why a breaker did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Open,
    ProbesTaken,
}

/// A call that a limiter let through, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spending {
    pub(crate) asked: Span,
    pub(crate) hold: u64,
    pub(crate) tokens: u64,
    /// When it was told what it did cost; at the end of time where it never was.
    pub(crate) ended: Span,
    pub(crate) actual_requests: u64,
    pub(crate) actual_tokens: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The worker takes orders.
    Ready,
    Granted(Grant),
    Refused {
        asked: Span,
        why: Why,
    },
    /// A verdict was told, or a lease given back, and has arrived.
    Ended {
        id: u64,
        told: Span,
    },
    /// The last of so many failures was told, and has arrived.
    Tripped(Span),
    Spent(Spending),
    /// A limiter refused.
    Limited,
    /// The turns that one after the other took.
    Turns(Vec<u64>),
    /// An order is carried out.
    Done,
    /// The store did not answer in time, so that nothing can be said.
    Lost,
    /// It is not there any more. This one it does not tell itself.
    Gone,
}

impl Entry {
    fn parts(&self) -> (&'static str, Vec<u64>) {
        match self {
            Self::Ready => ("ready", vec![]),
            Self::Granted(Grant { id, asked, hold, probe, epoch }) => {
                ("granted", vec![*id, asked.since, asked.until, *hold, u64::from(*probe), *epoch])
            }
            Self::Refused { asked, why: Why::Open } => ("open", vec![asked.since, asked.until]),
            Self::Refused { asked, why: Why::ProbesTaken } => ("taken", vec![asked.since, asked.until]),
            Self::Ended { id, told } => ("ended", vec![*id, told.since, told.until]),
            Self::Tripped(told) => ("tripped", vec![told.since, told.until]),
            Self::Spent(Spending { asked, hold, tokens, ended, actual_requests, actual_tokens }) => {
                let numbers = [asked.since, asked.until, *hold, *tokens, ended.since, ended.until];
                ("spent", [numbers.as_slice(), &[*actual_requests, *actual_tokens]].concat())
            }
            Self::Limited => ("limited", vec![]),
            Self::Turns(turns) => ("turns", turns.clone()),
            Self::Done => ("done", vec![]),
            Self::Lost => ("lost", vec![]),
            Self::Gone => ("gone", vec![]),
        }
    }

    /// Reads what was written; `None` where it is something else.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.split_once(MARK)?.1.split_whitespace();
        let name = words.next()?;
        let numbers = words.map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        let span = |since, until| Span { since, until };
        Some(match (name, numbers.as_slice()) {
            ("ready", []) => Self::Ready,
            ("granted", &[id, since, until, hold, probe, epoch]) => {
                Self::Granted(Grant { id, asked: span(since, until), hold, probe: probe == 1, epoch })
            }
            ("open", &[since, until]) => Self::Refused { asked: span(since, until), why: Why::Open },
            ("taken", &[since, until]) => Self::Refused { asked: span(since, until), why: Why::ProbesTaken },
            ("ended", &[id, since, until]) => Self::Ended { id, told: span(since, until) },
            ("tripped", &[since, until]) => Self::Tripped(span(since, until)),
            ("spent", &[since, until, hold, tokens, began, arrived, actual_requests, actual_tokens]) => {
                let (asked, ended) = (span(since, until), span(began, arrived));
                Self::Spent(Spending { asked, hold, tokens, ended, actual_requests, actual_tokens })
            }
            ("limited", []) => Self::Limited,
            ("turns", turns) => Self::Turns(turns.to_vec()),
            ("done", []) => Self::Done,
            ("lost", []) => Self::Lost,
            _ => return None,
        })
    }
}

/// The harness of the worker writes lines of its own, and not always whole ones.
const MARK: &str = "fleet: ";

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, numbers) = self.parts();
        write!(f, "{MARK}{name}")?;
        numbers.iter().try_for_each(|number| write!(f, " {number}"))
    }
}
