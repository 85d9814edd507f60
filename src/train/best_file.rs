//! The best parameters so far, in a file.

use super::files::{self, beside, replace};
use super::finite::check_finite;
use super::{Error, Event};
use crate::schedule::BestAt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A file, and the evaluation whose parameters it is known to hold.
#[derive(Debug)]
pub(super) struct BestFile {
    path: PathBuf,
    pub(super) holds: Option<BestAt>,
    /// What could not be written yet.
    unwritten: Option<(BestAt, Vec<u8>)>,
}

impl BestFile {
    pub(super) fn new(path: &Path) -> BestFile {
        BestFile { path: path.to_owned(), holds: None, unwritten: None }
    }

    /// Takes the parameters of the best evaluation so far, to be written.
    pub(super) fn take(&mut self, best: BestAt, bytes: Vec<u8>) -> Result<(), Error> {
        check_finite(&self.path, &bytes)?;
        self.unwritten = Some((best, bytes));
        Ok(())
    }

    /// Writes what is still to be written.
    pub(super) fn write(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let Some((best, bytes)) = &self.unwritten else { return Ok(()) };
        replace(&self.path, bytes)?;
        self.holds = Some(*best);
        self.unwritten = None;
        tell(&Event::Best(self.path.clone()));
        Ok(())
    }

    /// Restores the file of the best evaluation, whose parameters were `tested`, if known; without a best evaluation
    /// there is no file.
    pub(super) fn restore(&mut self, best: Option<BestAt>, tested: Option<Vec<u8>>) -> Result<(), Error> {
        // What a process leaves that is killed while it writes.
        let _ = fs::remove_file(beside(&self.path));
        let removed = match (best, tested) {
            (None, _) => fs::remove_file(&self.path),
            (Some(_), None) => Ok(()),
            (Some(_), Some(tested)) => {
                if files::read(&self.path).ok().is_none_or(|there| there != tested) {
                    replace(&self.path, &tested)?;
                }
                self.holds = best;
                Ok(())
            }
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(&self.path)(error)),
            _ => Ok(()),
        }
    }
}
