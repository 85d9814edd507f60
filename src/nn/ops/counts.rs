//! What an evaluation counts beside its loss. These dispatches come after the pass, whose logits they read.

use super::Draft;
use crate::engine::kernels::{CONFUSION, Family, LABEL_CONFUSION, SQUARED_ERROR_SUMS};
use crate::engine::layout::Loss;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;

/// How often rows of each class are answered with each. Memory: z, labels, cells (u32, `[classes, classes]`), position.
///
/// # Errors
/// Out of device memory.
pub fn confusion(engine: &Engine, shape: &Loss, memory: [Range; 4]) -> Result<Dispatch, Error> {
    count(engine, &CONFUSION, shape, memory)
}

/// How often each label is there and is answered to be there. Memory: z, targets, labels, cells (u32, `[outputs, 2, 2]`),
/// position.
///
/// # Errors
/// Out of device memory.
pub fn label_confusion(engine: &Engine, shape: &Loss, memory: [Range; 5]) -> Result<Dispatch, Error> {
    count(engine, &LABEL_CONFUSION, shape, memory)
}

/// The sums of squared errors of each output. Memory: z, targets, labels, sums (f32, `[batches, outputs]`), position.
///
/// # Errors
/// Out of device memory.
pub fn squared_error_sums(engine: &Engine, shape: &Loss, memory: [Range; 5]) -> Result<Dispatch, Error> {
    count(engine, &SQUARED_ERROR_SUMS, shape, memory)
}

/// A workgroup that reads each row once.
fn count<const N: usize>(
    engine: &Engine,
    family: &'static Family,
    shape: &Loss,
    memory: [Range; N],
) -> Result<Dispatch, Error> {
    let operation = Draft {
        kernel: family.plain(),
        memory: memory.into_iter().map(Into::into).collect(),
        constants: Vec::new(),
        invocations: 1,
        workgroup: engine.sizes().tally,
        bytes: 16 * u64::from(shape.rows) * u64::from(shape.quads),
        flops: 0,
    };
    operation.dispatch(engine, N, shape)
}
