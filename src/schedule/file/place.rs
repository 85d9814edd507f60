//! The place of something in a file, and errors about it.

use super::shown::{SHOWN_TEXT, cut};
use crate::params::{Field, Shown};
use crate::schedule::{BadLaw, Error, class};
use std::sync::Arc;

/// A section's place, for what is found out later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    path: String,
    /// What the command line has put into the file, by whole paths.
    settings: Arc<Vec<(String, String)>>,
}

/// A setting of the command line, as it was given.
pub(super) fn told_setting(path: &str, value: &str) -> String {
    format!("--set {}", Shown(&format!("{path}={value}")))
}

impl Place {
    /// The top of a file.
    pub(crate) fn top(file: &str) -> Place {
        Place { file: file.to_owned(), ..Place::default() }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Remembers that the command line has put this value at a whole path.
    pub(super) fn set(&mut self, path: &str, value: &str) {
        Arc::make_mut(&mut self.settings).push((path.to_owned(), value.to_owned()));
    }

    /// The file and the path, for a message.
    pub(crate) fn at(&self) -> String {
        format!("{}: {}", self.file, self.path)
    }

    /// The place of a section here.
    pub(super) fn below(&self, key: &str) -> Place {
        Place { path: self.key(key), ..self.clone() }
    }

    /// The source of the value at a path: the last setting that put it there, else the file.
    pub(super) fn said_by(&self, path: &str) -> String {
        let is_below =
            |set: &str| path.strip_prefix(set).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let setting = self.settings.iter().rev().find(|(set, _)| is_below(set));
        setting.map_or_else(|| self.file.clone(), |(set, value)| told_setting(set, value))
    }

    /// The value does not go with another, or with what is here; `why` ends the sentence.
    pub(crate) fn unfit(&self, key: &str, value: impl ToString, why: impl Into<String>) -> Error {
        let key = self.key(key);
        let value = cut(value.to_string(), SHOWN_TEXT);
        Error::Unfit { file: self.said_by(&key), key, value, why: why.into() }
    }

    /// The key means something elsewhere; `instead` is what to write here.
    pub(crate) fn misplaced(&self, key: &str, instead: impl Into<String>) -> Error {
        let key = self.key(key);
        Error::Misplaced { file: self.said_by(&key), key, instead: instead.into() }
    }

    pub(crate) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn bad(&self, key: &str, value: impl ToString, allowed: impl Into<String>) -> Error {
        self.bad_near(key, value, allowed, None)
    }

    pub(crate) fn bad_near(
        &self,
        key: &str,
        value: impl ToString,
        allowed: impl Into<String>,
        nearest: Option<&str>,
    ) -> Error {
        let key = self.key(key);
        Error::BadValue {
            file: self.said_by(&key),
            key,
            value: cut(value.to_string(), SHOWN_TEXT),
            allowed: allowed.into(),
            nearest: nearest.map(str::to_owned),
        }
    }

    /// One of these keys is required, and all are missing; the first is the usual one.
    pub(crate) fn missing(&self, keys: &[&'static str]) -> Error {
        let (key, others) = keys.split_first().map_or(("", Vec::new()), |(key, others)| (*key, others.to_vec()));
        let key = self.key(key);
        Error::Missing { file: self.said_by(&key), key, others }
    }

    /// The value here moves `field`, and so does the one at `by`.
    pub(crate) fn moved_twice(&self, field: Field, by: &Place) -> Error {
        Error::MovedTwice { file: self.said_by(&self.path), key: self.path.clone(), field, by: by.path.clone() }
    }

    /// A law's complaint about an argument, as one about the key of that name.
    pub(crate) fn named(&self, error: Error) -> Error {
        match error {
            Error::BadArgument { argument, value, allowed, .. } => self.bad(argument, value, allowed),
            other => other,
        }
    }

    /// The value here gives a group a value at a step that its field does not allow.
    pub(crate) fn gives(&self, step: u64, group: usize, field: Field, value: f64, allowed: &'static str) -> Error {
        let (file, key) = (self.said_by(&self.path), self.path.clone());
        Error::BadLaw(Box::new(BadLaw { file, key, step, group, name: None, field, value, allowed }))
    }

    /// A registered law refuses its keys.
    pub(crate) fn own(&self, reason: String) -> Error {
        Error::Own { file: self.said_by(&self.path), key: self.path.clone(), reason }
    }

    pub(crate) fn class(&self, refusal: class::Error) -> Error {
        Error::Class { file: self.said_by(&self.path), key: self.path.clone(), refusal: Box::new(refusal) }
    }
}
