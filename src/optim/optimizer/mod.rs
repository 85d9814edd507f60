//! The optimizer: groups, their rows, and one submission a step.

mod averages;
mod factors;
mod groups;
mod memory;
mod pass;
mod program;
mod programs;
mod rates;
mod rebind;
mod reports;
mod resize;
mod settings;
mod step;

pub use groups::Refreeze;
pub use program::Selection;
pub use rates::GroupId;
pub use settings::Settings;
pub use step::Next;

use super::parameters::index_of;
use super::rows::Rows;
use super::squares::Squared;
use super::stages::{control_block, stats_of};
use super::state::State;
use super::stats::Inbox;
use super::work::Part;
use super::{Clip, Error, External, Parameters};
use crate::engine::{Buffer, CLOCK_SLOTS, Engine, Prepared, Range, Ring};
use crate::params::{Group, Param};
use groups::GroupState;
use memory::{Memory, new_layout};
use programs::Programs;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Updates every parameter group at once, each by its own [`Rule`](crate::params::Rule), with the results of
/// `torch.optim`'s and timm's classes. A step has a dispatch for each rule in use; AdamW and Adam share one.
///
/// It is `Send` and `Sync`, and shares its engine with all clones of it.
#[derive(Debug)]
pub struct Optimizer {
    engine: Engine,
    settings: Settings,
    /// How this optimizer clips: the settings' way, and the groups' norm.
    clip: Clip,
    pub(super) params: Vec<Param>,
    elements: Vec<u64>,
    /// Which parameter has a name.
    places: HashMap<String, usize>,
    /// The clip set of each group; of none where all are clipped together.
    clip_sets: Vec<usize>,
    /// The group of each parameter.
    group_of: Vec<Option<usize>>,
    groups: Vec<GroupState>,
    memory: Memory,
    /// Where the model's buffers lie, for best copies.
    pub(super) buffers: Vec<Range>,
    pub(super) state: State,
    rows: Rows,
    control: Buffer,
    table: Buffer,
    /// Raised when a table did not arrive.
    lost: Arc<AtomicBool>,
    /// The step over everything that is thawed and has a gradient; made when first needed.
    programs: Programs,
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
    /// An optimizer over parameters in our own arenas, with its own arena of gradients, see [`Optimizer::gradient`].
    /// Parameters in no group are frozen.
    ///
    /// # Errors
    /// Unknown names, a parameter in two groups, values out of range ([`params::Error`](crate::params::Error)); out of device memory.
    pub fn new(
        engine: &Engine,
        parameters: &Parameters,
        groups: &[Group],
        settings: Settings,
    ) -> Result<Optimizer, Error> {
        let (params, precisions) = (parameters.tensors().clone(), parameters.precisions().to_vec());
        let whole = |param: &Param| Part::whole(param.elements() as u64).to_vec();
        let parts = parameters.params().iter().map(whole).collect();
        let memory = Memory { params, callers: None, parts, precisions };
        let optimizer = Optimizer::with(engine, parameters.params().to_vec(), memory, groups, settings)?;
        Ok(Optimizer { buffers: parameters.buffer_ranges(), ..optimizer })
    }

    /// An optimizer over a caller's buffers, with moments in its own arenas, one for each buffer, so that updates of
    /// different buffers do not wait for each other.
    ///
    /// A step has a dispatch for each pair of buffers in use: only one if all parameters share a buffer and all
    /// gradients another. Bytes between a tensor's end and the next multiple of 16 keep their values. Parameters
    /// without a gradient are as if frozen until [`Optimizer::rebind`] gives them one.
    ///
    /// # Errors
    /// As [`Optimizer::new`]; sizes that disagree, ranges outside their buffers, or that overlap; bf16 where it cannot lie.
    pub fn over(
        engine: &Engine,
        externals: &[External],
        groups: &[Group],
        settings: Settings,
    ) -> Result<Optimizer, Error> {
        let params: Vec<Param> = externals.iter().map(|external| external.param.clone()).collect();
        Param::check_all(&params)?;
        let memory = Memory::of(engine, externals.to_vec())?;
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
        settings.clip.check_tensors(params.len())?;
        settings.loss_scale.map_or(Ok(()), |scale| scale.check())?;
        let settings = Settings { guard: settings.guard || settings.loss_scale.is_some(), ..settings };
        if settings.horizon_steps == 0 || settings.horizon_steps > CLOCK_SLOTS {
            let value = f64::from(settings.horizon_steps);
            return Err(Error::BadSetting { setting: "horizon_steps", value, allowed: "from 1 to 1024" });
        }
        let control = control_block(engine, params.len(), settings.loss_scale)?;
        let ring = engine.ring(vec![stats_of(&control)])?;
        let mut optimizer = Optimizer {
            engine: engine.clone(),
            settings,
            clip: settings.clip,
            elements: params.iter().map(|param| param.elements() as u64).collect(),
            places: params.iter().zip(0..).map(|(param, at)| (param.name.clone(), at)).collect(),
            group_of: vec![None; params.len()],
            params,
            groups: Vec::new(),
            clip_sets: Vec::new(),
            memory,
            buffers: Vec::new(),
            state: State::default(),
            rows: Rows::held(Vec::new(), 0),
            control,
            table: engine.buffer("table", 0)?,
            lost: Arc::default(),
            programs: Programs::default(),
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

    /// Which parameter has a name.
    pub(super) fn place_of(&self, name: &str) -> Result<usize, Error> {
        Ok(self.places.get(name).map_or_else(|| index_of(&self.params, name), |place| Ok(*place))?)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }
}
