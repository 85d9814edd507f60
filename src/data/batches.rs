//! How many steps and batches there are in so many samples.

use super::Error;

/// Rows of a micro-batch and micro-batches of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// Rows of a micro-batch.
    pub rows: usize,
    /// Micro-batches whose gradients one step adds up.
    pub micro_batches: usize,
}

impl BatchSize {
    /// Whole steps in an epoch. What is left over is not drawn in that epoch.
    pub(super) fn steps_per_epoch(self, samples: usize) -> Result<u32, Error> {
        let bad = |reason| Error::BadBatch { samples, rows: self.rows, micro_batches: self.micro_batches, reason };
        match self.rows.saturating_mul(self.micro_batches) {
            0 => Err(bad("a step draws at least one")),
            drawn if drawn > samples => Err(bad("a step draws more than there are")),
            drawn => Ok((samples / drawn) as u32),
        }
    }

    /// Batches of so many rows, each `width` wide, that hold every sample; the last one is perhaps not full.
    pub(super) fn covering(samples: usize, rows: usize, width: usize) -> Result<u32, Error> {
        let bad = |reason| Error::BadBatch { samples, rows, micro_batches: 1, reason };
        if rows == 0 {
            return Err(bad("a batch has at least one row"));
        }
        let batches = samples.div_ceil(rows);
        let places = batches.saturating_mul(rows).saturating_mul(width);
        // The kernels count places in 32 bits.
        u32::try_from(places)
            .map(|_| batches as u32)
            .map_err(|_| bad("the batches hold more places than 32 bits count"))
    }
}
