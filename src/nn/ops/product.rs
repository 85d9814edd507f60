//! What the passes of a linear layer share: a tiling, and their bytes.

use super::planes::Planes;
use super::tiled::Tiled;
use super::{Activation, Constants, Draft, read_as};
use crate::engine::kernels::{Family, Flag, Flags};
use crate::engine::{Binding, Dispatch, Engine, Range, layout};
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
        let tiled = Tiled::of(engine, family, [shape.inputs, shape.outputs], [down, across]);
        constants.extend(tiled.constants);
        let (workgroup, invocations) = (tiled.workgroup, times * tiled.invocations);
        let kernel = family.variant(tiled.flags | read_as(stored, shape.inputs, Flag::Weight16)? | folded)?;
        let sizes = [shape.rows, shape.inputs, planes.count * shape.outputs];
        let flops = 2 * sizes.map(u64::from).iter().product::<u64>();
        Draft { kernel, memory, constants, invocations, workgroup, bytes, flops }.dispatch(engine, 4, shape)
    }
}

/// Bytes of inputs, outputs and weights.
pub(super) fn streams(shape: &layout::Linear, stored: Storage) -> u64 {
    let [rows, inputs, outputs] = [shape.rows, shape.inputs, shape.outputs].map(u64::from);
    4 * rows * (inputs + outputs) + stored.bytes(inputs * outputs)
}
