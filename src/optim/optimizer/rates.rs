//! The rows of the groups: a schedule's, or each group's own.

use super::Optimizer;
use super::groups::check_clip_norms;
use crate::engine::count;
use crate::optim::rows::Rows;
use crate::optim::{Error, LAST_STEP};
use crate::params::{self, Field, Row, Switch};

/// A group of one optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupId(usize);

impl Optimizer {
    /// A group's row at the coming step.
    ///
    /// # Errors
    /// An unknown group; [`Error::NoRow`] past the loaded rows.
    pub fn row(&self, group: &str) -> Result<Row, Error> {
        self.rows.row(self.step, self.group(group)?, self.groups.len())
    }

    /// Sets a field of a group from the coming step on, without any schedule. Of loaded rows it changes those to come: the
    /// group's rows go up with the next step, and no other's. A clip norm is set for every group that is clipped together with it.
    ///
    /// # Errors
    /// An unknown group, a field that its rule does not have, or a value that the field does not allow. Nothing changes
    /// then.
    pub fn set(&mut self, group: &str, field: Field, value: f64) -> Result<(), Error> {
        let id = self.group_id(group)?;
        self.set_many(&[(id, field, value)])
    }

    /// The same for several fields at once, by the groups' handles: all of them, or none.
    ///
    /// # Errors
    /// As [`set`](Optimizer::set), for the first that cannot be set.
    pub fn set_many(&mut self, fields: &[(GroupId, Field, f64)]) -> Result<(), Error> {
        for (GroupId(place), field, value) in fields {
            let Some(group) = self.groups.get(*place) else {
                let (name, nearest) = (format!("{place}"), None);
                return Err(params::Error::UnknownGroup { name, nearest }.into());
            };
            if !group.row.has(*field) {
                let fields: Vec<&str> = group.row.fields().map(Field::name).collect();
                let (group, rule, fields) = (group.name.clone(), group.row.rule, fields.join(", "));
                return Err(params::Error::NoSuchField { group, rule, field: *field, fields }.into());
            }
            field.check(&group.name, *value)?;
        }
        for (GroupId(place), field, value) in fields {
            let of_set = |other: &usize| self.groups[*other].clip_set == self.groups[*place].clip_set;
            let places: Vec<usize> = match *field {
                Field::ClipNorm => (0..self.groups.len()).filter(of_set).collect(),
                _ => vec![*place],
            };
            for place in places {
                self.groups[place].row = self.groups[place].row.with(*field, *value);
                self.rows.set(self.step, place, self.groups.len(), *field, *value);
            }
        }
        Ok(())
    }

    /// A handle of a group, which holds for as long as the optimizer does.
    ///
    /// # Errors
    /// An unknown group.
    pub fn group_id(&self, group: &str) -> Result<GroupId, Error> {
        Ok(GroupId(self.group(group)?))
    }

    /// Loads the rows of the steps from `first_step` on, `[steps, groups]`, groups in the order of
    /// [`Optimizer::groups`]. One upload, with the next step. Frozen groups have rows too.
    ///
    /// # Errors
    /// [`Error::BadRows`] if the number does not fit groups and horizon, if rule or amsgrad change or a clip norm comes or
    /// goes; [`Error::ClipNormsDiffer`] within a step; values out of range.
    pub fn load_rows(&mut self, first_step: u64, rows: &[Row]) -> Result<(), Error> {
        let groups = self.groups.len();
        let bad = |reason| Err(Error::BadRows { rows: rows.len(), groups, reason });
        if rows.is_empty() || groups == 0 || !rows.len().is_multiple_of(groups) {
            return bad("not a whole number of steps");
        }
        let steps = rows.len() / groups;
        if steps > self.settings.horizon_steps as usize {
            return bad("more steps than horizon_steps");
        }
        for (row, group) in rows.iter().zip(self.groups.iter().cycle()) {
            row.check(&group.name)?;
            if (row.rule, row.amsgrad) != (group.row.rule, group.row.amsgrad) {
                return bad("rule and amsgrad cannot change from step to step");
            }
            let is_fixed = |switch: &Switch| switch.is_on(row) == switch.is_on(&group.row);
            let may_change = |switch: &&Switch| [Switch::Nesterov, Switch::Maximize].contains(switch);
            if !row.rule.switches().iter().filter(|switch| !may_change(switch)).all(is_fixed) {
                return bad("switches cannot change from step to step");
            }
            if row.moments != group.row.moments {
                return bad("how moments are stored cannot change from step to step");
            }
            if row.ema_decay.is_some() != group.row.ema_decay.is_some() {
                return bad("an average cannot come or go from step to step");
            }
            if row.clip_norm.is_some() != group.row.clip_norm.is_some() {
                return bad("a clip norm cannot come or go from step to step");
            }
        }
        for rows in rows.chunks(groups) {
            check_clip_norms(self.groups.iter(), rows)?;
        }
        if first_step > LAST_STEP {
            return Err(Error::StepTooLarge { step: first_step });
        }
        self.rows = Rows::loaded(first_step, count("steps", steps)?, rows.to_vec());
        Ok(())
    }

    /// Each group's row at the coming step; past the loaded rows the groups' own stand in.
    pub(super) fn current_rows(&self) -> Vec<Row> {
        let groups = self.groups.len();
        let row = |place| self.rows.row(self.step, place, groups).unwrap_or(self.groups[place].row);
        (0..groups).map(row).collect()
    }

    /// Steps that one table may hold.
    pub fn horizon_steps(&self) -> u32 {
        self.settings.horizon_steps
    }
}
