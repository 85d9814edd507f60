//! Parameters and their moving averages change places.

use super::Optimizer;
use crate::engine::kernels::{Flag, SWAP};
use crate::engine::{Prepared, Program, Submission};
use crate::optim::Error;
use crate::optim::stages::PerSegment;
use crate::optim::work::{Floats, Tensor, WorkList};

impl Optimizer {
    /// The swap of parameters and their averages ([`ema_decay`](crate::params::Row::ema_decay), or those of a rule that is
    /// evaluated at one), frozen groups' too, to go into a submission
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

    pub(crate) fn refuse_swapped(&self) -> Result<(), Error> {
        if self.is_swapped { Err(Error::Swapped) } else { Ok(()) }
    }

    fn make_swap(&mut self) -> Result<(), Error> {
        if self.swap.is_some() {
            return Ok(());
        }
        let parts = self.memory.parts(&self.updates());
        let member = |&tensor: &usize| {
            let (arena, state) = self.state.place(tensor)?;
            let member = Tensor {
                number: tensor,
                group: self.group_of[tensor]?,
                elements: self.elements[tensor],
                parts: &parts[tensor],
                param: &self.memory.params.pieces[tensor],
                grad: &[],
                grad_base: 0,
                has_single_grads: false,
                state,
                arena,
                has_sums: false,
                matrix: None,
                squares: None,
                set: 0,
                is_counted: false,
            };
            let update = self.state.kept(arena).update;
            (update.has_average || update.evaluated.is_some()).then_some(member)
        };
        let work = WorkList::new(&self.state.order.iter().filter_map(member).collect::<Vec<_>>())?;
        let mut program = Program::new("swap");
        if !work.update_chunks.is_empty() {
            let stages = self.stages(&work);
            program.dispatches = stages.per_segment(|segment| {
                let place = segment.pages;
                let kernel = SWAP.variant(Flag::SingleParams.when(place.floats == Floats::Singles))?;
                let average = self.state.kept(place.arena).evaluated_page(place.state);
                let params = self.memory.params.pages[place.param].clone();
                let streams = [Some(params), average].into_iter().flatten().map(Into::into).collect();
                Ok(Some(PerSegment { kernel, bytes: 16 * segment.elements, streams, extra: Vec::new() }))
            })?;
        }
        self.swap = Some(self.engine.prepare(program)?);
        Ok(())
    }
}
