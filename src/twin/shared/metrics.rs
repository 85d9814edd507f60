//! Twin of `shaders/shared/metrics.wgsl`, and of the sizes that gather and the loss read.

use bytemuck::{Pod, Zeroable};

/// Where a batch stands.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Position {
    pub step: u32,
    pub epoch: u32,
    pub batch: u32,
    pub pad0: u32,
}

/// What the loss counts, read back by the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Metrics {
    pub loss_sum: f32,
    pub correct: u32,
    pub rows: u32,
    pub loss: f32,
    pub epoch: u32,
    pub pad0: u32,
    pub pad1: u32,
    pub pad2: u32,
}

/// Sizes of a loss.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Loss {
    pub rows: u32,
    pub classes: u32,
    pub quads: u32,
    pub scale: f32,
}

/// Sizes of a gather.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Gather {
    pub samples: u32,
    pub rows: u32,
    pub quads: u32,
    pub steps_per_epoch: u32,
    pub micro_batches: u32,
    pub micro: u32,
    pub seed: u32,
    pub pad0: u32,
}
