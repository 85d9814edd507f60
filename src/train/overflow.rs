//! Where a step's numbers first are not finite: for who has to find out why no step can be taken.

use super::error::Overflow;
use super::{Error, Trainer};
use crate::check::walk;
use crate::engine::kernels::ValueStorage;
use crate::engine::{Access, Binding, Range};
use crate::optim::Parameters;

impl Trainer {
    /// The first value in 16 bits of the coming step that is not finite. The step is not taken.
    pub(super) fn first_overflow(&mut self) -> Result<Option<Overflow>, Error> {
        self.without_a_trace(|trainer, slot| {
            let Some(step) = &trainer.step else { return Ok(None) };
            let dispatches = &step.program().dispatches;
            let (mut first, mut param) = (None, None);
            walk(&trainer.engine, step.program(), (slot, &|_| true), |place, trial, left| {
                let bindings = &dispatches[place].bindings;
                param = bindings.iter().find_map(|binding| read_from(&trainer.parameters, binding)).or(param.take());
                let (storage, values) = trial.kernel.values();
                let is_written = |place: &&usize| trial.kernel.bindings[**place] == Access::ReadWrite;
                let mut written = values.iter().filter(is_written);
                if first.is_none() && written.any(|place| has_overflown(storage, &left[*place])) {
                    first = Some(Overflow { kernel: trial.kernel.family.name, param: param.clone() });
                }
                Ok::<(), Error>(())
            })?;
            Ok(first)
        })
    }
}

fn has_overflown(storage: ValueStorage, words: &[u32]) -> bool {
    storage.widen(words).into_iter().any(|bits| !f32::from_bits(bits).is_finite())
}

/// The parameter that lies there.
fn read_from(parameters: &Parameters, binding: &Binding) -> Option<String> {
    let Binding::Memory(Range { buffer, offset, .. }) = binding else { return None };
    let lies_there = |name: &str| {
        parameters.place(name).is_ok_and(|(range, _)| range.buffer.same(buffer) && range.offset == *offset)
    };
    parameters.params().iter().find(|param| lies_there(&param.name)).map(|param| param.name.clone())
}
