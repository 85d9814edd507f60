//! A caller's gradients that change place from step to step.

use super::Optimizer;
use super::memory::{Callers, new_layout};
use crate::engine::Range;
use crate::optim::{Error, External};
use crate::params;

impl Optimizer {
    /// Sets the places of gradients from the next step on, in a caller's buffers: name and range. Other parameters have
    /// no gradient, and keep their values, moments and counts, as in PyTorch. Does not wait.
    ///
    /// The step's programs for the last 16 sets of buffers are kept: gradients that return to one of them upload 12
    /// bytes a tensor with the next step. Those buffers stay alive as long. Earlier selections no longer fit, and
    /// squares ([`take_squares`](Optimizer::take_squares)) are dropped.
    ///
    /// # Errors
    /// [`Error::NotCallers`] if gradients are in the optimizer's own arenas; an unknown name, or one twice; a range
    /// outside its buffer, of another size than its parameter, or that overlaps another one or a parameter; a buffer of
    /// another device. Nothing changes then.
    pub fn rebind(&mut self, gradients: &[(&str, Range)]) -> Result<(), Error> {
        let callers = self.callers_with(gradients)?;
        let before = self.memory.callers.replace(callers);
        let squared = std::mem::take(&mut self.squared);
        // Programs that go by squares read other buffers than their gradients' places tell.
        let by_squares = (!squared.pages().is_empty()).then(|| std::mem::take(&mut self.programs));
        self.programs.let_go();
        if let Err(error) = self.make_program() {
            (self.memory.callers, self.squared) = (before, squared);
            if let Some(programs) = by_squares {
                self.programs = programs;
            }
            self.programs.let_go();
            return Err(error);
        }
        self.layout = new_layout();
        Ok(())
    }

    /// What lies in a caller's buffers, with these gradients and no other.
    fn callers_with(&self, gradients: &[(&str, Range)]) -> Result<Callers, Error> {
        let callers = self.memory.callers.as_ref().ok_or(Error::NotCallers { what: "gradients" })?;
        let bare = |external: &External| External { gradient: None, ..external.clone() };
        let mut externals: Vec<External> = callers.externals.iter().map(bare).collect();
        for (name, range) in gradients {
            if externals[self.place_of(name)?].gradient.replace(range.clone()).is_some() {
                return Err(params::Error::NameTwice { what: "parameter", name: (*name).to_owned() }.into());
            }
        }
        Callers::of(&self.engine, externals)
    }
}
