//! Twin of `shaders/shared/elements.wgsl`.

use bytemuck::{Pod, Zeroable};

/// How much a kernel works on that takes vec4s one by one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Elements {
    pub quads: u32,
    pub pad0: u32,
    pub pad1: u32,
    pub pad2: u32,
}

impl Elements {
    /// So many vec4s.
    pub fn new(quads: u32) -> Elements {
        Elements { quads, ..Elements::default() }
    }
}
