//! Dropout.

use super::Operation;
use crate::engine::kernels::{DROPOUT, Flag};
use crate::engine::layout::Dropout;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;

/// Drops and scales; backward is the same with gradients. With a residual, adds it: y = residual + dropout(x). Memory: x,
/// y, position.
///
/// # Errors
/// Out of device memory.
pub fn dropout(
    engine: &Engine,
    shape: &Dropout,
    [x, y, position]: [Range; 3],
    residual: Option<Range>,
) -> Result<Dispatch, Error> {
    let streams = if residual.is_some() { 3 } else { 2 };
    let kernel = DROPOUT.variant(Flag::Residual.when(residual.is_some()))?;
    let memory = [x, y, position].into_iter().chain(residual).map(Into::into).collect();
    let quads = u64::from(shape.quads);
    Operation::of_elements(engine, kernel, memory, quads, 16 * streams * quads).dispatch(engine, 3, shape)
}
