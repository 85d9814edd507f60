//! Twin of `shaders/shared/layer_scale.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a LayerScale.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct LayerScale {
    pub rows: u32,
    pub width: u32,
    pub quads: u32,
    pub pad0: u32,
}

impl LayerScale {
    /// The sizes for so many rows of so many numbers.
    pub fn new(rows: usize, width: usize) -> LayerScale {
        LayerScale { rows: rows as u32, width: width as u32, quads: width.div_ceil(4) as u32, pad0: 0 }
    }

    /// Numbers in a row of an activation.
    pub fn stride(&self) -> usize {
        self.quads as usize * 4
    }
}
