//! What a row of the table is, and how the table reads as a document.

use std::fmt::{self, Write};

/// Whose claim it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Keel,
    Robust,
}

impl Source {
    pub const ALL: [Self; 2] = [Self::Keel, Self::Robust];

    /// The name under which it is published.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Keel => "keel-llm-reliability",
            Self::Robust => "robust-llm-chain",
        }
    }
}

/// A test: the file that it is in, from the root of the project, and its name.
pub type Cited = (&'static str, &'static str);

/// What shows that a claim holds here, or why it does not.
#[derive(Clone, Copy, Debug)]
pub enum Proof {
    /// It holds: these tests fail where it does not.
    Tests(&'static [Cited]),
    /// What it is for is met in another way, on purpose: how and why, and the tests of that.
    Otherwise(&'static str, &'static [Cited]),
    /// Not built yet: what there is of it.
    ToCome(&'static str),
    /// Left out on purpose: why.
    LeftOut(&'static str),
}

impl Proof {
    pub const fn tests(&self) -> &'static [Cited] {
        match *self {
            Self::Tests(tests) | Self::Otherwise(_, tests) => tests,
            Self::ToCome(_) | Self::LeftOut(_) => &[],
        }
    }

    pub const fn reason(&self) -> Option<&'static str> {
        match *self {
            Self::Tests(_) => None,
            Self::Otherwise(reason, _) | Self::ToCome(reason) | Self::LeftOut(reason) => Some(reason),
        }
    }
}

/// In a cell of a table; the links start from the folder of the document.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Tests(_) => {}
            Self::Otherwise(reason, _) => write!(f, "**otherwise:** {reason}: ")?,
            Self::ToCome(reason) => write!(f, "**to come:** {reason}")?,
            Self::LeftOut(reason) => write!(f, "**left out:** {reason}")?,
        }
        for (at, (path, name)) in self.tests().iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}[`{name}`](../{path})")?;
        }
        Ok(())
    }
}

/// A row: what a document claims, in our words, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    pub source: Source,
    /// Where in the document, roughly.
    pub section: &'static str,
    pub claim: &'static str,
    pub proof: Proof,
}

const HEADING: &str = "\
# Where this project comes from, and what proves it here

Two Python packages, both on PyPI, are what this project set out to unite: keel-llm-reliability and robust-llm-chain. Here
is everything that their documents claim about behaviour, in our words, beside the tests that show it here. What is met
in another way, left out or still to come says why.

Made from the table in `tests/tests/needs`, whose tests see to it that every test named here exists.
`UPDATE=1 cargo test -p llm-tests --test needs` writes it anew.
";

/// The whole document.
pub fn render(needs: &[Need]) -> String {
    let mut text = HEADING.to_owned();
    for source in Source::ALL {
        let rows = || needs.iter().filter(move |need| need.source == source);
        let count = |kind: fn(&Proof) -> bool| rows().filter(|need| kind(&need.proof)).count();
        let _ = writeln!(
            text,
            "\n## {}\n\n{} claims: {} shown by tests, {} met otherwise, {} to come, {} left out.",
            source.package(),
            rows().count(),
            count(|proof| matches!(proof, Proof::Tests(_))),
            count(|proof| matches!(proof, Proof::Otherwise(..))),
            count(|proof| matches!(proof, Proof::ToCome(_))),
            count(|proof| matches!(proof, Proof::LeftOut(_))),
        );
        let mut section = "";
        for need in rows() {
            if need.section != section {
                section = need.section;
                let _ = writeln!(text, "\n### {section}\n\n| claim | proof |\n|---|---|");
            }
            let _ = writeln!(text, "| {} | {} |", need.claim, need.proof);
        }
    }
    text
}
