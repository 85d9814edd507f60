//! Steps that are made, and the rates of the steps ahead.

use super::cursor::{Cursor, Rates, Source};
use super::groups::filled;
use super::{Plan, Scheduled, slot};
use crate::params::{Field, Row};
use crate::schedule::Error;
use crate::schedule::class::{Group, State};
use crate::schedule::law::table::{FieldLaw, checked_rows};

impl Plan {
    /// Counts a step.
    ///
    /// # Errors
    /// A scheduler by class name that has no next value, though the run has a next step.
    pub fn step(&self, cursor: &mut Cursor) -> Result<(), Error> {
        self.advance(&mut cursor.rates, cursor.step)?;
        cursor.step += 1;
        Ok(())
    }

    /// Steps the scheduler after the step of this number: after each one, or after the last one of each epoch.
    fn advance(&self, rates: &mut Rates, step: u64) -> Result<(), Error> {
        let Some(moving) = &mut rates.scheduler else { return Ok(()) };
        let scheduled = &self.schedulers[&slot(moving.source)];
        if scheduled.spec.needs_metrics() || !scheduled.spec.is_due(step, self.run.steps_per_epoch) {
            return Ok(());
        }
        match scheduled.step(&mut moving.state, &mut rates.values, None) {
            // Some have a last value, and need no more.
            Err(_) if step + 1 >= self.steps() => Ok(()),
            other => other,
        }
    }

    /// The rows of the steps ahead, `[steps, groups]`, for the [groups](Plan::groups) that hold parameters, in their
    /// order. A transition, or an evaluation that [moves rates](crate::schedule::Verdict::moves_rates), invalidates
    /// them.
    ///
    /// There are fewer if a law or scheduler has no value for a later step, or none to continue with: the run trains up
    /// to that step, and there it is an error.
    ///
    /// # Errors
    /// A law or scheduler whose value in the first of these steps its field does not allow.
    pub fn rows(&self, cursor: &Cursor, steps: u64) -> Result<Vec<Row>, Error> {
        let laws = self.field_laws(cursor)?;
        let all = if cursor.rates.scheduler.is_none() {
            let bases = self.bases(&cursor.rates);
            let good = checked_rows(&bases, &laws, cursor.step, steps);
            match good {
                Err(Error::BadRow { step, .. }) if step > cursor.step => {
                    checked_rows(&bases, &laws, cursor.step, step - cursor.step)?
                }
                other => other?,
            }
        } else {
            self.unrolled(cursor, &laws, steps)?
        };
        Ok(filled(cursor, all))
    }

    fn unrolled(&self, cursor: &Cursor, laws: &[FieldLaw], steps: u64) -> Result<Vec<Row>, Error> {
        let mut rates = cursor.rates.clone();
        let mut all = Vec::new();
        for step in cursor.step..cursor.step.saturating_add(steps) {
            let now = checked_rows(&self.bases(&rates), laws, step, 1);
            match now.and_then(|rows| self.advance(&mut rates, step).map(|()| rows)) {
                Ok(rows) => all.extend(rows),
                Err(error) if all.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(all)
    }

    /// Each group's row with its current rates.
    pub(super) fn bases(&self, rates: &Rates) -> Vec<Row> {
        let groups = rates.groups.iter().zip(&rates.values);
        groups.map(|(members, group)| group.to_row(&self.base_row(rates.optimizer, members))).collect()
    }

    /// The laws by short name; the one of the lr gives way to a scheduler that has taken over.
    pub(super) fn field_laws(&self, cursor: &Cursor) -> Result<Vec<FieldLaw>, Error> {
        let bases = self.bases(&cursor.rates);
        let mut laws = Vec::new();
        let mut plateaus = cursor.plateaus.iter();
        for spec in &self.laws {
            let state = spec.plateau().and_then(|_| plateaus.next());
            if spec.class().is_some() || (spec.field() == Field::Lr && cursor.rates.scheduler.is_some()) {
                continue;
            }
            match state {
                Some(state) => laws.extend(spec.after(*state).laws(&bases, self.law_run())?),
                None => laws.extend(spec.laws(&bases, self.law_run())?),
            }
        }
        // Of several laws on one field the last is taken.
        laws.extend(self.own_laws.iter().map(|(field, law)| FieldLaw::new(*field, law.clone())));
        Ok(laws)
    }

    /// The cursor at the beginning of each phase, if no metric ends one sooner: the start, and every phase that a limit
    /// begins before the end.
    ///
    /// # Errors
    /// As [`epoch_start`](Plan::epoch_start) and [`step`](Plan::step).
    pub fn latest(&self) -> Result<Vec<Cursor>, Error> {
        let mut cursor = self.start()?;
        let mut stages = vec![cursor.clone()];
        while cursor.step < self.steps() {
            if self.epoch_start(&mut cursor)?.is_some() {
                // A phase without a step is skipped.
                stages.retain(|stage| stage.step < cursor.step);
                stages.push(cursor.clone());
            }
            self.step(&mut cursor)?;
        }
        Ok(stages)
    }

    pub(super) fn scheduled(&self, source: Source) -> &Scheduled {
        &self.schedulers[&slot(source)]
    }
}

impl Scheduled {
    pub(super) fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        self.scheduler.step(state, groups, metric).map_err(|error| self.spec.place.class(error))
    }
}
