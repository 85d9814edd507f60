//! A parameter group as a scheduler sees it.

use super::super::exact;
use crate::params::Row;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A group's hyper-parameters by name, as in PyTorch's `param_groups`: `lr`, `weight_decay`, `momentum` or `beta1`, and
/// what schedulers leave there (`initial_lr`, `max_lr`, …). `lr_scale` scales what timm's schedulers write.
///
/// Schedulers read and write groups by these names, so values that others wrote count, as in the reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    #[serde(with = "exact::map")]
    values: BTreeMap<String, f64>,
}

impl Group {
    /// A group with a learning rate and nothing else.
    pub fn new(lr: f64) -> Group {
        Group::default().with("lr", lr)
    }

    /// A group with the hyper-parameters of a row: `beta1` and `beta2`, or `momentum`, by its rule.
    pub fn of_row(row: &Row) -> Group {
        row.fields().fold(Group::default(), |group, field| group.with(field.name(), row.get(field)))
    }

    /// The row with this group's hyper-parameters.
    pub fn to_row(&self, row: &Row) -> Row {
        row.fields().fold(*row, |row, field| match self.get(field.name()) {
            Some(value) => row.with(field, value),
            None => row,
        })
    }

    /// The group with a value set.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Group {
        self.set(name, value);
        self
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// The learning rate; 0 if there is none.
    pub fn lr(&self) -> f64 {
        self.get("lr").unwrap_or(0.0)
    }

    /// Sets a value.
    pub fn set(&mut self, name: &str, value: f64) {
        match self.values.get_mut(name) {
            Some(old) => *old = value,
            None => {
                self.values.insert(name.to_owned(), value);
            }
        }
    }

    /// The value, set first if it is not there.
    pub(super) fn or_set(&mut self, name: &str, value: f64) -> f64 {
        let held = self.get(name).unwrap_or(value);
        self.set(name, held);
        held
    }
}
