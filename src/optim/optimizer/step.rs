//! A step: the coming slot of the clock, the table where it is new, and one submission.

use super::{Optimizer, Selection};
use crate::engine::{Prepared, Report, Submission, Upload};
use crate::optim::{Error, LAST_STEP, STEPS_AHEAD};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps that are ready to go into a submission; see [`Optimizer::next`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Next<'a> {
    /// The table, where it is new, to be written before the program.
    pub uploads: Vec<Upload>,
    /// A step's stages.
    pub program: &'a Prepared,
    /// The slot of the clock; of several steps the first's, and the others have those that follow.
    pub slot: u32,
    /// The schedule's step, of several the first.
    pub step: u64,
    /// To be raised if the uploads do not arrive; [`Submission::lost`](crate::engine::Submission::lost) does that.
    pub lost: Arc<AtomicBool>,
}

impl Optimizer {
    /// Takes one step, in one submission. Does not wait; but it sleeps where the host is far ahead of the device, see
    /// [`Settings::throttle`](super::Settings::throttle).
    ///
    /// # Errors
    /// [`Error::NoRow`] past the loaded rows; from the device.
    pub fn step(&mut self) -> Result<(), Error> {
        self.go(None, None)
    }

    /// Takes one step over the parameters that have a gradient.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; [`Error::StaleSelection`].
    pub fn step_over(&mut self, selection: &Selection) -> Result<(), Error> {
        self.go(Some(selection), None)
    }

    /// Writes one step into the caller's encoder. Submit encoders in the order in which they were written, and before
    /// groups are added, frozen or thawed or state is loaded: those move memory at once. The schedule advances even if
    /// the encoder is dropped; a table that it carried is sent again with the next step.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn encode(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        self.go(None, Some(encoder))
    }

    /// Writes so many steps into the caller's encoder, one behind the other, with the bits that they have one by one. Before
    /// each step `gradients` writes what makes its gradients, and is told the step's number. One report comes back, the last
    /// step's. What holds for [`encode`](Optimizer::encode) holds here too.
    ///
    /// ```no_run
    /// # use gradus::{optim::{Error, Optimizer}, wgpu};
    /// # fn steps(optimizer: &mut Optimizer, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<(), Error> {
    /// let mut encoder = device.create_command_encoder(&Default::default());
    /// optimizer.encode_many(8, &mut encoder, |encoder, step| {
    ///     // Your forward and backward passes of this step.
    /// })?;
    /// queue.submit([encoder.finish()]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Optimizer::encode`]; where one of the steps has no row, nothing is written and no step is taken.
    pub fn encode_many(
        &mut self,
        steps: u32,
        encoder: &mut wgpu::CommandEncoder,
        mut gradients: impl FnMut(&mut wgpu::CommandEncoder, u64),
    ) -> Result<(), Error> {
        if steps == 0 {
            return Ok(());
        }
        let (mut uploads, first_slot, first) = self.advance(None, steps)?;
        for (slot, step) in (first_slot..first_slot + steps).zip(first..) {
            gradients(encoder, step);
            let report = (step + 1 == self.step).then(|| Report::new(&self.ring, step));
            let (uploads, lost) = (std::mem::take(&mut uploads), Some(Arc::clone(&self.lost)));
            let programs = &[self.prepared(None)?];
            let submission = Submission { uploads, programs, slot, report, lost, ..Submission::default() };
            if let Err(error) = self.engine.encode(encoder, &submission) {
                self.step = first;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// As [`Optimizer::encode`], over the parameters that have a gradient.
    ///
    /// # Errors
    /// As [`Optimizer::step_over`].
    pub fn encode_over(&mut self, selection: &Selection, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        self.go(Some(selection), Some(encoder))
    }

    /// The coming step, to be put into a submission together with other programs. The schedule advances.
    ///
    /// # Errors
    /// [`Error::NoRow`] past the loaded rows; [`Error::StaleSelection`].
    pub fn next<'a>(&'a mut self, selection: Option<&'a Selection>) -> Result<Next<'a>, Error> {
        self.next_many(selection, 1)
    }

    /// The same with so many steps, at least one, which may all go into one submission.
    ///
    /// # Errors
    /// As [`next`](Optimizer::next), where one of the steps has no row; none is taken then.
    pub fn next_many<'a>(&'a mut self, selection: Option<&'a Selection>, steps: u32) -> Result<Next<'a>, Error> {
        let (uploads, slot, step) = self.advance(selection, steps.max(1))?;
        Ok(Next { uploads, program: self.prepared(selection)?, slot, step, lost: Arc::clone(&self.lost) })
    }

    /// The step about to be taken; skipped steps count.
    pub fn next_step(&self) -> u64 {
        self.step
    }

    /// Puts the schedule at a step, for a run that goes on.
    ///
    /// # Errors
    /// [`Error::StepTooLarge`].
    pub fn go_to_step(&mut self, step: u64) -> Result<(), Error> {
        if step > LAST_STEP {
            return Err(Error::StepTooLarge { step });
        }
        self.step = step;
        Ok(())
    }

    pub(super) fn go(
        &mut self,
        selection: Option<&Selection>,
        encoder: Option<&mut wgpu::CommandEncoder>,
    ) -> Result<(), Error> {
        let (uploads, slot, step) = self.advance(selection, 1)?;
        let program = self.prepared(selection)?;
        let holds_back = self.settings.throttle && encoder.is_none();
        let report = Some(Report::new(&self.ring, step));
        let lost = Some(Arc::clone(&self.lost));
        let submission = Submission { uploads, programs: &[program], slot, report, lost, ..Submission::default() };
        let taken = match encoder {
            Some(encoder) => self.engine.encode(encoder, &submission),
            None => self.engine.submit(&submission),
        };
        if taken.is_err() {
            // A refused step does not count.
            self.step = step;
        }
        taken?;
        if holds_back {
            self.engine.keep_pace(STEPS_AHEAD)?;
        }
        Ok(())
    }

    /// Uploads, first slot and first number of so many coming steps; the schedule then stands behind them.
    fn advance(&mut self, selection: Option<&Selection>, steps: u32) -> Result<(Vec<Upload>, u32, u64), Error> {
        let (uploads, slot) = self.ahead(selection, steps)?;
        let step = self.step;
        self.step += u64::from(steps);
        Ok((uploads, slot, step))
    }

    /// What so many coming steps need before them, and their first slot.
    pub(super) fn ahead(&mut self, selection: Option<&Selection>, steps: u32) -> Result<(Vec<Upload>, u32), Error> {
        self.refuse_swapped()?;
        if self.lost.swap(false, Ordering::AcqRel) {
            self.rows.lost();
            self.programs.lost();
        }
        let last = self.step + u64::from(steps - 1);
        if last > LAST_STEP {
            return Err(Error::StepTooLarge { step: last });
        }
        self.rows.wind(self.step, steps);
        let slot = self.rows.slots(self.step, steps)?;
        match selection {
            Some(selection) if selection.layout != self.layout => return Err(Error::StaleSelection),
            Some(_) => {}
            None => self.make_program()?,
        }
        let table = self.rows.take_bytes(self.groups.len(), self.settings.clip.max_norm())?.into_iter();
        let table = table.map(|(offset, data)| Upload { buffer: self.table.clone(), offset, data });
        let list = selection.is_none().then(|| self.programs.take_upload()).flatten();
        Ok((table.chain(list).collect(), slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{AdapterChoice, Engine};
    use crate::optim::{Parameters, Settings};
    use crate::params::{Group, Param, Row};
    use std::time::Duration;

    /// Software runs a submission before it takes another, so the device's being behind is made up.
    #[test]
    fn a_step_sleeps_where_the_host_is_far_ahead() {
        let engine = Engine::new(&AdapterChoice::from_env()).expect("an engine");
        if engine.adapter().is_none() {
            assert!(std::env::var_os("GRADUS_NO_GPU").is_some(), "no adapter, and GRADUS_NO_GPU=1 is not set");
            return;
        }
        let parameters = Parameters::new(&engine, &[Param::new("p", [64])], None).expect("parameters");
        let groups = [Group::new("all", Row::default(), ["p"])];
        // Steps that the device is behind, whether it is throttled, and whether it sleeps.
        for (behind, throttle, sleeps) in [
            (0, true, false),
            (STEPS_AHEAD - 1, true, false),
            (STEPS_AHEAD + 1, true, true),
            (STEPS_AHEAD + 1, false, false),
        ] {
            let settings = Settings { throttle, ..Settings::default() };
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
            optimizer.step().expect("a step");
            engine.keep_pace(0).expect("all is done");
            let (before, unfinished) = (engine.counters(), engine.pretend_unfinished(behind));
            let catches_up = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(30));
                drop(unfinished);
            });
            optimizer.step().expect("a step");
            let cost = engine.counters() - before;
            assert_eq!(cost.throttles > 0, sleeps, "{behind} behind, throttle: {throttle}: {cost:?}");
            assert_eq!((cost.submissions, cost.blocking_waits), (1, 0));
            catches_up.join().expect("the device catches up");
        }
    }
}
