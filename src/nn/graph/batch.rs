//! A batch on the device: what a model reads, by name.

use super::value::Form;
use crate::engine::layout::Position;
use crate::engine::{Engine, Range};
use crate::nn::Error;

/// The input of a loss that multiplies its gradient.
pub(super) const LOSS_SCALE: &str = "loss_scale";

/// A batch on the device, as the gather kernels leave it: values by the names of the graph's inputs.
///
/// `tokens`, `mask` (1 for a token, 0 for padding) and `types`: `[examples, context]` u32. `rows`: `[examples,
/// quads(width)]` vec4, zero after the last number. `targets`: the same, for labels and numbers to learn. `labels`:
/// u32, one for each row of the logits. `position`: the batch's place; the first
/// batch restarts the counts of the loss. Its `counting` is the number of rows of the whole step that count, if the
/// batch is one of its micro-batches; 0: the batch is the step. `loss_scale`: an f32, which losses multiply their gradient
/// by where gradients are stored in f16 (an optimizer's is [`Optimizer::loss_scale`](crate::optim::Optimizer::loss_scale)).
#[derive(Clone, Debug)]
pub struct Batch {
    /// Examples.
    pub examples: usize,
    /// Rows of each: tokens of a sequence, or 1.
    pub context: usize,
    inputs: Vec<(&'static str, Range)>,
}

impl Batch {
    /// A batch that holds nothing yet but its position, which is 0, and a loss scale of 1.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(engine: &Engine, examples: usize, context: usize) -> Result<Batch, Error> {
        let position = engine.buffer("position", size_of::<Position>() as u64)?.all();
        let loss_scale = engine.buffer_with(LOSS_SCALE, &[1.0f32])?.all();
        Ok(Batch { examples, context, inputs: vec![("position", position), (LOSS_SCALE, loss_scale)] })
    }

    /// The batch with this range under a name.
    #[must_use]
    pub fn with(mut self, name: &'static str, range: Range) -> Batch {
        self.inputs.retain(|(known, _)| *known != name);
        self.inputs.push((name, range));
        self
    }

    /// The batch with room for words, so many for each example.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn with_words(self, engine: &Engine, name: &'static str, per_example: usize) -> Result<Batch, Error> {
        let range = engine.buffer(name, Form::words(per_example).bytes(self.examples))?.all();
        Ok(self.with(name, range))
    }

    /// The batch with room for `rows`: a row of so many numbers for each example.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn with_rows(self, engine: &Engine, width: usize) -> Result<Batch, Error> {
        let bytes = Form::Rows { per_example: self.context, width }.bytes(self.examples);
        let range = engine.buffer("rows", bytes)?.all();
        Ok(self.with("rows", range))
    }

    /// What the batch holds under a name.
    ///
    /// # Errors
    /// [`Error::NoInput`].
    pub fn get(&self, name: &'static str) -> Result<&Range, Error> {
        let held = self.inputs.iter().find(|(known, _)| *known == name).map(|(_, range)| range);
        held.ok_or(Error::NoInput { name })
    }
}
