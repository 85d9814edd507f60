//! Twin of `shaders/shared/layer_norm.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a layer norm.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct LayerNorm {
    pub rows: u32,
    pub width: u32,
    pub quads: u32,
    pub eps: f32,
}

impl LayerNorm {
    /// The sizes of a norm of rows this wide.
    pub fn new(rows: usize, width: usize, eps: f32) -> LayerNorm {
        LayerNorm { rows: rows as u32, width: width as u32, quads: width.div_ceil(4) as u32, eps }
    }

    /// Numbers from one row to the next.
    pub fn stride(&self) -> usize {
        self.quads as usize * 4
    }
}

/// Mean of a row and 1 / √(variance + eps).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Moments {
    pub mean: f32,
    pub rstd: f32,
}
