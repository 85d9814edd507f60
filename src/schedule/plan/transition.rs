//! When the next phase begins, and what that changes.

use super::Plan;
use super::cursor::{Cursor, Members, Moving, Origin, Rates, Source};
use super::entries::Part;
use crate::params::Row;
use crate::schedule::Error;
use crate::schedule::class::Group;
use crate::schedule::file::early_stopping::Patience;
use crate::schedule::law::table::checked_rows;

/// Why a phase begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The phase before ran out of patience.
    EarlyStopping,
    /// The phase before reached its `max_transition_epoch`.
    MaxTransitionEpoch,
}

/// A phase that begins, and what the trainer has to do: go back to the best copy, thaw, and take the plan's
/// [`groups`](Plan::groups).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The phase that ends.
    pub from: usize,
    /// The phase that begins.
    pub to: usize,
    /// Why.
    pub reason: Reason,
    /// Restore parameters, moments and applied counts from the copy kept after so many steps. If the plan decides at a
    /// lag: from the best copy of the evaluations up to then, if one of them was the best.
    pub restore: Option<u64>,
    /// The parameters that thaw, by place in the model.
    pub thaws: Vec<usize>,
    /// There is a new optimizer, or the copy belongs to an old one: moments and applied counts start at zero.
    pub forgets_moments: bool,
}

impl Plan {
    /// Call this before the first step of an epoch and, if the plan evaluates between epochs, before the step after an
    /// evaluation: the next phase may begin. At most one begins; a second call at the same step returns `None`.
    ///
    /// At other steps it returns `None`.
    ///
    /// # Errors
    /// A scheduler by class name that has no value for the groups.
    pub fn epoch_start(&self, cursor: &mut Cursor) -> Result<Option<Transition>, Error> {
        let per_epoch = self.run.steps_per_epoch;
        let is_here = cursor.step.is_multiple_of(per_epoch) || self.evaluate.is_due(cursor.step, per_epoch);
        if !is_here || cursor.stop.is_some() || cursor.decided == Some(cursor.step) {
            return Ok(None);
        }
        let begun = self.reason(cursor).map(|reason| self.begin(cursor, reason)).transpose()?;
        cursor.decided = Some(cursor.step);
        Ok(begun)
    }

    /// Begins the next phase, which must exist. If it cannot begin, the cursor is unchanged.
    pub(super) fn begin(&self, cursor: &mut Cursor, reason: Reason) -> Result<Transition, Error> {
        let (from, to) = (cursor.depth, cursor.depth + 1);
        let renews = self.phases[to].new_optimizer.is_some();
        // At a lag it may not be known which evaluation was the best: the groups stay as they are.
        let best = cursor.best.clone().filter(|_| self.finetuning.restore_best && !self.decides_at_a_lag());
        // Groups of an optimizer that is gone say nothing about the one in force.
        let same_optimizer = best.as_ref().is_some_and(|best| best.rates.optimizer == cursor.rates.optimizer);
        let mut rates = cursor.rates.clone();
        self.settle_laws(cursor, to, &mut rates)?;
        let lrs: Vec<f64> = rates.values.iter().map(Group::lr).collect();
        let scheduler = rates.scheduler.clone();
        let mut replayed = to;
        if let Some(best) = best.as_ref().filter(|_| same_optimizer) {
            (rates, replayed) = (best.rates.clone(), best.depth + 1);
        }
        if renews {
            rates = Rates { optimizer: Source::Phase(to), groups: Vec::new(), values: Vec::new(), ..rates };
            self.join_phase_0(&mut rates);
            replayed = 1;
        }
        for phase in replayed..=to {
            if phase == to {
                rates.scheduler.clone_from(&scheduler);
                rates.values.iter_mut().zip(&lrs).for_each(|(group, lr)| group.set("lr", *lr));
            }
            self.join(&mut rates, phase)?;
            self.reinitialise(&mut rates, phase)?;
        }
        let thaws = self.phases[to].params.clone();
        cursor.rates = rates;
        cursor.depth = to;
        cursor.patience = Patience { wait: 0, is_complete: false, ..cursor.patience };
        let latest = cursor.undecided().filter(|_| self.restores_best() && self.decides_at_a_lag());
        let restore = best.as_ref().map(|best| best.step).or(latest);
        let forgets_moments = renews || (best.is_some() && !same_optimizer);
        Ok(Transition { from, to, reason, restore, thaws, forgets_moments })
    }

    fn reason(&self, cursor: &Cursor) -> Option<Reason> {
        if cursor.depth >= self.last {
            return None;
        }
        if cursor.patience.is_complete && !self.finetuning.epoch_transitions_only {
            return Some(Reason::EarlyStopping);
        }
        let epochs = cursor.step as f64 / self.run.steps_per_epoch as f64;
        let limit = self.phases[cursor.depth].max_transition_epoch?;
        (limit <= epochs).then_some(Reason::MaxTransitionEpoch)
    }

    /// The cursor has no rates for laws by short name; a scheduler that takes over needs them there.
    fn settle_laws(&self, cursor: &Cursor, phase: usize, rates: &mut Rates) -> Result<(), Error> {
        let takes_over = self.phases[phase].new_lr_scheduler.as_ref();
        let takes_over = takes_over.is_some_and(|new| new.use_current_optimizer_pg_lrs);
        if !takes_over || rates.scheduler.is_some() {
            return Ok(());
        }
        let laws = self.field_laws(cursor)?;
        let now = checked_rows(&self.bases(rates), &laws, cursor.step, 1)?;
        rates.values.iter_mut().zip(&now).for_each(|(group, row)| group.set("lr", row.lr));
        Ok(())
    }

    /// Makes groups of what a phase thaws; what is in a group already stays there.
    pub(super) fn join(&self, rates: &mut Rates, phase: usize) -> Result<(), Error> {
        let held = |param: &usize| rates.groups.iter().any(|members| members.params.contains(param));
        let new: Vec<usize> = self.phases[phase].params.iter().copied().filter(|param| !held(param)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let before = rates.clone();
        for Part { entry, no_decay, layer, params } in self.divided(rates.optimizer, &new) {
            let members = Members { origin: Origin::Phase { phase, no_decay, entry, layer }, params };
            let row = self.base_row(rates.optimizer, &members);
            let base = self.joining_lr(rates.optimizer, &members, &row);
            let lr = self.first_lr(&before, base)?;
            rates.values.push(Group::of_row(&Row { lr, ..row }).with("initial_lr", lr));
            rates.groups.push(members);
            if let Some(moving) = &mut rates.scheduler {
                moving.state.join(base);
            }
        }
        Ok(())
    }

    /// The rate that a group has until the scheduler's next step: its base value, or with `apply_lambdas_new_pgs` what a
    /// LambdaLR makes of it now.
    fn first_lr(&self, rates: &Rates, base: f64) -> Result<f64, Error> {
        let Some(moving) = rates.scheduler.as_ref().filter(|_| self.finetuning.apply_lambdas_new_pgs) else {
            return Ok(base);
        };
        let scheduled = self.scheduled(moving.source);
        if !scheduled.spec.path.ends_with("LambdaLR") {
            return Ok(base);
        }
        // The value at this count is that of one step from the count before.
        let mut state = moving.state.clone();
        state.join(base);
        state.count -= 1.0;
        let mut values = rates.values.clone();
        values.push(Group::new(base).with("initial_lr", base));
        scheduled.step(&mut state, &mut values, None)?;
        Ok(values.last().map_or(base, Group::lr))
    }

    /// Starts the scheduler that a phase starts again with, if it does.
    fn reinitialise(&self, rates: &mut Rates, phase: usize) -> Result<(), Error> {
        let Some(new) = &self.phases[phase].new_lr_scheduler else { return Ok(()) };
        let source = Source::Phase(phase);
        let initial = |group: &Group| group.get("initial_lr").unwrap_or(group.lr());
        if !new.use_current_optimizer_pg_lrs && new.init_pg_lrs.is_none() {
            rates.values.iter_mut().for_each(|group| group.set("lr", initial(group)));
        }
        for (group, lr) in rates.values.iter_mut().zip(new.init_pg_lrs.iter().flatten()) {
            group.set("lr", *lr);
            group.set("initial_lr", *lr);
        }
        let scheduled = self.scheduled(source);
        let state = scheduled.scheduler.start(&mut rates.values).map_err(|error| scheduled.spec.place.class(error))?;
        rates.scheduler = Some(Moving { source, state });
        Ok(())
    }
}
