//! Pooling over the tokens of a sequence.

use super::Operation;
use crate::engine::kernels::{Family, MEAN_POOL, MEAN_POOL_BACKWARD};
use crate::engine::layout::Pool;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;

/// The mean over the tokens that a mask leaves. Memory: x, mask, y. With [`first_tokens`] for a mask: the first token.
///
/// # Errors
/// Out of device memory.
pub fn mean_pool(engine: &Engine, shape: &Pool, memory: [Range; 3]) -> Result<Dispatch, Error> {
    operation(engine, &MEAN_POOL, shape, memory)
}

/// The same, backward. Memory: dy, mask, dx.
///
/// # Errors
/// Out of device memory.
pub fn mean_pool_backward(engine: &Engine, shape: &Pool, memory: [Range; 3]) -> Result<Dispatch, Error> {
    operation(engine, &MEAN_POOL_BACKWARD, shape, memory)
}

/// A mask that leaves the first token of each sequence alone, for the pooler of BERT.
pub fn first_tokens(shape: &Pool) -> Vec<u32> {
    (0..shape.batch * shape.context).map(|r| u32::from(r % shape.context == 0)).collect()
}

fn operation(engine: &Engine, family: &'static Family, shape: &Pool, memory: [Range; 3]) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let pooled = u64::from(shape.batch) * u64::from(shape.quads);
    let bytes = 16 * pooled * (u64::from(shape.context) + 1);
    Operation::of_elements(engine, family.plain(), memory, pooled, bytes).dispatch(engine, 3, shape)
}
