//! The file of a run that continues in its folder.

use super::settings::{DATA_FILES, MAY_CHANGE};
use super::{Error, RunFile};
use std::path::Path;

impl RunFile {
    /// Reads the file of a run that resumes in this folder, which may have been moved. `settings` may change what keeps
    /// it the same run: its length, what it writes, and where its data is.
    ///
    /// # Errors
    /// As [`read`](RunFile::read); [`Error::OtherRun`] for a setting that would make it another.
    pub fn of_run(path: &Path, folder: &Path, settings: &[(String, String)]) -> Result<RunFile, Error> {
        let there = RunFile::read(path, &[])?;
        // A scheduler that ends before the run may be given another length; whether it does is the checkpoint's to say.
        let mends = |key: &str| key.contains("lr_scheduler") && key.contains(".init_args");
        let may_be_set = |key: &str| MAY_CHANGE.contains(&key) || DATA_FILES.contains(&key) || mends(key);
        if let Some((key, value)) = settings.iter().find(|(key, _)| !may_be_set(key)) {
            let says_the_same =
                RunFile::read(path, settings).is_ok_and(|here| here.said_of_run() == there.said_of_run());
            if !says_the_same {
                let flat = there.raw(there.batch_rows_text()).flat();
                let was = flat.into_iter().find(|(known, _)| known == key);
                return Err(Error::OtherRun {
                    path: path.to_owned(),
                    setting: format!("{key}={value}"),
                    was: was.map_or_else(String::new, |(key, was)| format!(" ({key}: {was})")),
                    may_be_set: "epochs, checkpoint_every_steps, memory_limit_megabytes, steps_per_submission, check and the paths of \
                                 data files",
                });
            }
        }
        let mut run = RunFile::read(path, settings)?;
        let folder = std::path::absolute(folder).map_err(|error| Error::unreadable(folder, &error))?;
        if let (Some(output), Some(name)) = (folder.parent(), folder.file_name()) {
            (run.output, run.name) = (output.to_owned(), name.to_string_lossy().into_owned());
        }
        Ok(run)
    }
}
