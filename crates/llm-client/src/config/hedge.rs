//! How long a first token may take: a duration (`"2s"`), or a quantile of those that were observed (`"p95"`).

use std::fmt;
use std::time::Duration;

use llm_reliability::Hedge;
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

use super::shown;

/// How long a first token may take before the next candidate is asked beside: a duration, or a [`Quantile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HedgeAfter {
    /// So long, [with every candidate](Hedge::after).
    Delay(Duration),
    /// Longer than so many of the candidate's [own first tokens](Hedge::observed) took of late.
    Quantile(Quantile),
}

/// A quantile, in thousandths: 900 to 996.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantile(u16);

impl Quantile {
    /// So many thousandths; `None` unless they are 900 to 996. `"p95"` is 950.
    pub const fn new(thousandths: u16) -> Option<Self> {
        if thousandths >= 900 && thousandths <= 996 { Some(Self(thousandths)) } else { None }
    }

    /// How many thousandths it is.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// `p95`, `p99.5`.
    fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
        let (tens, ones, tenths) = match *text.as_bytes() {
            [b'p', tens, ones] => (tens, ones, b'0'),
            [b'p', tens, ones, b'.', tenths] => (tens, ones, tenths),
            _ => return None,
        };
        Self::new(digit(tens)? * 100 + digit(ones)? * 10 + digit(tenths)?)
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (percent, 0) => write!(f, "p{percent}"),
            (percent, tenths) => write!(f, "p{percent}.{tenths}"),
        }
    }
}

impl From<HedgeAfter> for Hedge {
    fn from(after: HedgeAfter) -> Self {
        match after {
            HedgeAfter::Delay(delay) => Self::after(delay),
            HedgeAfter::Quantile(quantile) => Self::observed(f64::from(quantile.0) / 1000.0),
        }
    }
}

#[allow(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
pub(super) fn serialize<S: Serializer>(value: &Option<HedgeAfter>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(HedgeAfter::Delay(delay)) => serializer.collect_str(&humantime::format_duration(*delay)),
        Some(HedgeAfter::Quantile(quantile)) => serializer.collect_str(quantile),
        None => serializer.serialize_none(),
    }
}

/// Only called for a setting that is there: one that is not has its default.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HedgeAfter>, D::Error> {
    deserializer.deserialize_any(Written)
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Option<HedgeAfter>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"2s\", or a quantile from \"p90\" to \"p99.6\" in steps of 0.1")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<HedgeAfter>, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<HedgeAfter>, E> {
        let quantile = Quantile::parse(text).map(HedgeAfter::Quantile);
        let delay = || humantime::parse_duration(text).ok().map(HedgeAfter::Delay);
        quantile.or_else(delay).map(Some).ok_or_else(|| {
            // What is neither may be a key.
            E::custom(format_args!(
                "{:?} is no duration such as \"2s\", and no quantile from \"p90\" to \"p99.6\" in steps of 0.1",
                shown(text)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_share_that_it_is_called() {
        for (text, share) in [("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.0", 0.99), ("p99.6", 0.996)] {
            let quantile = Quantile::parse(text).unwrap();
            assert_eq!(Hedge::from(HedgeAfter::Quantile(quantile)), Hedge::observed(share), "{text}");
            assert_eq!(Quantile::parse(&quantile.to_string()), Some(quantile), "{text}");
            assert_eq!(Quantile::new(quantile.get()), Some(quantile), "{text}");
        }
        for text in
            ["p49.9", "p99.7", "p100", "p9", "p", "p95%", "p95.55", "p9 5", "P95", "95", "p-95", "p5０"]
        {
            assert_eq!(Quantile::parse(text), None, "{text}");
        }
    }
}
