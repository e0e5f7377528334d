//! Reads a JSON value as what it should be, and as nothing where it is something else. Fields that come twice count
//! the last time, unknown ones are skipped, and lists are folded while they are read: no list of a few bytes an
//! element becomes one of many.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a JSON value is read as. Implement what it should be; the default is what it is where it is something else.
pub(crate) trait Patient<'de>: Default {
    /// It is something else, and not null or empty.
    fn odd(&mut self) {}

    fn text(&mut self, _text: Cow<'de, str>) {
        self.odd();
    }

    fn count(&mut self, _count: u64) {
        self.odd();
    }

    /// It is an object, whose fields come next.
    fn object(&mut self) {}

    /// Takes in, or skips, the value of this field.
    fn field<A: MapAccess<'de>>(&mut self, _name: &str, object: &mut A) -> Result<(), A::Error> {
        self.odd();
        skip(object)
    }

    /// It is a list, whose elements come next.
    fn list(&mut self) {}

    /// Takes in the next element; false when there is none.
    fn element<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let any = list.next_element::<IgnoredAny>()?.is_some();
        if any {
            self.odd();
        }
        Ok(any)
    }
}

/// Reads a whole text.
pub(crate) fn read<'de, T: Patient<'de>>(json: &'de str) -> Result<T, serde_json::Error> {
    serde_json::from_str::<Read<T>>(json).map(|read| read.0)
}

/// Reads the value of a field.
pub(crate) fn value<'de, T: Patient<'de>, A: MapAccess<'de>>(object: &mut A) -> Result<T, A::Error> {
    object.next_value::<Read<T>>().map(|read| read.0)
}

/// Skips the value of a field.
pub(crate) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(drop)
}

/// Reads an element of a list.
#[cfg(feature = "openai")]
pub(crate) fn element<'de, T: Patient<'de>, A: SeqAccess<'de>>(list: &mut A) -> Result<Option<T>, A::Error> {
    Ok(list.next_element::<Read<T>>()?.map(|read| read.0))
}

struct Read<T>(T);

impl<'de, T: Patient<'de>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData)).map(Self)
    }
}

/// The name of a field: borrowed, where JSON allows it.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Reader<T>(PhantomData<T>);

impl<T> Reader<T> {
    fn with(take: impl FnOnce(&mut T)) -> T
    where
        T: Default,
    {
        let mut value = T::default();
        take(&mut value);
        value
    }

    fn number<'de>(number: Option<u64>) -> T
    where
        T: Patient<'de>,
    {
        Self::with(|value| match number {
            Some(number) => value.count(number),
            None => value.odd(),
        })
    }
}

impl<'de, T: Patient<'de>> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(Self::with(T::odd))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(Self::with(|value| value.count(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(Self::number(u64::try_from(number).ok()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(Self::number(whole(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(Self::with(|value| value.text(Cow::Owned(text.to_owned()))))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(Self::with(|value| value.text(Cow::Borrowed(text))))
    }

    fn visit_string<E>(self, text: String) -> Result<T, E> {
        Ok(Self::with(|value| value.text(Cow::Owned(text))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut value = T::default();
        value.list();
        while value.element(&mut list)? {}
        Ok(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<T, A::Error> {
        let mut value = T::default();
        value.object();
        while let Some(name) = object.next_key::<Name<'de>>()? {
            value.field(&name.0, &mut object)?;
        }
        Ok(value)
    }
}

/// The number that some languages write as `18.0`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in the range")]
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}
