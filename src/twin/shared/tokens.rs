//! Twin of `shaders/shared/tokens.wgsl`, and of the sizes that the gathers of tokens read.

use bytemuck::{Pod, Zeroable};

/// A target or a label that the loss leaves out.
pub const IGNORED: u32 = u32::MAX;
/// A resident token word is `token | type << TYPE_SHIFT`.
pub const TYPE_SHIFT: u32 = 28;

/// Sizes of a gather from a stream of tokens.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct GatherTokens {
    pub tokens: u32,
    pub context: u32,
    pub samples: u32,
    pub offsets: u32,
    pub rows: u32,
    pub steps_per_epoch: u32,
    pub micro_batches: u32,
    pub micro: u32,
    pub seed: u32,
    pub pad0: u32,
    pub pad1: u32,
    pub pad2: u32,
}

/// Sizes of a gather from a set of sequences.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct GatherSequences {
    pub samples: u32,
    pub context: u32,
    pub rows: u32,
    pub steps_per_epoch: u32,
    pub micro_batches: u32,
    pub micro: u32,
    pub seed: u32,
    pub pad0: u32,
}

/// Sizes of a gather of what a frozen trunk made.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct GatherCached {
    pub samples: u32,
    pub rows: u32,
    pub quads: u32,
    pub seed: u32,
    pub first: u32,
    pub count: u32,
    pub batches: u32,
    pub pad0: u32,
}
