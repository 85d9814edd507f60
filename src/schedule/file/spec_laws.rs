//! The laws of a schedule over a run, for any model.

use super::law_spec::LawSpec;
use super::length::Run;
use super::spec::Spec;
use crate::params::{Field, Row};
use crate::schedule::Error;
use crate::schedule::law::table::{FieldLaw, checked_rows, fits};

impl Spec {
    /// The rows that groups start with: the optimizer's, then those of the entries of its `groups`.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        [&self.row].into_iter().chain(self.groups.iter().map(|group| &group.row))
    }

    /// The laws of a run, for groups with these rows at its start.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value, if the run is too short for a law, if a law counts epochs of unknown
    /// length, or if a class moves a field that one of `laws` moves.
    pub fn laws(&self, groups: &[Row], run: Run) -> Result<Vec<FieldLaw>, Error> {
        let mut laws: Vec<FieldLaw> = Vec::new();
        let mut by: Vec<(Field, &LawSpec)> = Vec::new();
        for spec in &self.laws {
            let made = spec.laws(groups, run)?;
            // What a class moves is known only now.
            if let Some((field, other)) = by.iter().find(|(field, _)| made.iter().any(|law| law.field == *field)) {
                return Err(spec.place().moved_twice(*field, other.place()));
            }
            by.extend(made.iter().map(|law| (law.field, spec)));
            laws.extend(made);
        }
        Ok(laws)
    }

    /// The rows of a whole run, `[steps, groups]`.
    ///
    /// # Errors
    /// As [`laws`](Spec::laws), [`Error::BadLaw`] if a law gives a value that its field does not allow, and
    /// [`Error::BadRow`] if a group starts with one.
    pub fn table(&self, groups: &[Row], steps: u64, steps_per_epoch: Option<u64>) -> Result<Vec<Row>, Error> {
        let laws = self.laws(groups, Run { steps, steps_per_epoch })?;
        checked_rows(groups, &laws, 0, steps).map_err(|error| self.by_law(groups, error))
    }

    /// A row's error as its law's, if the group's own row is valid.
    fn by_law(&self, groups: &[Row], error: Error) -> Error {
        match error {
            Error::BadRow { step, group, field, value, allowed }
                if groups.get(group).is_some_and(|row| fits(field, row.get(field))) =>
            {
                // A class, which comes first, moves what no short name moves.
                match self.laws.iter().find(|law| law.moves(field)).or(self.laws.first()) {
                    Some(law) => law.place().gives(step, group, field, value, allowed),
                    None => Error::BadRow { step, group, field, value, allowed },
                }
            }
            other => other,
        }
    }
}
