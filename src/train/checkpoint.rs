//! Checkpoints: folders that are there whole or not at all.
//!
//! `DIR/step-000000120/` holds `model.safetensors`, `optimizer.safetensors` and `run.json`. It is written beside itself
//! under a hidden name, synced, and renamed; a process that is killed at any moment leaves the folders of before, and
//! perhaps a hidden one that the next run removes. `run.json` has the length and the CRC-32 of the other two, and its own
//! CRC-32 in its first line.

use super::Error;
use super::saved::Saved;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) const MODEL: &str = "model.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";
const RUN: &str = "run.json";
const FIRST_LINE: &str = "gradus checkpoint, crc32 ";

/// Length and checksum of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Seal {
    bytes: u64,
    crc32: u32,
}

impl Seal {
    fn of(bytes: &[u8]) -> Seal {
        Seal { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }
}

/// A checkpoint in memory.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) path: PathBuf,
    pub(super) saved: Saved,
    pub(super) model: Vec<u8>,
    pub(super) optimizer: Vec<u8>,
}

/// A folder of checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// Checkpoints that stay, beside the best one.
    keep_last: u64,
    /// Steps between two; `None`: after each evaluation.
    pub(super) every_steps: Option<u64>,
}

impl Checkpoints {
    /// A folder for checkpoints, made where it is not there. Of them the last `keep_last` stay, and the best one. They
    /// are written every so many steps, or after each evaluation; and after each evaluation that is the best so far, and
    /// at the end of the run.
    ///
    /// # Errors
    /// A folder that cannot be made; a count of 0.
    pub fn new(folder: &Path, keep_last: u64, every_steps: Option<u64>) -> Result<Checkpoints, Error> {
        for (setting, value) in [("keep_last", keep_last), ("every_steps", every_steps.unwrap_or(1))] {
            if value == 0 {
                return Err(Error::BadSetting { setting, value: 0, reason: "at least 1 is needed".to_owned() });
            }
        }
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        Ok(Checkpoints { folder: folder.to_owned(), keep_last, every_steps })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:09}"))
    }

    /// Whether there is any.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.steps()?.is_empty())
    }

    /// Steps of the checkpoints that are there, in order.
    pub(super) fn steps(&self) -> Result<Vec<u64>, Error> {
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(Error::file(&self.folder))? {
            let name = entry.map_err(Error::file(&self.folder))?.file_name();
            steps.extend(name.to_str().and_then(|name| name.strip_prefix("step-")?.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Writes a checkpoint, then removes those that need not stay.
    pub(super) fn write(&self, mut saved: Saved, model: &[u8], optimizer: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path(saved.cursor.step());
        let beside = self.folder.join(format!(".step-{:09}.new", saved.cursor.step()));
        self.clean()?;
        let files = [(MODEL, model), (OPTIMIZER, optimizer)];
        saved.files = files.iter().map(|(name, bytes)| ((*name).to_owned(), Seal::of(bytes))).collect();
        let text = serde_json::to_string_pretty(&saved).map_err(|error| Error::bad_file(&path, &error.to_string()))?;
        if self.read(saved.cursor.step()).is_ok_and(|there| there.saved.says_the_same(&saved)) {
            // A run that went on from an earlier one comes by the same step again.
            self.prune(&saved)?;
            return Ok(path);
        }
        let run = format!("{FIRST_LINE}{:08x}\n{text}\n", crc32fast::hash(text.as_bytes()));
        fs::create_dir(&beside).map_err(Error::file(&beside))?;
        for (name, bytes) in files.into_iter().chain([(RUN, run.as_bytes())]) {
            write_synced(&beside.join(name), bytes)?;
        }
        sync_folder(&beside)?;
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Error::file(&path))?;
        }
        fs::rename(&beside, &path).map_err(Error::file(&path))?;
        sync_folder(&self.folder)?;
        self.prune(&saved)?;
        Ok(path)
    }

    /// Removes what a killed process left behind.
    fn clean(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.folder).map_err(Error::file(&self.folder))? {
            let entry = entry.map_err(Error::file(&self.folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".step-") && name.ends_with(".new") {
                fs::remove_dir_all(entry.path()).map_err(Error::file(&entry.path()))?;
            }
        }
        Ok(())
    }

    fn prune(&self, saved: &Saved) -> Result<(), Error> {
        let (now, best) = (saved.cursor.step(), saved.cursor.best().map(|best| best.step));
        // Behind this one are checkpoints of a run that went another way.
        let steps: Vec<u64> = self.steps()?.into_iter().filter(|step| *step <= now).collect();
        let stay = steps.len().saturating_sub(usize::try_from(self.keep_last).unwrap_or(usize::MAX));
        for step in steps[..stay].iter().filter(|step| Some(**step) != best) {
            let path = self.path(*step);
            fs::remove_dir_all(&path).map_err(Error::file(&path))?;
        }
        Ok(())
    }

    /// Reads a checkpoint and checks every byte of it.
    pub(super) fn read(&self, step: u64) -> Result<Checkpoint, Error> {
        let path = self.path(step);
        let saved = read_run(&path.join(RUN))?;
        let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for name in [MODEL, OPTIMIZER] {
            let file = path.join(name);
            let bytes = fs::read(&file).map_err(Error::file(&file))?;
            let seal = saved.files.get(name).copied();
            match seal {
                Some(seal) if seal == Seal::of(&bytes) => {}
                Some(seal) if bytes.len() as u64 != seal.bytes => {
                    let reason = format!("it has {} bytes, {} were written", bytes.len(), seal.bytes);
                    return Err(Error::bad_file(&file, &reason));
                }
                _ => return Err(Error::bad_file(&file, "it is not what was written")),
            }
            files.insert(name, bytes);
        }
        let (model, optimizer) = (files.remove(MODEL).unwrap_or_default(), files.remove(OPTIMIZER).unwrap_or_default());
        Ok(Checkpoint { path, saved, model, optimizer })
    }
}

/// Where a file is written before it takes the place of what is there.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut beside = path.to_owned();
    beside.as_mut_os_string().push(".new");
    beside
}

/// Writes a file beside itself first, then puts it in the place of what is there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = beside(path);
    let written = write_synced(&beside, bytes).and_then(|()| fs::rename(&beside, path).map_err(Error::file(path)));
    if written.is_err() {
        // What is half written is of no use to anyone; that it cannot be removed adds nothing to the error.
        let _ = fs::remove_file(&beside);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    written.and_then(|()| sync_folder(folder.unwrap_or(Path::new("."))))
}

fn read_run(file: &Path) -> Result<Saved, Error> {
    let text = fs::read_to_string(file).map_err(Error::file(file))?;
    let bad = |reason: &str| Error::bad_file(file, reason);
    let (first, rest) = text.split_once('\n').ok_or_else(|| bad("it is cut off"))?;
    let sum = first.strip_prefix(FIRST_LINE).and_then(|sum| u32::from_str_radix(sum, 16).ok());
    let sum = sum.ok_or_else(|| bad("it is no checkpoint of gradus"))?;
    let rest = rest.strip_suffix('\n').ok_or_else(|| bad("it is cut off"))?;
    if crc32fast::hash(rest.as_bytes()) != sum {
        return Err(bad("it is not what was written"));
    }
    serde_json::from_str(rest).map_err(|error| bad(&error.to_string()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(Error::file(path))
}

/// Makes names in a folder last; only Unix opens a folder for that.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file(folder))
    } else {
        Ok(())
    }
}
