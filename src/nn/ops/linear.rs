//! Linear layers: three passes, each in tiles of 8 by 8.

use super::{Constants, Operation, or_aside, switch};
use crate::engine::layout::Linear;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::{Activation, Error};

/// Folded into a linear layer, so that its result is not read and written once more.
#[derive(Clone, Debug)]
pub enum After {
    /// Nothing.
    Nothing,
    /// Writes the activation of z too, here.
    Activation(Activation, Range),
    /// Adds this to z.
    Residual(Range),
}

/// z = x Wᵀ + b, then what comes `after`. Memory: x, weight, z. Tied embeddings are a weight like any other.
///
/// # Errors
/// Out of device memory.
pub fn linear(
    engine: &Engine,
    shape: &Linear,
    [x, weight, z]: [Range; 3],
    bias: Option<Range>,
    after: After,
) -> Result<Dispatch, Error> {
    let mut constants = vec![switch("BIAS", bias.is_some())];
    let bias = bias.unwrap_or_else(|| weight.clone());
    let mut memory = vec![x.into(), weight.into(), bias.into(), z.into()];
    let variant = match after {
        After::Nothing => "",
        After::Activation(activation, h) => {
            constants.push(("ACTIVATION", activation.number()));
            memory.push(h.into());
            "activated"
        }
        After::Residual(residual) => {
            memory.push(residual.into());
            "residual"
        }
    };
    let operation = Operation {
        name: &variant_of("linear", shape, variant),
        memory,
        constants,
        invocations: tiles(shape.rows, shape.outputs),
        workgroup: workgroup(engine),
        bytes: streams(shape),
    };
    operation.dispatch(engine, 4, shape)
}

/// dz_below = activation′(z_below) ∘ (dz W), added to what is there with `accumulate`. Memory: dz, weight, dz_below.
///
/// # Errors
/// Out of device memory.
pub fn linear_backward_input(
    engine: &Engine,
    shape: &Linear,
    [dz, weight, dz_below]: [Range; 3],
    below: Option<(Activation, Range)>,
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let activation = below.as_ref().map_or(0.0, |(activation, _)| activation.number());
    let constants: Constants = vec![("ACTIVATION", activation), switch("ACCUMULATE", accumulate)];
    let z_below = below.map_or_else(|| dz.clone(), |(_, z_below)| z_below);
    let operation = Operation {
        name: &variant_of("linear_backward_input", shape, ""),
        memory: vec![dz.into(), weight.into(), z_below.into(), dz_below.into()],
        constants,
        invocations: tiles(shape.rows, shape.inputs),
        workgroup: workgroup(engine),
        bytes: streams(shape) + 4 * u64::from(shape.rows) * u64::from(shape.inputs),
    };
    operation.dispatch(engine, 4, shape)
}

/// dW = dzᵀ x and db = the column sums of dz, added to what is there with `accumulate`; `None` for what is frozen.
/// Memory: dz, x.
///
/// # Errors
/// Out of device memory.
pub fn linear_backward_weight(
    engine: &Engine,
    shape: &Linear,
    [dz, x]: [Range; 2],
    [dweight, dbias]: [Option<Range>; 2],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let (weight, bias) = (dweight.is_some(), dbias.is_some());
    let (dweight, dbias) = (or_aside(engine, dweight)?, or_aside(engine, dbias)?);
    let operation = Operation {
        name: &variant_of("linear_backward_weight", shape, ""),
        memory: vec![dz.into(), x.into(), dweight.into(), dbias.into()],
        constants: vec![switch("ACCUMULATE", accumulate), switch("WEIGHT", weight), switch("BIAS", bias)],
        invocations: tiles(shape.outputs, if weight { shape.inputs } else { 1 }),
        workgroup: workgroup(engine),
        bytes: streams(shape),
    };
    operation.dispatch(engine, 4, shape)
}

/// Invocations of a workgroup. A software adapter runs an invocation as one lane of a vector register.
fn workgroup(engine: &Engine) -> u32 {
    if engine.is_software() { 8 } else { 64 }
}

/// Tiles of a pass: one invocation of a linear kernel makes 8 by 8 results.
///
/// Loads are what costs on a software adapter: a number loaded for a tile of this size serves 4 products, for 4 by 4 it
/// is 2. Forward, loss and backward of 784-256-128-10 on a batch of 128 take 8.1 ms (llvmpipe, 2 cores). With tiles of
/// 4 by 4 it was 13.5 ms, of 8 by 16 7.2 ms, of 16 by 16 5.9 ms, but a GPU's registers do not hold 256 sums. Workgroups
/// of 8, 16, 32 and 64 are within 5 % of each other.
fn tiles(rows: u32, columns: u32) -> u64 {
    u64::from(rows.div_ceil(8)) * u64::from(columns.div_ceil(8))
}

/// Bytes of inputs, outputs and weights.
fn streams(shape: &Linear) -> u64 {
    let [rows, inputs, outputs] = [shape.rows, shape.inputs, shape.outputs].map(u64::from);
    4 * (rows * (inputs + outputs) + inputs * outputs)
}

/// The variant of a linear kernel: weights whose rows do not start at a vec4 are read one by one.
fn variant_of(name: &str, shape: &Linear, variant: &str) -> String {
    match (shape.inputs.is_multiple_of(4), variant) {
        (true, "") => name.to_owned(),
        (true, _) => format!("{name}.{variant}"),
        (false, "") => format!("{name}.ragged"),
        (false, _) => format!("{name}.ragged_{variant}"),
    }
}
