//! Reads a JSON value as what it should be, and as nothing where it is something else. Fields that come twice count
//! the last time, unknown ones are skipped, and lists are folded while they are read: no list of a few bytes an
//! element becomes one of many.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
#[cfg(any(test, feature = "anthropic"))]
pub(crate) fn read<'de, T: Patient<'de>>(json: &'de str) -> Result<T, serde_json::Error> {
    let mut value = T::default();
    read_into(&mut value, json)?;
    Ok(value)
}

/// Reads a whole text into a place that has its default. Values are read where they stay: large ones would be moved at
/// each level of the JSON.
pub(crate) fn read_into<'de, T: Patient<'de>>(
    place: &mut T,
    json: &'de str,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Place(place).deserialize(&mut reader)?;
    reader.end()
}

/// Reads the value of a field into its place. What an earlier field of the name has left there is gone.
pub(crate) fn fill<'de, T: Patient<'de>, A: MapAccess<'de>>(
    place: &mut T,
    object: &mut A,
) -> Result<(), A::Error> {
    *place = T::default();
    object.next_value_seed(Place(place))
}

/// Skips the value of a field.
pub(crate) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(drop)
}

/// Reads an element of a list into a place that has its default; false when there is none.
#[cfg(feature = "openai")]
pub(crate) fn element<'de, T: Patient<'de>, A: SeqAccess<'de>>(
    place: &mut T,
    list: &mut A,
) -> Result<bool, A::Error> {
    Ok(list.next_element_seed(Place(place))?.is_some())
}

/// The name of a field: borrowed, where JSON allows it.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Where a value is read to. It has its default.
struct Place<'p, T>(&'p mut T);

impl<T> Place<'_, T> {
    fn number<'de>(self, number: Option<u64>)
    where
        T: Patient<'de>,
    {
        match number {
            Some(number) => self.0.count(number),
            None => self.0.odd(),
        }
    }
}

impl<'de, T: Patient<'de>> DeserializeSeed<'de> for Place<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Patient<'de>> Visitor<'de> for Place<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.0.odd();
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.count(number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.number(u64::try_from(number).ok());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.number(whole(number));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.text(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.0.text(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_string<E>(self, text: String) -> Result<(), E> {
        self.0.text(Cow::Owned(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.list();
        while self.0.element(&mut list)? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.0.object();
        while let Some(name) = object.next_key::<Name<'de>>()? {
            self.0.field(&name.0, &mut object)?;
        }
        Ok(())
    }
}

/// The number that some languages write as `18.0`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in the range")]
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}
