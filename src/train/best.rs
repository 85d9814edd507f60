//! Keeping the best parameters so far in a file while a run continues.

use super::best_file::BestFile;
use super::files::replace;
use super::finite::check_finite;
use super::{Error, Event, Trainer};
use crate::schedule::BestAt;
use std::path::Path;

impl Trainer {
    /// From now on writes the tested parameters to this file, as safetensors, after each evaluation that is the best so
    /// far by the metric of [`Plan::best_by`](crate::schedule::Plan::best_by). The file is replaced whole; if that
    /// fails, the old file stays, the run continues, and the next checkpoint tries again. If this is called before
    /// [`resume`](Trainer::resume), the file is that of the checkpoint's best.
    pub fn save_best_to(&mut self, path: &Path) {
        self.best_file = Some(BestFile::new(path));
    }

    /// The best evaluation so far, if the file of [`save_best_to`](Trainer::save_best_to) holds its parameters.
    pub fn saved_best(&self) -> Option<BestAt> {
        self.best_file.as_ref()?.holds.filter(|holds| Some(*holds) == self.cursor.best())
    }

    /// Writes the tested parameters to a file, which is replaced whole.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::File`]; the file is then unchanged. From the device.
    pub fn save_tested_to(&mut self, path: &Path) -> Result<(), Error> {
        replace(path, &self.read_tested(path)?)
    }

    /// The tested parameters as a safetensors file, to be written here. Waits for the device.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; from the device.
    pub fn read_tested(&mut self, path: &Path) -> Result<Vec<u8>, Error> {
        let bytes = self.save_tested()?;
        check_finite(path, &bytes)?;
        Ok(bytes)
    }

    /// Writes the file, once the cursor knows this evaluation as the best.
    pub(super) fn write_best(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let (Some(_), Some(best)) = (&self.best_file, self.cursor.best()) else { return Ok(()) };
        if !self.config.rank.is_first() {
            return Ok(());
        }
        let bytes = self.save_tested()?;
        if let Some(file) = &mut self.best_file {
            file.take(best, bytes)?;
        }
        // As with checkpoints, a full disk is not a reason to lose what the device has done since.
        self.write_unwritten_best(tell).unwrap_or_else(|error| tell(&Event::NoBest(error)));
        Ok(())
    }

    /// Writes what is still to be written.
    ///
    /// # Errors
    /// [`Error::File`]; it is still to be written then.
    pub fn write_unwritten_best(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        self.best_file.as_mut().map_or(Ok(()), |file| file.write(tell))
    }

    /// Restores the file as of the checkpoint that the run resumes from.
    pub(super) fn restore_best_file(&mut self, tested: Option<Vec<u8>>) -> Result<(), Error> {
        if !self.config.rank.is_first() {
            return Ok(());
        }
        let best = self.cursor.best();
        self.best_file.as_mut().map_or(Ok(()), |file| file.restore(best, tested))
    }
}
