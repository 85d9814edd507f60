//! What can be wrong with parameters, groups and rows.

use super::shown::Shown;

/// An error of the params room.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyper-parameter is outside what its field allows.
    #[error("group {group:?}: {field} = {value} is not {allowed}", group = Shown(.group))]
    BadValue {
        /// The group's name; empty before it has one.
        group: String,
        /// The field.
        field: super::Field,
        /// The value given.
        value: f64,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// A field that the group's rule does not have.
    #[error("group {group:?}: {rule} has no {field}; its fields are {fields}", group = Shown(.group))]
    NoSuchField {
        /// The group's name.
        group: String,
        /// Its rule.
        rule: super::Rule,
        /// The field.
        field: super::Field,
        /// The fields that it has.
        fields: String,
    },
    /// The dampening of SGD is not a number.
    #[error("group {group:?}: dampening = {dampening} is not a finite number", group = Shown(.group))]
    BadDampening {
        /// The group's name.
        group: String,
        /// The value given.
        dampening: f64,
    },
    /// Nesterov's momentum without a momentum, or with dampening.
    #[error(
        "group {group:?}: nesterov needs a momentum above 0 and no dampening (momentum = {momentum}, dampening = {dampening})", group = Shown(.group))]
    BadNesterov {
        /// The group's name.
        group: String,
        /// The momentum given.
        momentum: f64,
        /// The dampening given.
        dampening: f64,
    },
    /// Moments of a rule whose kernel does not store them so.
    #[error("group {group:?}: moments of {rule} are stored as {}, not as {moments}", stored(.rule), group = Shown(.group))]
    BadStorage {
        /// The group's name.
        group: String,
        /// Its rule.
        rule: super::Rule,
        /// The storage asked for.
        moments: super::Storage,
    },
    /// A parameter that is no matrix, in a group of a rule that is for matrices alone.
    #[error(
        "parameter {param:?} of shape {shape:?} is no matrix, and {rule} is for matrices alone: give it a group of another rule, in a schedule by optimizer.groups: [{{match: {param:?}, type: adamw}}]", param = Shown(.param))]
    NotAMatrix {
        /// The parameter.
        param: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The rule.
        rule: super::Rule,
    },
    /// An average with a rule that keeps none.
    #[error("group {group:?}: {rule} has no ema_decay: an average beside its state is more than a kernel can bind", group = Shown(.group))]
    NoAverage {
        /// The group's name.
        group: String,
        /// Its rule.
        rule: super::Rule,
    },
    /// No group has this name.
    #[error("no group is named {name:?}{}", hint(.nearest), name = Shown(.name))]
    UnknownGroup {
        /// The name asked for.
        name: String,
        /// The closest known name.
        nearest: Option<String>,
    },
    /// No parameter has this name.
    #[error("no parameter is named {name:?}{}", hint(.nearest), name = Shown(.name))]
    UnknownParam {
        /// The name asked for.
        name: String,
        /// The closest known name.
        nearest: Option<String>,
    },
    /// A parameter is in two groups, or twice in one.
    #[error("parameter {param:?} is in group {first:?} and again in group {second:?}", param = Shown(.param), first = Shown(.first), second = Shown(.second))]
    InTwoGroups {
        /// The parameter.
        param: String,
        /// The group that has it.
        first: String,
        /// The group that wants it too.
        second: String,
    },
    /// Two groups, or two parameters, have one name.
    #[error("the {what} name {name:?} is used twice", name = Shown(.name))]
    NameTwice {
        /// `group` or `parameter`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A parameter has no elements.
    #[error("parameter {param:?} of shape {shape:?} has no elements", param = Shown(.param))]
    EmptyParam {
        /// The parameter.
        param: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A parameter has more elements than any device holds.
    #[error("parameter {param:?} of shape {shape:?} has more than 2^40 elements", param = Shown(.param))]
    HugeParam {
        /// The parameter.
        param: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// There is nothing to train.
    #[error("the model is empty: no parameter was given")]
    EmptyModel,
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {:?}?", Shown(name)))
}

fn stored(rule: &super::Rule) -> String {
    rule.storages().iter().map(|storage| storage.name()).collect::<Vec<_>>().join(" or ")
}
