//! Twin of the sizes in `shaders/nn/gather_pictures.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a gather of pictures, and how bytes become numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct GatherPictures {
    pub samples: u32,
    pub rows: u32,
    pub pixels: u32,
    pub steps_per_epoch: u32,
    pub micro_batches: u32,
    pub micro: u32,
    pub seed: u32,
    pub pad0: u32,
    pub scale: [f32; 4],
    pub shift: [f32; 4],
}
