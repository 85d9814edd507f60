//! Linear layers: three passes, each with the tiling that the engine's choices have for the layer.

use super::{Constants, Operation, or_aside, read_as, switch};
use crate::engine::kernels::{Family, Flag, Flags, LINEAR, LINEAR_BACKWARD_INPUT, LINEAR_BACKWARD_WEIGHT};
use crate::engine::layout::Linear;
use crate::engine::{Binding, Dispatch, Engine, Range, Tiling};
use crate::nn::{Activation, Error, Parameter};
use crate::params::Storage;

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

/// z = x Wᵀ + b, then what comes `after`. Memory: x, z. Tied embeddings are a weight like any other.
///
/// # Errors
/// [`Error::Unreadable`]; out of device memory.
pub fn linear(
    engine: &Engine,
    shape: &Linear,
    weight: Parameter,
    [x, z]: [Range; 2],
    bias: Option<Range>,
    after: After,
) -> Result<Dispatch, Error> {
    let (weight, stored) = weight;
    let mut constants = vec![switch("BIAS", bias.is_some())];
    let bias = bias.unwrap_or_else(|| weight.clone());
    let mut memory = vec![x.into(), weight.into(), bias.into(), z.into()];
    let folded = match after {
        After::Nothing => Flags::NONE,
        After::Activation(activation, h) => {
            constants.push(("ACTIVATION", activation.number()));
            memory.push(h.into());
            Flag::Activated.into()
        }
        After::Residual(residual) => {
            memory.push(residual.into());
            Flag::Residual.into()
        }
    };
    let (results, bytes) = ([shape.rows, shape.outputs], streams(shape, stored));
    Pass { family: &LINEAR, shape, results, stored, folded, memory, constants, bytes }.dispatch(engine)
}

/// dz_below = activation′(z_below) ∘ (dz W), added to what is there with `accumulate`. Memory: dz, dz_below.
///
/// # Errors
/// [`Error::Unreadable`]; out of device memory.
pub fn linear_backward_input(
    engine: &Engine,
    shape: &Linear,
    weight: Parameter,
    [dz, dz_below]: [Range; 2],
    below: Option<(Activation, Range)>,
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let (weight, stored) = weight;
    let activation = below.as_ref().map_or(0.0, |(activation, _)| activation.number());
    let constants: Constants = vec![("ACTIVATION", activation), switch("ACCUMULATE", accumulate)];
    let z_below = below.map_or_else(|| dz.clone(), |(_, z_below)| z_below);
    let memory = vec![dz.into(), weight.into(), z_below.into(), dz_below.into()];
    let results = [shape.rows, shape.inputs];
    let bytes = streams(shape, stored) + 4 * u64::from(shape.rows) * u64::from(shape.inputs);
    Pass { family: &LINEAR_BACKWARD_INPUT, shape, results, stored, folded: Flags::NONE, memory, constants, bytes }
        .dispatch(engine)
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
    let memory = vec![dz.into(), x.into(), dweight.into(), dbias.into()];
    let constants = vec![switch("ACCUMULATE", accumulate), switch("WEIGHT", weight), switch("BIAS", bias)];
    let stored = Storage::F32;
    let (results, bytes) = ([shape.outputs, if weight { shape.inputs } else { 1 }], streams(shape, stored));
    Pass { family: &LINEAR_BACKWARD_WEIGHT, shape, results, stored, folded: Flags::NONE, memory, constants, bytes }
        .dispatch(engine)
}

/// A pass over a layer, before it has a tiling.
struct Pass<'a> {
    family: &'static Family,
    shape: &'a Linear,
    /// How many down and across.
    results: [u32; 2],
    /// How the weight, or its gradient, is stored.
    stored: Storage,
    folded: Flags,
    memory: Vec<Binding>,
    constants: Constants,
    bytes: u64,
}

impl Pass<'_> {
    /// The dispatch in the tiling that is chosen for the layer.
    fn dispatch(self, engine: &Engine) -> Result<Dispatch, Error> {
        let Pass { family, shape, results: [down, across], stored, folded, memory, mut constants, bytes } = self;
        let tiling = engine.tiling(family.name, shape.inputs, shape.outputs);
        let (form, workgroup, invocations) = match (tiling.tile(), engine.cooperative_subgroup()) {
            (None, Some(subgroup)) if tiling == Tiling::Cooperative => {
                (Flag::Cooperative.into(), subgroup, tiles(down, across, 32) * u64::from(subgroup))
            }
            (None, _) => (Flags::NONE, engine.sizes().products, tiles(down, across, 8)),
            (Some(tile), _) => {
                let sizes = [("SIDE", tile.side), ("QUADS", tile.quads), ("SHARED", tile.shared())];
                constants.extend(sizes.map(|(name, size)| (name, f64::from(size))));
                let workgroup = tile.invocations();
                (Flag::Tiled.into(), workgroup, tile.count(down, across) * u64::from(workgroup))
            }
        };
        let kernel = family.variant(form | read_as(stored, shape.inputs, Flag::Weight16)? | folded)?;
        Operation { kernel, memory, constants, invocations, workgroup, bytes }.dispatch(engine, 4, shape)
    }
}

/// Tiles of a pass. Without workgroup memory one invocation of a linear kernel makes 8 by 8 results.
///
/// Loads are what costs on a software adapter: a number loaded for a tile of this size serves 4 products, for 4 by 4 it
/// is 2. Forward, loss and backward of 784-256-128-10 on a batch of 128 take 8.1 ms (llvmpipe, 2 cores). With tiles of
/// 4 by 4 it was 13.5 ms, of 8 by 16 7.2 ms, of 16 by 16 5.9 ms, but a GPU's registers do not hold 256 sums. Workgroups
/// of 8, 16, 32 and 64 are within 5 % of each other.
fn tiles(rows: u32, columns: u32, edge: u32) -> u64 {
    u64::from(rows.div_ceil(edge)) * u64::from(columns.div_ceil(edge))
}

/// Bytes of inputs, outputs and weights.
fn streams(shape: &Linear, stored: Storage) -> u64 {
    let [rows, inputs, outputs] = [shape.rows, shape.inputs, shape.outputs].map(u64::from);
    4 * rows * (inputs + outputs) + stored.bytes(inputs * outputs)
}
