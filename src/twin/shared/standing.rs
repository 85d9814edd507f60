//! Twin of `shaders/shared/standing.wgsl`.

use bytemuck::{Pod, Zeroable};

/// The state of evaluations.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Standing {
    pub score: f32,
    pub known: u32,
    pub best: u32,
    pub pad0: u32,
}

/// What is copied of one page to another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Span {
    pub source: u32,
    pub copy: u32,
    pub quads: u32,
    pub pad0: u32,
}
