//! Twin of `shaders/shared/join.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of two values side by side.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Join {
    pub rows: u32,
    pub left: u32,
    pub right: u32,
    pub pad0: u32,
}

impl Join {
    /// The sizes for so many rows of these widths; the left one is whole vec4s.
    pub fn new(rows: usize, [left, right]: [usize; 2]) -> Join {
        let [left, right] = [left, right].map(|width| width.div_ceil(4) as u32);
        Join { rows: rows as u32, left, right, pad0: 0 }
    }

    /// Numbers of a row: of the left value, and of both.
    pub fn strides(&self) -> [usize; 2] {
        [self.left, self.left + self.right].map(|quads| quads as usize * 4)
    }
}
