//! Rows of a horizon.

use super::{Error, Law};
use crate::params::{Field, Row};
use std::fmt;

/// A law on a field, of one group or of all.
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
/// Of several laws on one field of a group the last is taken.
pub fn rows(base: &[Row], laws: &[FieldLaw], first_step: u64, steps: u64) -> Vec<Row> {
    let mut of_group: Vec<(Row, Vec<(Field, f64, &dyn Law)>)> = base.iter().map(|row| (*row, Vec::new())).collect();
    for (place, (row, moved)) in of_group.iter_mut().enumerate() {
        for law in laws.iter().filter(|law| law.group.is_none_or(|group| group == place)) {
            moved.push((law.field, row.get(law.field), &*law.law));
        }
    }
    let mut rows = Vec::with_capacity(base.len() * steps as usize);
    for step in first_step..first_step + steps {
        rows.extend(of_group.iter().map(|(row, moved)| {
            moved.iter().fold(*row, |row, (field, base, law)| row.with(*field, law.value(*base, step)))
        }));
    }
    rows
}

/// [`rows`], each of which has been checked.
///
/// # Errors
/// [`Error::BadRow`] for the first row that a field does not allow, or that f32 has no number for.
pub fn checked_rows(base: &[Row], laws: &[FieldLaw], first_step: u64, steps: u64) -> Result<Vec<Row>, Error> {
    let rows = rows(base, laws, first_step, steps);
    let groups = base.len().max(1);
    for (place, row) in rows.iter().enumerate() {
        let told = |field: Field, allowed: &'static str| Error::BadRow {
            step: first_step + (place / groups) as u64,
            group: place % groups,
            field,
            value: row.get(field),
            allowed,
        };
        match row.check("") {
            Err(crate::params::Error::BadValue { field, allowed, .. }) => return Err(told(field, allowed)),
            _ if row.lr > f64::from(f32::MAX) => return Err(told(Field::Lr, "a number of f32")),
            _ if row.weight_decay > f64::from(f32::MAX) => return Err(told(Field::WeightDecay, "a number of f32")),
            _ => {}
        }
    }
    Ok(rows)
}
