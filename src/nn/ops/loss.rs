//! Losses and their sums.

use super::{Operation, switch};
use crate::engine::kernels::{SOFTMAX_CROSS_ENTROPY, TALLY};
use crate::engine::layout::Loss;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;

/// What becomes of a loss's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// It is not made: evaluation.
    None,
    /// It is multiplied by the shape's scale.
    Scaled,
    /// The same, divided by the rows of the batch that count: a mean over them where the scale is 1.
    Mean,
}

/// Softmax cross-entropy of each row. Memory: z, labels, dz, verdicts (8 bytes a row). [`tally`] adds them up.
///
/// # Errors
/// Out of device memory.
pub fn softmax_cross_entropy(
    engine: &Engine,
    shape: &Loss,
    memory: [Range; 4],
    gradient: Gradient,
) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let streams = if gradient == Gradient::None { 1 } else { 2 };
    let mut operation =
        Operation::of_rows(engine, SOFTMAX_CROSS_ENTROPY.plain(), memory, shape.rows, shape.quads, streams);
    operation.constants.push(switch("GRADIENT", gradient != Gradient::None));
    operation.constants.push(switch("MEAN", gradient == Gradient::Mean));
    operation.dispatch(engine, 4, shape)
}

/// Adds a batch's verdicts to the counts of its epoch. Memory: verdicts, metrics, position.
///
/// # Errors
/// Out of device memory.
pub fn tally(engine: &Engine, shape: &Loss, memory: [Range; 3]) -> Result<Dispatch, Error> {
    let operation = Operation {
        kernel: TALLY.plain(),
        memory: memory.into_iter().map(Into::into).collect(),
        constants: Vec::new(),
        invocations: 1,
        workgroup: engine.sizes().tally,
        bytes: 8 * u64::from(shape.rows),
    };
    operation.dispatch(engine, 3, shape)
}
