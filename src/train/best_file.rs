//! The best parameters so far, in a file.

use super::files::{self, beside, replace};
use super::finite::check_finite;
use super::{Error, Event, Trainer};
use crate::schedule::BestAt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A file, and the evaluation whose parameters it is known to hold.
#[derive(Debug)]
pub(super) struct BestFile {
    path: PathBuf,
    holds: Option<BestAt>,
    /// What could not be written yet.
    unwritten: Option<(BestAt, Vec<u8>)>,
}

impl Trainer {
    /// From now on writes the parameters as they were tested to this file, as safetensors, after each evaluation that is
    /// the best so far, by the metric of [`Plan::best_by`](crate::schedule::Plan::best_by). The file is replaced whole;
    /// where that fails it stays as it was, the run goes on, and the next checkpoint tries again. Called before [`resume`](Trainer::resume), a run that goes
    /// on has the file as its checkpoint knows the best.
    pub fn save_best_to(&mut self, path: &Path) {
        self.best_file = Some(BestFile { path: path.to_owned(), holds: None, unwritten: None });
    }

    /// The best evaluation so far, where the file of [`save_best_to`](Trainer::save_best_to) holds its parameters.
    pub fn saved_best(&self) -> Option<BestAt> {
        self.best_file.as_ref()?.holds.filter(|holds| Some(*holds) == self.cursor.best())
    }

    /// Writes the parameters that tests see to a file, which is replaced whole.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::File`]; the file is what it was then. From the device.
    pub fn save_tested_to(&mut self, path: &Path) -> Result<(), Error> {
        let bytes = self.save_tested()?;
        check_finite(path, &bytes)?;
        replace(path, &bytes)
    }

    /// Writes the file, once the cursor knows this evaluation as the best.
    pub(super) fn write_best(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let (Some(path), Some(best)) = (self.best_file.as_ref().map(|file| file.path.clone()), self.cursor.best())
        else {
            return Ok(());
        };
        let bytes = self.save_tested()?;
        check_finite(&path, &bytes)?;
        if let Some(file) = &mut self.best_file {
            file.unwritten = Some((best, bytes));
        }
        // As with checkpoints, a full disk is no reason to lose what the device has done since.
        self.write_unwritten_best(tell).unwrap_or_else(|error| tell(&Event::NoBest(error)));
        Ok(())
    }

    /// Writes what is still to be written.
    ///
    /// # Errors
    /// [`Error::File`]; it is still to be written then.
    pub fn write_unwritten_best(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let Some(BestFile { path, holds, unwritten }) = &mut self.best_file else { return Ok(()) };
        let Some((best, bytes)) = unwritten else { return Ok(()) };
        replace(path, bytes)?;
        *holds = Some(*best);
        *unwritten = None;
        tell(&Event::Best(path.clone()));
        Ok(())
    }

    /// Makes the file what it was at the checkpoint that the run goes on from: `tested`, where that is known. A run that
    /// has no best evaluation yet has no file.
    pub(super) fn restore_best_file(&mut self, tested: Option<Vec<u8>>) -> Result<(), Error> {
        let (Some(file), best) = (&mut self.best_file, self.cursor.best()) else { return Ok(()) };
        // What a process leaves that is killed while it writes.
        let _ = fs::remove_file(beside(&file.path));
        let removed = match (best, tested) {
            (None, _) => fs::remove_file(&file.path),
            (Some(_), None) => Ok(()),
            (Some(_), Some(tested)) => {
                if files::read(&file.path).ok().is_none_or(|there| there != tested) {
                    replace(&file.path, &tested)?;
                }
                file.holds = best;
                Ok(())
            }
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(&file.path)(error)),
            _ => Ok(()),
        }
    }
}
