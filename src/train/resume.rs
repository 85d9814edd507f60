//! Writing checkpoints in a run, and continuing from one.

use super::checkpoint::{Checkpoint, Checkpoints, MODEL, OPTIMIZER, Unwritten};
use super::saved::{FORMAT, MadeOn, RunOf, Saved};
use super::test::tested;
use super::{Error, Event, Trainer};
use crate::optim::{self, Best, Optimizer};
use crate::schedule::Cursor;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A run that continues.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// The checkpoint.
    pub path: PathBuf,
    /// Steps done then.
    pub steps: u64,
    /// What was wrong with later ones, that were left out.
    pub left_out: Vec<Error>,
    /// Why the file of the best parameters differs from then.
    pub no_best: Option<Error>,
    /// The best evaluation's checkpoint, if it is not there to go back to.
    pub lost_best: Option<LostBest>,
    /// What changes if the run is longer or shorter than before.
    pub other_epochs: Option<OtherEpochs>,
}

/// A run that continues for another number of epochs than it began with.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherEpochs {
    /// The epochs that it began with.
    pub there: u64,
    /// Learning rates of the last step, a group each.
    pub last_lrs: Vec<f64>,
    /// Those of the next step.
    pub next_lrs: Vec<f64>,
}

/// A best evaluation that a run cannot go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostBest {
    /// Steps done then.
    pub step: u64,
    /// Steps done at its replacement: the best on disk.
    pub instead: Option<u64>,
}

impl Trainer {
    /// Writes checkpoints from now on.
    pub fn checkpoint_to(&mut self, checkpoints: Checkpoints) {
        self.checkpoints = Some(checkpoints);
    }

    /// Writes a checkpoint if one is due, once all that was decided at this step is in it.
    pub(super) fn checkpoint_if_due(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let steps = self.cursor.step();
        let follows = checkpoints.every_steps.is_none() && self.plan.is_evaluated(&self.cursor);
        let is_best = self.cursor.best().is_some_and(|best| best.step == steps);
        if follows || is_best || self.has_checkpoint_at(steps) || self.is_over() {
            self.checkpoint_now(tell)?;
        }
        Ok(())
    }

    /// Whether there is a checkpoint after so many steps, whether or not an evaluation is due.
    pub(super) fn has_checkpoint_at(&self, steps: u64) -> bool {
        let Some(checkpoints) = &self.checkpoints else { return false };
        let is_regular = checkpoints.every_steps.is_some_and(|every| steps.is_multiple_of(every));
        is_regular || self.plan.checkpoint_name(steps).is_some()
    }

    /// Writes a checkpoint of the run's current state into the folder of [`checkpoint_to`](Trainer::checkpoint_to), and
    /// returns its path. Waits for the device, and reports all earlier events. A failed write is reported too: earlier
    /// checkpoints stay, the run continues, and the checkpoint of the best evaluation is tried again.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; from the device.
    pub fn checkpoint_now(&mut self, mut tell: impl FnMut(&Event)) -> Result<Option<PathBuf>, Error> {
        let Some(checkpoints) = self.checkpoints.clone() else { return Ok(None) };
        self.settle(&mut tell)?;
        let optimizer = if self.config.settings.shard.is_some() { self.read_whole_state()? } else { Vec::new() };
        if !self.config.rank.is_first() {
            return Ok(None);
        }
        let optimizer = if optimizer.is_empty() { self.optimizer.read_state()? } else { optimizer };
        let metrics = self.engine.read(&self.metrics())?;
        let saved =
            Saved { loss_scale: self.optimizer.read_loss_scale()?, ..self.saved(self.skipped_steps()?, metrics) };
        let now = Unwritten { saved, model: self.parameters.read_file()?, optimizer };
        tell(&Event::CheckpointAhead);
        // It has been told that it could not be written.
        let _ = self.write_unwritten_best(&mut tell);
        let best = self.cursor.best().map(|best| best.step);
        let earlier = self.unwritten.take().filter(|unwritten| Some(unwritten.saved.cursor.step()) == best);
        let mut written = None;
        for checkpoint in earlier.into_iter().chain([now]) {
            written = None;
            match checkpoints.write(checkpoint.saved.clone(), &checkpoint.model, &checkpoint.optimizer) {
                Ok(path) => {
                    tell(&Event::Checkpoint(path.clone()));
                    written = Some(path);
                }
                // A full disk is not a reason to lose what the device has done since.
                Err(error @ Error::File { .. }) => {
                    tell(&Event::NoCheckpoint(error));
                    if Some(checkpoint.saved.cursor.step()) == best {
                        self.unwritten = Some(checkpoint);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// The record of a checkpoint now.
    fn saved(&self, skipped_steps: u64, metrics: Vec<u32>) -> Saved {
        Saved {
            format: FORMAT,
            run: self.run_of(),
            made_on: MadeOn::of(&self.engine),
            checked: self.checked.clone(),
            cursor: self.cursor.clone(),
            name: self.plan.checkpoint_name(self.cursor.step()),
            lost_best: None,
            lrs: self.lrs().to_vec(),
            skipped_steps,
            loss_scale: None,
            metrics,
            files: BTreeMap::new(),
        }
    }

    /// What must be the same for a run to continue from its checkpoints.
    pub(super) fn run_of(&self) -> RunOf {
        let params = self.parameters.params().iter();
        RunOf {
            seed: self.config.seed,
            batch_size: self.config.batch_size,
            // Whichever ranks take them.
            micro_batches: self.config.step_micro_batches(),
            parameters: self.config.parameters.name().to_owned(),
            values: self.config.values.values.name().to_owned(),
            wide: self.config.values.wide.clone(),
            label_smoothing: self.config.label_smoothing,
            steps_per_epoch: self.plan.steps_per_epoch(),
            clip: format!("{:?}", self.config.settings.clip),
            guard: self.config.settings.guard,
            model: self.model.clone(),
            params: params.map(|param| (param.name.clone(), param.shape.clone())).collect(),
            schedule: self.plan.to_yaml(),
            epochs: self.config.epochs as u64,
        }
    }

    /// Resumes from the last good checkpoint of a folder, and writes further ones there. On the same adapter it is the
    /// same run to the last bit. `None` if there is no checkpoint. If the checkpoint of the best evaluation is missing,
    /// the best one on disk replaces it.
    ///
    /// # Errors
    /// [`Error::OtherRun`] for the checkpoint of another model, schedule or setting; [`Error::BadFile`] if none is
    /// good; from the device.
    pub fn resume(&mut self, checkpoints: Checkpoints) -> Result<Option<Resumed>, Error> {
        let mut left_out = Vec::new();
        for step in checkpoints.steps()?.into_iter().rev() {
            let mut last = match checkpoints.read(step) {
                Ok(last) => last,
                Err(error) => {
                    left_out.push(error);
                    continue;
                }
            };
            self.run_of().going_on(&last.saved, &self.plan).check(&last.saved.run, &last.path)?;
            self.plan.check(&last.saved.cursor)?;
            self.drain()?;
            if let Err(error @ Error::BadFile { .. }) = self.optimizer_of(&last) {
                left_out.push(error);
                continue;
            }
            let lost = last.saved.lost_best;
            let (best, lost_now) = self.best_of(&checkpoints, &mut last)?;
            let instead = last.saved.cursor.best().map(|best| best.step);
            let lost_best = lost_now.or(lost).map(|step| LostBest { step, instead });
            let tested = self.tested_at_best(&checkpoints, &last, best.as_ref())?;
            self.put_back(&last, best.as_ref())?;
            self.checkpoints = Some(checkpoints);
            let no_best = self.restore_best_file(tested).err();
            let other_epochs = self.other_epochs(&last.saved)?;
            let path = last.path;
            return Ok(Some(Resumed { path, steps: step, left_out, no_best, lost_best, other_epochs }));
        }
        self.checkpoints = Some(checkpoints);
        self.restore_best_file(None)?;
        left_out.into_iter().next().map_or(Ok(None), Err)
    }

    /// The best checkpoint, if a later transition restores it. If it is damaged, the best of the earlier ones replaces
    /// it; returns the lost step.
    fn best_of(
        &self,
        checkpoints: &Checkpoints,
        last: &mut Checkpoint,
    ) -> Result<(Option<Checkpoint>, Option<u64>), Error> {
        let named = last.saved.cursor.best().filter(|_| self.plan.restores_best()).map(|best| best.step);
        let Some(named) = named else { return Ok((None, None)) };
        let good = |step| checkpoints.read(step).ok().filter(|there| self.optimizer_of(there).is_ok());
        if let Some(best) = good(named) {
            return Ok((Some(best), None));
        }
        let before = checkpoints.steps()?.into_iter().rev().filter(|step| *step < named);
        let best = before.filter_map(good).find(|there| {
            let is_best = there.saved.cursor.best().is_some_and(|best| best.step == there.saved.cursor.step());
            is_best && self.run_of().check(&there.saved.run, &there.path).is_ok()
        });
        last.saved.cursor.take_best_of(best.as_ref().map(|best| &best.saved.cursor));
        Ok((best, Some(named)))
    }

    /// What a run that is not as long as it was should know of its rates.
    fn other_epochs(&mut self, saved: &Saved) -> Result<Option<OtherEpochs>, Error> {
        let there = saved.run.epochs;
        if there == self.config.epochs as u64 || self.is_over() {
            return Ok(None);
        }
        let next_lrs = self.plan.rows(&self.cursor, 1)?.iter().map(|row| row.lr).collect();
        Ok(Some(OtherEpochs { there, last_lrs: saved.lrs.clone(), next_lrs }))
    }

    /// The tested parameters of the best evaluation, for its file; `None` if no file is wanted, or if the checkpoint is
    /// missing and the schedule does not need it. The trainer may then hold other parameters than the run's.
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
        if !groups.iter().any(|group| group.row.evaluates_an_average()) {
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
        if let Some(judge) = &self.judge {
            judge.take_over(&self.engine, self.cursor.best())?;
        }
        self.take_over(optimizer)?;
        if let Some(state) = last.saved.loss_scale {
            self.optimizer.set_loss_scale(state)?;
        }
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
    ///
    /// # Errors
    /// [`Error::BadFile`] for one that does not fit; from the device.
    fn optimizer_of(&self, checkpoint: &Checkpoint) -> Result<Optimizer, Error> {
        let of = |name: &str| {
            let file = checkpoint.path.join(name);
            move |error: optim::Error| match error {
                optim::Error::BadFile(reason) => Error::bad_file(&file, &format!("safetensors file: {reason}")),
                other => other.into(),
            }
        };
        self.parameters.load(&checkpoint.model).map_err(of(MODEL))?;
        let groups = self.plan.groups(&checkpoint.saved.cursor)?;
        let mut optimizer = Optimizer::new(&self.engine, &self.parameters, &groups, self.config.settings)?;
        optimizer.load_state(&checkpoint.optimizer).map_err(of(OPTIMIZER))?;
        Ok(optimizer)
    }
}
