//! Twin of `shaders/shared/loss.wgsl`.

use super::{IGNORED, Position};
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

    /// The weight of a row that counts: one over the rows of the step that count; if the position does not give them,
    /// over those of the batch. It is multiplied by the loss scale, if there is one.
    pub fn weight(&self, labels: &[u32], position: &Position, loss_scale: Option<f32>) -> f64 {
        let labels = &labels[..self.rows as usize];
        let counting = match position.counting {
            0 => labels.iter().filter(|label| **label != self.ignore).count() as u32,
            counting => counting,
        };
        f64::from(loss_scale.unwrap_or(1.0)) / f64::from(counting.max(1))
    }

    /// Writes a row of gradients, each by this weight, and zeros after them.
    pub fn write_slopes(&self, row: &mut [f32], slopes: impl Iterator<Item = f64>, weight: f64) {
        row.fill(0.0);
        row.iter_mut().zip(slopes).for_each(|(slot, slope)| *slot = (weight * slope) as f32);
    }
}

/// A loss's verdict on a row: its loss, and [`COUNTS`] | [`CORRECT`].
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
