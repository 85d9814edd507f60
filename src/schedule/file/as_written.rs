//! Texts of a file as written.
//!
//! YAML reads `2.50` as a number, `True` as a truth and `null` as nothing. For a text (a name, a class, a column) the
//! characters in the file count. So a file is read a second time, with the keys that hold texts.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Where texts are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Texts {
    /// Here.
    Here,
    /// In a list.
    Listed,
    /// Below keys of a mapping.
    Below(&'static [(&'static str, Texts)]),
}

impl Texts {
    /// Where texts are below a dotted path.
    pub(crate) fn below(self, steps: &[&str]) -> Option<Texts> {
        let Some((first, rest)) = steps.split_first() else { return Some(self) };
        let Texts::Below(keys) = self else { return None };
        keys.iter().find(|(key, _)| key == first).and_then(|(_, texts)| texts.below(rest))
    }
}

/// Texts as they are written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Null, or nothing at all.
    Nothing,
    Text(String),
    List(Vec<String>),
    Map(Vec<(&'static str, Written)>),
}

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = Written;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Written, D::Error> {
        reader.deserialize_option(Reading(self))
    }
}

struct Reading(Texts);

impl<'de> Visitor<'de> for Reading {
    type Value = Written;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("texts")
    }

    fn visit_none<E: Error>(self) -> Result<Written, E> {
        Ok(Written::Nothing)
    }

    fn visit_unit<E: Error>(self) -> Result<Written, E> {
        Ok(Written::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<Written, D::Error> {
        match self.0 {
            Texts::Here => reader.deserialize_str(self),
            Texts::Listed => reader.deserialize_seq(self),
            Texts::Below(_) => reader.deserialize_map(self),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            texts.push(text);
        }
        Ok(Written::List(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let Texts::Below(keys) = self.0 else { return Err(A::Error::custom("a mapping where a text stands")) };
        let mut found = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match keys.iter().find(|(known, _)| *known == key) {
                Some((known, texts)) => found.push((*known, map.next_value_seed(*texts)?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Written::Map(found))
    }
}
