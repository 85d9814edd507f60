//! The best parameters so far, in a file.

use super::checkpoint::{Checkpoints, replace};
use super::trainer::tested;
use super::{Error, Event, Trainer};
use crate::schedule::{BestAt, Cursor};
use std::fs;
use std::path::{Path, PathBuf};

/// A file, and the evaluation whose parameters it is known to hold.
#[derive(Debug)]
pub(super) struct BestFile {
    path: PathBuf,
    holds: Option<BestAt>,
}

impl Trainer {
    /// From now on writes the parameters as they were tested to this file, as safetensors, after each evaluation that is
    /// the best so far, by the metric of [`Plan::best_by`](crate::schedule::Plan::best_by). The file is replaced whole;
    /// where that fails it stays as it was and the run goes on. Called before [`resume`](Trainer::resume), a run that goes
    /// on has the file as its checkpoint knows the best.
    pub fn save_best_to(&mut self, path: &Path) {
        self.best_file = Some(BestFile { path: path.to_owned(), holds: None });
    }

    /// The best evaluation so far, where the file of [`save_best_to`](Trainer::save_best_to) holds its parameters.
    pub fn saved_best(&self) -> Option<BestAt> {
        self.best_file.as_ref()?.holds.filter(|holds| Some(*holds) == self.cursor.best())
    }

    /// Writes the file, once the cursor knows this evaluation as the best.
    pub(super) fn write_best(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let Some(path) = self.best_file.as_ref().map(|file| file.path.clone()) else { return Ok(()) };
        let bytes = self.save_tested()?;
        match replace(&path, &bytes) {
            Ok(()) => {
                self.best_file = Some(BestFile { path: path.clone(), holds: self.cursor.best() });
                tell(&Event::Best(path));
            }
            // As with checkpoints: a full disk is no reason to lose what the device has done since.
            Err(error) => tell(&Event::NoBest(error)),
        }
        Ok(())
    }

    /// Makes the file what the best checkpoint says: a run that goes on from further back, or from before there was such a
    /// file, has the wrong one or none. Leaves parameters behind that are not the run's.
    pub(super) fn restore_best_file(&mut self, checkpoints: &Checkpoints, cursor: &Cursor) -> Result<(), Error> {
        let (Some(file), Some(best)) = (&self.best_file, cursor.best()) else { return Ok(()) };
        let path = file.path.clone();
        // The schedule may do without the best checkpoint; then so does the run.
        let Ok(checkpoint) = checkpoints.read(best.step) else { return Ok(()) };
        let mut optimizer = self.optimizer_of(&checkpoint)?;
        let bytes = tested(&self.parameters, &mut optimizer)?;
        if fs::read(&path).ok().is_none_or(|there| there != bytes) {
            replace(&path, &bytes)?;
        }
        self.best_file = Some(BestFile { path, holds: Some(best) });
        Ok(())
    }
}
