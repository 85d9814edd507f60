//! Twin of `shaders/shared/linear.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a linear layer; activations have rows of whole vec4s (`quads`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Linear {
    pub rows: u32,
    pub inputs: u32,
    pub outputs: u32,
    pub input_quads: u32,
    pub output_quads: u32,
    pub zero: u32,
    pub plane: u32,
    pub pad0: u32,
}

impl Linear {
    /// The sizes of a layer.
    pub fn new(rows: usize, inputs: usize, outputs: usize) -> Linear {
        let [rows, inputs, outputs] = [rows, inputs, outputs].map(|size| size as u32);
        let (input_quads, output_quads) = (inputs.div_ceil(4), outputs.div_ceil(4));
        Linear { rows, inputs, outputs, input_quads, output_quads, ..Linear::default() }
    }

    /// Element of x, z_below or dz_below.
    pub fn input(&self, r: usize, i: usize) -> usize {
        r * self.input_quads as usize * 4 + i
    }

    /// Element of z, h or dz.
    pub fn output(&self, r: usize, o: usize) -> usize {
        r * self.output_quads as usize * 4 + o
    }
}
