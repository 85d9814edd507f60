//! The beginning of a run.

use super::cursor::{Cursor, Members, Moving, Origin, Rates, Source};
use super::{Plan, slot};
use crate::params::Group;
use crate::schedule::file::early_stopping::Patience;
use crate::schedule::law::PlateauState;
use crate::schedule::{Error, class};
use std::collections::HashMap;

impl Plan {
    /// Begins with these groups instead of those of phase 0. If their parameters are not exactly those of phase 0,
    /// `enforce_phase0_params` decides: phase 0 replaces them, or they stay and later phases add no group for their
    /// parameters.
    ///
    /// # Errors
    /// Names that the model does not have.
    pub fn with_groups(mut self, groups: Vec<Group>) -> Result<Plan, Error> {
        let mut held: Vec<usize> = Vec::new();
        let places = self.places();
        for name in groups.iter().flat_map(|group| &group.params) {
            let known = places.get(name.as_str()).copied();
            held.push(known.ok_or_else(|| self.place.bad("groups", name, "a parameter of the model"))?);
        }
        held.sort_unstable();
        let mut first = self.phases[0].params.clone();
        first.sort_unstable();
        let same = held == first;
        if !same {
            let what = "the optimizer's groups do not hold exactly the parameters of phase 0";
            let done = if self.finetuning.enforce_phase0_params { "they give way" } else { "they stay" };
            self.warnings.push(format!("{}: {what}; {done}", self.place.file()));
        }
        if same || !self.finetuning.enforce_phase0_params {
            self.given = groups;
        }
        Ok(self)
    }

    /// The places of the parameters, by name.
    fn places(&self) -> HashMap<&str, usize> {
        self.params.iter().enumerate().map(|(place, param)| (param.name.as_str(), place)).collect()
    }

    /// The beginning of a run: phase 0, step 0.
    ///
    /// # Errors
    /// A scheduler that does not fit the groups.
    pub fn start(&self) -> Result<Cursor, Error> {
        let mut rates = Rates { optimizer: Source::Start, groups: Vec::new(), values: Vec::new(), scheduler: None };
        if self.given.is_empty() {
            self.join_phase_0(&mut rates);
        }
        let places = if self.given.is_empty() { HashMap::new() } else { self.places() };
        for (place, group) in self.given.iter().enumerate() {
            let params = group.params.iter().filter_map(|name| places.get(name.as_str()).copied()).collect();
            rates.groups.push(Members { origin: Origin::Given(place), params });
            rates.values.push(class::Group::of_row(&group.row));
        }
        if let Some(scheduled) = self.schedulers.get(&slot(Source::Start)) {
            let started = scheduled.scheduler.start(&mut rates.values);
            let state = started.map_err(|error| scheduled.spec.place.class(error))?;
            rates.scheduler = Some(Moving { source: Source::Start, state });
        }
        Ok(Cursor {
            step: 0,
            depth: 0,
            decided: None,
            patience: Patience::default(),
            stop: None,
            rates,
            best: None,
            pending: None,
            plateaus: vec![PlateauState::default(); self.plateaus().count()],
        })
    }
}
