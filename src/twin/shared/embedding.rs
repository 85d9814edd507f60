//! Twin of `shaders/shared/embedding.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a table that rows of a batch name entries of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Embedding {
    pub rows: u32,
    pub width: u32,
    pub quads: u32,
    pub context: u32,
    pub entries: u32,
    pub types: u32,
    pub first_position: u32,
    pub pad0: u32,
}

/// The row before the first of a chain.
pub const NONE: u32 = u32::MAX;

impl Embedding {
    /// The sizes for `batch` sequences of `context` rows, this wide, over a table of `entries`.
    pub fn new(batch: usize, context: usize, width: usize, entries: usize) -> Embedding {
        let [rows, width, context, entries] = [batch * context, width, context, entries].map(|size| size as u32);
        Embedding { rows, width, quads: width.div_ceil(4), context, entries, ..Embedding::default() }
    }

    /// Numbers from one row to the next.
    pub fn stride(&self) -> usize {
        self.quads as usize * 4
    }
}
