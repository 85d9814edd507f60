//! A file that is added to while a run continues.

use anyhow::Context;
use gradus::params::shown_path;
use gradus::train::files;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file that always ends after a whole write, even if the disk fails.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
    /// Bytes that were written whole.
    whole_bytes: u64,
    /// The last write failed.
    fails: bool,
}

impl Appended {
    /// The file, made if it is not there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Appended> {
        let opened = files::append(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (whole_bytes, file) = opened.with_context(|| format!("opening {}", shown_path(path)))?;
        Ok(Appended { path: path.to_owned(), file, whole_bytes, fails: false })
    }

    /// Adds bytes in one write, without a buffer in this process, which may end at any time. Returns whether they were
    /// written; if not, the file ends as before. Of several failures in a row the first is an error.
    pub(super) fn add(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        let failed = self.file.write_all(bytes).err();
        let failed_before = std::mem::replace(&mut self.fails, failed.is_some());
        let Some(error) = failed else {
            self.whole_bytes += bytes.len() as u64;
            return Ok(true);
        };
        // That it cannot be cut either adds nothing to the error: a reader passes over half a line or stops there.
        let _ = self.file.set_len(self.whole_bytes);
        match failed_before {
            true => Ok(false),
            false => Err(error).with_context(|| format!("writing {}", shown_path(&self.path))),
        }
    }

    /// Makes what has been written last.
    pub(super) fn sync(&self) -> anyhow::Result<()> {
        self.file.sync_data().with_context(|| format!("writing {}", shown_path(&self.path)))
    }
}
