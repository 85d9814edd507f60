//! Steps: the plan's rows, and one submission each.

use super::Trainer;
use super::reports::Taken;
use crate::engine::{Prepared, Report, Ring, Submission};
use crate::optim::{Next, STEPS_AHEAD};
use crate::train::Error;
use crate::train::event::Began;

/// Bytes that steps not yet reported may have uploaded, where each step uploads rows.
const BYTES_AHEAD: u64 = 64 << 20;

impl Trainer {
    /// One step, in one submission; at the start of an epoch the next phase may begin before it.
    ///
    /// # Errors
    /// From the device.
    pub fn take_step(&mut self) -> Result<Option<Began>, Error> {
        let began = self.begin_phase()?;
        self.train_step()?;
        Ok(began)
    }

    pub(super) fn train_step(&mut self) -> Result<(), Error> {
        if self.coming_lrs.is_empty() {
            self.load_rows()?;
        }
        let (step, phase) = (self.optimizer.next_step(), self.cursor.depth());
        self.submit_step(None)?;
        self.optimizer_bytes += self.optimizer.program()?.bytes();
        self.plan.step(&mut self.cursor)?;
        let groups = self.optimizer.groups().count();
        self.lrs = self.coming_lrs.split_off(self.coming_lrs.len() - groups);
        self.under_way.push_back(Taken { step, phase, lrs: self.lrs.clone() });
        Ok(())
    }

    /// The step whose row the optimizer has next, reported to this ring, or to that of the run.
    pub(crate) fn submit_step(&mut self, ring: Option<&Ring>) -> Result<(), Error> {
        self.make_step()?;
        let Next { mut uploads, program, slot, step, lost } = self.optimizer.next(None)?;
        uploads.extend(self.task.uploads(step));
        let report = Some(Report { ring: ring.unwrap_or(&self.progress), tag: step });
        let programs: &[&Prepared] = match &self.step {
            Some(step) => &[step, program],
            None => &[program],
        };
        let lost = Some(lost);
        let submission = Submission { uploads, programs, slot, report, lost, ..Submission::default() };
        let submitted = self.engine.submit(&submission);
        if submitted.is_err() {
            // A step that was not taken does not count.
            self.optimizer.go_to_step(step)?;
        }
        Ok(submitted?)
    }

    /// Loads the plan's rows of the steps to come.
    pub(crate) fn load_rows(&mut self) -> Result<(), Error> {
        let step = self.cursor.step();
        // No more rows than the run has steps left; steps beyond it go on one by one.
        let left = self.plan.steps().saturating_sub(step).max(1);
        let steps = u64::from(self.optimizer.horizon_steps()).min(left);
        let rows = self.plan.rows(&self.cursor, steps)?;
        self.optimizer.load_rows(step, &rows)?;
        let groups = self.optimizer.groups().count();
        self.coming_lrs = rows.rchunks(groups).flatten().map(|row| row.lr).collect();
        Ok(())
    }

    /// The rows that are loaded are no longer true.
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
