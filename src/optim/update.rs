//! What the third stage of a step needs to know of its rule: the kernel, and the moments that a parameter has.

use crate::params::{Row, Rule};

/// Bytes that every rule moves for an element: the parameter is read and written, the gradient is read.
const BYTES: u64 = 12;
/// Bytes that each moment adds: it is read and written.
const MOMENT_BYTES: u64 = 8;

/// The update stage of an optimizer. Its groups share one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    /// The kernel; a variant of it where parameters are in place or amsgrad is in use.
    pub(crate) kernel: &'static str,
    /// What torch calls the moments, in the order of the kernel's bindings. Each is an arena.
    pub(crate) moments: &'static [&'static str],
}

const ADAMW: Update = Update { kernel: "adamw", moments: &["exp_avg", "exp_avg_sq"] };
const AMSGRAD: Update = Update { kernel: "adamw", moments: &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] };
/// The buffer is there without momentum too, so that a schedule may bring the momentum up from 0.
const SGD: Update = Update { kernel: "sgd", moments: &["momentum_buffer"] };

impl Update {
    /// The update stage for groups with these rows, whose rules go together. No group at all is AdamW.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Update {
        let rows = rows.into_iter().map(Update::of_row);
        rows.max_by_key(|update| update.moments.len()).unwrap_or(ADAMW)
    }

    /// What one group needs.
    pub(crate) fn of_row(row: &Row) -> Update {
        match row.rule {
            Rule::AdamW | Rule::Adam if row.amsgrad => AMSGRAD,
            Rule::AdamW | Rule::Adam => ADAMW,
            Rule::Sgd => SGD,
        }
    }

    /// Whether one optimizer may have both.
    pub(crate) fn goes_with(&self, other: &Update) -> bool {
        self.kernel == other.kernel
    }

    pub(crate) fn has_amsgrad(&self) -> bool {
        *self == AMSGRAD
    }

    /// Bytes that a step moves for each element.
    pub(crate) fn bytes_per_element(&self) -> u64 {
        BYTES + MOMENT_BYTES * self.moments.len() as u64
    }
}
