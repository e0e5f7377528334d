//! How many answers a `fan_out` wants, and how many came.

use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Launch};

/// How many answers are enough. In JSON and the like a word, or a number: `"all"`, `"majority"`, `"first"`, `2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
#[non_exhaustive]
pub enum QuorumPolicy {
    /// Every seat is waited for, and any answer will do.
    #[default]
    All,
    /// So many. The call ends when they are there, and also when they can no longer come.
    AtLeast(usize),
    /// More than half of the seats, those that were passed over included.
    Majority,
    /// One, whichever comes first.
    First,
}

/// A [`QuorumPolicy`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(Word),
    Number(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    All,
    Majority,
    First,
}

impl From<Written> for QuorumPolicy {
    fn from(written: Written) -> Self {
        match written {
            Written::Word(Word::All) => Self::All,
            Written::Word(Word::Majority) => Self::Majority,
            Written::Word(Word::First) => Self::First,
            Written::Number(answers) => Self::AtLeast(answers),
        }
    }
}

impl From<QuorumPolicy> for Written {
    fn from(policy: QuorumPolicy) -> Self {
        match policy {
            QuorumPolicy::All => Self::Word(Word::All),
            QuorumPolicy::Majority => Self::Word(Word::Majority),
            QuorumPolicy::First => Self::Word(Word::First),
            QuorumPolicy::AtLeast(answers) => Self::Number(answers),
        }
    }
}

impl QuorumPolicy {
    /// How many answers of so many seats that is.
    pub const fn required(self, seats: usize) -> usize {
        match self {
            Self::All | Self::First => 1,
            Self::AtLeast(answers) => answers,
            Self::Majority => seats / 2 + 1,
        }
    }

    /// How a `fan_out` stands.
    pub(crate) const fn judge(self, tally: Tally) -> Judgement {
        let required = self.required(tally.seats);
        match self {
            // It would have been met long before, and is not what is waited for.
            Self::All if tally.pending > 0 => Judgement::Open,
            _ if tally.answered >= required => Judgement::Met,
            _ if tally.answered + tally.pending < required || tally.pending == 0 => Judgement::Lost,
            _ => Judgement::Open,
        }
    }
}

/// The seats of a `fan_out`, counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub(crate) seats: usize,
    /// Those that have answered.
    pub(crate) answered: usize,
    /// Those that may still answer.
    pub(crate) pending: usize,
}

/// Whether a quorum is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is.
    Met,
    /// It cannot come any more.
    Lost,
    /// It may come.
    Open,
}

/// How many answers were wanted, and how many came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quorum {
    /// How many answers are enough.
    pub policy: QuorumPolicy,
    /// The same as a number.
    pub required: usize,
    /// How many seats there were, those that were passed over included. Substitutes take seats and add none.
    pub seats: usize,
    /// How many of them answered.
    pub answered: usize,
}

impl Quorum {
    pub(crate) fn of(policy: QuorumPolicy, attempts: &[Attempt]) -> Self {
        let seats = attempts.iter().filter(|attempt| attempt.launch == Launch::Panel).count();
        let answered = attempts.iter().filter(|attempt| attempt.succeeded()).count();
        Self { policy, required: policy.required(seats), seats, answered }
    }

    /// Whether enough seats answered.
    pub fn is_met(&self) -> bool {
        self.answered >= self.required
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_written_as_a_word_or_a_number() {
        use QuorumPolicy::{All, AtLeast, First, Majority};
        for (policy, written) in
            [(All, "\"all\""), (Majority, "\"majority\""), (First, "\"first\""), (AtLeast(2), "2")]
        {
            assert_eq!(serde_json::to_string(&policy).unwrap(), written);
            assert_eq!(serde_json::from_str::<QuorumPolicy>(written).unwrap(), policy);
        }
        for written in ["\"most\"", "-1", "1.5", "null", "{\"at_least\":2}"] {
            assert!(serde_json::from_str::<QuorumPolicy>(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_quorum_is_met_lost_or_open() {
        use Judgement::{Lost, Met, Open};
        use QuorumPolicy::{All, AtLeast, First, Majority};
        #[rustfmt::skip]
        let table = [
            // policy, seats, answered, pending
            (All,        3, 0, 3, Open),
            (All,        3, 2, 1, Open), // never early
            (All,        3, 3, 0, Met),
            (All,        3, 1, 0, Met),  // any answer will do
            (All,        3, 0, 0, Lost),
            (First,      3, 0, 3, Open),
            (First,      3, 1, 2, Met),
            (First,      3, 0, 1, Open),
            (First,      3, 0, 0, Lost),
            (AtLeast(3), 5, 2, 3, Open),
            (AtLeast(3), 5, 3, 2, Met),
            (AtLeast(3), 5, 2, 1, Open),
            (AtLeast(3), 5, 1, 1, Lost), // early: it cannot be reached any more
            (AtLeast(3), 5, 2, 0, Lost),
            (AtLeast(5), 5, 4, 1, Open),
            (Majority,   4, 2, 2, Open), // half is no majority
            (Majority,   4, 3, 1, Met),
            (Majority,   5, 3, 0, Met),
            (Majority,   5, 1, 1, Lost),
            (Majority,   1, 1, 0, Met),
        ];
        for (policy, seats, answered, pending, expected) in table {
            let judged = policy.judge(Tally { seats, answered, pending });
            assert_eq!(judged, expected, "{policy:?} of {seats}: {answered} answered, {pending} may");
        }
    }
}
