//! What can be wrong with a scheduler asked for by class name.

use super::Value;
use crate::params::{Shown, did_you_mean};

/// An error of a class: in its name, its arguments, the groups it is given, or at a step.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No class has this name.
    #[error("{class:?} is not a known scheduler class{}", did_you_mean(.nearest), class = Shown(.class))]
    UnknownClass {
        /// The name asked for.
        class: String,
        /// The closest known name.
        nearest: Option<String>,
    },
    /// The class is known, but not built.
    #[error("{class} is not built here: {reason}", class = Shown(.class))]
    NotBuilt {
        /// The name asked for.
        class: String,
        /// Why.
        reason: &'static str,
    },
    /// The class has no such argument.
    #[error("{class} has no argument {argument:?}{}; it has {known}", did_you_mean(.nearest), class = Shown(.class), argument = Shown(.argument))]
    UnknownArgument {
        /// The class.
        class: String,
        /// The argument.
        argument: String,
        /// The closest known argument.
        nearest: Option<String>,
        /// All arguments there are.
        known: String,
    },
    /// An argument without a default was left out.
    #[error("{class} needs the argument {argument:?}", class = Shown(.class), argument = Shown(.argument))]
    Missing {
        /// The class.
        class: String,
        /// The argument.
        argument: String,
    },
    /// A value that the class refuses.
    #[error("{class}: {argument} = {value} is not {allowed}", class = Shown(.class), argument = Shown(.argument))]
    BadValue {
        /// The class.
        class: String,
        /// The argument.
        argument: String,
        /// The value given.
        value: Value,
        /// What would be accepted.
        allowed: String,
    },
    /// Arguments that do not go together, or a part of the class that is not built here.
    #[error("{class}: {reason}", class = Shown(.class))]
    Refused {
        /// The class.
        class: String,
        /// Why.
        reason: String,
    },
    /// The class does not fit the groups.
    #[error("{class} does not fit the groups: {reason}", class = Shown(.class))]
    Groups {
        /// The class.
        class: String,
        /// Why.
        reason: String,
    },
    /// The class has no value at a step: the original crashes there, or gives a value that is not a rate.
    #[error("{class} has no value at step {step}: {reason}", class = Shown(.class))]
    NoValue {
        /// The class.
        class: String,
        /// Its own count.
        step: f64,
        /// Why.
        reason: String,
    },
}

/// Why a formula has no value: a division by zero, or a result that is not a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

impl Fault {
    pub(super) fn new(reason: impl Into<String>) -> Fault {
        Fault(reason.into())
    }
}
