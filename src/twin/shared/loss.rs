//! Twin of `shaders/shared/loss.wgsl`.

use super::IGNORED;
use bytemuck::{Pod, Zeroable};

/// Sizes of a loss.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Loss {
    pub rows: u32,
    pub classes: u32,
    pub quads: u32,
    pub ignore: u32,
    pub smoothing: f32,
    pub pad0: u32,
    pub pad1: u32,
    pub pad2: u32,
}

impl Loss {
    /// A loss over rows of so many classes. Every row counts, as no label is `u32::MAX`, and targets are not smoothed.
    pub fn new(rows: usize, classes: usize) -> Loss {
        let (rows, classes) = (rows as u32, classes as u32);
        Loss { rows, classes, quads: classes.div_ceil(4), ignore: IGNORED, ..Loss::default() }
    }
}

/// What a loss says of a row: its loss, and [`COUNTS`] | [`CORRECT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Verdict {
    pub loss: f32,
    pub mark: u32,
}

/// The row counts.
pub const COUNTS: u32 = 1;
/// The first of its largest logits is the label's.
pub const CORRECT: u32 = 2;
