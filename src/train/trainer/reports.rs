//! Reports of steps and evaluations, told as they arrive.

use super::Trainer;
use super::evaluations::{Found, Reading};
use crate::engine::layout::Metrics;
use crate::engine::{Delivery, Range};
use crate::optim;
use crate::train::Error;
use crate::train::event::{Evaluation, Event, Progress};
use crate::train::finite::check_finite;
use std::path::Path;
use std::time::Instant;

/// What a step's report does not say itself.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) step: u64,
    pub(super) phase: usize,
    pub(super) lrs: Vec<f64>,
    /// When its submission began, which holds so many steps.
    pub(super) submitted: Instant,
    pub(super) beside: u64,
}

impl Trainer {
    /// Waits for what the device still has to do, and tells all of it.
    ///
    /// # Errors
    /// From the device; [`Error::Broken`].
    pub fn settle(&mut self, mut tell: impl FnMut(&Event)) -> Result<(), Error> {
        self.engine.wait()?;
        self.collect(&mut tell)?;
        Ok(())
    }

    /// Waits until every report of a step has arrived, and drops them.
    pub(crate) fn drain(&mut self) -> Result<(), Error> {
        self.engine.wait()?;
        self.collect(&mut |_| ())?;
        self.under_way.clear();
        Ok(())
    }

    /// Tells what has arrived; the last evaluation among it.
    pub(super) fn collect(&mut self, tell: &mut impl FnMut(&Event)) -> Result<Option<Evaluation>, Error> {
        let Trainer { engine, optimizer, progress, under_way, last_reported, pace, .. } = self;
        let (steps_per_epoch, skipped_before) = (self.plan.steps_per_epoch(), self.skipped_before);
        let mut lost_losses = 0;
        let arrived = engine.collect(progress, |Delivery { tag, bytes, device_seconds }| {
            let (metrics, stats) = bytes.split_at(size_of::<Metrics>());
            let metrics: Metrics = bytemuck::pod_read_unaligned(metrics);
            let stats = optimizer.absorb(stats, device_seconds)?;
            *last_reported = tag + 1;
            lost_losses += u64::from(!metrics.loss.is_finite());
            // Steps without a report are skipped.
            while under_way.front().is_some_and(|taken| taken.step < tag) {
                under_way.pop_front();
            }
            if let Some(Taken { phase, lrs, submitted, beside, .. }) = under_way.pop_front() {
                // Without the device's time, the time until the report is longer than the steps took.
                let told = device_seconds.filter(|seconds| *seconds > 0.0);
                pace.learn(tag, told.unwrap_or_else(|| submitted.elapsed().as_secs_f64() / beside as f64));
                tell(&Event::Step(Progress { step: tag, phase, lrs, loss: metrics.loss, stats }));
            }
            Ok::<(), Error>(())
        });
        if let Err(Error::Optim(optim::Error::Overflow { step, steps, .. })) = arrived {
            return Err(Error::Overflow { step, steps, first: self.first_overflow()? });
        }
        arrived?;
        self.look_over(lost_losses)?;
        let Trainer { engine, results, evaluating, plan, cursor, scoring, also, confusion, task, .. } = self;
        let bytes = |counts: Option<Range>| counts.map_or(0, |counts| counts.bytes as usize);
        let counted = task.also_counted().into_iter().map(|(_, counts)| bytes(counts));
        let also =
            also.iter().zip(counted).map(|((name, scoring), counted)| (name.as_str(), scoring, counted)).collect();
        let reading = Reading { scoring, counted: bytes(task.counts()), also, steps_per_epoch, skipped_before };
        let mut last = None;
        engine.collect(results, |delivery| {
            if let Some(evaluating) = evaluating.pop_front() {
                let Found { evaluation, confusion: matrix, also } = reading.found(evaluating, delivery.bytes);
                matrix.iter().for_each(|matrix| tell(&Event::Confusion(matrix.clone())));
                also.into_iter().for_each(|also| tell(&Event::Also(also)));
                *confusion = matrix;
                tell(&Event::Evaluation(evaluation));
                if cursor.undecided() == Some(evaluation.steps) {
                    plan.measured(cursor, &evaluation.metrics())?;
                }
                last = Some(evaluation);
            }
            Ok::<(), Error>(())
        })?;
        Ok(last)
    }

    /// A loss that is not finite may be a batch's fault, and the guard leaves such a step out; or a parameter is not finite,
    /// and no step will be any better. To tell is a download: it is done for the first such loss, the second, the fourth.
    fn look_over(&mut self, lost_losses: u64) -> Result<(), Error> {
        let before = self.lost_losses;
        self.lost_losses += lost_losses;
        if (before + 1..=self.lost_losses).any(u64::is_power_of_two) { self.check_parameters() } else { Ok(()) }
    }

    /// Whether every parameter is finite. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Broken`]; from the device.
    pub fn check_parameters(&self) -> Result<(), Error> {
        match check_finite(Path::new(""), &self.parameters.read_file()?) {
            Err(Error::NotFinite { tensor, .. }) => Err(Error::Broken { step: self.cursor.step(), parameter: tensor }),
            other => other,
        }
    }
}
