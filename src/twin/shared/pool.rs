//! Twin of `shaders/shared/pool.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a pooling over the tokens of a sequence.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Pool {
    pub batch: u32,
    pub context: u32,
    pub quads: u32,
    pub pad0: u32,
}

impl Pool {
    /// The sizes for `batch` sequences of `context` rows, this wide.
    pub fn new(batch: usize, context: usize, width: usize) -> Pool {
        Pool { batch: batch as u32, context: context as u32, quads: width.div_ceil(4) as u32, pad0: 0 }
    }

    /// Numbers from one row to the next.
    pub fn stride(&self) -> usize {
        self.quads as usize * 4
    }

    /// The rows of sequence `b` that a mask leaves, or the last of them.
    pub fn pooled(&self, b: usize, mask: &[u32], last: bool) -> Vec<usize> {
        let context = self.context as usize;
        let mut rows: Vec<usize> = (b * context..(b + 1) * context).filter(|r| mask[*r] != 0).collect();
        if last {
            rows.drain(..rows.len().saturating_sub(1));
        }
        rows
    }
}
