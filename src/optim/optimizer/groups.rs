//! The groups: which parameters train, and by which rule.

use super::Optimizer;
use super::rates::check_clip_norms;
use crate::engine::layout::{self, Record, TABLE_HEADER_BYTES};
use crate::optim::rows::Rows;
use crate::optim::update::Update;
use crate::optim::{Error, Precision};
use crate::params::{self, Group, Row, nearest};

/// What happens to the moments of a group that is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreeze {
    /// They stay, with the applied counts, and go on when the group thaws. So does the average.
    KeepState,
    /// Their memory is given back, and the average's; a later thaw starts at zero.
    DropState,
}

/// A group as it stands.
#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) name: String,
    pub(super) tensors: Vec<usize>,
    pub(super) row: Row,
    pub(super) frozen: bool,
}

impl Optimizer {
    /// Adds a group of parameters that are in none yet; they train from the next step on, their counts at 0.
    /// Loaded rows no longer fit and give way to the groups' current rows. Where the groups have a clip norm the new one
    /// takes theirs, which a schedule may have moved.
    ///
    /// # Errors
    /// A rule or a clip norm that the other groups do not have; unknown names, a parameter in two groups, values out of range; out of device memory. Nothing changes then.
    pub fn add_group(&mut self, group: &Group) -> Result<(), Error> {
        self.add_groups(std::slice::from_ref(group))
    }

    /// The same for several groups at once: what moves in memory moves once.
    ///
    /// # Errors
    /// As [`add_group`](Optimizer::add_group).
    pub fn add_groups(&mut self, new: &[Group]) -> Result<(), Error> {
        self.refuse_swapped()?;
        let current = self.current_rows();
        let (added, group_of) = self.joining(new, current.first().and_then(|row| row.clip_norm))?;
        let rows: Vec<Row> = current.into_iter().chain(added.iter().map(|group| group.row)).collect();
        check_clip_norms(self.groups.iter().chain(&added).map(|group| group.name.as_str()).zip(&rows))?;
        let clip = self.settings.clip.with(rows.first().and_then(|row| row.clip_norm))?;
        let groups = rows.len();
        let bytes = groups.max(1) * size_of::<layout::TableRow>() * self.settings.horizon_steps as usize;
        let table = self.engine.buffer("table", TABLE_HEADER_BYTES + bytes as u64)?;
        let thawed: Vec<usize> =
            added.iter().filter(|group| !group.frozen).flat_map(|group| group.tensors.iter().copied()).collect();
        let updates = updates(&rows, &group_of, &self.memory.precisions);
        let state = self.state_with(&thawed, updates)?;

        for (group, row) in self.groups.iter_mut().zip(&rows) {
            group.row = *row;
        }
        self.groups.extend(added);
        self.group_of = group_of;
        self.rows = Rows::held(rows, self.step);
        self.clip = clip;
        self.inbox.clips(clip);
        self.table = table;
        self.state = state;
        self.moved();
        Ok(())
    }

    /// Groups that are to be added, checked, and the group of each parameter then. They take the clip norm of those there are.
    fn joining(&self, new: &[Group], clip_norm: Option<f64>) -> Result<(Vec<GroupState>, Vec<Option<usize>>), Error> {
        let before = self.groups.len();
        let mut group_of = self.group_of.clone();
        let mut added: Vec<GroupState> = Vec::new();
        for group in new {
            group.row.check_start(&group.name)?;
            check_rules(&self.groups, &added, group)?;
            if self.groups.iter().chain(&added).any(|known| known.name == group.name) {
                return Err(params::Error::NameTwice { what: "group", name: group.name.clone() }.into());
            }
            let place = before + added.len();
            let mut tensors = Vec::with_capacity(group.params.len());
            for name in &group.params {
                let tensor = self.place_of(name)?;
                self.memory.precisions[tensor].check(name, &group.row)?;
                if let Some(first) = group_of[tensor].replace(place) {
                    let known = self.groups.get(first).or_else(|| added.get(first - before));
                    return Err(Error::Params(params::Error::InTwoGroups {
                        param: name.clone(),
                        first: known.map_or_else(|| group.name.clone(), |known| known.name.clone()),
                        second: group.name.clone(),
                    }));
                }
                tensors.push(tensor);
            }
            let row = Row { clip_norm: clip_norm.or(group.row.clip_norm), ..group.row };
            added.push(GroupState { name: group.name.clone(), tensors, row, frozen: group.frozen });
        }
        Ok((added, group_of))
    }

    /// Freezes a group: from the next step on none of its bytes is touched.
    ///
    /// # Errors
    /// An unknown group; out of device memory where state is dropped.
    pub fn freeze(&mut self, group: &str, refreeze: Refreeze) -> Result<(), Error> {
        self.refuse_swapped()?;
        let place = self.group(group)?;
        if refreeze == Refreeze::DropState {
            let dropped = self.groups[place].tensors.clone();
            let order: Vec<usize> =
                self.state.order.iter().copied().filter(|tensor| !dropped.contains(tensor)).collect();
            let state = self.state_of(order, self.updates())?;
            for tensor in dropped {
                self.put_record(tensor, Record::default())?;
            }
            self.state = state;
        }
        self.groups[place].frozen = true;
        self.moved();
        Ok(())
    }

    /// Thaws a group: it trains from the next step on. Moments are made where it has none.
    ///
    /// # Errors
    /// An unknown group; out of device memory.
    pub fn thaw(&mut self, group: &str) -> Result<(), Error> {
        self.refuse_swapped()?;
        let place = self.group(group)?;
        if self.groups[place].tensors.iter().any(|tensor| !self.state.holds(*tensor)) {
            self.state = self.state_with(&self.groups[place].tensors, self.updates())?;
        }
        self.groups[place].frozen = false;
        self.moved();
        Ok(())
    }

    /// Whether a group is frozen.
    ///
    /// # Errors
    /// An unknown group.
    pub fn is_frozen(&self, group: &str) -> Result<bool, Error> {
        Ok(self.groups[self.group(group)?].frozen)
    }

    /// Whether a parameter is in a group that is not frozen.
    ///
    /// # Errors
    /// An unknown parameter.
    pub fn is_trainable(&self, name: &str) -> Result<bool, Error> {
        let tensor = self.place_of(name)?;
        Ok(self.group_of[tensor].is_some_and(|group| !self.groups[group].frozen))
    }

    /// Names of the groups, in the order of a table's rows.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    pub(super) fn group(&self, name: &str) -> Result<usize, Error> {
        Ok(self.groups.iter().position(|group| group.name == name).ok_or_else(|| params::Error::UnknownGroup {
            name: name.to_owned(),
            nearest: nearest(name, self.groups()).map(str::to_owned),
        })?)
    }

    /// The update stage that the groups share.
    pub(crate) fn update(&self) -> Update {
        Update::of(self.groups.iter().map(|group| &group.row))
    }

    /// What each tensor is updated by.
    pub(crate) fn updates(&self) -> Vec<Update> {
        let rows: Vec<Row> = self.groups.iter().map(|group| group.row).collect();
        updates(&rows, &self.group_of, &self.memory.precisions)
    }

    /// What a tensor's own group needs: the maximum only where the group uses amsgrad.
    pub(crate) fn update_of_own(&self, tensor: usize) -> Update {
        let own = self.group_of[tensor].map_or(self.update(), |group| Update::of_row(&self.groups[group].row));
        Update { precision: self.memory.precisions[tensor], ..own }
    }
}

/// What each tensor is updated by, from the groups' rows, each tensor's group, and its types.
pub(super) fn updates(rows: &[Row], group_of: &[Option<usize>], precisions: &[Precision]) -> Vec<Update> {
    let all = Update::of(rows);
    let update = |(group, precision): (&Option<usize>, &Precision)| Update {
        precision: *precision,
        ..update_of(all, rows, *group)
    };
    group_of.iter().zip(precisions).map(update).collect()
}

/// The moments that any group has, kept as the tensor's own group says; as the first one says where it is in none.
fn update_of(all: Update, rows: &[Row], group: Option<usize>) -> Update {
    let own = rows.get(group.unwrap_or(0)).map_or(all, Update::of_row);
    Update { moments: all.moments, ..own }
}

/// A group's rule has to go with those of the groups before it.
fn check_rules(known: &[GroupState], added: &[GroupState], group: &Group) -> Result<(), Error> {
    let Some(first) = known.iter().chain(added).next() else { return Ok(()) };
    if Update::of_row(&first.row).goes_with(&Update::of_row(&group.row)) {
        return Ok(());
    }
    let (first_rule, second_rule) = (first.row.rule, group.row.rule);
    Err(Error::MixedRules { first: first.name.clone(), first_rule, second: group.name.clone(), second_rule })
}
