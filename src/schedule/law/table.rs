//! Rows of a horizon.

use super::Law;
use crate::params::{Field, Row};
use crate::schedule::Error;
use std::fmt;

/// A law on a field, of one group or of all.
#[non_exhaustive]
pub struct FieldLaw {
    /// The field that it moves.
    pub field: Field,
    /// The group, by place; `None` is every group.
    pub group: Option<usize>,
    /// The law; each group's from that group's own base value.
    pub law: Box<dyn Law>,
}

impl FieldLaw {
    /// A law on a field of every group.
    pub fn new(field: Field, law: impl Law + 'static) -> FieldLaw {
        FieldLaw { field, group: None, law: Box::new(law) }
    }

    /// A law on a field of one group.
    pub fn of_group(group: usize, field: Field, law: impl Law + 'static) -> FieldLaw {
        FieldLaw { field, group: Some(group), law: Box::new(law) }
    }
}

impl fmt::Debug for FieldLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldLaw").field("field", &self.field).field("group", &self.group).finish_non_exhaustive()
    }
}

/// The rows of `steps` steps from `first_step` on, `[steps, groups]`: each group's base row with its fields by the laws.
/// Of several laws on one field of a group the last is taken. A law moves nothing of a row that does not have its field.
pub fn rows(base: &[Row], laws: &[FieldLaw], first_step: u64, steps: u64) -> Vec<Row> {
    fill(base, laws, first_step, steps, |_, _, _, _| ())
}

/// [`rows`], each of which has been checked.
///
/// # Errors
/// [`Error::BadRow`] for the first value that its field does not allow, or that f32 cannot hold.
pub fn checked_rows(base: &[Row], laws: &[FieldLaw], first_step: u64, steps: u64) -> Result<Vec<Row>, Error> {
    let mut first_bad = None;
    let told = |step, group, field, value| Error::BadRow { step, group, field, value, allowed: allowed(field, value) };
    for (group, row) in base.iter().enumerate() {
        if let Some(field) = row.fields().find(|field| !fits(*field, row.get(*field))) {
            return Err(told(first_step, group, field, row.get(field)));
        }
    }
    let rows = fill(base, laws, first_step, steps, |step, group, field, value| {
        if !fits(field, value) && first_bad.is_none() {
            first_bad = Some(told(step, group, field, value));
        }
    });
    first_bad.map_or(Ok(rows), Err)
}

/// What a field would allow instead of this value.
pub(in crate::schedule) fn allowed(field: Field, value: f64) -> &'static str {
    let beyond = value > f64::from(f32::MAX) && value.is_finite();
    let bounded = matches!(field, Field::Beta1 | Field::Beta2 | Field::EmaDecay);
    if beyond && !bounded { "a number that f32 holds: it goes to 3.4e38" } else { field.allowed() }
}

/// Whether a field may have this value, as [`Row::check`] sees it, and f32 a number for it.
pub(in crate::schedule) fn fits(field: Field, value: f64) -> bool {
    field.allows(value) && value <= f64::from(f32::MAX)
}

/// What moves in a group: its field, base value and law.
struct Moved<'a> {
    field: Field,
    base: f64,
    law: &'a dyn Law,
}

fn fill(
    base: &[Row],
    laws: &[FieldLaw],
    first_step: u64,
    steps: u64,
    mut see: impl FnMut(u64, usize, Field, f64),
) -> Vec<Row> {
    let moved = |group: usize, row: &Row| -> Vec<Moved> {
        let here = laws.iter().filter(|law| law.group.is_none_or(|of| of == group) && row.has(law.field));
        here.map(|law| Moved { field: law.field, base: row.get(law.field), law: &*law.law }).collect()
    };
    let groups: Vec<(Row, Vec<Moved>)> =
        base.iter().enumerate().map(|(group, row)| (*row, moved(group, row))).collect();
    let count = base.len().saturating_mul(usize::try_from(steps).unwrap_or(usize::MAX));
    let mut rows = Vec::with_capacity(count.min(1 << 24));
    for step in first_step..first_step.saturating_add(steps) {
        for (group, (row, moved)) in groups.iter().enumerate() {
            let mut row = *row;
            for Moved { field, base, law } in moved {
                let value = law.value(*base, step);
                see(step, group, *field, value);
                row = row.with(*field, value);
            }
            rows.push(row);
        }
    }
    rows
}
