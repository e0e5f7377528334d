//! Numbers from 1, where zero would have no sense.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, Unexpected, Visitor};

/// Only called for a setting that is there: one that is not has its default.
pub(super) fn deserialize<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<NonZeroU64>,
{
    Count(PhantomData).deserialize(deserializer)
}

/// A number, or nothing where a format has a word for that.
pub(super) struct Count<N>(pub(super) PhantomData<N>);

impl<'de, N: TryFrom<NonZeroU64>> DeserializeSeed<'de> for Count<N> {
    type Value = Option<N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<N>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<N: TryFrom<NonZeroU64>> Visitor<'_> for Count<N> {
    type Value = Option<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 1")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<N>, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<N>, E> {
        let given = Unexpected::Unsigned(number);
        let counted = NonZeroU64::new(number).ok_or_else(|| E::invalid_value(given, &self))?;
        N::try_from(counted).map(Some).map_err(|_| E::invalid_value(given, &"a smaller number"))
    }

    fn visit_unit<E: Error>(self) -> Result<Option<N>, E> {
        Ok(None)
    }
}
