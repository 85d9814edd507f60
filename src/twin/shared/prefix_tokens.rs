//! Twin of `shaders/shared/prefix_tokens.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a vision transformer's embeddings.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct PrefixTokens {
    pub batch: u32,
    pub tokens: u32,
    pub patches: u32,
    pub width: u32,
    pub quads: u32,
    pub pad0: u32,
    pub pad1: u32,
    pub pad2: u32,
}

impl PrefixTokens {
    /// The sizes for so many pictures, tokens in front and patches of each, and numbers of a row.
    pub fn new(batch: usize, [tokens, patches]: [usize; 2], width: usize) -> PrefixTokens {
        let [batch, tokens, patches] = [batch, tokens, patches].map(|count| count as u32);
        let (width, quads) = (width as u32, width.div_ceil(4) as u32);
        PrefixTokens { batch, tokens, patches, width, quads, ..PrefixTokens::default() }
    }

    /// Rows of a picture, with the tokens in front.
    pub fn rows(&self) -> usize {
        (self.tokens + self.patches) as usize
    }

    /// Numbers in a row of an activation.
    pub fn stride(&self) -> usize {
        self.quads as usize * 4
    }
}
