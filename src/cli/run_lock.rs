//! The lock on a run's folder: one process at a time writes there.

use super::asked::Asked;
use super::say::caution;
use anyhow::{Context, anyhow};
use fs4::{FileExt, TryLockError};
use gradus::params::shown_path;
use gradus::train::files;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The file that is locked. It stays: who removed it could remove it from under the next run.
pub(super) const LOCK: &str = ".lock";

/// A run's folder that no other process of ours writes to. The operating system holds an advisory lock on a file in it for
/// as long as the process lives, and lets it go however that ends.
pub(super) struct LockedFolder {
    path: PathBuf,
    _lock: File,
}

impl LockedFolder {
    /// Makes the folder if it is missing, and locks it. Without locks in the file system there is a warning.
    pub(super) fn take(path: &Path) -> anyhow::Result<LockedFolder> {
        fs::create_dir_all(path).with_context(|| format!("making the folder {}", shown_path(path)))?;
        let file = path.join(LOCK);
        let lock = files::append(&file).with_context(|| format!("opening {}", shown_path(&file)))?;
        if let Some(warning) = judged(path, FileExt::try_lock(&lock))? {
            caution!("{warning}");
        }
        Ok(LockedFolder { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The result of a trial: an error if another process has the lock, a warning without locks.
fn judged(path: &Path, tried: Result<(), TryLockError>) -> anyhow::Result<Option<String>> {
    let shown = shown_path(path);
    match tried {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Err(Asked::error(anyhow!(
            "{shown} is being written by another run: wait for its end or stop it, or give this run another folder"
        ))),
        Err(TryLockError::Error(error)) => {
            Ok(Some(format!("{shown} cannot be locked ({error}): make sure that no other run writes there")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn a_file_system_without_locks_is_a_warning_and_a_held_lock_is_none() {
        let path = Path::new("runs/x");
        let none = judged(path, Err(TryLockError::Error(Error::from(ErrorKind::Unsupported))));
        let warning = none.expect("the run goes on").expect("a warning");
        assert!(warning.starts_with("runs/x cannot be locked (unsupported"), "{warning}");
        let held = judged(path, Err(TryLockError::WouldBlock)).expect_err("it is refused");
        assert!(held.is::<Asked>() && held.to_string().starts_with("runs/x is being written by"), "{held}");
    }
}
