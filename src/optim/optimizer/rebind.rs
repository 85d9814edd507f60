//! A caller's gradients that change place from step to step.

use super::Optimizer;
use super::memory::new_layout;
use crate::engine::Range;
use crate::optim::external::{check_overlaps, check_sharing};
use crate::optim::tensors::{Array, Tensors};
use crate::optim::{Error, Precision};
use crate::params;

impl Optimizer {
    /// Says where gradients lie from the next step on, in a caller's buffers: name and range. Parameters that are not named
    /// have none, and keep their values, moments and counts, as in PyTorch. Does not wait.
    ///
    /// The step's program is kept for each set of buffers, 16 of them: gradients that come back to buffers in which they
    /// have lain cost 12 bytes a tensor, which go up with the next step. Those buffers stay alive as long. Selections made
    /// before no longer fit, and squares ([`take_squares`](Optimizer::take_squares)) are let go.
    ///
    /// # Errors
    /// [`Error::NotCallers`] where gradients lie in the optimizer's own arenas; an unknown name, or one twice; a range
    /// outside its buffer, of another size than its parameter, or that overlaps another one or a parameter; a buffer of
    /// another device. Nothing changes then.
    pub fn rebind(&mut self, gradients: &[(&str, Range)]) -> Result<(), Error> {
        let (grads, ranges) = self.grads_at(gradients)?;
        let before = (self.memory.grads.replace(grads), std::mem::replace(&mut self.memory.gradients, ranges));
        let squares = std::mem::take(&mut self.squared);
        let had_squares = !squares.pages().is_empty();
        if had_squares {
            self.moved();
        }
        self.programs.let_go();
        if let Err(error) = self.make_program() {
            (self.memory.grads, self.memory.gradients) = before;
            self.squared = squares;
            self.programs.let_go();
            return Err(error);
        }
        self.layout = new_layout();
        Ok(())
    }

    /// Gradients at these places, checked, and the range of each.
    fn grads_at(&self, gradients: &[(&str, Range)]) -> Result<(Tensors, Vec<Option<Range>>), Error> {
        let Some(values) = &self.memory.values else {
            return Err(Error::NotCallers { what: "gradients" });
        };
        let mut arrays: Vec<Option<Array<'_>>> = self.params.iter().map(|_| None).collect();
        for (name, range) in gradients {
            let tensor = self.place_of(name)?;
            let precision = self.memory.precisions[tensor];
            let (storage, in_quads) = (precision.gradients(), precision != Precision::F32);
            let array = Array { name, range, storage, elements: self.elements[tensor], in_quads };
            array.check("gradient", &self.params[tensor].shape)?;
            if arrays[tensor].replace(array).is_some() {
                return Err(params::Error::NameTwice { what: "parameter", name: (*name).to_owned() }.into());
            }
        }
        let named = self.params.iter().zip(values).map(|(param, range)| ("values", param.name.as_str(), range));
        let moved = gradients.iter().map(|(name, range)| ("gradient", *name, range));
        check_overlaps(named.chain(moved).collect())?;
        let lie = values.iter().zip(&self.memory.precisions).zip(&self.params);
        let lie = lie.map(|((range, precision), param)| (range, *precision, param.name.as_str()));
        check_sharing(lie, &gradients.iter().map(|(name, range)| (*name, range)).collect::<Vec<_>>())?;
        let ranges = arrays.iter().map(|array| array.as_ref().map(|array| array.range.clone())).collect();
        Ok((Tensors::of(&self.engine, arrays.into_iter())?, ranges))
    }
}
