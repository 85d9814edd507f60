//! What the passes of a linear layer share: a tiling, and their bytes.

use super::planes::Planes;
use super::{Activation, Constants, Draft, read_as};
use crate::engine::kernels::{Family, Flag, Flags};
use crate::engine::{Binding, Dispatch, Engine, Range, Tiling, layout};
use crate::nn::Error;
use crate::nn::graph::{Form, Nodes, Placing, Value};
use crate::params::Storage;

/// Folded into a linear layer, so that its result is not read and written once more.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum After {
    /// Nothing.
    Nothing,
    /// Writes the activation of z too, here.
    Activation(Activation, Range),
    /// Adds this to z.
    Residual(Range),
}

/// Sizes of the layer between x and z, or between their gradients; how far apart planes of z are.
pub(super) fn shape<E: From<Error>>(at: &Placing<'_, E>, x: Value, z: Value) -> layout::Linear {
    let plane = if matches!(at.form(z), Form::Planes { .. }) { at.plane_quads(z) } else { 0 };
    layout::Linear { plane, ..layout::Linear::new(at.rows(x), at.width(x), at.width(z)) }
}

/// Of a product over the rows of two values.
pub(super) fn products(nodes: &Nodes, examples: usize, sides: [Value; 2]) -> u64 {
    let [x, y] = sides.map(|side| match nodes[side].form {
        Form::Planes { count, width, .. } => (count * width) as u64,
        form => form.width() as u64,
    });
    (examples * nodes[sides[0]].form.rows()) as u64 * x * y
}

/// A pass over a linear layer, or over several side by side, before it has a tiling.
pub(super) struct Product<'a> {
    pub(super) family: &'static Family,
    pub(super) shape: &'a layout::Linear,
    pub(super) planes: &'a Planes,
    /// Planes whose results have tiles of their own.
    pub(super) times: u64,
    /// How many down and across.
    pub(super) results: [u32; 2],
    /// How the weight, or its gradient, is stored.
    pub(super) stored: Storage,
    pub(super) folded: Flags,
    pub(super) memory: Vec<Binding>,
    pub(super) constants: Constants,
    pub(super) bytes: u64,
}

impl Product<'_> {
    /// The dispatch in the tiling that is chosen for the layer.
    pub(super) fn dispatch(self, engine: &Engine) -> Result<Dispatch, Error> {
        let Product {
            family,
            shape,
            planes,
            times,
            results: [down, across],
            stored,
            folded,
            memory,
            mut constants,
            bytes,
        } = self;
        constants.extend(planes.constants());
        let tiling = engine.tiling(family.name, shape.inputs, shape.outputs);
        let (form, workgroup, invocations) = match (tiling.tile(), engine.cooperative_subgroup()) {
            (None, Some(subgroup)) if tiling == Tiling::Cooperative => {
                (Flag::Cooperative.into(), subgroup, tiles(down, across, 32) * u64::from(subgroup))
            }
            (None, _) => (Flags::NONE, engine.sizes().products, times * tiles(down, across, EDGE)),
            (Some(tile), _) => {
                let sizes = [("SIDE", tile.side), ("QUADS", tile.quads), ("SHARED", tile.shared())];
                constants.extend(sizes.map(|(name, size)| (name, f64::from(size))));
                let workgroup = tile.invocations();
                (Flag::Tiled.into(), workgroup, times * tile.count(down, across) * u64::from(workgroup))
            }
        };
        let kernel = family.variant(form | read_as(stored, shape.inputs, Flag::Weight16)? | folded)?;
        let sizes = [shape.rows, shape.inputs, planes.count * shape.outputs];
        let flops = 2 * sizes.map(u64::from).iter().product::<u64>();
        Draft { kernel, memory, constants, invocations, workgroup, bytes, flops }.dispatch(engine, 4, shape)
    }
}

/// Results along a side of what an invocation makes without workgroup memory.
const EDGE: u32 = 8;

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
pub(super) fn streams(shape: &layout::Linear, stored: Storage) -> u64 {
    let [rows, inputs, outputs] = [shape.rows, shape.inputs, shape.outputs].map(u64::from);
    4 * rows * (inputs + outputs) + stored.bytes(inputs * outputs)
}
