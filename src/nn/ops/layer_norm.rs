//! Layer norm.

use super::{Operation, lanes, or_aside, switch};
use crate::engine::kernels::{Flag, LAYER_NORM, LAYER_NORM_BACKWARD_INPUT, LAYER_NORM_BACKWARD_WEIGHT};
use crate::engine::layout::LayerNorm;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;

/// y = norm(x) γ + β; with a residual, y = norm(x + residual) γ + β. Memory: x, gamma, beta, y, moments (8 bytes a row);
/// residual: residual, sum.
///
/// # Errors
/// Out of device memory.
pub fn layer_norm(
    engine: &Engine,
    shape: &LayerNorm,
    memory: [Range; 5],
    residual: Option<[Range; 2]>,
) -> Result<Dispatch, Error> {
    let streams = if residual.is_some() { 4 } else { 2 };
    let kernel = LAYER_NORM.variant(Flag::Residual.when(residual.is_some()))?;
    let memory = memory.into_iter().chain(residual.into_iter().flatten()).map(Into::into).collect();
    Operation::of_rows(engine, kernel, memory, shape.rows, shape.quads, streams).dispatch(engine, 5, shape)
}

/// The gradient of what was normalized, added to what is there with `accumulate`. Memory: dy, x (the sum where a
/// residual was added), gamma, moments, dx.
///
/// # Errors
/// Out of device memory.
pub fn layer_norm_backward_input(
    engine: &Engine,
    shape: &LayerNorm,
    memory: [Range; 5],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let kernel = LAYER_NORM_BACKWARD_INPUT.plain();
    let mut operation = Operation::of_rows(engine, kernel, memory, shape.rows, shape.quads, 3);
    operation.constants.push(switch("ACCUMULATE", accumulate));
    operation.dispatch(engine, 5, shape)
}

/// dγ and dβ, added to what is there with `accumulate`; `None` for what is frozen. Memory: dy, x, moments.
///
/// # Errors
/// Out of device memory.
pub fn layer_norm_backward_weight(
    engine: &Engine,
    shape: &LayerNorm,
    [dy, x, moments]: [Range; 3],
    [dgamma, dbeta]: [Option<Range>; 2],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let frozen = [switch("WEIGHT", dgamma.is_some()), switch("BIAS", dbeta.is_some())];
    let (dgamma, dbeta) = (or_aside(engine, dgamma)?, or_aside(engine, dbeta)?);
    // On a GPU a workgroup takes 8 quads side by side and has 16 lanes go down the rows of each (not measured there).
    let [workgroup, lanes] = engine.sizes().columns;
    let operation = Operation {
        kernel: LAYER_NORM_BACKWARD_WEIGHT.plain(),
        memory: vec![dy.into(), x.into(), moments.into(), dgamma.into(), dbeta.into()],
        constants: [self::lanes(lanes), switch("ACCUMULATE", accumulate)].into_iter().chain(frozen).collect(),
        invocations: u64::from(shape.quads) * u64::from(lanes),
        workgroup,
        bytes: 32 * u64::from(shape.rows) * u64::from(shape.quads),
    };
    operation.dispatch(engine, 5, shape)
}
