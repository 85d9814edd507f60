//! Reading YAML: the one file that knows the YAML crate.
//!
//! The text is read into the crate's own value first, which refuses equal keys at any depth, alias bombs and deep
//! nesting; sections then take their keys one by one and complain about what is left.

use super::Error;
use crate::params::nearest;
use serde_yaml::{Mapping, Value};

/// A mapping of a file, at a dotted path.
pub(super) struct Section {
    file: String,
    path: String,
    known: Vec<&'static str>,
    map: Mapping,
}

impl Section {
    /// The top level of a file.
    pub(super) fn parse(file: &str, text: &str) -> Result<Section, Error> {
        let value: Value = serde_yaml::from_str(text)
            .map_err(|error| Error::NotYaml { file: file.to_owned(), reason: error.to_string() })?;
        Section::of(file, String::new(), value)
    }

    fn of(file: &str, path: String, value: Value) -> Result<Section, Error> {
        match value {
            Value::Mapping(map) => Ok(Section { file: file.to_owned(), path, known: Vec::new(), map }),
            other => Err(Error::BadValue {
                file: file.to_owned(),
                key: if path.is_empty() { "the file".to_owned() } else { path },
                value: show(&other),
                allowed: "a mapping of keys to values".to_owned(),
                nearest: None,
            }),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.map.remove(key)
    }

    pub(super) fn bad(&self, key: &str, value: String, allowed: &str, nearest: Option<&str>) -> Error {
        Error::BadValue {
            file: self.file.clone(),
            key: self.key(key),
            value,
            allowed: allowed.to_owned(),
            nearest: nearest.map(str::to_owned),
        }
    }

    /// A section below this one, empty where the key is not there.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Section, Error> {
        let value = self.take(key).unwrap_or(Value::Mapping(Mapping::new()));
        Section::of(&self.file, self.key(key), value)
    }

    /// A number. As in PyYAML, `1e-3` without a dot is text; text that reads as a number is taken as one.
    pub(super) fn number(&mut self, key: &'static str, default: f64) -> Result<f64, Error> {
        match self.take(key) {
            None => Ok(default),
            Some(value) => as_number(&value).ok_or_else(|| self.bad(key, show(&value), "a number", None)),
        }
    }

    /// Two numbers.
    pub(super) fn pair(&mut self, key: &'static str, default: (f64, f64)) -> Result<(f64, f64), Error> {
        let Some(value) = self.take(key) else { return Ok(default) };
        let numbers = value.as_sequence().and_then(|list| list.iter().map(as_number).collect::<Option<Vec<f64>>>());
        match numbers.as_deref() {
            Some([first, second]) => Ok((*first, *second)),
            _ => Err(self.bad(key, show(&value), "a list of two numbers", None)),
        }
    }

    /// One of a few words.
    pub(super) fn word(&mut self, key: &'static str, words: &[&'static str]) -> Result<&'static str, Error> {
        let Some(value) = self.take(key) else {
            return Err(Error::Missing { file: self.file.clone(), key: self.key(key) });
        };
        let text = value.as_str().unwrap_or_default();
        words.iter().find(|word| **word == text).copied().ok_or_else(|| {
            let allowed = format!("one of {}", words.join(", "));
            self.bad(key, show(&value), &allowed, nearest(text, words.iter().copied()))
        })
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, Error> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let texts = value
            .as_sequence()
            .and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        texts.ok_or_else(|| self.bad(key, show(&value), "a list of texts", None))
    }

    /// Complains about the first key that nobody took.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some((key, _)) = self.map.iter().next() else { return Ok(()) };
        let key = show(key);
        Err(Error::UnknownKey {
            file: self.file.clone(),
            nearest: nearest(&key, self.known.iter().copied()).map(str::to_owned),
            key: self.key(&key),
            known: self.known.join(", "),
        })
    }
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap_or_default().trim().to_owned(),
    }
}
