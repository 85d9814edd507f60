//! A parameter group: parameters that share a row of hyper-parameters.

use super::{Param, Row, has_word};
use crate::setters::setters;

/// Parameters, by name, and the row that they start with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// Names of its parameters.
    pub params: Vec<String>,
    /// Its hyper-parameters, until a schedule or [`set`](crate::optim::Optimizer::set) changes them.
    pub row: Row,
    /// The groups of one name here are clipped together, by a norm of their own; those of none are so too.
    pub clip_set: Option<String>,
    /// Whether it starts frozen: it has no moments and costs nothing until it thaws.
    pub frozen: bool,
}

impl Group {
    setters! {
        row: Row,
    }

    /// A group of the parameters named.
    pub fn new<N: Into<String>>(name: impl Into<String>, row: Row, params: impl IntoIterator<Item = N>) -> Group {
        let params = params.into_iter().map(Into::into).collect();
        Group { name: name.into(), params, row, clip_set: None, frozen: false }
    }

    /// The group, starting frozen.
    #[must_use]
    pub fn frozen(self) -> Group {
        Group { frozen: true, ..self }
    }

    /// The group, clipped by the norm of its own gradients and those of the groups with this name here, to the
    /// [`clip_norm`](Row::clip_norm) that all of them have; without one they are not clipped.
    #[must_use]
    pub fn clipped_with(self, set: impl Into<String>) -> Group {
        Group { clip_set: Some(set.into()), ..self }
    }

    /// The usual two groups: `decay` with the row as it is, and `no_decay` with no weight decay for every parameter
    /// whose name [has one of these words](has_word). A group without parameters is left out.
    pub fn by_decay(row: Row, params: &[Param], no_decay: &[&str]) -> Vec<Group> {
        let exempt = |param: &&Param| no_decay.iter().any(|word| has_word(&param.name, word));
        let (without, with): (Vec<&Param>, Vec<&Param>) = params.iter().partition(exempt);
        let names = |params: Vec<&Param>| params.into_iter().map(|param| param.name.clone()).collect::<Vec<_>>();
        let groups = [
            Group::new("decay", row, names(with)),
            Group::new("no_decay", Row { weight_decay: 0.0, ..row }, names(without)),
        ];
        groups.into_iter().filter(|group| !group.params.is_empty()).collect()
    }
}
