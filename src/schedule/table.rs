//! Rows of a horizon.

use super::Law;
use crate::params::Row;

/// The rows of `steps` steps from `first_step` on, `[steps, groups]`: each group's base row with its lr by the law.
pub fn rows(base: &[Row], lr: &dyn Law, first_step: u64, steps: u64) -> Vec<Row> {
    (first_step..first_step + steps)
        .flat_map(|step| base.iter().map(move |row| Row { lr: lr.value(row.lr, step), ..*row }))
        .collect()
}
