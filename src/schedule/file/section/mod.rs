//! A mapping of a file: its keys are taken one by one, and what is left is complained about.

mod phases;
mod settings;
mod values;

pub(crate) use values::so_many_numbers;

use super::place::Place;
use super::raw::Raw;
use super::shown::show;
use super::yaml::{self, Mapping, Value, is_taken_away};
use crate::params::{nearest, nearest_three};
use crate::schedule::Error;

/// A mapping of a file, at a dotted path.
pub(crate) struct Section {
    place: Place,
    known: Vec<&'static str>,
    map: Mapping,
    /// What was read, with defaults.
    said: Mapping,
}

impl Section {
    /// The top level of a file.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Section, Error> {
        let not_yaml = |reason| Error::NotYaml { file: file.to_owned(), reason };
        Section::of(Place::top(file), yaml::parse(text).map_err(not_yaml)?)
    }

    fn of(place: Place, value: Value) -> Result<Section, Error> {
        match value {
            Value::Mapping(map) => Ok(Section { place, known: Vec::new(), map, said: Mapping::new() }),
            other => Err(Error::BadValue {
                file: place.said_by(place.path()),
                key: if place.path().is_empty() { "the file".to_owned() } else { place.path().to_owned() },
                value: show(&other),
                allowed: "a mapping of keys to values".to_owned(),
                nearest: None,
            }),
        }
    }

    fn key(&self, key: &str) -> String {
        self.place.key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.know(key);
        let value = self.map.remove(key).filter(|value| !is_taken_away(value))?;
        self.said.insert(key.into(), value.clone());
        Some(value)
    }

    /// The default of a missing key.
    pub(crate) fn say<T: Clone + Into<Value>>(&mut self, key: &'static str, default: T) -> T {
        self.said.insert(key.into(), default.clone().into());
        default
    }

    /// What was read so far, with defaults, as it would be written.
    pub(crate) fn said(&self) -> Raw {
        Raw(self.said.clone())
    }

    /// The same without a key that has no effect here.
    pub(crate) fn unsay(&mut self, key: &str) {
        self.said.remove(key);
    }

    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// Reports the first unknown key. Call this before taking any key, so that a misspelt key is reported as such, and
    /// not as a missing one.
    pub(crate) fn only(&mut self, keys: &[&'static str]) -> Result<(), Error> {
        self.only_among(keys, &keys.join(", "))
    }

    /// The same, with another description of the keys in the message.
    pub(crate) fn only_among(&mut self, keys: &[&'static str], listed: &str) -> Result<(), Error> {
        keys.iter().for_each(|key| self.know(key));
        if let Some(key) = self.map.keys().find(|key| key.as_str().is_none_or(|key| !keys.contains(&key))) {
            return Err(self.unknown(key, listed.to_owned()));
        }
        self.map.retain(|_, value| !is_taken_away(value));
        Ok(())
    }

    /// The same for too many keys to list: the message has the nearest three.
    pub(crate) fn only_near(&mut self, keys: &[&'static str]) -> Result<(), Error> {
        let slip = self.map.keys().find(|key| key.as_str().is_none_or(|key| !keys.contains(&key))).map(show);
        let near = slip.map_or_else(String::new, |slip| nearest_three(&slip, keys).join(", "));
        self.only_among(keys, &format!("{near} and others"))
    }

    fn unknown(&self, key: &Value, known: String) -> Error {
        let key = show(key);
        let nearest = nearest(&key, self.known.iter().copied()).map(str::to_owned);
        let key = self.key(&key);
        Error::UnknownKey { file: self.place.said_by(&key), key, nearest, known }
    }

    pub(crate) fn bad(&self, key: &str, value: String, allowed: &str, nearest: Option<&str>) -> Error {
        let key = self.key(key);
        let (allowed, nearest) = (allowed.to_owned(), nearest.map(str::to_owned));
        Error::BadValue { file: self.place.said_by(&key), key, value, allowed, nearest }
    }

    /// The value does not go with another, or with what is here; `why` ends the sentence.
    pub(crate) fn unfit(&self, key: &str, value: impl ToString, why: impl Into<String>) -> Error {
        self.place.unfit(key, value, why)
    }

    /// Two keys that say the same thing; the first has this value.
    pub(crate) fn beside(&self, key: &str, value: impl ToString, other: &str) -> Error {
        self.place.unfit(key, value, format!("conflicts with {other}; keep one of them"))
    }

    /// A section below this one; `purpose` says what it is for, with an example.
    pub(crate) fn section(&mut self, key: &'static str, purpose: &'static str) -> Result<Section, Error> {
        match self.take(key) {
            Some(value) if !value.is_null() => Section::of(self.place.below(key), value),
            found => {
                let section = self.key(key);
                let file = self.place.said_by(&section);
                Err(Error::MissingSection { file, section, empty: found.is_some(), purpose })
            }
        }
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !is_taken_away(value))
    }

    /// Whether there is a value at a dotted path.
    pub(crate) fn has_at(&self, path: &str) -> bool {
        self.at(path).is_some()
    }

    fn at(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|first| self.map.get(first));
        steps.fold(first, |value, step| value.and_then(|value| value.get(step))).filter(|value| !is_taken_away(value))
    }

    /// The value at a dotted path, as written, if any.
    pub(crate) fn shown_at(&self, path: &str) -> String {
        self.at(path).map_or_else(String::new, show)
    }

    /// Whether the key is there and has this one below it.
    pub(crate) fn has_below(&self, key: &str, below: &str) -> bool {
        let value = self.map.get(key).and_then(|section| section.get(below));
        value.is_some_and(|value| !is_taken_away(value))
    }

    /// The key's text, if it is there and is text.
    pub(crate) fn peek(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    /// The rest of it, as written.
    pub(crate) fn raw(&self) -> Raw {
        let stays = self.map.iter().filter(|(_, value)| !is_taken_away(value));
        Raw(stays.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Its place.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(crate) fn missing(&self, keys: &[&'static str]) -> Error {
        self.place.missing(keys)
    }

    /// The key means something elsewhere; `instead` is what to write here.
    pub(crate) fn misplaced(&self, key: &str, instead: impl Into<String>) -> Error {
        self.place.misplaced(key, instead)
    }

    /// Complains about the first key that nobody took.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.map.keys().next().map_or(Ok(()), |key| Err(self.unknown(key, self.known.join(", "))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Whether the key is there and null.
    pub(crate) fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// The error for an empty section; `purpose` says what it is for, with an example.
    pub(crate) fn empty(&self, purpose: &'static str) -> Error {
        let file = self.place.said_by(self.place.path());
        Error::MissingSection { file, section: self.place.path().to_owned(), empty: true, purpose }
    }

    /// A section, if it is there and not null.
    pub(crate) fn maybe_section(&mut self, key: &'static str) -> Result<Option<Section>, Error> {
        let value = self.take(key).filter(|value| !value.is_null());
        value.map(|value| Section::of(self.place.below(key), value)).transpose()
    }
    /// Whether the key's value is this word.
    pub(crate) fn is_word(&self, key: &str, word: &str) -> bool {
        self.peek(key) == Some(word)
    }
}
