//! Where an optimizer's memory lies: parameters, gradients and their squares, state.

use super::Optimizer;
use super::programs::Programs;
use crate::engine::{Engine, Range};
use crate::optim::arena::Stream;
use crate::optim::external::{External, parts_of};
use crate::optim::parameters::{check_length, one_range};
use crate::optim::squares::Squared;
use crate::optim::state::{Home, State, Wanted};
use crate::optim::tensors::Tensors;
use crate::optim::update::Update;
use crate::optim::work::Part;
use crate::optim::{Error, Precision};
use crate::params::Param;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where parameters and gradients are.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) params: Tensors,
    /// `None`: parameters lie in arenas of ours, and gradients in the optimizer's own, beside the moments.
    pub(super) callers: Option<Callers>,
    /// How each parameter is updated where its moments are in f32.
    pub(super) parts: Vec<Vec<Part>>,
    /// The types of each parameter.
    pub(super) precisions: Vec<Precision>,
}

/// What lies in a caller's buffers.
#[derive(Debug)]
pub(super) struct Callers {
    pub(super) externals: Vec<External>,
    /// Where the gradients lie, as kernels bind them.
    pub(super) grads: Tensors,
}

impl Callers {
    /// These, checked.
    pub(super) fn of(engine: &Engine, externals: Vec<External>) -> Result<Callers, Error> {
        External::check_all(&externals)?;
        let grads = Tensors::of(engine, externals.iter().map(External::gradient_array))?;
        Ok(Callers { externals, grads })
    }
}

impl Memory {
    /// A caller's, checked.
    pub(super) fn of(engine: &Engine, externals: Vec<External>) -> Result<Memory, Error> {
        let callers = Callers::of(engine, externals)?;
        let externals = &callers.externals;
        let params = Tensors::of(engine, externals.iter().map(|external| Some(external.values_array())))?;
        let ranges: Vec<(&Range, Precision)> =
            externals.iter().map(|external| (&external.values, external.precision)).collect();
        let parts = parts_of(engine, &params, &ranges);
        let precisions = externals.iter().map(|external| external.precision).collect();
        Ok(Memory { params, callers: Some(callers), parts, precisions })
    }

    /// What a state must hold of tensors that have thawed in this order.
    pub(super) fn wanted<'a>(
        &self,
        params: &'a [Param],
        order: Vec<usize>,
        updates: Vec<Update>,
        page_bytes: u64,
    ) -> Wanted<'a> {
        Wanted {
            params,
            order,
            parts: self.parts(&updates),
            homes: self.homes(),
            updates,
            own_gradients: self.callers.is_none(),
            page_bytes,
        }
    }

    /// How each parameter is updated. Moments that are not in f32 have blocks that begin with the tensor: they go with one
    /// part alone, and so do chunks whose rows are counted, and matrices that are multiplied.
    pub(super) fn parts(&self, updates: &[Update]) -> Vec<Vec<Part>> {
        let parts = |(parts, update): (&Vec<Part>, &Update)| match parts.len() > 1 {
            true if update.needs_one_part() => {
                let elements = parts.iter().map(|part| part.elements).sum();
                vec![Part { elements, has_single_params: true }]
            }
            _ => parts.clone(),
        };
        self.parts.iter().zip(updates).map(parts).collect()
    }

    /// Which of a caller's buffers has each parameter.
    fn homes(&self) -> Vec<Home> {
        match &self.callers {
            Some(callers) => callers.externals.iter().map(|external| Some(external.values.buffer.clone())).collect(),
            None => vec![None; self.parts.len()],
        }
    }
}

impl Optimizer {
    /// A number that changes whenever gradients move, the trainable set does, or squares are taken; no two optimizers
    /// share one.
    pub fn layout(&self) -> u64 {
        self.layout
    }

    /// Bytes of the moments, the averages and the directions of everything that has thawed.
    pub fn state_bytes(&self) -> u64 {
        self.state.kept_bytes()
    }

    /// Bytes of the gradients in the optimizer's own arenas.
    pub fn gradient_bytes(&self) -> u64 {
        self.state.gradient_bytes()
    }

    /// Bytes of the table of rows on the device.
    pub fn table_bytes(&self) -> u64 {
        self.table.bytes()
    }

    /// The place for the gradient of a parameter, for a kernel that binds it whole. It moves when a group is added,
    /// thawed or frozen: ask again when [`Optimizer::layout`] has changed.
    ///
    /// # Errors
    /// [`Error::NotOwned`] if the caller has the gradients or the parameter never thawed.
    pub fn gradient(&self, name: &str) -> Result<Range, Error> {
        let tensor = self.place_of(name)?;
        match self.state.gradient(tensor) {
            Some(stream) => one_range(&self.params[tensor], &stream),
            None => Err(Error::NotOwned { param: name.to_owned(), what: "gradient" }),
        }
    }

    /// Writes a gradient, row-major: for tests and for gradients made on the host.
    ///
    /// # Errors
    /// As [`Optimizer::gradient`]; a number of values that is not the shape's.
    pub fn upload_gradient(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        let tensor = self.place_of(name)?;
        check_length(&self.params[tensor], "gradient", values.len())?;
        let not_owned = || Error::NotOwned { param: name.to_owned(), what: "gradient" };
        self.gradient_of(tensor)
            .filter(|stream| !stream.pieces.is_empty())
            .ok_or_else(not_owned)?
            .upload(&self.engine, values)?;
        self.squared.upload(&self.engine, tensor, values)
    }

    /// Whether the norm can use squares that kernels write: if gradients are clipped by their 2-norm, or only guarded.
    pub fn uses_squares(&self) -> bool {
        match self.clip.norm_kind() {
            0 => self.settings.guard,
            kind => kind == 2,
        }
    }

    /// Makes the norm use squares of these gradients, written by their kernels, instead of reading the gradients again:
    /// parameters, and the places of their partial sums ([`Squares`](crate::engine::layout::Squares)). They replace
    /// earlier ones; all are dropped when groups are added, frozen or thawed or state is loaded, since gradients move.
    ///
    /// From then on everything that writes one of these gradients must write its squares too, in every step, as
    /// [`upload_gradient`](Optimizer::upload_gradient) does. Earlier selections no longer fit.
    ///
    /// # Errors
    /// An unknown parameter, one given twice, partial sums that are not whole or not in their buffer.
    pub fn take_squares(&mut self, squares: &[(String, Range)]) -> Result<(), Error> {
        let squared = Squared::new(&self.params, squares)?;
        self.moved();
        self.squared = squared;
        Ok(())
    }

    /// The place of a parameter's values.
    pub(crate) fn values_of(&self, tensor: usize) -> Stream<'_> {
        self.memory.params.stream(tensor, self.memory.precisions[tensor].values())
    }

    /// The place of a parameter's gradient, if it has one.
    fn gradient_of(&self, tensor: usize) -> Option<Stream<'_>> {
        match &self.memory.callers {
            Some(Callers { grads, .. }) => Some(grads.stream(tensor, self.memory.precisions[tensor].gradients())),
            None => self.state.gradient(tensor),
        }
    }

    /// Where all gradients lie; one that is not there has no piece.
    pub(super) fn gradients(&self) -> Cow<'_, Tensors> {
        match &self.memory.callers {
            Some(callers) => Cow::Borrowed(&callers.grads),
            None => Cow::Owned(self.state.gradients(self.params.len())),
        }
    }

    /// Most bytes of one page of state.
    pub(crate) fn page_bytes(&self) -> u64 {
        self.settings.page_bytes.unwrap_or(u64::MAX).min(self.engine.page_bytes())
    }

    /// Makes room for the state of these tensors.
    pub(crate) fn make_state(&mut self, tensors: &[usize]) -> Result<(), Error> {
        self.state = self.state_with(tensors, self.updates())?;
        self.moved();
        Ok(())
    }

    /// The state with these tensors thawed as well.
    pub(super) fn state_with(&self, thawed: &[usize], updates: Vec<Update>) -> Result<State, Error> {
        let mut new: Vec<usize> = thawed.iter().copied().filter(|tensor| !self.state.holds(*tensor)).collect();
        // In the parameters' own order: where state and parameters are out of step, pages of memory and cache are too
        // (26 groups in group order cost 1.07 of one group on software Vulkan, in this order 1.00).
        new.sort_unstable();
        self.state_of([&self.state.order[..], &new].concat(), updates)
    }

    pub(super) fn state_of(&self, order: Vec<usize>, updates: Vec<Update>) -> Result<State, Error> {
        let updates = self.shared(&order, updates);
        self.state.relaid(&self.engine, &self.memory.wanted(&self.params, order, updates, self.page_bytes()))
    }

    /// Programs and selections made so far no longer fit, nor do the squares of gradients that lay elsewhere.
    pub(super) fn moved(&mut self) {
        (self.programs, self.swap) = (Programs::default(), None);
        self.squared = Squared::default();
        self.layout = new_layout();
    }
}

/// A layout number that no optimizer has had.
pub(super) fn new_layout() -> u64 {
    static LAYOUTS: AtomicU64 = AtomicU64::new(1);
    LAYOUTS.fetch_add(1, Ordering::Relaxed)
}
