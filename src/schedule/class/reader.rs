//! Reading a constructor's arguments, with its defaults.

use super::{Arguments, Error, Factor, Value};
use crate::params::nearest;

/// The arguments of one class.
pub(super) struct Reader<'a> {
    class: &'static str,
    arguments: &'a Arguments,
}

/// One value for all groups, or one for each.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PerGroup<T> {
    Same(T),
    Each(Vec<T>),
}

impl<T> PerGroup<T> {
    /// A group's value. A group that joined after a list was given has the list's last.
    pub(super) fn get(&self, group: usize) -> Option<&T> {
        match self {
            PerGroup::Same(value) => Some(value),
            PerGroup::Each(list) => list.get(group).or(list.last()),
        }
    }

    /// Why a list does not fit so many groups.
    pub(super) fn misfit(&self, name: &str, groups: usize) -> Option<String> {
        match self {
            PerGroup::Each(list) if list.len() != groups => {
                Some(format!("{name} has {} values for {groups} groups", list.len()))
            }
            _ => None,
        }
    }
}

impl<'a> Reader<'a> {
    /// Refuses an argument that is not among the known ones.
    pub(super) fn new(class: &'static str, arguments: &'a Arguments, known: &[&str]) -> Result<Reader<'a>, Error> {
        match arguments.iter().find(|(key, _)| !known.contains(key)) {
            None => Ok(Reader { class, arguments }),
            Some((key, _)) => Err(Error::UnknownArgument {
                class: class.to_owned(),
                argument: key.to_owned(),
                nearest: nearest(key, known.iter().copied()).map(str::to_owned),
                known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            }),
        }
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Refused { class: self.class.to_owned(), reason: reason.into() }
    }

    pub(super) fn bad(&self, argument: &str, allowed: &str) -> Error {
        Error::BadValue {
            class: self.class.to_owned(),
            argument: argument.to_owned(),
            value: self.arguments.get(argument).cloned().unwrap_or(Value::None),
            allowed: allowed.to_owned(),
        }
    }

    fn missing(&self, argument: &str) -> Error {
        Error::Missing { class: self.class.to_owned(), argument: argument.to_owned() }
    }

    /// An argument that is there and not None.
    pub(super) fn given(&self, argument: &str) -> Option<&'a Value> {
        self.arguments.get(argument).filter(|value| **value != Value::None)
    }

    /// A number that may be None.
    pub(super) fn maybe(&self, argument: &str) -> Result<Option<f64>, Error> {
        match self.given(argument) {
            None => Ok(None),
            Some(value) => value.number().map(Some).ok_or_else(|| self.bad(argument, "a number")),
        }
    }

    /// A number with a default.
    pub(super) fn number(&self, argument: &str, default: f64) -> Result<f64, Error> {
        match self.arguments.get(argument) {
            None => Ok(default),
            Some(value) => value.number().ok_or_else(|| self.bad(argument, "a number")),
        }
    }

    /// A number without a default.
    pub(super) fn required(&self, argument: &str) -> Result<f64, Error> {
        match self.arguments.get(argument) {
            None => Err(self.missing(argument)),
            Some(value) => value.number().ok_or_else(|| self.bad(argument, "a number")),
        }
    }

    /// A bool with a default.
    pub(super) fn truth(&self, argument: &str, default: bool) -> Result<bool, Error> {
        match self.arguments.get(argument) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.bad(argument, "true or false")),
        }
    }

    /// One of a few words, with a default.
    pub(super) fn word(
        &self,
        argument: &str,
        default: &'static str,
        words: &[&'static str],
    ) -> Result<&'static str, Error> {
        let Some(value) = self.arguments.get(argument) else { return Ok(default) };
        let text = if let Value::Text(text) = value { text.as_str() } else { "" };
        let found = words.iter().find(|word| **word == text).copied();
        found.ok_or_else(|| self.bad(argument, &format!("one of {}", words.join(", "))))
    }

    /// A list of numbers, without a default.
    pub(super) fn numbers(&self, argument: &str) -> Result<Vec<f64>, Error> {
        match self.arguments.get(argument) {
            None => Err(self.missing(argument)),
            Some(Value::List(list)) => {
                let numbers = list.iter().map(Value::number).collect::<Option<Vec<f64>>>();
                numbers.ok_or_else(|| self.bad(argument, "a list of numbers"))
            }
            Some(_) => Err(self.bad(argument, "a list of numbers")),
        }
    }

    /// A number, or a list with one for each group.
    pub(super) fn per_group(&self, argument: &str, default: Option<f64>) -> Result<PerGroup<f64>, Error> {
        match (self.arguments.get(argument), default) {
            (None, Some(default)) => Ok(PerGroup::Same(default)),
            (None, None) => Err(self.missing(argument)),
            (Some(Value::List(_)), _) => self.numbers(argument).map(PerGroup::Each),
            (Some(value), _) => {
                value.number().map(PerGroup::Same).ok_or_else(|| self.bad(argument, "a number or a list of numbers"))
            }
        }
    }

    /// A function of the step that may be None.
    pub(super) fn factor(&self, argument: &str) -> Result<Option<Factor>, Error> {
        self.given(argument).map(|value| self.one_factor(argument, value)).transpose()
    }

    /// A function of the step, or a list with one for each group.
    pub(super) fn factors(&self, argument: &str) -> Result<PerGroup<Factor>, Error> {
        match self.arguments.get(argument) {
            None => Err(self.missing(argument)),
            Some(Value::List(list)) => {
                let factors = list.iter().map(|value| self.one_factor(argument, value));
                factors.collect::<Result<Vec<Factor>, Error>>().map(PerGroup::Each)
            }
            Some(value) => self.one_factor(argument, value).map(PerGroup::Same),
        }
    }

    fn one_factor(&self, argument: &str, value: &Value) -> Result<Factor, Error> {
        let factor = if let Value::Map(map) = value { Factor::read(map) } else { None };
        factor.ok_or_else(|| self.bad(argument, Factor::ALLOWED))
    }
}
