//! The learning-rate range test on the device.

use super::{Error, Trainer};
use crate::engine::layout::Metrics;
use crate::engine::{Delivery, Range, Ring, Submission, Upload};
use crate::optim::Best;
use crate::params::{Field, Row};
use crate::schedule::lr_find::{Curve, Point, Sweep};

impl Trainer {
    /// Trains with a sweep of learning rates from the run's current state, reports each point when its loss arrives,
    /// and restores the run to the last bit.
    ///
    /// It trains the current trainable parameters on the next batches, over as many epochs as needed. Every group has
    /// the sweep's rate; everything else is as planned for the coming step. A loss is the mean over the rows of a step,
    /// all its micro-batches, before the update.
    ///
    /// The rates are one upload, or one for each [`horizon_steps`](crate::optim::Settings::horizon_steps) of them. The
    /// host waits for the device before and after the sweep, and in between stays close enough that every loss has a
    /// slot in the ring. A sweep that ends early has taken up to three steps more.
    ///
    /// The copy of parameters, moments and counts takes as much as a second best copy, on the device up to
    /// [`best_device_limit_bytes`](super::Config::best_device_limit_bytes), else in host memory.
    ///
    /// # Errors
    /// A bad sweep ([`Sweep::check`]) or no room for the copy: nothing has changed then. From the device: everything
    /// that can be restored is.
    pub fn lr_find(&mut self, sweep: &Sweep, mut tell: impl FnMut(&Point)) -> Result<Curve, Error> {
        let mut curve = Curve::new(sweep)?;
        let rows = self.plan.rows(&self.cursor, 1)?;
        let kept = Kept::of(self)?;
        let (counts, first) = (kept.losses(), self.cursor.step());
        let swept = self.sweep(&mut Losses { curve: &mut curve, counts, first, tell: &mut tell }, &rows);
        let restored = kept.put_back(self);
        swept.and(restored).map(|()| curve)
    }

    fn sweep(&mut self, losses: &mut Losses<'_>, rows: &[Row]) -> Result<(), Error> {
        let (sweep, first) = (*losses.curve.sweep(), losses.first);
        let ring = self.engine.ring(vec![self.metrics()])?;
        let horizon = self.optimizer.horizon_steps();
        for point in 0..sweep.points() {
            while !ring.has_free_slot() && !losses.curve.is_over() {
                self.engine.throttle();
                losses.collect(self, &ring)?;
            }
            if losses.curve.is_over() {
                break;
            }
            if point.is_multiple_of(horizon) {
                let end = point.saturating_add(horizon).min(sweep.points());
                let at = |point| rows.iter().map(move |row| row.with(Field::Lr, sweep.rate(point)));
                self.optimizer.load_rows(first + u64::from(point), &(point..end).flat_map(at).collect::<Vec<Row>>())?;
            }
            self.submit_steps(1, Some(&ring))?;
            losses.collect(self, &ring)?;
        }
        // Also after a sweep that ended early: no report may be under way when the ring is dropped.
        self.engine.wait()?;
        losses.collect(self, &ring)?;
        let steps = first + losses.curve.points().len() as u64;
        if losses.curve.is_over() { Ok(()) } else { Err(Error::NoReport { steps }) }
    }
}

/// What a sweep changes, as it was before.
struct Kept {
    /// Parameters, moments, averages and applied counts.
    best: Best,
    /// Bytes of [`counts`].
    counts: Vec<Vec<u8>>,
}

/// The counts of the running epoch's losses, and of the steps taken and skipped.
fn counts(trainer: &Trainer) -> [Range; 2] {
    [trainer.metrics(), trainer.optimizer.stats_range()]
}

impl Kept {
    fn of(trainer: &Trainer) -> Result<Kept, Error> {
        let mut best = Best::new(trainer.config.best_device_limit_bytes);
        best.keep(&trainer.optimizer)?;
        Ok(Kept { best, counts: trainer.engine.read_all(&counts(trainer))? })
    }

    /// The counts of the running epoch's losses.
    fn losses(&self) -> Metrics {
        bytemuck::pod_read_unaligned(&self.counts[0])
    }

    fn put_back(self, trainer: &mut Trainer) -> Result<(), Error> {
        self.best.restore(&mut trainer.optimizer)?;
        let upload = |(range, data): (Range, Vec<u8>)| Upload { buffer: range.buffer, offset: range.offset, data };
        let uploads = counts(trainer).into_iter().zip(self.counts).map(upload).collect();
        trainer.engine.submit(&Submission { uploads, ..Submission::default() })?;
        trainer.optimizer.go_to_step(trainer.cursor.step())?;
        trainer.load_rows()
    }
}

/// The losses of a sweep, as they arrive.
struct Losses<'a> {
    curve: &'a mut Curve,
    /// The counts of the running epoch at the last step that has arrived.
    counts: Metrics,
    /// The sweep's first step.
    first: u64,
    tell: &'a mut dyn FnMut(&Point),
}

impl Losses<'_> {
    fn collect(&mut self, trainer: &Trainer, ring: &Ring) -> Result<(), Error> {
        trainer.engine.collect(ring, |Delivery { tag, bytes, .. }| {
            if self.curve.is_over() {
                return Ok(());
            }
            // A loss that is missing would give each later one the rate before its own.
            let steps = self.first + self.curve.points().len() as u64;
            if tag != steps {
                return Err(Error::NoReport { steps });
            }
            let counts: Metrics = bytemuck::pod_read_unaligned(bytes);
            let before = std::mem::replace(&mut self.counts, counts);
            if let Some(point) = self.curve.push(mean_of_step(&before, &counts)) {
                (self.tell)(&point);
            }
            Ok(())
        })
    }
}

/// The mean loss over the rows of a step, from the counts of the epoch before and after it.
fn mean_of_step(before: &Metrics, after: &Metrics) -> f64 {
    let nothing = Metrics::default();
    // They start again with an epoch.
    let before = if before.epoch == after.epoch { before } else { &nothing };
    if !before.loss_sum.is_finite() {
        // The sums are of no more use in this epoch: the last micro-batch speaks for the step.
        return f64::from(after.loss);
    }
    let rows = f64::from(after.rows.wrapping_sub(before.rows).max(1));
    let rounded = f64::from(after.loss_sum) - f64::from(before.loss_sum);
    // The exact sums hold no batch whose losses add up to 2³² or to NaN.
    let is_cut_off = rounded.is_nan() || rounded >= 2_147_483_648.0;
    let fixed = |counts: &Metrics| u64::from(counts.loss_whole) << 32 | u64::from(counts.loss_part);
    let exact = fixed(after).wrapping_sub(fixed(before)) as f64 / 4_294_967_296.0;
    let sum = if is_cut_off { rounded } else { exact };
    sum / rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(epoch: u32, rows: u32, sum: f64, loss: f32) -> Metrics {
        let (loss_whole, loss_part) = (sum as u32, (sum.fract() * 4_294_967_296.0) as u32);
        Metrics { loss_sum: sum as f32, rows, loss, epoch, loss_whole, loss_part, ..Metrics::default() }
    }

    #[test]
    fn a_step_has_the_losses_that_joined_its_epoch() {
        let before = counts(3, 1_000_000, 2_000_000.25, 9.0);
        assert_eq!(mean_of_step(&before, &counts(3, 1_000_064, 2_000_096.25, 9.0)), 1.5);
        assert_eq!(mean_of_step(&before, &counts(4, 64, 96.0, 9.0)), 1.5, "the first of an epoch");
        let large = Metrics { loss_sum: 8e12, ..counts(4, 64, f64::from(u32::MAX), 9.0) };
        assert_eq!(mean_of_step(&before, &large), f64::from(8e12f32) / 64.0);
        let burst = Metrics { loss_sum: f32::INFINITY, ..counts(3, 1_000_064, 2_000_050.0, 9.0) };
        assert_eq!(mean_of_step(&before, &burst), f64::INFINITY);
        assert_eq!(mean_of_step(&burst, &Metrics { loss: 2.5, rows: 1_000_128, ..burst }), 2.5);
        let nothing_counts = counts(5, 0, 0.0, 0.0);
        assert_eq!(mean_of_step(&before, &nothing_counts), 0.0);
    }
}
