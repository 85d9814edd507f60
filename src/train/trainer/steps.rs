//! Steps: the plan's rows, and submissions of one step or several.

use super::Trainer;
use super::reports::Taken;
use crate::engine::{Prepared, Report, Ring, Submission};
use crate::optim::{Next, STEPS_AHEAD};
use crate::train::Error;
use crate::train::event::Began;
use std::time::Instant;

/// Bytes that steps not yet reported may have uploaded, where each step uploads rows.
const BYTES_AHEAD: u64 = 64 << 20;

impl Trainer {
    /// One step, in one submission; at the start of an epoch the next phase may begin before it.
    ///
    /// # Errors
    /// From the device.
    pub fn take_step(&mut self) -> Result<Option<Began>, Error> {
        let began = self.begin_phase()?;
        self.train_steps(1)?;
        Ok(began)
    }

    /// Steps of the next submission: as many as the pace allows, up to where the host is needed.
    pub(super) fn steps_at_once(&mut self) -> Result<u64, Error> {
        self.make_step()?;
        self.load_missing_rows()?;
        if self.task.upload_bytes() > 0 || !self.config.rank.is_alone() {
            return Ok(1);
        }
        let loaded = (self.coming_lrs.len() / self.optimizer.groups().count().max(1)) as u64;
        let most = self.pace.steps().min(loaded).min(self.plan.steps_ahead(&self.cursor)).max(1);
        let step = self.cursor.step();
        let needs_host =
            |steps: &u64| self.has_checkpoint_at(step + steps) || !self.task.uploads(step + steps).is_empty();
        Ok((1..most).find(needs_host).unwrap_or(most))
    }

    /// So many steps, in one submission. There are rows for them.
    pub(super) fn train_steps(&mut self, steps: u64) -> Result<(), Error> {
        self.load_missing_rows()?;
        let (first, phase, submitted) = (self.optimizer.next_step(), self.cursor.depth(), Instant::now());
        self.submit_steps(steps, None)?;
        self.optimizer_bytes += steps * self.optimizer.program()?.bytes();
        let groups = self.optimizer.groups().count();
        for step in first..first + steps {
            self.plan.step(&mut self.cursor)?;
            self.lrs = self.coming_lrs.split_off(self.coming_lrs.len() - groups);
            self.under_way.push_back(Taken { step, phase, lrs: self.lrs.clone(), submitted, beside: steps });
        }
        Ok(())
    }

    /// The steps whose rows the optimizer has next, each reported to this ring, or to that of the run.
    pub(crate) fn submit_steps(&mut self, steps: u64, ring: Option<&Ring>) -> Result<(), Error> {
        self.make_step()?;
        if !self.config.rank.is_alone() {
            return (0..steps).try_for_each(|_| self.submit_among(ring));
        }
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let Next { mut uploads, program, slot, step, lost } = self.optimizer.next_many(None, steps)?;
        uploads.extend(self.task.uploads(step));
        let of_step: Vec<&Prepared> = self.step.iter().chain([program]).collect();
        let programs = of_step.repeat(steps as usize);
        let slots: Vec<u32> = (slot..slot + steps).flat_map(|slot| of_step.iter().map(move |_| slot)).collect();
        let report = Some(Report { ring: ring.unwrap_or(&self.progress), tag: step, parts: steps as usize });
        let (programs, slots, lost) = (&programs[..], &slots[..], Some(lost));
        let submission = Submission { uploads, programs, slots, report, lost, ..Submission::default() };
        let submitted = self.engine.submit(&submission);
        if submitted.is_err() {
            // Steps that were not taken do not count.
            self.optimizer.go_to_step(step)?;
        }
        Ok(submitted?)
    }

    fn load_missing_rows(&mut self) -> Result<(), Error> {
        if self.coming_lrs.is_empty() { self.load_rows() } else { Ok(()) }
    }

    /// Loads the plan's rows of the steps to come.
    pub(crate) fn load_rows(&mut self) -> Result<(), Error> {
        let step = self.cursor.step();
        // No more rows than the run has steps left; steps beyond it continue one by one.
        let left = self.plan.steps().saturating_sub(step).max(1);
        let steps = u64::from(self.optimizer.horizon_steps()).min(left);
        let rows = self.plan.rows(&self.cursor, steps)?;
        self.optimizer.load_rows(step, &rows)?;
        let groups = self.optimizer.groups().count();
        self.coming_lrs = rows.rchunks(groups).flatten().map(|row| row.lr).collect();
        Ok(())
    }

    /// The loaded rows are no longer valid.
    pub(crate) fn forget_rows(&mut self) {
        self.coming_lrs.clear();
    }

    /// Whether the host has run too far ahead of the device's reports.
    pub(super) fn is_far_ahead(&self) -> bool {
        let fit = BYTES_AHEAD.checked_div(self.task.upload_bytes()).unwrap_or(STEPS_AHEAD);
        let most = fit.clamp(1, STEPS_AHEAD);
        self.cursor.step() > self.last_reported + most && !self.progress.has_free_slot()
    }
}
