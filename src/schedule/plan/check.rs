//! Whether a cursor belongs to a plan: what comes from a file may have been saved with another schedule.

use super::cursor::{Cursor, Members, Origin, Rates, Source};
use super::{Plan, slot};
use crate::schedule::Error;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use crate::schedule::file::spec::Spec;

impl Plan {
    /// Checks a cursor that was read from somewhere, before anything is done with it. The run may be longer or shorter
    /// than the one in which it was saved; phases, optimizers and schedulers must be the same.
    ///
    /// # Errors
    /// [`Error`] saying what the cursor holds that this schedule does not have.
    pub fn check(&self, cursor: &Cursor) -> Result<(), Error> {
        self.check_phase(cursor.depth)?;
        self.check_rates(&cursor.rates)?;
        let plateaus = self.plateaus().count();
        if cursor.plateaus.len() != plateaus {
            let held = format!("{} plateau laws", cursor.plateaus.len());
            return Err(self.foreign(held, &format!("what this schedule has: {plateaus}")));
        }
        if let Some(pending) = &cursor.pending {
            self.check_phase(pending.depth)?;
            if pending.step > cursor.step || pending.depth > cursor.depth {
                let held = format!("an evaluation at step {} that has not decided", pending.step);
                return Err(self.foreign(held, "from before its own step"));
            }
            self.check_rates(&pending.rates)?;
        }
        let Some(best) = &cursor.best else { return Ok(()) };
        self.check_phase(best.depth)?;
        if best.step > cursor.step || best.depth > cursor.depth {
            return Err(self.foreign(format!("a best validation at step {}", best.step), "from before its own step"));
        }
        self.check_rates(&best.rates)
    }

    /// Whether a run saved with this schedule lacks rates for its end, and this plan differs only in the arguments of
    /// its schedulers: then the run can continue with them.
    pub fn mends(&self, saved: &str, cursor: &Cursor) -> bool {
        let (Some(there), Some(here)) = (without_arguments(saved), without_arguments(&self.to_yaml())) else {
            return false;
        };
        let Ok(spec) = Spec::parse("the saved schedule", saved) else { return false };
        there == here
            && match Plan::new(&spec, &self.params[..], self.run) {
                Ok(plan) => plan.check(cursor).is_ok() && plan.rows(cursor, 1).is_err(),
                Err(error) => matches!(error, Error::EndsEarly { .. }),
            }
    }

    fn foreign(&self, held: String, allowed: &str) -> Error {
        self.place.bad("the saved cursor", held, allowed)
    }

    fn check_phase(&self, phase: usize) -> Result<(), Error> {
        if phase < self.phases.len() {
            return Ok(());
        }
        let allowed = format!("in this schedule, whose phases are 0 to {}", self.phases.len() - 1);
        Err(self.foreign(format!("phase {phase}"), &allowed))
    }

    fn check_rates(&self, rates: &Rates) -> Result<(), Error> {
        if rates.values.len() != rates.groups.len() {
            return Err(self.foreign(format!("{} groups of rates", rates.values.len()), "one for each group"));
        }
        let optimizer = match rates.optimizer {
            Source::Start => true,
            Source::Phase(phase) => self.phases.get(phase).is_some_and(|phase| phase.new_optimizer.is_some()),
        };
        if !optimizer {
            return Err(self.foreign(format!("the optimizer of {}", named(rates.optimizer)), "in this schedule"));
        }
        let has = |source| self.schedulers.contains_key(&slot(source));
        match rates.scheduler.as_ref().map(|moving| moving.source) {
            Some(source) if !has(source) => {
                return Err(self.foreign(format!("the scheduler of {}", named(source)), "in this schedule"));
            }
            None if has(Source::Start) => {
                return Err(self.foreign("no scheduler".to_owned(), "as this schedule begins"));
            }
            _ => {}
        }
        rates.groups.iter().try_for_each(|members| self.check_members(members))
    }

    fn check_members(&self, members: &Members) -> Result<(), Error> {
        let name = match members.origin {
            Origin::Given(place) if place >= self.given.len() => {
                return Err(self.foreign(format!("group {place} of the caller's"), "among the groups given"));
            }
            Origin::Given(place) => self.given[place].name.clone(),
            Origin::Phase { phase, entry, .. } => {
                self.check_phase(phase)?;
                if let Some(entry) = entry.filter(|entry| *entry >= self.entries.len()) {
                    return Err(self.foreign(format!("entry {entry} of optimizer.groups"), "in this schedule"));
                }
                format!("phase {phase}")
            }
        };
        match members.params.iter().find(|param| !self.belongs(**param, members.origin)) {
            Some(param) => {
                let shown = self.params.get(*param).map_or(format!("parameter {param}"), |param| param.name.clone());
                Err(self.foreign(format!("{shown} in {name}"), "where this schedule has it"))
            }
            None => Ok(()),
        }
    }

    fn belongs(&self, param: usize, origin: Origin) -> bool {
        match origin {
            Origin::Given(place) => {
                self.params.get(param).is_some_and(|param| self.given[place].params.contains(&param.name))
            }
            Origin::Phase { phase, entry, layer, .. } => {
                let is_of_entry = entry.is_none_or(|_| self.entry_of[param] == entry);
                let is_of_layer = layer.is_none_or(|layer| self.layer_of[param] == layer);
                self.phases[phase].params.contains(&param) && is_of_entry && is_of_layer
            }
        }
    }
}

/// A schedule without the arguments of its schedulers.
fn without_arguments(text: &str) -> Option<Raw> {
    Some(Section::parse("", text).ok()?.raw().without_arguments())
}

fn named(source: Source) -> String {
    match source {
        Source::Start => "the start".to_owned(),
        Source::Phase(phase) => format!("phase {phase}"),
    }
}
