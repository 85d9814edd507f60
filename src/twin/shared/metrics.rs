//! Twin of `shaders/shared/metrics.wgsl`, and of the sizes that gather reads.

use bytemuck::{Pod, Zeroable};

/// The place of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Position {
    pub step: u32,
    pub epoch: u32,
    pub batch: u32,
    pub counting: u32,
}

/// Samples in so many batches of an epoch, from batch `first` on. There are none after the last sample.
pub fn samples_in(first: u32, batches: u32, rows: u32, samples: u32) -> u32 {
    (batches * rows).min(samples.saturating_sub(first * rows))
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
    pub loss_whole: u32,
    pub loss_part: u32,
    pub pad0: u32,
}

impl Metrics {
    /// The mean over the rows counted, as exact as the batches' own sums; not finite if a row's loss is not.
    pub fn mean_loss(&self) -> f64 {
        if !self.loss_sum.is_finite() {
            return f64::from(self.loss_sum);
        }
        let is_exact = self.loss_sum < LARGEST_EXACT_SUM;
        let sum = if is_exact { self.exact_sum() } else { f64::from(self.loss_sum) };
        sum / f64::from(self.rows)
    }

    /// The sum of the losses, to the last digit that the device keeps.
    pub fn exact_sum(&self) -> f64 {
        f64::from(self.loss_whole) + f64::from(self.loss_part) / 4_294_967_296.0
    }
}

/// A sum of losses from here on is reported by [`Metrics::loss_sum`]: the exact one counts whole numbers in 32 bits.
pub const LARGEST_EXACT_SUM: f32 = 4.0e9;

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
