//! Twin of `shaders/shared/resize.wgsl`.

use bytemuck::{Pod, Zeroable};

/// What moves between one piece of a tensor before it is resized and one piece of it after; in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Resize {
    pub rows: u32,
    pub width: u32,
    pub old_first: u32,
    pub old_elements: u32,
    pub old_at: u32,
    pub new_first: u32,
    pub new_elements: u32,
    pub new_at: u32,
    pub is_state: u32,
    pub is_first: u32,
    pub is_counting: u32,
    pub pad0: u32,
}

/// Marks an old row in a list: the row keeps its values, and its state begins at zero.
pub const FRESH: u32 = 1 << 31;

/// In a list: a row of zeros.
pub const ZERO: u32 = u32::MAX;
