//! A step as a program: norm, control and update over the tensors that take part.

use super::Optimizer;
use crate::engine::{Binding, Prepared, Program};
use crate::optim::Error;
use crate::optim::parameters::index_of;
use crate::optim::stages::{PerSegment, Stages, is_in_place};
use crate::optim::tensors::Tensors;
use crate::optim::work::{Segment, Tensor, WorkList};
use std::cell::OnceCell;

/// The parameters that have a gradient this step, prepared by [`Optimizer::select`].
#[derive(Debug)]
pub struct Selection {
    pub(super) layout: u64,
    prepared: Prepared,
}

impl Optimizer {
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

    /// The step's program over everything thawed, to be looked at: dispatches, bytes, barriers.
    ///
    /// # Errors
    /// From the device, where it has to be made first.
    pub fn program(&mut self) -> Result<&Program, Error> {
        self.make_full()?;
        Ok(self.prepared(None)?.program())
    }

    /// The step's program over the thawed tensors that `has_gradient` keeps.
    fn compile(&self, over: &str, has_gradient: impl Fn(usize) -> bool) -> Result<Prepared, Error> {
        let grads = self.gradients();
        let work = WorkList::new(&self.taking_part(&grads, has_gradient))?;
        let stages = self.stages(&work);
        let mut program = Program::new(&format!("{} step{over}", self.update().family.name));
        program.dispatches.extend(stages.norm(&grads)?);
        program.dispatches.extend(stages.norm_fold(self.squared.pages())?);
        program.dispatches.push(stages.control(false)?);
        program.dispatches.extend(stages.per_segment(|segment| self.update_of(segment, &stages, &grads))?);
        Ok(self.engine.prepare(program)?)
    }

    /// The thawed tensors that `has_gradient` keeps.
    fn taking_part<'a>(&'a self, grads: &'a Tensors, has_gradient: impl Fn(usize) -> bool) -> Vec<Tensor<'a>> {
        // In the model's order, whatever thawed first: the norm's sums have the same order, and so the same bits, in a run
        // that goes on from a checkpoint, whose tensors thaw together.
        let mut tensors: Vec<usize> = self.state.order.iter().copied().filter(|tensor| has_gradient(*tensor)).collect();
        tensors.sort_unstable();
        let lies = |tensor: usize| {
            let group = self.group_of[tensor].filter(|group| !self.groups[*group].frozen)?;
            let (arena, state) = self.state.place(tensor)?;
            Some(Tensor {
                number: tensor,
                group,
                elements: self.elements[tensor],
                param: &self.memory.params.pieces[tensor],
                grad: Some(&grads.pieces[tensor][..]).filter(|pieces| !pieces.is_empty())?,
                state,
                arena,
                squares: self.squared.piece(tensor).filter(|_| self.uses_squares()),
            })
        };
        tensors.into_iter().filter_map(lies).collect()
    }

    /// The update of a segment: its kernel, and the pages of parameters, gradients and state.
    fn update_of(&self, segment: &Segment, stages: &Stages<'_>, grads: &Tensors) -> Result<PerSegment, Error> {
        let at = segment.pages;
        let kept = self.state.kept(at.arena);
        let update = kept.update;
        let mut streams: Vec<Binding> = kept.moment_pages(at.state).into_iter().map(Into::into).collect();
        // The maximum of amsgrad and the average are bound last, so that the other bindings stay where they are.
        let mut extra = streams.split_off(streams.len().min(2));
        extra.extend(kept.average_page(at.state).map(Into::into));
        streams.extend([self.memory.params.pages[at.param].clone().into(), grads.pages[at.grad].clone().into()]);
        let bytes = stages.work.sum(segment, |elements| update.step_bytes(elements));
        Ok(PerSegment { kernel: update.kernel(stages.in_place)?, bytes, streams, extra })
    }

    pub(super) fn stages<'a>(&'a self, work: &'a WorkList) -> Stages<'a> {
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

    pub(super) fn make_full(&mut self) -> Result<(), Error> {
        if self.full.is_none() {
            self.full = Some(self.compile("", |_| true)?);
        }
        Ok(())
    }

    pub(super) fn prepared<'a>(&'a self, selection: Option<&'a Selection>) -> Result<&'a Prepared, Error> {
        selection.map(|selection| &selection.prepared).or(self.full.as_ref()).ok_or(Error::StaleSelection)
    }
}
