//! What can be wrong with a schedule.

use crate::params::{Shown, did_you_mean, tame_line};

/// An error of the schedule room. `file` is the name that the caller gave the text, `key` a dotted path.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not YAML, is empty, or has a key twice.
    #[error("{file}: {reason}", file = tame_line(.file))]
    NotYaml {
        /// The file.
        file: String,
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A key that means nothing here.
    #[error("{file}: {key} is not a known key{}; known are {known}", did_you_mean(.nearest), file = tame_line(.file), key = Shown(.key))]
    UnknownKey {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// The closest known key.
        nearest: Option<String>,
        /// All keys there are.
        known: String,
    },
    /// A value that its key does not allow.
    #[error("{file}: {key} = {value} is not {allowed}{}", did_you_mean(.nearest), file = tame_line(.file), key = Shown(.key), value = Shown(.value))]
    BadValue {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// The value, as written.
        value: String,
        /// What would be accepted.
        allowed: String,
        /// The closest valid value, if there is one.
        nearest: Option<String>,
    },
    /// A value that does not go with another one, or with what is here.
    #[error("{file}: {key} = {value} {why}", file = tame_line(.file), key = Shown(.key), value = Shown(.value))]
    Unfit {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// The value, as written.
        value: String,
        /// The rest of the sentence.
        why: String,
    },
    /// A required key is missing.
    #[error("{file}: {key} is missing{}", instead(.others), file = tame_line(.file), key = Shown(.key))]
    Missing {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// Other keys, one of which would do instead.
        others: Vec<&'static str>,
    },
    /// A required section is missing or empty.
    #[error("{file}: the section {section} is {}: {purpose}", if *.empty { "empty" } else { "missing" }, file = tame_line(.file), section = Shown(.section))]
    MissingSection {
        /// The file.
        file: String,
        /// The section.
        section: String,
        /// Its name is there, but nothing below it.
        empty: bool,
        /// What it is for, with an example.
        purpose: &'static str,
    },
    /// A key that means something elsewhere.
    #[error("{file}: {key} has no place here: {instead}", file = tame_line(.file), key = Shown(.key))]
    Misplaced {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// What to write instead.
        instead: String,
    },
    /// Two laws on one field.
    #[error("{file}: {key}: {field} is already moved by {by}", file = tame_line(.file), key = Shown(.key), by = Shown(.by))]
    MovedTwice {
        /// The file.
        file: String,
        /// The later law.
        key: String,
        /// The field.
        field: crate::params::Field,
        /// The earlier law.
        by: String,
    },
    /// What a scheduler asked for by class name refuses.
    #[error("{file}: {key}: {refusal}", file = tame_line(.file), key = Shown(.key))]
    Class {
        /// The file.
        file: String,
        /// The section.
        key: String,
        /// What is wrong: part of the message, so not a separate cause.
        refusal: Box<super::class::Error>,
    },
    /// A registered law refuses its keys.
    #[error("{file}: {key}: {reason}")]
    Own {
        /// The file.
        file: String,
        /// The section.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The name of a law or class is taken.
    #[error("the name {name} is taken")]
    Taken {
        /// The name.
        name: String,
    },
    /// A scheduler asked for by class name that ends before the run does.
    #[error("{file}: {key}: {refusal}; this run needs {steps}")]
    EndsEarly {
        /// The file.
        file: String,
        /// The section.
        key: String,
        /// Where it ends: part of the message, so not a separate cause.
        refusal: Box<super::class::Error>,
        /// The steps that it would need.
        steps: usize,
    },
    /// An argument of a law, in Rust; in a file it is a [`Error::BadValue`].
    #[error("{law}: {argument} = {value} is not {allowed}", value = Shown(.value))]
    BadArgument {
        /// The law.
        law: &'static str,
        /// The argument, as files call it.
        argument: &'static str,
        /// The value given.
        value: String,
        /// What would be accepted.
        allowed: String,
    },
    /// A law of a file gave a row what its field does not allow.
    #[error("{0}")]
    BadLaw(Box<BadLaw>),
    /// A law gave a row what its field does not allow.
    #[error("step {step}, group {group}: {field} = {} is not {allowed}", number(*.value))]
    BadRow {
        /// The step.
        step: u64,
        /// The group, by place.
        group: usize,
        /// The field.
        field: crate::params::Field,
        /// The value.
        value: f64,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// A metric that decides something was not measured.
    #[error("the schedule needs the metric {monitor:?}, which was not given; given are {known}", monitor = Shown(.monitor))]
    NoMetric {
        /// The metric.
        monitor: String,
        /// Those that were given.
        known: String,
    },
}

/// What a law of a file gave that its field does not allow.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{file}: {key}: {field} = {} at step {step} of {} is not {allowed}", number(*.value), told_group(*.group, .name), file = tame_line(.file), key = Shown(.key))]
#[non_exhaustive]
pub struct BadLaw {
    /// The file.
    pub file: String,
    /// The law.
    pub key: String,
    /// The step.
    pub step: u64,
    /// The group, by place.
    pub group: usize,
    /// The group's name, if it is known; see [`Error::naming`].
    pub name: Option<String>,
    /// The field.
    pub field: crate::params::Field,
    /// The value.
    pub value: f64,
    /// What would be accepted.
    pub allowed: &'static str,
}

impl Error {
    /// What a law's constructor refuses.
    pub(super) fn bad_argument(
        law: &'static str,
        argument: &'static str,
        value: impl ToString,
        allowed: impl Into<String>,
    ) -> Error {
        Error::BadArgument { law, argument, value: value.to_string(), allowed: allowed.into() }
    }

    /// The same for a run that needs so many steps of a scheduler.
    pub(super) fn of_a_run(self, steps: usize) -> Error {
        match self {
            Error::Class { file, key, refusal } if matches!(*refusal, super::class::Error::NoValue { .. }) => {
                Error::EndsEarly { file, key, refusal, steps }
            }
            other => other,
        }
    }

    /// The same, with the group's name in place of its number.
    #[must_use]
    pub fn naming(mut self, groups: &[&str]) -> Error {
        if let Error::BadLaw(bad) = &mut self {
            bad.name = groups.get(bad.group).map(|&group| group.to_owned());
        }
        self
    }
}

/// A number whose digits do not fill the line.
fn number(value: f64) -> String {
    if value.is_finite() && value.abs() >= 1e9 { format!("{value:.3e}") } else { value.to_string() }
}

fn told_group(place: usize, name: &Option<String>) -> String {
    name.as_ref().map_or_else(|| format!("group {place}"), |name| format!("the group {name}"))
}

fn instead(others: &[&str]) -> String {
    if others.is_empty() { String::new() } else { format!(" ({} would do instead)", others.join(" or ")) }
}
