//! The optimizer: groups, work lists, and one submission a step.

use super::arena::Stream;
use super::external::{Placed, placed};
use super::parameters::{index_of, one_range};
use super::rows::Rows;
use super::squares::Squared;
use super::stages::{PerRun, Stages, control_block, is_in_place, stats_of};
use super::state::{State, Wanted};
use super::stats::Inbox;
use super::update::Update;
use super::work::{Span, WorkList};
use super::{Clip, Error, External, LAST_STEP, Mode, Parameters, Precision, STEPS_AHEAD, Stats};
use crate::engine::kernels::{Flag, SWAP};
use crate::engine::layout::{self, CONTROL_HEADER_BYTES, Record, TABLE_HEADER_BYTES};
use crate::engine::{Binding, Buffer, CLOCK_SLOTS, Engine, Prepared, Program, Range, Report, Ring, count};
use crate::engine::{Submission, Upload};
use crate::params::{self, Field, Group, Param, Row, nearest};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What holds for the whole optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How gradients are clipped, where the groups' rows have no [`clip_norm`](Row::clip_norm) of their own: a clip norm
    /// in the rows turns clipping by the 2-norm on, or takes the place of [`Clip::Norm`]'s.
    pub clip: Clip,
    /// Skip a whole step, on the device, if any gradient that takes part is not finite.
    pub guard: bool,
    /// Steps that one table may hold, at most [`CLOCK_SLOTS`].
    pub horizon_steps: u32,
    /// Most bytes of one page of state, below the device's own limit.
    pub page_bytes: Option<u64>,
    /// Sleep in [`Optimizer::step`] and [`Optimizer::step_over`] while the device has more than [`STEPS_AHEAD`] submissions to
    /// finish: what a host queues that never waits takes memory. A device that has work is not kept waiting by it. Steps in
    /// a caller's own encoder or submission are the caller's to hold back.
    pub throttle: bool,
    /// The seed of stochastic rounding, for what is stored so ([`Storage::Int8`](crate::params::Storage::Int8)).
    pub seed: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { clip: Clip::None, guard: false, horizon_steps: 256, page_bytes: None, throttle: true, seed: 0 }
    }
}

/// What happens to the moments of a group that is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreeze {
    /// They stay, with the applied counts, and go on when the group thaws. So does the average.
    KeepState,
    /// Their memory is given back, and the average's; a later thaw starts at zero.
    DropState,
}

/// The parameters that have a gradient this step, prepared by [`Optimizer::select`].
#[derive(Debug)]
pub struct Selection {
    layout: u64,
    prepared: Prepared,
}

/// A step that is ready to go into a submission; see [`Optimizer::next`].
#[derive(Debug)]
pub struct Next<'a> {
    /// The table, where it is new, to be written before the program.
    pub uploads: Vec<Upload>,
    /// The step's stages.
    pub program: &'a Prepared,
    /// The slot of the clock.
    pub slot: u32,
    /// The schedule's step.
    pub step: u64,
    /// To be raised if the uploads do not arrive; [`Submission::lost`](crate::engine::Submission::lost) does that.
    pub lost: Arc<AtomicBool>,
}

#[derive(Debug)]
struct GroupState {
    name: String,
    tensors: Vec<usize>,
    row: Row,
    frozen: bool,
}

/// Where parameters and gradients are.
#[derive(Debug)]
struct Memory {
    params: Placed,
    /// `None`: gradients lie in the optimizer's own arena, beside the moments.
    grads: Option<Placed>,
    mode: Option<Mode>,
    /// The types of each parameter.
    precisions: Vec<Precision>,
}

/// AdamW, Adam or SGD over every parameter group at once; the results of `torch.optim`'s classes.
///
/// AdamW and Adam may stand in groups of one optimizer; SGD has a kernel of its own, and an optimizer of its own.
///
/// It is `Send` and `Sync`, and shares its engine with whoever holds a clone of it.
#[derive(Debug)]
pub struct Optimizer {
    engine: Engine,
    settings: Settings,
    /// How this optimizer clips: the settings' way, and the groups' norm.
    clip: Clip,
    pub(super) params: Vec<Param>,
    elements: Vec<u64>,
    /// The group of each parameter.
    group_of: Vec<Option<usize>>,
    groups: Vec<GroupState>,
    memory: Memory,
    pub(super) state: State,
    rows: Rows,
    control: Buffer,
    table: Buffer,
    /// Raised when a table did not arrive.
    lost: Arc<AtomicBool>,
    /// The step over everything that is thawed; made when first needed.
    full: Option<Prepared>,
    /// Squares of gradients that their kernels write.
    squared: Squared,
    /// The swap of parameters and averages; made when first needed.
    swap: Option<Prepared>,
    is_swapped: bool,
    /// Changes whenever buffers or lists change place.
    layout: u64,
    step: u64,
    ring: Ring,
    inbox: Inbox,
}

impl Optimizer {
    /// An optimizer over parameters in arenas of our own; its gradients lie in an arena of its own, see
    /// [`Optimizer::gradient`]. Parameters in no group are frozen.
    ///
    /// # Errors
    /// Unknown names, a parameter in two groups, values out of range ([`params::Error`]); out of device memory.
    pub fn new(
        engine: &Engine,
        parameters: &Parameters,
        groups: &[Group],
        settings: Settings,
    ) -> Result<Optimizer, Error> {
        let (params, precisions) = (parameters.placed().clone(), parameters.precisions().to_vec());
        let memory = Memory { params, grads: None, mode: None, precisions };
        Optimizer::with(engine, parameters.params().to_vec(), memory, groups, settings)
    }

    /// An optimizer over a caller's own buffers, with its moments in arenas of its own.
    ///
    /// # Errors
    /// As [`Optimizer::new`]; sizes that disagree, ranges that overlap, offsets that the mode cannot use.
    pub fn over(
        engine: &Engine,
        externals: &[External],
        mode: Mode,
        groups: &[Group],
        settings: Settings,
    ) -> Result<Optimizer, Error> {
        let params: Vec<Param> = externals.iter().map(|external| external.param.clone()).collect();
        Param::check_all(&params)?;
        External::check_all(externals, mode)?;
        let values = placed(engine, externals.iter().map(External::values_side), mode)?;
        let gradients = placed(engine, externals.iter().map(External::gradient_side), mode)?;
        let precisions = externals.iter().map(|external| external.precision).collect();
        let memory = Memory { params: values, grads: Some(gradients), mode: Some(mode), precisions };
        Optimizer::with(engine, params, memory, groups, settings)
    }

    fn with(
        engine: &Engine,
        params: Vec<Param>,
        memory: Memory,
        groups: &[Group],
        settings: Settings,
    ) -> Result<Optimizer, Error> {
        settings.clip.check()?;
        if settings.horizon_steps == 0 || settings.horizon_steps > CLOCK_SLOTS {
            let value = f64::from(settings.horizon_steps);
            return Err(Error::BadSetting { setting: "horizon_steps", value, allowed: "from 1 to 1024" });
        }
        let control = control_block(engine, params.len())?;
        let ring = engine.ring(vec![stats_of(&control)])?;
        let mut optimizer = Optimizer {
            engine: engine.clone(),
            settings,
            clip: settings.clip,
            elements: params.iter().map(|param| param.elements() as u64).collect(),
            group_of: vec![None; params.len()],
            params,
            groups: Vec::new(),
            memory,
            state: State::default(),
            rows: Rows::held(Vec::new(), 0),
            control,
            table: engine.buffer("table", 0)?,
            lost: Arc::default(),
            full: None,
            squared: Squared::default(),
            swap: None,
            is_swapped: false,
            layout: new_layout(),
            step: 0,
            ring,
            inbox: Inbox::new(settings.clip),
        };
        optimizer.add_groups(groups)?;
        Ok(optimizer)
    }

    // ---- groups ----

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
        let before = self.groups.len();
        let current = self.current_rows();
        let running = current.first().and_then(|row| row.clip_norm);
        let mut group_of = self.group_of.clone();
        let known: HashMap<&str, usize> =
            self.params.iter().zip(0..).map(|(param, at)| (param.name.as_str(), at)).collect();
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
                let tensor = known.get(name.as_str()).map_or_else(|| index_of(&self.params, name), |at| Ok(*at))?;
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
            let row = Row { clip_norm: running.or(group.row.clip_norm), ..group.row };
            added.push(GroupState { name: group.name.clone(), tensors, row, frozen: group.frozen });
        }
        let rows: Vec<Row> = current.into_iter().chain(added.iter().map(|group| group.row)).collect();
        check_clip_norms(self.groups.iter().chain(&added).map(|group| group.name.as_str()).zip(&rows))?;
        let clip = self.settings.clip.with(rows.first().and_then(|row| row.clip_norm))?;
        let groups = rows.len();
        let bytes = groups.max(1) * size_of::<layout::Row>() * self.settings.horizon_steps as usize;
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

    /// Names of the groups, in the order of a table's rows.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    fn group(&self, name: &str) -> Result<usize, Error> {
        Ok(self.groups.iter().position(|group| group.name == name).ok_or_else(|| params::Error::UnknownGroup {
            name: name.to_owned(),
            nearest: nearest(name, self.groups()).map(str::to_owned),
        })?)
    }

    /// The update stage that the groups share.
    pub(super) fn update(&self) -> Update {
        Update::of(self.groups.iter().map(|group| &group.row))
    }

    /// What each tensor is updated by.
    pub(super) fn updates(&self) -> Vec<Update> {
        let rows: Vec<Row> = self.groups.iter().map(|group| group.row).collect();
        updates(&rows, &self.group_of, &self.memory.precisions)
    }

    /// What a tensor's own group needs: the maximum only where the group uses amsgrad.
    pub(super) fn update_of_own(&self, tensor: usize) -> Update {
        let own = self.group_of[tensor].map_or(self.update(), |group| Update::of_row(&self.groups[group].row));
        Update { precision: self.memory.precisions[tensor], ..own }
    }

    // ---- rows ----

    /// A group's row at the coming step.
    ///
    /// # Errors
    /// An unknown group; [`Error::NoRow`] past the loaded rows.
    pub fn row(&self, group: &str) -> Result<Row, Error> {
        self.rows.row(self.step, self.group(group)?, self.groups.len())
    }

    /// Sets a field of a group from the coming step on, without any schedule. Of loaded rows it changes those to come. A
    /// clip norm is set for every group.
    ///
    /// # Errors
    /// An unknown group, a field that its rule does not have, or a value that the field does not allow. Nothing changes
    /// then.
    pub fn set(&mut self, group: &str, field: Field, value: f64) -> Result<(), Error> {
        let place = self.group(group)?;
        let row = self.groups[place].row;
        if !row.has(field) {
            let fields: Vec<&str> = row.fields().map(Field::name).collect();
            let (group, fields) = (group.to_owned(), fields.join(", "));
            return Err(params::Error::NoSuchField { group, rule: row.rule, field, fields }.into());
        }
        field.check(group, value)?;
        let places = if field == Field::ClipNorm { 0..self.groups.len() } else { place..place + 1 };
        for place in places {
            self.groups[place].row = self.groups[place].row.with(field, value);
            self.rows.set(self.step, place, self.groups.len(), field, value);
        }
        Ok(())
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
            check_clip_norms(self.groups().zip(rows))?;
        }
        if first_step > LAST_STEP {
            return Err(Error::StepTooLarge { step: first_step });
        }
        self.rows = Rows::loaded(first_step, count("steps", steps)?, rows.to_vec());
        Ok(())
    }

    /// Each group's row at the coming step; past the loaded rows the groups' own stand in.
    fn current_rows(&self) -> Vec<Row> {
        let groups = self.groups.len();
        let row = |place| self.rows.row(self.step, place, groups).unwrap_or(self.groups[place].row);
        (0..groups).map(row).collect()
    }

    /// Steps that one table may hold.
    pub fn horizon_steps(&self) -> u32 {
        self.settings.horizon_steps
    }

    // ---- memory ----

    /// The state with these tensors thawed as well.
    fn state_with(&self, thawed: &[usize], updates: Vec<Update>) -> Result<State, Error> {
        let mut new: Vec<usize> = thawed.iter().copied().filter(|tensor| !self.state.holds(*tensor)).collect();
        // In the parameters' own order: where state and parameters are out of step, pages of memory and cache are too
        // (26 groups in group order cost 1.07 of one group on software Vulkan, in this order 1.00).
        new.sort_unstable();
        self.state_of([&self.state.order[..], &new].concat(), updates)
    }

    fn state_of(&self, order: Vec<usize>, updates: Vec<Update>) -> Result<State, Error> {
        let page_bytes = self.page_bytes();
        let own_gradients = self.memory.grads.is_none();
        let wanted = Wanted { order, elements: &self.elements, updates, own_gradients, page_bytes };
        self.state.relaid(&self.engine, &wanted)
    }

    /// Most bytes of one page of state.
    pub(super) fn page_bytes(&self) -> u64 {
        self.settings.page_bytes.unwrap_or(u64::MAX).min(self.engine.page_bytes())
    }

    /// Bytes of the moments, and of the averages, of everything that has thawed.
    pub fn state_bytes(&self) -> u64 {
        self.state.kept_bytes()
    }

    /// Bytes of the gradients in arenas of the optimizer's own.
    pub fn gradient_bytes(&self) -> u64 {
        self.state.gradient_bytes()
    }

    /// Where a parameter's values lie.
    pub(super) fn values_of(&self, tensor: usize) -> Stream<'_> {
        self.memory.params.stream(tensor, self.memory.precisions[tensor].values())
    }

    /// Where a parameter's gradient lies, if it has one.
    fn gradient_of(&self, tensor: usize) -> Option<Stream<'_>> {
        match &self.memory.grads {
            Some(grads) => Some(grads.stream(tensor, self.memory.precisions[tensor].gradients())),
            None => self.state.gradient(tensor),
        }
    }

    /// A tensor's record in the control block.
    pub(super) fn record_of(&self, tensor: usize) -> Range {
        Range { buffer: self.control.clone(), offset: self.record_offset(tensor), bytes: size_of::<Record>() as u64 }
    }

    /// Programs and selections made so far no longer fit, nor do the squares of gradients that lay elsewhere.
    fn moved(&mut self) {
        (self.full, self.swap) = (None, None);
        self.squared = Squared::default();
        self.layout = new_layout();
    }

    fn record_offset(&self, tensor: usize) -> u64 {
        CONTROL_HEADER_BYTES + (tensor * size_of::<Record>()) as u64
    }

    /// Where the gradient of a parameter is to be written, for a kernel that binds it whole. It moves when a group is
    /// added, thawed or frozen: ask again when [`Optimizer::layout`] has changed.
    ///
    /// # Errors
    /// [`Error::NotOwned`] if the caller has the gradients or the parameter never thawed.
    pub fn gradient(&self, name: &str) -> Result<Range, Error> {
        let tensor = index_of(&self.params, name)?;
        match self.state.gradient(tensor) {
            Some(stream) => one_range(&self.params[tensor], &stream),
            None => Err(Error::NotOwned { param: name.to_owned(), what: "gradient" }),
        }
    }

    /// Whether a parameter is in a group that is not frozen.
    ///
    /// # Errors
    /// An unknown parameter.
    pub fn is_trainable(&self, name: &str) -> Result<bool, Error> {
        let tensor = index_of(&self.params, name)?;
        Ok(self.group_of[tensor].is_some_and(|group| !self.groups[group].frozen))
    }

    /// A number that changes whenever gradients move, the trainable set does, or squares are taken; no two optimizers
    /// share one.
    pub fn layout(&self) -> u64 {
        self.layout
    }

    /// The table that the steps read; other kernels of a step may read the step's number from it.
    pub fn table(&self) -> &Buffer {
        &self.table
    }

    /// The stats block of the latest step on the device, for a report of the caller's own.
    pub fn stats_range(&self) -> Range {
        stats_of(&self.control)
    }

    /// Whether the norm can go by squares that kernels write: where gradients are clipped by their 2-norm, or guarded
    /// alone.
    pub fn uses_squares(&self) -> bool {
        match self.clip.norm_kind() {
            0 => self.settings.guard,
            kind => kind == 2,
        }
    }

    /// Has the norm go by the squares of these gradients, which their kernels write, rather than read the gradients
    /// again: parameters, and where the partial sums of each lie ([`Squares`](layout::Squares)). Those of others given
    /// before are let go; so are all when groups are added, frozen or thawed or state is loaded, as the gradients move.
    ///
    /// From then on whatever writes one of these gradients has to write its squares too, in every step, as
    /// [`upload_gradient`](Optimizer::upload_gradient) does. Selections made before no longer fit.
    ///
    /// # Errors
    /// An unknown parameter, one given twice, partial sums that are not whole or not in their buffer.
    pub fn take_squares(&mut self, squares: &[(String, Range)]) -> Result<(), Error> {
        let squared = Squared::new(&self.params, squares)?;
        self.moved();
        self.squared = squared;
        Ok(())
    }

    /// Writes a gradient, row-major: for tests and for gradients made on the host.
    ///
    /// # Errors
    /// As [`Optimizer::gradient`]; a number of values that is not the shape's.
    pub fn upload_gradient(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        let tensor = index_of(&self.params, name)?;
        super::parameters::check_length(&self.params[tensor], "gradient", values.len())?;
        let not_owned = || Error::NotOwned { param: name.to_owned(), what: "gradient" };
        self.gradient_of(tensor).ok_or_else(not_owned)?.upload(&self.engine, values)?;
        self.squared.upload(&self.engine, tensor, values)
    }

    /// Where all gradients lie; one that is not there has no piece.
    fn gradients(&self) -> Placed {
        self.memory.grads.clone().unwrap_or_else(|| self.state.gradients(self.params.len()))
    }

    // ---- steps ----

    /// The step's program over the thawed tensors that `has_gradient` keeps.
    fn compile(&self, over: &str, has_gradient: impl Fn(usize) -> bool) -> Result<Prepared, Error> {
        // In the model's order, whatever thawed first: the norm's sums have the same order, and so the same bits, in a run
        // that goes on from a checkpoint, whose tensors thaw together.
        let mut tensors: Vec<usize> = self.state.order.iter().copied().filter(|tensor| has_gradient(*tensor)).collect();
        tensors.sort_unstable();
        let grads = self.gradients();
        let spans: Vec<Span<'_>> = tensors
            .into_iter()
            .filter_map(|tensor| {
                let group = self.group_of[tensor].filter(|group| !self.groups[*group].frozen)?;
                let (arena, state) = self.state.place(tensor)?;
                Some(Span {
                    tensor,
                    group,
                    elements: self.elements[tensor],
                    param: &self.memory.params.pieces[tensor],
                    grad: Some(&grads.pieces[tensor][..]).filter(|pieces| !pieces.is_empty())?,
                    state,
                    arena,
                    squares: self.squared.piece(tensor).filter(|_| self.uses_squares()),
                })
            })
            .collect();
        let work = WorkList::new(&spans)?;
        let stages = self.stages(&work);
        let in_place = stages.in_place;
        let (params, state) = (&self.memory.params.windows, &self.state);
        let mut program = Program::new(&format!("{} step{over}", self.update().family.name));
        program.dispatches.extend(stages.norm(&grads)?);
        program.dispatches.extend(stages.norm_fold(self.squared.windows())?);
        program.dispatches.push(stages.control(false)?);
        let updates = stages.per_run(|run| {
            let place = run.windows;
            let kept = state.kept(place.arena);
            let update = kept.update;
            let mut streams: Vec<Binding> = kept.moment_pages(place.state).into_iter().map(Into::into).collect();
            // The maximum of amsgrad and the average are bound last, so that the other bindings stay where they are.
            let mut extra = streams.split_off(streams.len().min(2));
            extra.extend(kept.average_page(place.state).map(Into::into));
            streams.extend([params[place.param].clone().into(), grads.windows[place.grad].clone().into()]);
            let (kernel, bytes) = (update.kernel(in_place)?, work.sum(run, |elements| update.step_bytes(elements)));
            Ok(PerRun { kernel, bytes, streams, extra })
        })?;
        program.dispatches.extend(updates);
        Ok(self.engine.prepare(program)?)
    }

    fn stages<'a>(&'a self, work: &'a WorkList) -> Stages<'a> {
        Stages {
            engine: &self.engine,
            work,
            clip: self.clip,
            guard: self.settings.guard,
            seed: self.settings.seed,
            in_place: is_in_place(self.memory.mode),
            control: &self.control,
            table: &self.table,
            chunks: OnceCell::new(),
        }
    }

    /// The step over these parameters alone: the others have no gradient and keep their moments and counts, as in
    /// PyTorch. Frozen ones among them stay frozen. Prepare it once for each set that occurs.
    ///
    /// # Errors
    /// An unknown name; out of device memory.
    pub fn select(&self, names: &[&str]) -> Result<Selection, Error> {
        let tensors: Vec<usize> = names.iter().map(|name| index_of(&self.params, name)).collect::<Result<_, _>>()?;
        let prepared = self.compile(" over a selection", |tensor| tensors.contains(&tensor))?;
        Ok(Selection { layout: self.layout, prepared })
    }

    /// The coming step, to be put into a submission together with other programs. The schedule advances.
    ///
    /// # Errors
    /// [`Error::NoRow`] past the loaded rows; [`Error::StaleSelection`].
    pub fn next<'a>(&'a mut self, selection: Option<&'a Selection>) -> Result<Next<'a>, Error> {
        let (uploads, slot, step) = self.advance(selection)?;
        Ok(Next { uploads, program: self.prepared(selection)?, slot, step, lost: Arc::clone(&self.lost) })
    }

    /// Uploads, slot and number of the coming step; the schedule then stands behind it.
    fn advance(&mut self, selection: Option<&Selection>) -> Result<(Vec<Upload>, u32, u64), Error> {
        self.refuse_swapped()?;
        if self.lost.swap(false, Ordering::AcqRel) {
            self.rows.lost();
        }
        if self.step > LAST_STEP {
            return Err(Error::StepTooLarge { step: self.step });
        }
        self.rows.wind(self.step);
        let slot = self.rows.slot(self.step)?;
        match selection {
            Some(selection) if selection.layout != self.layout => return Err(Error::StaleSelection),
            Some(_) => {}
            None => self.make_full()?,
        }
        let table = self.rows.take_bytes(self.groups.len(), self.clip.max_norm())?;
        let uploads = table.map(|data| Upload { buffer: self.table.clone(), offset: 0, data }).into_iter().collect();
        let step = self.step;
        self.step += 1;
        Ok((uploads, slot, step))
    }

    fn make_full(&mut self) -> Result<(), Error> {
        if self.full.is_none() {
            self.full = Some(self.compile("", |_| true)?);
        }
        Ok(())
    }

    fn prepared<'a>(&'a self, selection: Option<&'a Selection>) -> Result<&'a Prepared, Error> {
        selection.map(|selection| &selection.prepared).or(self.full.as_ref()).ok_or(Error::StaleSelection)
    }

    /// Takes one step, in one submission. Does not wait; but it sleeps where the host is far ahead of the device, see
    /// [`Settings::throttle`].
    ///
    /// # Errors
    /// [`Error::NoRow`] past the loaded rows; from the device.
    pub fn step(&mut self) -> Result<(), Error> {
        self.go(None, None)
    }

    /// Takes one step over the parameters that have a gradient.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; [`Error::StaleSelection`].
    pub fn step_over(&mut self, selection: &Selection) -> Result<(), Error> {
        self.go(Some(selection), None)
    }

    /// Writes one step into the caller's encoder. Submit encoders in the order in which they were written, and before
    /// groups are added, frozen or thawed or state is loaded: those move memory at once. The schedule advances even if
    /// the encoder is dropped; a table that it carried is sent again with the next step.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn encode(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        self.go(None, Some(encoder))
    }

    /// As [`Optimizer::encode`], over the parameters that have a gradient.
    ///
    /// # Errors
    /// As [`Optimizer::step_over`].
    pub fn encode_over(&mut self, selection: &Selection, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        self.go(Some(selection), Some(encoder))
    }

    fn go(&mut self, selection: Option<&Selection>, encoder: Option<&mut wgpu::CommandEncoder>) -> Result<(), Error> {
        let (uploads, slot, step) = self.advance(selection)?;
        let program = self.prepared(selection)?;
        let holds_back = self.settings.throttle && encoder.is_none();
        let report = Some(Report { ring: &self.ring, tag: step });
        let lost = Some(Arc::clone(&self.lost));
        let submission = Submission { uploads, programs: &[program], slot, report, lost, ..Submission::default() };
        let taken = match encoder {
            Some(encoder) => self.engine.encode(encoder, &submission),
            None => self.engine.submit(&submission),
        };
        if taken.is_err() {
            // A refused step does not count.
            self.step = step;
        }
        taken?;
        if holds_back {
            self.engine.keep_pace(STEPS_AHEAD)?;
        }
        Ok(())
    }

    /// The step about to be taken; skipped steps count.
    pub fn next_step(&self) -> u64 {
        self.step
    }

    /// The step's program over everything thawed, to be looked at: dispatches, bytes, barriers.
    ///
    /// # Errors
    /// From the device, where it has to be made first.
    pub fn program(&mut self) -> Result<&Program, Error> {
        self.make_full()?;
        Ok(self.prepared(None)?.program())
    }

    // ---- averages ----

    /// The swap of parameters and their moving averages ([`Row::ema_decay`]), frozen groups' too, to go into a submission
    /// before a program that is to read the averages, and once more behind it. A tensor that has taken no step yet stays as
    /// it is. `None` where nothing that has thawed keeps an average.
    ///
    /// # Errors
    /// [`Error::Swapped`]; out of device memory, where it has to be made first.
    pub fn swap(&mut self) -> Result<Option<&Prepared>, Error> {
        self.refuse_swapped()?;
        self.make_swap()?;
        Ok(self.swap.as_ref().filter(|swap| !swap.program().dispatches.is_empty()))
    }

    /// Swaps parameters and their averages, in one submission, until it is called again: to save the averages, or to
    /// evaluate them with a program of one's own. Until then steps and all else that changes or keeps state are refused
    /// with [`Error::Swapped`].
    ///
    /// # Errors
    /// From the device.
    pub fn swap_averages(&mut self) -> Result<(), Error> {
        self.make_swap()?;
        let programs: Vec<&Prepared> = self.swap.iter().collect();
        self.engine.submit(&Submission { programs: &programs, ..Submission::default() })?;
        self.is_swapped = !self.is_swapped;
        Ok(())
    }

    /// Whether parameters stand where their averages belong.
    pub fn is_swapped(&self) -> bool {
        self.is_swapped
    }

    pub(super) fn refuse_swapped(&self) -> Result<(), Error> {
        if self.is_swapped { Err(Error::Swapped) } else { Ok(()) }
    }

    fn make_swap(&mut self) -> Result<(), Error> {
        if self.swap.is_some() {
            return Ok(());
        }
        let span = |&tensor: &usize| {
            let (arena, state) = self.state.place(tensor)?;
            let span = Span {
                tensor,
                group: self.group_of[tensor]?,
                elements: self.elements[tensor],
                param: &self.memory.params.pieces[tensor],
                grad: &[],
                state,
                arena,
                squares: None,
            };
            self.state.kept(arena).update.has_average.then_some(span)
        };
        let work = WorkList::new(&self.state.order.iter().filter_map(span).collect::<Vec<_>>())?;
        let mut program = Program::new("swap");
        if !work.update_chunks.is_empty() {
            let stages = self.stages(&work);
            let kernel = SWAP.variant(Flag::InPlace.when(stages.in_place))?;
            program.dispatches = stages.per_run(|run| {
                let place = run.windows;
                let average = self.state.kept(place.arena).average_page(place.state);
                let params = self.memory.params.windows[place.param].clone();
                let streams = [Some(params), average].into_iter().flatten().map(Into::into).collect();
                Ok(PerRun { kernel, bytes: 16 * run.elements, streams, extra: Vec::new() })
            })?;
        }
        self.swap = Some(self.engine.prepare(program)?);
        Ok(())
    }

    // ---- reports ----

    /// The latest report that has arrived; some steps old, `None` before the first. Never waits. Reports come in their order:
    /// an encoder that is kept without being submitted holds back those after it.
    ///
    /// # Errors
    /// [`Error::NonfiniteNorm`] once for each new norm that was not finite where the clip makes that an error.
    pub fn stats(&mut self) -> Result<Option<Stats>, Error> {
        self.inbox.collect(&self.engine, &self.ring)?;
        self.inbox.latest()
    }

    /// Reads a stats block that came back in a report of the caller's own.
    ///
    /// # Errors
    /// As [`Optimizer::stats`]; [`Error::BadReport`] if the bytes are too few.
    pub fn absorb(&mut self, bytes: &[u8], device_seconds: Option<f64>) -> Result<Stats, Error> {
        let stats = self.inbox.take(bytes, device_seconds)?;
        self.inbox.latest()?;
        Ok(stats)
    }

    /// Steps applied to each parameter so far. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn applied_counts(&self) -> Result<HashMap<String, u64>, Error> {
        let names = self.params.iter().map(|param| param.name.clone());
        Ok(names.zip(self.records()?.iter().map(|record| u64::from(record.count))).collect())
    }

    /// Every tensor's record. Waits for the device.
    pub(super) fn records(&self) -> Result<Vec<Record>, Error> {
        let range = self.control.range(CONTROL_HEADER_BYTES, (self.params.len() * size_of::<Record>()) as u64)?;
        Ok(self.engine.read(&range)?)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Puts a record in place, of which a step keeps the counts.
    pub(super) fn put_record(&self, tensor: usize, record: Record) -> Result<(), Error> {
        Ok(self.engine.write(&self.control, self.record_offset(tensor), &[record])?)
    }

    /// Makes room for the state of these tensors.
    pub(super) fn make_state(&mut self, tensors: &[usize]) -> Result<(), Error> {
        self.state = self.state_with(tensors, self.updates())?;
        self.moved();
        Ok(())
    }

    /// Puts the schedule at a step, for a run that goes on.
    ///
    /// # Errors
    /// [`Error::StepTooLarge`].
    pub fn go_to_step(&mut self, step: u64) -> Result<(), Error> {
        if step > LAST_STEP {
            return Err(Error::StepTooLarge { step });
        }
        self.step = step;
        Ok(())
    }
}

/// What each tensor is updated by, from the groups' rows, each tensor's group, and its types.
fn updates(rows: &[Row], group_of: &[Option<usize>], precisions: &[Precision]) -> Vec<Update> {
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

/// The rows of a step have one clip norm.
fn check_clip_norms<'a>(mut rows: impl Iterator<Item = (&'a str, &'a Row)>) -> Result<(), Error> {
    let Some((first, row)) = rows.next() else { return Ok(()) };
    let first_norm = row.clip_norm;
    match rows.find(|(_, row)| row.clip_norm != first_norm) {
        None => Ok(()),
        Some((second, row)) => {
            let (first, second) = (first.to_owned(), second.to_owned());
            Err(Error::ClipNormsDiffer { first, first_norm, second, second_norm: row.clip_norm })
        }
    }
}

/// A layout number that no optimizer has had.
fn new_layout() -> u64 {
    static LAYOUTS: AtomicU64 = AtomicU64::new(1);
    LAYOUTS.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::AdapterChoice;
    use std::time::Duration;

    /// Software runs a submission before it takes another, so the device's being behind is made up.
    #[test]
    fn a_step_sleeps_where_the_host_is_far_ahead() {
        let engine = Engine::new(&AdapterChoice::from_env()).expect("an engine");
        if engine.adapter().is_none() {
            assert!(std::env::var_os("GRADUS_NO_GPU").is_some(), "no adapter, and GRADUS_NO_GPU=1 is not set");
            return;
        }
        let parameters = Parameters::new(&engine, &[Param::new("p", [64])], None).expect("parameters");
        let groups = [Group::new("all", Row::default(), ["p"])];
        // Steps that the device is behind, whether it is throttled, and whether it sleeps.
        for (behind, throttle, sleeps) in [
            (0, true, false),
            (STEPS_AHEAD - 1, true, false),
            (STEPS_AHEAD + 1, true, true),
            (STEPS_AHEAD + 1, false, false),
        ] {
            let settings = Settings { throttle, ..Settings::default() };
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
            optimizer.step().expect("a step");
            engine.keep_pace(0).expect("all is done");
            let (before, unfinished) = (engine.counters(), engine.pretend_unfinished(behind));
            let catches_up = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(30));
                drop(unfinished);
            });
            optimizer.step().expect("a step");
            let cost = engine.counters() - before;
            assert_eq!(cost.throttles > 0, sleeps, "{behind} behind, throttle: {throttle}: {cost:?}");
            assert_eq!((cost.submissions, cost.blocking_waits), (1, 0));
            catches_up.join().expect("the device catches up");
        }
    }
}
