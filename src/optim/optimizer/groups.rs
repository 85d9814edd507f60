//! The groups: which parameters train, and by which rule.

use super::Optimizer;
use crate::engine::layout::{self, Record, TABLE_HEADER_BYTES};
use crate::optim::rows::Rows;
use crate::optim::update::Update;
use crate::optim::{Error, Precision, Shard};
use crate::params::{self, Group, Row, nearest};

/// What happens to the moments of a group that is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreeze {
    /// Moments, applied counts and the average stay, and continue when the group thaws.
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
    pub(super) clip_set: Option<String>,
    pub(super) frozen: bool,
}

impl Optimizer {
    /// Adds a group of parameters that are in none yet; they train from the next step on, their counts at 0. Loaded
    /// rows no longer fit; the groups' current rows replace them. If the groups that it is clipped together with have a clip
    /// norm, the new group takes it, since a schedule may have moved it.
    ///
    /// # Errors
    /// A clip norm that those groups do not have; more than 256 clip sets; unknown names, a parameter in two groups, values out of range; out of device memory. Nothing changes then.
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
        let (added, group_of) = self.joining(new, &current)?;
        let rows: Vec<Row> = current.into_iter().chain(added.iter().map(|group| group.row)).collect();
        let clip_sets = clip_sets(self.groups.iter().chain(&added))?;
        check_clip_norms(self.groups.iter().chain(&added), &rows)?;
        self.check_shared(&added)?;
        let clip = self.settings.clip.with(rows.iter().find_map(|row| row.clip_norm))?;
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
        self.clip_sets = clip_sets;
        self.group_of = group_of;
        self.rows = Rows::held(rows, self.step);
        self.clip = clip;
        self.inbox.clips(clip);
        self.table = table;
        self.state = state;
        self.moved();
        Ok(())
    }

    /// Refuses averages where moments are shared out: a test needs those of all parameters.
    fn check_shared(&self, added: &[GroupState]) -> Result<(), Error> {
        let keeps = |group: &&GroupState| group.row.ema_decay.is_some() || group.row.evaluates_an_average();
        let Some(group) = added.iter().find(keeps).filter(|_| self.settings.shard.is_some()) else { return Ok(()) };
        let param = group.tensors.first().map_or_else(String::new, |tensor| self.params[*tensor].name.clone());
        let reason = "its moments are shared out among ranks, and its group keeps an average of it".to_owned();
        Err(Error::Unsuited { param, reason })
    }

    /// Checks groups to add, and returns the group of each parameter. They take the clip norm of the existing ones in their set,
    /// which have these rows.
    fn joining(&self, new: &[Group], current: &[Row]) -> Result<(Vec<GroupState>, Vec<Option<usize>>), Error> {
        let before = self.groups.len();
        let mut group_of = self.group_of.clone();
        let mut added: Vec<GroupState> = Vec::new();
        for group in new {
            group.row.check_start(&group.name)?;
            if self.groups.iter().chain(&added).any(|known| known.name == group.name) {
                return Err(params::Error::NameTwice { what: "group", name: group.name.clone() }.into());
            }
            let place = before + added.len();
            let mut tensors = Vec::with_capacity(group.params.len());
            for name in &group.params {
                let tensor = self.place_of(name)?;
                self.memory.precisions[tensor].check(name, &group.row)?;
                group.row.rule.check_param(&self.params[tensor])?;
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
            let mut known = self.groups.iter().zip(current).filter(|(known, _)| known.clip_set == group.clip_set);
            let clip_norm = known.find_map(|(_, row)| row.clip_norm).or(group.row.clip_norm);
            let (name, clip_set) = (group.name.clone(), group.clip_set.clone());
            let row = Row { clip_norm, ..group.row };
            added.push(GroupState { name, tensors, row, clip_set, frozen: group.frozen });
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
            if self.settings.shard.is_some() {
                let reason = "moments that are shared out among ranks stay where they are".to_owned();
                return Err(Error::Unsuited { param: group.to_owned(), reason });
            }
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

    /// Thaws a group: it trains from the next step on. Missing moments are made.
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

    /// The kernels that the groups are updated by, each once.
    pub(crate) fn families(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = Vec::new();
        for group in &self.groups {
            let name = Update::of_row(&group.row).family.name;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() { vec![Update::of([]).family.name] } else { names }
    }

    /// What each tensor is updated by.
    pub(crate) fn updates(&self) -> Vec<Update> {
        let rows: Vec<Row> = self.groups.iter().map(|group| group.row).collect();
        self.shared(&self.state.order, updates(&rows, &self.group_of, &self.memory.precisions))
    }

    /// The same updates where these tensors have thawed, in this order, of which this optimizer has its part.
    pub(super) fn shared(&self, thawed: &[usize], mut updates: Vec<Update>) -> Vec<Update> {
        if let Some(shard) = self.settings.shard {
            for (tensor, owner) in shard.owners(thawed, &self.elements) {
                if owner != shard.number && !updates[tensor].is_elsewhere {
                    updates[tensor] = updates[tensor].elsewhere();
                }
            }
        }
        updates
    }

    /// Which of those that share the moments updates each parameter that has thawed; all are the first one's if nobody shares them.
    pub fn owners(&self) -> Vec<(&str, usize)> {
        let shard = self.settings.shard.unwrap_or(Shard { number: 0, of: 1 });
        let owners = shard.owners(&self.state.order, &self.elements).into_iter();
        owners.map(|(tensor, owner)| (self.params[tensor].name.as_str(), owner)).collect()
    }

    /// The row of a tensor's own group; of what is in no group the first one's.
    pub(crate) fn row_of_own(&self, tensor: usize) -> Row {
        self.groups.get(self.group_of[tensor].unwrap_or(0)).map_or_else(Row::default, |group| group.row)
    }

    /// What a tensor's own group needs: a slot by a switch only where it is on for the group.
    pub(crate) fn update_of_own(&self, tensor: usize) -> Update {
        Update { precision: self.memory.precisions[tensor], ..Update::of_row(&self.row_of_own(tensor)) }
    }
}

/// The rows of a step have one clip norm in each set of groups.
pub(super) fn check_clip_norms<'a>(groups: impl Iterator<Item = &'a GroupState>, rows: &[Row]) -> Result<(), Error> {
    let mut firsts: Vec<(&GroupState, Option<f64>)> = Vec::new();
    for (group, row) in groups.zip(rows) {
        match firsts.iter().find(|(known, _)| known.clip_set == group.clip_set) {
            None => firsts.push((group, row.clip_norm)),
            Some((_, norm)) if *norm == row.clip_norm => {}
            Some((known, norm)) => {
                let (first, second) = (known.name.clone(), group.name.clone());
                let (first_norm, second_norm) = (*norm, row.clip_norm);
                return Err(Error::ClipNormsDiffer { first, first_norm, second, second_norm });
            }
        }
    }
    Ok(())
}

/// Most sets of groups that are clipped together: each has partial sums of its own.
const MOST_CLIP_SETS: usize = 256;

/// The clip set of each group, in the order in which they come; none where all groups are in one.
fn clip_sets<'a>(groups: impl Iterator<Item = &'a GroupState> + Clone) -> Result<Vec<usize>, Error> {
    let mut names: Vec<Option<&str>> = Vec::new();
    if groups.clone().all(|group| group.clip_set.is_none()) {
        return Ok(Vec::new());
    }
    let set = |group: &'a GroupState| {
        let name = group.clip_set.as_deref();
        names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        })
    };
    let sets: Vec<usize> = groups.map(set).collect();
    match names.len() {
        0..=MOST_CLIP_SETS => Ok(sets),
        more => Err(Error::BadSetting { setting: "clip sets", value: more as f64, allowed: "256 at most" }),
    }
}

/// What each tensor is updated by, from the groups' rows, each tensor's group, and its types.
pub(super) fn updates(rows: &[Row], group_of: &[Option<usize>], precisions: &[Precision]) -> Vec<Update> {
    let update = |(group, precision): (&Option<usize>, &Precision)| {
        // What is in no group is as the first one is.
        let own = rows.get(group.unwrap_or(0)).map_or_else(|| Update::of([]), Update::of_row);
        Update { precision: *precision, ..own.with_slots_of(rows) }
    };
    group_of.iter().zip(precisions).map(update).collect()
}
