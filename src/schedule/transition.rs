//! Following a plan: when the next phase begins, what that changes, and the rates of the steps ahead.

use super::class::Group;
use super::cursor::{Best, Cursor, Members, Moving, Origin, Rates, Source};
use super::early_stopping::{Patience, Stop};
use super::law::{Better, PlateauState};
use super::plan::{Plan, Scheduled, slot};
use super::{Error, FieldLaw, checked_rows};
use crate::params::{self, Field, Row};

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
pub struct Transition {
    /// The phase that ends.
    pub from: usize,
    /// The phase that begins.
    pub to: usize,
    /// Why.
    pub reason: Reason,
    /// Parameters, moments and applied counts go back to the copy that was kept after so many steps.
    pub restore: Option<u64>,
    /// The parameters that thaw, by place in the model.
    pub thaws: Vec<usize>,
    /// There is a new optimizer, or the copy is an old one's: moments and applied counts start anew.
    pub forgets_moments: bool,
}

/// What a validation decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It is the best so far: where the plan [restores the best](Plan::restores_best), keep a copy now.
    pub is_best: bool,
    /// The rates of the steps ahead are others than before.
    pub moves_rates: bool,
    /// The run ends here.
    pub stop: Option<Stop>,
}

impl Plan {
    /// To be called before the first step of an epoch, and where the plan evaluates between epochs, before the step
    /// after an evaluation: the next phase may begin. At most one does; asked twice at the same step, the second time
    /// says no.
    ///
    /// Between these places it says no.
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

    /// Begins the next phase, which there is. The cursor stays as it was where it cannot begin.
    pub(super) fn begin(&self, cursor: &mut Cursor, reason: Reason) -> Result<Transition, Error> {
        let (from, to) = (cursor.depth, cursor.depth + 1);
        let renews = self.phases[to].new_optimizer.is_some();
        let best = cursor.best.clone().filter(|_| self.finetuning.restore_best);
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
        let restore = best.as_ref().map(|best| best.step);
        let forgets_moments = renews || (best.is_some() && !same_optimizer);
        Ok(Transition { from, to, reason, restore, thaws, forgets_moments })
    }

    /// The run as each of its stages begins, where no metric ends a phase sooner: the start, and every phase that a limit
    /// brings before the end.
    ///
    /// # Errors
    /// As [`epoch_start`](Plan::epoch_start) and [`step`](Plan::step).
    pub fn latest(&self) -> Result<Vec<Cursor>, Error> {
        let mut cursor = self.start()?;
        let mut stages = vec![cursor.clone()];
        while cursor.step < self.steps() {
            if self.epoch_start(&mut cursor)?.is_some() {
                // A phase without a step of its own is passed over.
                stages.retain(|stage| stage.step < cursor.step);
                stages.push(cursor.clone());
            }
            self.step(&mut cursor)?;
        }
        Ok(stages)
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

    /// Laws by short name have no rates of their own in the cursor; a scheduler that takes over needs them there.
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
        let base = self.phases[phase].lr;
        let lr = self.first_lr(rates, base)?;
        for (no_decay, params) in self.by_decay(&new) {
            let members = Members { origin: Origin::Phase { phase, no_decay }, params };
            let row = Row { lr, ..self.base_row(rates.optimizer, &members) };
            rates.values.push(Group::of_row(&row).with("initial_lr", lr));
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

    /// Starts the scheduler that a phase begins anew with, where it does.
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

    fn scheduled(&self, source: Source) -> &Scheduled {
        &self.schedulers[&slot(source)]
    }

    // ---- steps ----

    /// Counts a step that has been made.
    ///
    /// # Errors
    /// A scheduler by class name that has no next value, where the run has a next step.
    pub fn step(&self, cursor: &mut Cursor) -> Result<(), Error> {
        self.advance(&mut cursor.rates, cursor.step)?;
        cursor.step += 1;
        Ok(())
    }

    /// What the scheduler does after the step of this number: a step of its own after each one, or after the last one of
    /// each epoch.
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

    /// The rows of the steps ahead, `[steps, groups]`, with the [groups](Plan::groups) that hold parameters, in their
    /// order. A transition, and a validation that [moves rates](Verdict::moves_rates), makes them untrue.
    ///
    /// They are fewer where a law or scheduler has none for a later step, or none to go on with behind it: what can be
    /// trained still is, and at that step it is an error.
    ///
    /// # Errors
    /// A law or scheduler that gives what its field does not allow in the first of these steps.
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

    /// Each group's row as it stands in the rates.
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

    // ---- validations ----

    /// Takes the metrics of a validation in, by name, after the step that it came after. What it decides depends on
    /// their values alone.
    ///
    /// # Errors
    /// [`Error::NoMetric`] where one that the plan [asks for](Plan::monitors) is not there.
    pub fn validation(&self, cursor: &mut Cursor, metrics: &[(&str, f64)]) -> Result<Verdict, Error> {
        let value = |name: &str| {
            let found = metrics.iter().find(|(known, _)| *known == name);
            // As the reference, which logs in f32.
            found.map(|(_, value)| f64::from(*value as f32)).ok_or_else(|| Error::NoMetric {
                monitor: name.to_owned(),
                known: metrics.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
            })
        };
        for monitor in self.monitors() {
            value(monitor)?;
        }
        let is_last = cursor.depth >= self.last;
        if let Some(stopping) = &self.early_stopping {
            let stop = stopping.check(&mut cursor.patience, value(&stopping.monitor)?, is_last);
            cursor.stop = cursor.stop.or(stop);
        }
        let score = value(&self.checkpoint.monitor).ok();
        let is_best = score.is_some_and(|score| self.beats(score, cursor.best.as_ref()));
        if let Some(score) = score.filter(|_| is_best) {
            let (step, depth, rates) = (cursor.step, cursor.depth, cursor.rates.clone());
            cursor.best = Some(Best { step, depth, score, rates });
        }
        let before = (cursor.rates.values.clone(), cursor.plateaus.clone());
        if let Some(moving) = &mut cursor.rates.scheduler {
            let scheduled = &self.schedulers[&slot(moving.source)];
            let is_due = scheduled.spec.is_due(cursor.step.saturating_sub(1), self.run.steps_per_epoch);
            if scheduled.spec.needs_metrics() && is_due {
                let metric = value(self.monitor_of(&scheduled.spec))?;
                scheduled.step(&mut moving.state, &mut cursor.rates.values, Some(metric))?;
            }
        }
        for (plateau, state) in self.plateaus().zip(&mut cursor.plateaus) {
            *state = plateau.observe(*state, value(&self.checkpoint.monitor)?);
        }
        let reductions = |states: &[PlateauState]| states.iter().map(PlateauState::reductions).collect::<Vec<_>>();
        let moves_rates = before.0 != cursor.rates.values || reductions(&before.1) != reductions(&cursor.plateaus);
        Ok(Verdict { is_best, moves_rates, stop: cursor.stop })
    }

    /// Takes in the metrics of a test behind the run's last step, at which no evaluation is due. In a run without phases it
    /// may be the best: whether it is. Patience, schedulers and all else stay as they are.
    pub fn end(&self, cursor: &mut Cursor, metrics: &[(&str, f64)]) -> bool {
        let score = metrics.iter().find(|(name, _)| *name == self.checkpoint.monitor);
        let score = score.map(|(_, value)| f64::from(*value as f32));
        let score = score.filter(|score| self.last == 0 && self.beats(*score, cursor.best.as_ref()));
        if let Some(score) = score {
            cursor.best = Some(Best { step: cursor.step, depth: cursor.depth, score, rates: cursor.rates.clone() });
        }
        score.is_some()
    }

    fn beats(&self, score: f64, best: Option<&Best>) -> bool {
        !score.is_nan()
            && best.is_none_or(|best| match self.checkpoint.better {
                Better::Lower => score < best.score,
                Better::Higher => score > best.score,
            })
    }

    /// Whether a run may be over before its last epoch, or change its course, by a metric: then each validation's has to
    /// be known before the next step.
    pub fn needs_metrics(&self) -> bool {
        !self.monitors().is_empty()
    }

    // ---- groups ----

    /// The parameters that have thawed so far, by place in the model, in its order.
    pub fn thawed(&self, cursor: &Cursor) -> Vec<usize> {
        let mut thawed: Vec<usize> =
            self.phases[..=cursor.depth].iter().flat_map(|phase| phase.params.iter().copied()).collect();
        thawed.sort_unstable();
        thawed
    }

    /// The groups that hold parameters, for an optimizer: names, members and rows as they are now.
    ///
    /// # Errors
    /// A law that gives what its field does not allow.
    pub fn groups(&self, cursor: &Cursor) -> Result<Vec<params::Group>, Error> {
        let now = checked_rows(&self.bases(&cursor.rates), &self.field_laws(cursor)?, cursor.step, 1)?;
        let rows = filled(cursor, now);
        let filled = cursor.rates.groups.iter().filter(|members| !members.params.is_empty());
        let group = |(members, row): (&Members, Row)| {
            let names = members.params.iter().map(|param| self.params[*param].name.clone());
            params::Group::new(self.group_name(members), row, names)
        };
        Ok(filled.zip(rows).map(group).collect())
    }

    pub(super) fn group_name(&self, members: &Members) -> String {
        match members.origin {
            Origin::Given(place) => self.given[place].name.clone(),
            Origin::Phase { no_decay: false, .. } if self.phases.len() == 1 => "decay".to_owned(),
            Origin::Phase { no_decay: true, .. } if self.phases.len() == 1 => "no_decay".to_owned(),
            Origin::Phase { phase, no_decay: false } => format!("phase {phase}"),
            Origin::Phase { phase, no_decay: true } => format!("phase {phase}, no decay"),
        }
    }
}

/// The rows of the groups that hold parameters.
fn filled(cursor: &Cursor, all: Vec<Row>) -> Vec<Row> {
    let holds: Vec<bool> = cursor.rates.groups.iter().map(|members| !members.params.is_empty()).collect();
    let mut holds = holds.iter().cycle();
    all.into_iter().filter(|_| holds.next().is_none_or(|holds| *holds)).collect()
}

impl Scheduled {
    fn step(&self, state: &mut super::class::State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        self.scheduler.step(state, groups, metric).map_err(|error| self.spec.place.class(error))
    }
}
