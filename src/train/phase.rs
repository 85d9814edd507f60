//! What a transition does on the device: back to the best copy, new groups, and a step compiled for them.

use super::event::Began;
use super::{Error, Trainer};
use crate::optim::Optimizer;
use crate::params::{Group, Param};
use crate::schedule::Transition;
use std::collections::HashMap;

impl Trainer {
    /// Begins the next phase if the plan says so.
    pub(super) fn begin_phase(&mut self) -> Result<Option<Began>, Error> {
        let Some(transition) = self.plan.epoch_start(&mut self.cursor)? else { return Ok(None) };
        // The memory of the old programs is freed first, to make room.
        self.forget_programs();
        let params = self.parameters.params();
        let thawed: Vec<String> = transition.thaws.iter().map(|place| params[*place].name.clone()).collect();
        if self.plan.restores_best() {
            let names: Vec<&str> = thawed.iter().map(String::as_str).collect();
            match (transition.restore, &self.judge) {
                (Some(_), Some(judge)) if !self.best.is_empty() => {
                    self.best.restore_where_known(&mut self.optimizer, &judge.standing, &names)?;
                }
                (Some(_), None) => self.best.restore_and_extend(&mut self.optimizer, &names)?,
                _ => self.best.extend(&self.optimizer, &names)?,
            }
        }
        let groups = self.plan.groups(&self.cursor)?;
        if transition.forgets_moments {
            self.drain()?;
            self.take_over(Optimizer::new(&self.engine, &self.parameters, &groups, self.config.settings)?)?;
        } else {
            let known: Vec<&str> = self.optimizer.groups().collect();
            let new: Vec<Group> =
                groups.iter().filter(|group| !known.contains(&group.name.as_str())).cloned().collect();
            if !new.is_empty() {
                self.optimizer.add_groups(&new)?;
            }
        }
        self.began(&transition, thawed).map(Some)
    }

    fn began(&self, transition: &Transition, thawed: Vec<String>) -> Result<Began, Error> {
        // At a lag the device knows which evaluation was the best, and the host may not.
        let (reason, restored) = (Some(transition.reason), transition.restore.filter(|_| self.judge.is_none()));
        Ok(Began { reason, restored, forgot_moments: transition.forgets_moments, thawed, ..self.phase_now()? })
    }

    /// The current phase, as if it began now: for reports of a run's start or resumption.
    ///
    /// # Errors
    /// A law whose value its field does not allow.
    pub fn phase_now(&self) -> Result<Began, Error> {
        let params = self.parameters.params();
        let thawed = self.plan.thawed(&self.cursor).into_iter().map(|place| params[place].name.clone()).collect();
        Ok(Began {
            phase: self.cursor.depth(),
            reason: None,
            steps: self.cursor.step(),
            restored: None,
            forgot_moments: false,
            thawed,
            depth_remaining: self.plan.depth_remaining(&self.cursor),
            wsd: self.plan.wsd(&self.cursor),
            groups: summaries(params, &self.plan.groups(&self.cursor)?),
        })
    }
}

/// Name, elements and learning rate of each group.
fn summaries(params: &[Param], groups: &[Group]) -> Vec<(String, usize, f64)> {
    let of: HashMap<&str, usize> = params.iter().map(|param| (param.name.as_str(), param.elements())).collect();
    let elements = |group: &Group| -> usize { group.params.iter().filter_map(|name| of.get(name.as_str())).sum() };
    groups.iter().map(|group| (group.name.clone(), elements(group), group.row.lr)).collect()
}
