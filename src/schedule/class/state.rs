//! What a scheduler must remember between steps.

use super::super::exact;
use super::{Error, Fault, Group};
use serde::{Deserialize, Serialize};

/// The state that changes. With the groups it continues exactly where it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct State {
    /// The class's own count: `last_epoch`, `_num_updates`, or the last t.
    #[serde(with = "exact::number")]
    pub count: f64,
    /// Each group's base value, as the constructor found it.
    #[serde(with = "exact::list")]
    pub bases: Vec<f64>,
    /// What only some classes remember.
    pub memory: Memory,
}

/// What only some classes remember.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Memory {
    /// Nothing: the count and the groups are enough.
    Nothing,
    /// Warm restarts: the place in the cycle.
    Cycle {
        /// Steps since the restart, `T_cur`.
        #[serde(with = "exact::number")]
        current: f64,
        /// Length of the cycle, `T_i`.
        #[serde(with = "exact::number")]
        length: f64,
    },
    /// Plateau: what the metric did so far.
    Plateau {
        /// The best metric.
        #[serde(with = "exact::number")]
        best: f64,
        /// Bad steps since the best.
        bad: u64,
        /// Steps of cooldown that are left.
        cooldown: i64,
    },
    /// Warmup-stable-decay: the last stable step before a decay, `previous_checkpoint_step`.
    Checkpoint(Option<i64>),
    /// Greedy: what the metric did so far, and what rests.
    Greedy(GreedyMemory),
    /// The states of the schedulers inside.
    Parts(Vec<State>),
}

/// What transformers' GreedyLR remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GreedyMemory {
    /// The best metric.
    #[serde(with = "exact::number")]
    pub best: f64,
    /// Steps without a better one, in a row.
    pub bad: u64,
    /// Steps with a better one, in a row.
    pub good: u64,
    /// Steps of rest that are left after a reduction.
    pub cooldown: i64,
    /// Steps of rest that are left after a raise.
    pub warmup: i64,
    /// Reductions at the lowest rates that are left until the first rates come back.
    #[serde(with = "exact::number")]
    pub reset: f64,
    /// The metrics that are averaged.
    #[serde(with = "exact::list")]
    pub window: Vec<f64>,
    /// Their sum, as it was added up.
    #[serde(with = "exact::number")]
    pub sum: f64,
}

impl State {
    pub(super) fn new(count: f64, bases: Vec<f64>) -> State {
        State { count, bases, memory: Memory::Nothing }
    }

    /// Takes a group on that joins late, with its base value; its current values stay until the next step.
    pub fn join(&mut self, base: f64) {
        self.bases.push(base);
        if let Memory::Parts(parts) = &mut self.memory {
            parts.iter_mut().for_each(|part| part.join(base));
        }
    }

    pub(super) fn base(&self, group: usize) -> Result<f64, Fault> {
        let base = self.bases.get(group).copied();
        base.ok_or_else(|| Fault::new(format!("group {group} joined without a base value")))
    }

    /// The states inside; empty for a state that is not of a class with parts.
    pub(super) fn parts(&mut self) -> &mut [State] {
        match &mut self.memory {
            Memory::Parts(parts) => parts,
            _ => &mut [],
        }
    }

    pub(super) fn no_value(&self, class: &str, fault: Fault) -> Error {
        Error::NoValue { class: class.to_owned(), step: self.count, reason: fault.0 }
    }

    /// One value for each group, none of them no rate.
    pub(super) fn checked(
        &self,
        class: &str,
        field: &str,
        values: impl IntoIterator<Item = Result<f64, Fault>>,
    ) -> Result<Vec<f64>, Error> {
        let checked: Result<Vec<f64>, Fault> =
            values.into_iter().enumerate().map(|(group, value)| check(field, group, value?)).collect();
        checked.map_err(|fault| self.no_value(class, fault))
    }

    /// Checks one value for each group, then writes them; if one is not a rate, nothing is written.
    pub(super) fn write(
        &self,
        class: &str,
        field: &str,
        groups: &mut [Group],
        values: impl IntoIterator<Item = Result<f64, Fault>>,
    ) -> Result<(), Error> {
        put(groups, field, &self.checked(class, field, values)?);
        Ok(())
    }
}

/// Writes one value to each group, in order; groups beyond the values keep theirs.
pub(super) fn put(groups: &mut [Group], field: &str, values: &[f64]) {
    groups.iter_mut().zip(values).for_each(|(group, value)| group.set(field, *value));
}

/// A recurrence that ends at 0, as LinearLR's with an end factor of 0, may end this far below it; the original
/// continues.
const ROUNDING: f64 = 1e-15;

fn check(field: &str, group: usize, value: f64) -> Result<f64, Fault> {
    if !value.is_finite() {
        return Err(Fault::new(format!("{field} of group {group} turns {value}")));
    }
    if field == "lr" && (-ROUNDING..0.0).contains(&value) {
        return Ok(0.0);
    }
    if field == "lr" && value < 0.0 {
        return Err(Fault::new(format!("lr of group {group} turns negative ({value:e})")));
    }
    Ok(value)
}
