//! Writing checkpoints in a run, and going on from one.

use super::checkpoint::{Checkpoint, Checkpoints};
use super::saved::{RunOf, Saved};
use super::trainer::tested;
use super::{Error, Trainer};
use crate::optim::{Best, Optimizer};
use crate::schedule::Cursor;
use std::path::PathBuf;

/// A run that goes on.
#[derive(Debug)]
pub struct Resumed {
    /// The checkpoint.
    pub path: PathBuf,
    /// Steps done then.
    pub steps: u64,
    /// What was wrong with later ones, that were left out.
    pub left_out: Vec<Error>,
    /// Why the file of the best parameters is not what it was then.
    pub no_best: Option<Error>,
}

impl Trainer {
    /// Writes checkpoints from now on.
    pub fn checkpoint_to(&mut self, checkpoints: Checkpoints) {
        self.checkpoints = Some(checkpoints);
    }

    /// Writes a checkpoint where one is due, once all that was decided at this step is in it.
    pub(super) fn checkpoint_if_due(&mut self) -> Result<Option<PathBuf>, Error> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(None) };
        let steps = self.cursor.step();
        let regular = match checkpoints.every_steps {
            Some(every) => steps.is_multiple_of(every),
            None => self.plan.is_evaluated(&self.cursor),
        };
        let is_best = self.cursor.best().is_some_and(|best| best.step == steps);
        if !regular && !is_best && !self.is_over() {
            return Ok(None);
        }
        self.checkpoint_now()
    }

    /// Writes a checkpoint of where the run stands, where [`checkpoint_to`](Trainer::checkpoint_to) says to. Waits for the
    /// device.
    ///
    /// # Errors
    /// From the device, and from writing.
    pub fn checkpoint_now(&mut self) -> Result<Option<PathBuf>, Error> {
        let Some(checkpoints) = self.checkpoints.clone() else { return Ok(None) };
        let metrics = self.engine.read(&self.metrics())?;
        let saved = Saved::new(RunOf::of(self), self.cursor.clone(), self.skipped_steps()?, metrics);
        checkpoints.write(saved, &self.parameters.save()?, &self.optimizer.save_state()?).map(Some)
    }

    /// Goes on from the last good checkpoint of a folder, and writes further ones there. It is the same run to the last
    /// bit, on the same adapter. `None` where there is no checkpoint.
    ///
    /// # Errors
    /// [`Error::OtherRun`] for the checkpoint of another model, schedule or setting; [`Error::BadFile`] where none is
    /// good, or where the best one, which the schedule needs, is not; from the device.
    pub fn resume(&mut self, checkpoints: Checkpoints) -> Result<Option<Resumed>, Error> {
        let mut left_out = Vec::new();
        for step in checkpoints.steps()?.into_iter().rev() {
            let read = checkpoints.read(step).and_then(|last| {
                let best = self.best_of(&checkpoints, &last)?;
                Ok((last, best))
            });
            let (last, best) = match read {
                Ok(read) => read,
                Err(error) => {
                    left_out.push(error);
                    continue;
                }
            };
            RunOf::of(self).check(&last.saved.run, &last.path)?;
            self.plan.check(&last.saved.cursor)?;
            self.drain()?;
            let tested = self.tested_at_best(&checkpoints, &last, best.as_ref())?;
            self.put_back(&last, best.as_ref())?;
            self.checkpoints = Some(checkpoints);
            let no_best = self.restore_best_file(tested).err();
            return Ok(Some(Resumed { path: last.path, steps: step, left_out, no_best }));
        }
        self.checkpoints = Some(checkpoints);
        self.restore_best_file(None)?;
        left_out.into_iter().next().map_or(Ok(None), Err)
    }

    /// The best checkpoint, where a later transition goes back to it.
    fn best_of(&self, checkpoints: &Checkpoints, last: &Checkpoint) -> Result<Option<Checkpoint>, Error> {
        let best = last.saved.cursor.best().filter(|_| self.plan.restores_best());
        best.map(|best| checkpoints.read(best.step)).transpose()
    }

    /// What was tested at the best evaluation, for the file that is to hold it; `None` where no file is wanted, or the
    /// schedule does without that checkpoint and it is not there. May leave parameters behind that are not the run's.
    fn tested_at_best(
        &self,
        checkpoints: &Checkpoints,
        last: &Checkpoint,
        best: Option<&Checkpoint>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (Some(_), Some(at)) = (&self.best_file, last.saved.cursor.best()) else { return Ok(None) };
        let at_hand = best.or((last.saved.cursor.step() == at.step).then_some(last));
        let read = if at_hand.is_none() { checkpoints.read(at.step).ok() } else { None };
        let Some(checkpoint) = at_hand.or(read.as_ref()) else { return Ok(None) };
        let groups = self.plan.groups(&checkpoint.saved.cursor)?;
        if groups.iter().all(|group| group.row.ema_decay.is_none()) {
            return Ok(Some(checkpoint.model.clone()));
        }
        Ok(Some(tested(&self.parameters, &mut self.optimizer_of(checkpoint)?)?))
    }

    fn put_back(&mut self, last: &Checkpoint, best: Option<&Checkpoint>) -> Result<(), Error> {
        if let Some(best) = best {
            self.put_back_best(best, &last.saved.cursor)?;
        }
        let optimizer = self.optimizer_of(last)?;
        self.cursor = last.saved.cursor.clone();
        self.take_over(optimizer)?;
        self.set_skipped_before(last.saved.skipped_steps);
        self.engine.write(&self.metrics().buffer, 0, &last.saved.metrics)?;
        self.forget_programs();
        Ok(())
    }

    /// The copy as it was kept, with the values of what has thawed since.
    fn put_back_best(&mut self, best: &Checkpoint, now: &Cursor) -> Result<(), Error> {
        let optimizer = self.optimizer_of(best)?;
        let before = self.plan.thawed(&best.saved.cursor);
        let params = self.parameters.params();
        let since = self.plan.thawed(now).into_iter().filter(|place| !before.contains(place));
        let since: Vec<&str> = since.map(|place| params[place].name.as_str()).collect();
        self.best = Best::new(self.config.best_device_limit_bytes);
        self.best.keep(&optimizer)?;
        self.best.extend(&optimizer, &since)?;
        Ok(())
    }

    /// A checkpoint's parameters and optimizer.
    fn optimizer_of(&self, checkpoint: &Checkpoint) -> Result<Optimizer, Error> {
        self.parameters.load(&checkpoint.model)?;
        let groups = self.plan.groups(&checkpoint.saved.cursor)?;
        let mut optimizer = Optimizer::new(&self.engine, &self.parameters, &groups, self.config.settings)?;
        optimizer.load_state(&checkpoint.optimizer)?;
        Ok(optimizer)
    }
}
