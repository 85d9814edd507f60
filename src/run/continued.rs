//! The section `continue`: a run that continues from before or after a decay of another one.

use super::Error;
use super::paths::absolute;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use crate::train::{Checkpoints, files};
use std::path::{Path, PathBuf};

/// What a run continues from: parameters and moments of a checkpoint that another run named. Its own steps begin at 0, in the
/// stable phase.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Continue {
    /// `run`: the other run's folder.
    pub run: PathBuf,
    /// `from`: `before_decay` or `after_decay`, of the last decay that it came by.
    pub from: &'static str,
}

impl Continue {
    pub(super) fn read(mut section: Section, folder: &Path) -> Result<Continue, Error> {
        section.only(&["run", "from"])?;
        let run = folder.join(section.text("run")?);
        Ok(Continue { run, from: section.word_or_first("from", &["before_decay", "after_decay"])? })
    }

    pub(super) fn raw(&self) -> Raw {
        Raw::default().with("run", absolute(&self.run)).with("from", self.from)
    }

    /// The checkpoint's folder.
    pub(super) fn checkpoint(&self) -> Result<PathBuf, Error> {
        let folder = self.run.join("checkpoints");
        let found = Checkpoints::named(&folder, &self.from.replace('_', " "))?;
        let reason = || format!("there is no checkpoint of {}: only a run with wsd keeps one", self.from);
        found.ok_or_else(|| Error::bad_file(&folder, reason()))
    }

    /// The optimizer's state to begin with.
    ///
    /// # Errors
    /// A checkpoint that is not there or cannot be read.
    pub fn optimizer_state(&self) -> Result<Vec<u8>, Error> {
        let path = self.checkpoint()?.join("optimizer.safetensors");
        files::read(&path).map_err(|error| Error::unreadable(&path, &error))
    }
}
