//! Twin of the sizes in `shaders/nn/gather_pictures.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a gather of pictures, how bytes become numbers, and how pictures are augmented.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct GatherPictures {
    pub samples: u32,
    pub rows: u32,
    pub height: u32,
    pub width: u32,
    pub steps_per_epoch: u32,
    pub micro_batches: u32,
    pub micro: u32,
    pub seed: u32,
    pub flip: u32,
    pub padding: u32,
    pub least_area: f32,
    pub pad0: u32,
    pub scale: [f32; 4],
    pub shift: [f32; 4],
}

impl GatherPictures {
    /// Pixels of a picture.
    pub fn pixels(&self) -> u32 {
        self.height * self.width
    }
}
