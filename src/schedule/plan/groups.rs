//! The groups of a plan: which parameters they hold, and the rows that they begin with.

use super::Plan;
use super::cursor::{Cursor, Members, Origin, Rates, Source};
use super::entries::Part;
use crate::params::{self, Row, has_word};
use crate::schedule::Error;
use crate::schedule::class::Group;
use crate::schedule::law::table::checked_rows;

impl Plan {
    /// Puts the groups of phase 0 into empty rates, at the rate of the optimizer that is in force.
    pub(super) fn join_phase_0(&self, rates: &mut Rates) {
        for Part { entry, no_decay, layer, params } in self.divided(rates.optimizer, &self.phases[0].params) {
            let members = Members { origin: Origin::Phase { phase: 0, no_decay, entry, layer }, params };
            let row = self.base_row(rates.optimizer, &members);
            rates.values.push(Group::of_row(&row).with("initial_lr", row.lr));
            rates.groups.push(members);
        }
    }

    /// Parameters in the model's order; if there are `no_decay` names in two lists, the second without decay.
    pub(super) fn by_decay(&self, params: &[usize]) -> Vec<(bool, Vec<usize>)> {
        let mut params = params.to_vec();
        params.sort_unstable();
        if self.no_decay.is_empty() {
            return vec![(false, params)];
        }
        let exempt = |place: &usize| self.no_decay.iter().any(|word| has_word(&self.params[*place].name, word));
        let (without, with) = params.into_iter().partition(exempt);
        vec![(false, with), (true, without)]
    }

    /// The row of a group that nothing has moved.
    pub(super) fn base_row(&self, optimizer: Source, members: &Members) -> Row {
        let row = match (optimizer, members.origin) {
            (Source::Start, Origin::Given(place)) => return self.given[place].row,
            (Source::Start, Origin::Phase { entry: Some(entry), .. }) => self.entries[entry].row,
            (Source::Start, _) => self.row,
            (Source::Phase(phase), _) => self.phases[phase].new_optimizer.as_ref().map_or(self.row, |new| new.row),
        };
        let Origin::Phase { no_decay, layer, .. } = members.origin else { return row };
        let weight_decay = if no_decay { 0.0 } else { row.weight_decay };
        Row { weight_decay, lr: row.lr * self.layer_scale(layer), ..row }
    }

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
            let group = params::Group::new(self.group_name(members), row, names);
            match members.origin {
                Origin::Phase { entry: Some(entry), .. } if self.clips_alone(cursor, entry) => {
                    group.clipped_with(format!("entry {entry}"))
                }
                _ => group,
            }
        };
        Ok(filled.zip(rows).map(group).collect())
    }

    /// Whether an entry is clipped by its own norm. A new optimizer has no entries.
    fn clips_alone(&self, cursor: &Cursor, entry: usize) -> bool {
        cursor.rates.optimizer == Source::Start && self.entries[entry].clips_alone
    }

    pub(super) fn group_name(&self, members: &Members) -> String {
        match members.origin {
            Origin::Given(place) => self.given[place].name.clone(),
            Origin::Phase { no_decay: false, entry: None, layer: None, .. } if self.phases.len() == 1 => {
                "decay".to_owned()
            }
            Origin::Phase { no_decay: true, entry: None, layer: None, .. } if self.phases.len() == 1 => {
                "no_decay".to_owned()
            }
            Origin::Phase { phase, no_decay, entry, layer } => {
                let phase = (self.phases.len() > 1).then(|| format!("phase {phase}"));
                let pattern = entry.map(|entry| self.entries[entry].pattern.clone());
                let layer = layer.map(|layer| format!("layer {layer}"));
                let words =
                    phase.into_iter().chain(pattern).chain(layer).chain(no_decay.then(|| "no decay".to_owned()));
                words.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// The rows of the groups that hold parameters.
pub(super) fn filled(cursor: &Cursor, all: Vec<Row>) -> Vec<Row> {
    let holds: Vec<bool> = cursor.rates.groups.iter().map(|members| !members.params.is_empty()).collect();
    let mut holds = holds.iter().cycle();
    all.into_iter().filter(|_| holds.next().is_none_or(|holds| *holds)).collect()
}
