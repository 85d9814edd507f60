//! A step among ranks: gradients go down to the host, are summed over the ranks, and go up again before the optimizer's stages.
//!
//! A rank runs its own micro-batches of a step, as one rank would run all of them: the sum over ranks takes the place of the sum over
//! micro-batches, and rows weigh the same in both. So what follows from the gradients is the same on every rank. A step is two
//! submissions with a wait between them.

use super::Trainer;
use super::shared::Shared;
use crate::dist::Collective;
use crate::engine::layout::Metrics;
use crate::engine::{Engine, Prepared, Range, Report, Ring, Submission, Upload};
use crate::optim::{Next, Optimizer, Parameters};
use crate::train::Error;
use crate::train::task::gradient_of;
use std::time::Instant;

/// Bytes that tensors are aligned to: what lies closer behind a gradient holds nothing else.
const ALIGNED_BYTES: u64 = 256;

/// The other ranks, and what steps among them need.
#[derive(Debug)]
pub(crate) struct Among {
    pub(crate) collective: Box<dyn Collective>,
    staged: Option<Staged>,
    /// The counts of the running epoch's losses over all ranks, before this step.
    totals: Option<(u64, Metrics)>,
    values: Vec<f32>,
    room: Vec<f32>,
    /// What ranks that share the moments bring each other.
    pub(super) shared: Option<Shared>,
    exchanged: Exchanged,
}

/// What comes down, for as long as gradients stay where they are.
#[derive(Debug)]
struct Staged {
    /// [`Optimizer::layout`].
    layout: u64,
    gradients: Vec<Range>,
    /// Of the gradients, then of the counts of the losses.
    ring: Ring,
}

/// What a rank has exchanged with the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Exchanged {
    /// Steps whose gradients were summed.
    pub steps: u64,
    /// Bytes of those gradients.
    pub bytes: u64,
    /// Seconds in which they were summed, with the waiting for other ranks.
    pub seconds: f64,
    /// Seconds of waiting for the device before that.
    pub waited_seconds: f64,
}

impl Among {
    pub(crate) fn new(collective: Box<dyn Collective>) -> Among {
        Among {
            collective,
            staged: None,
            totals: None,
            values: Vec::new(),
            room: Vec::new(),
            shared: None,
            exchanged: Exchanged::default(),
        }
    }

    /// Makes the staging memory, where gradients have moved.
    fn stage(
        &mut self,
        engine: &Engine,
        (parameters, optimizer): (&Parameters, &Optimizer),
        metrics: Range,
    ) -> Result<(), Error> {
        if self.staged.as_ref().is_some_and(|staged| staged.layout == optimizer.layout()) {
            return Ok(());
        }
        // What was there is freed first.
        self.staged = None;
        let mut gradients: Vec<Range> = Vec::new();
        for param in parameters.params() {
            if let Some(range) = gradient_of(optimizer, &param.name)? {
                gradients.push(range);
            }
        }
        let gradients = joined(gradients);
        let regions = gradients.iter().cloned().chain([metrics]).collect();
        self.values = vec![0.0; (gradients.iter().map(|range| range.bytes).sum::<u64>() / 4) as usize];
        self.staged = Some(Staged { layout: optimizer.layout(), gradients, ring: engine.staging(regions)? });
        Ok(())
    }

    /// Takes what has come down of a step: its gradients, and what this rank counted of the losses.
    fn take(&mut self, engine: &Engine, step: u64) -> Result<Metrics, Error> {
        let Among { staged, values, .. } = self;
        let mut counted = None;
        if let Some(staged) = staged {
            engine.collect(&staged.ring, |report| {
                let values: &mut [u8] = bytemuck::cast_slice_mut(values);
                let (gradients, metrics) = report.bytes.split_at(values.len());
                values.copy_from_slice(gradients);
                counted = Some(bytemuck::pod_read_unaligned(metrics));
                Ok::<(), Error>(())
            })?;
        }
        counted.ok_or(Error::NoReport { steps: step })
    }

    /// The sums over all ranks, to go up: of the gradients, and of the losses with those of the epoch's steps so far.
    fn summed(&mut self, counted: Metrics, before: Metrics, metrics: &Range) -> Result<(Vec<Upload>, Metrics), Error> {
        let Among { collective, staged, values, room, .. } = self;
        collective.sum(values, room)?;
        let counts = collective.each(bytemuck::bytes_of(&counted))?;
        let counts = counts.iter().map(|counts| bytemuck::pod_read_unaligned(counts));
        let total = total(before, counts);
        let mut uploads = Vec::new();
        let mut rest = &values[..];
        for range in staged.iter().flat_map(|staged| &staged.gradients) {
            let (own, behind) = rest.split_at((range.bytes / 4) as usize);
            rest = behind;
            let data = bytemuck::cast_slice(own).to_vec();
            uploads.push(Upload { buffer: range.buffer.clone(), offset: range.offset, data });
        }
        let data = bytemuck::bytes_of(&total).to_vec();
        uploads.push(Upload { buffer: metrics.buffer.clone(), offset: metrics.offset, data });
        Ok((uploads, total))
    }
}

impl Trainer {
    /// The coming step among the ranks, reported to this ring, or to that of the run.
    pub(super) fn submit_among(&mut self, ring: Option<&Ring>) -> Result<(), Error> {
        let Trainer { engine, task, optimizer, parameters, step: made, among, progress, plan, .. } = self;
        let Some(among) = among else { return Err(Error::NotJoined) };
        let metrics = task.trained();
        among.stage(engine, (parameters, optimizer), metrics.clone())?;
        let at = optimizer.next_step();
        let before = match among.totals {
            _ if at.is_multiple_of(plan.steps_per_epoch()) => Metrics::default(),
            Some((step, totals)) if step == at => totals,
            _ => engine.read(&metrics)?.first().copied().unwrap_or_default(),
        };
        let Next { mut uploads, program, slot, step, lost } = optimizer.next(None)?;
        uploads.extend(task.uploads(step));
        let pass: Vec<&Prepared> = made.iter().collect();
        let taken: Result<(), Error> = (|| {
            let report = among.staged.as_ref().map(|staged| Report::new(&staged.ring, step));
            // Each rank counts its own rows.
            let clears = vec![metrics.clone()];
            let (programs, lost) = (&pass[..], Some(lost));
            engine.submit(&Submission { uploads, clears, programs, slot, report, lost, ..Submission::default() })?;
            let started = Instant::now();
            engine.wait()?;
            let waited = Instant::now();
            let counted = among.take(engine, step)?;
            let (uploads, total) = among.summed(counted, before, &metrics)?;
            among.totals = Some((step + 1, total));
            let exchanged = &mut among.exchanged;
            exchanged.steps += 1;
            exchanged.bytes += among.values.len() as u64 * 4;
            exchanged.waited_seconds += (waited - started).as_secs_f64();
            exchanged.seconds += waited.elapsed().as_secs_f64();
            let report = Some(Report::new(ring.unwrap_or(progress), step));
            let programs = &[program][..];
            engine.submit(&Submission { uploads, programs, slot, report, ..Submission::default() })?;
            Ok(())
        })();
        if taken.is_err() {
            // A step that was not taken does not count.
            optimizer.go_to_step(step)?;
        }
        taken?;
        self.share_values(step)
    }

    /// What was exchanged with other ranks so far.
    pub fn exchanged(&self) -> Exchanged {
        self.among.as_ref().map_or_else(Exchanged::default, |among| among.exchanged)
    }

    /// Whether any rank says so; every rank asks, and comes to the same.
    ///
    /// # Errors
    /// From the other ranks.
    pub fn agreed(&mut self, says: bool) -> Result<bool, Error> {
        let Some(among) = &mut self.among else { return Ok(says) };
        let said = among.collective.each(&[u8::from(says)])?;
        Ok(said.iter().any(|said| said != &[0]))
    }

    /// Gives every rank the first one's running statistics: they follow the rows that a rank has seen.
    pub(super) fn share_buffers(&mut self) -> Result<(), Error> {
        let Trainer { engine, parameters, among: Some(among), .. } = self else { return Ok(()) };
        let ranges = parameters.buffer_ranges();
        if ranges.is_empty() {
            return Ok(());
        }
        for (range, mut bytes) in ranges.iter().zip(engine.read_all(&ranges)?) {
            among.collective.broadcast(&mut bytes)?;
            if !among.collective.rank().is_first() {
                engine.write(&range.buffer, range.offset, &bytes)?;
            }
        }
        Ok(())
    }
}

/// Ranges that lie side by side, as one.
fn joined(ranges: Vec<Range>) -> Vec<Range> {
    let mut joined: Vec<Range> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if is_behind(last, &range) => last.bytes = range.offset + range.bytes - last.offset,
            _ => joined.push(range),
        }
    }
    joined
}

/// Whether a range lies directly behind another, but for what fills up the alignment.
fn is_behind(last: &Range, range: &Range) -> bool {
    let end = last.offset + last.bytes;
    range.buffer.same(&last.buffer) && range.offset >= end && range.offset - end < ALIGNED_BYTES
}

/// The counts of an epoch with those of a step on each rank. The loss is the step's.
fn total(before: Metrics, counts: impl Iterator<Item = Metrics>) -> Metrics {
    let (mut total, mut loss_sum, mut rows) = (before, 0.0, 0);
    for counts in counts {
        total.loss_sum += counts.loss_sum;
        let (part, carries) = total.loss_part.overflowing_add(counts.loss_part);
        total.loss_part = part;
        total.loss_whole = total.loss_whole.wrapping_add(counts.loss_whole).wrapping_add(u32::from(carries));
        total.correct = total.correct.wrapping_add(counts.correct);
        total.rows = total.rows.wrapping_add(counts.rows);
        total.epoch = counts.epoch;
        loss_sum += f64::from(counts.loss_sum);
        rows += counts.rows;
    }
    total.loss = (loss_sum / f64::from(rows.max(1))) as f32;
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_ranks_add_up_exactly() {
        let rank = |rows, loss_sum: f64, correct| Metrics {
            loss_sum: loss_sum as f32,
            loss_whole: loss_sum as u32,
            loss_part: (loss_sum.fract() * 4_294_967_296.0) as u32,
            loss: 9.0,
            rows,
            correct,
            epoch: 3,
            ..Metrics::default()
        };
        let total = total(rank(8, 4.75, 5), [rank(4, 1.5, 1), rank(2, 2.25, 2)].into_iter());
        assert_eq!((total.rows, total.correct, total.epoch), (14, 8, 3));
        assert_eq!((total.loss_sum, total.exact_sum()), (8.5, 8.5));
        assert_eq!(total.loss, 3.75 / 6.0, "the step's own mean");
    }

    #[test]
    fn a_loss_that_is_not_finite_on_one_rank_is_the_steps() {
        let sound = Metrics { loss_sum: 1.0, rows: 1, ..Metrics::default() };
        let broken = Metrics { loss_sum: f32::NAN, ..sound };
        assert!(total(Metrics::default(), [sound, broken].into_iter()).loss.is_nan());
    }
}
