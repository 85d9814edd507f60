//! The order in which examples come.

use crate::engine::layout::{pcg, shuffled};

/// In which order examples come, and how many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// How many there are.
    pub(super) samples: u32,
    /// How many make a micro-batch.
    pub(super) rows: u32,
    pub(super) steps_per_epoch: u32,
    /// Micro-batches of a step.
    pub(super) micro_batches: u32,
    /// Of the order, a new one every epoch; `None`: they come in their own.
    pub(super) seed: Option<u32>,
}

impl Order {
    /// The examples of a step, in its order; none after the last one.
    pub(super) fn examples_of(&self, step: u32) -> impl Iterator<Item = u32> {
        let Order { samples, steps_per_epoch, seed, .. } = *self;
        let rows = self.rows * self.micro_batches;
        // As the device counts steps.
        let (epoch, step) = (step / steps_per_epoch, step % steps_per_epoch);
        let places = (step * rows..).take(rows as usize).take_while(move |place| *place < samples);
        places.map(move |place| match seed {
            Some(seed) => shuffled(place, samples, pcg(seed ^ pcg(epoch))),
            None => place,
        })
    }
}
