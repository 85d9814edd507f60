//! Checkpoints: folders that exist whole or not at all.
//!
//! `DIR/step-000000120/` holds `model.safetensors`, `optimizer.safetensors` and `run.json`. It is written under a
//! hidden name, synced, and renamed. A process killed at any moment leaves the earlier folders, and perhaps a hidden
//! one, which the next run removes. `run.json` has the length and the CRC-32 of the other two, and its own CRC-32 in
//! its first line. Other names belong to others and stay.

use super::Error;
use super::files::{self, sync_folder, write_synced};
use super::finite::check_finite;
use super::saved::{MadeOn, Saved, Seal};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) const MODEL: &str = "model.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";
const RUN: &str = "run.json";
const FIRST_LINE: &str = "gradus checkpoint, crc32 ";

/// A checkpoint in memory.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) path: PathBuf,
    pub(super) saved: Saved,
    pub(super) model: Vec<u8>,
    pub(super) optimizer: Vec<u8>,
}

/// A checkpoint that could not be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) saved: Saved,
    pub(super) model: Vec<u8>,
    pub(super) optimizer: Vec<u8>,
}

/// A folder of checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// How many checkpoints stay, besides the best one.
    keep_last: u64,
    /// Steps between two; `None`: after each evaluation.
    pub(super) every_steps: Option<u64>,
}

impl Checkpoints {
    /// A folder for checkpoints, made if it is not there. Of them the last `keep_last` stay, and the best one. They
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

    /// The same for a rank that writes none, as the first one does: the folder need not be there.
    pub fn of_another_rank(folder: &Path, keep_last: u64, every_steps: Option<u64>) -> Checkpoints {
        Checkpoints { folder: folder.to_owned(), keep_last, every_steps }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, step: u64) -> PathBuf {
        self.folder.join(Entry::Whole(step).name())
    }

    /// Where the last one is, by its name; it is not read.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn last_path(&self) -> Result<Option<PathBuf>, Error> {
        Ok(self.steps()?.last().map(|step| self.path(*step)))
    }

    /// Whether there is any.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.steps()?.is_empty())
    }

    /// Whether this folder has any, in any format.
    pub fn are_in(folder: &Path) -> bool {
        let there = Checkpoints { folder: folder.to_owned(), keep_last: 1, every_steps: None };
        there.steps().is_ok_and(|steps| !steps.is_empty())
    }

    /// What else is in the folder: it is left alone.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn strays(&self) -> Result<Vec<PathBuf>, Error> {
        let others = self.entries()?.into_iter().filter(|entry| entry.0.is_none());
        Ok(others.map(|(_, path)| path).collect())
    }

    /// What the last readable checkpoint of a folder was made on, if any.
    pub fn made_on(folder: &Path) -> Option<MadeOn> {
        Checkpoints::last(folder).map(|saved| saved.made_on)
    }

    /// Micro-batches of a step of the run that wrote the last readable checkpoint of a folder, on all its ranks together.
    pub fn micro_batches(folder: &Path) -> Option<usize> {
        Checkpoints::last(folder).map(|saved| saved.run.micro_batches)
    }

    fn last(folder: &Path) -> Option<Saved> {
        let there = Checkpoints { folder: folder.to_owned(), keep_last: 1, every_steps: None };
        let steps = there.steps().ok()?;
        steps.into_iter().rev().find_map(|step| read_run(&there.path(step).join(RUN)).ok())
    }

    /// The last readable checkpoint of a folder whose name begins so.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn named(folder: &Path, beginning: &str) -> Result<Option<PathBuf>, Error> {
        let there = Checkpoints { folder: folder.to_owned(), keep_last: 1, every_steps: None };
        let is_it = |path: &PathBuf| {
            let name = read_run(&path.join(RUN)).ok().and_then(|saved| saved.name);
            name.is_some_and(|name| name.starts_with(beginning))
        };
        Ok(there.steps()?.into_iter().rev().map(|step| there.path(step)).find(is_it))
    }

    /// Removes every checkpoint of a folder, whole or half-written, and the folder if it is then empty.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn remove_all(folder: &Path) -> Result<(), Error> {
        let there = Checkpoints { folder: folder.to_owned(), keep_last: 1, every_steps: None };
        for (_, path) in there.entries()?.into_iter().filter(|entry| entry.0.is_some()) {
            remove(&path)?;
        }
        // Not empty: what is left is not ours.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    /// Each entry of the folder, as one of ours by its name.
    fn entries(&self) -> Result<Vec<(Option<Entry>, PathBuf)>, Error> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(Error::file(&self.folder))? {
            let entry = entry.map_err(Error::file(&self.folder))?;
            // A link is not followed: what it leads to is not part of this folder.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            entries.push((name.to_str().filter(|_| is_folder).and_then(Entry::of), entry.path()));
        }
        Ok(entries)
    }

    /// Steps of the checkpoints that are there, in order.
    pub(super) fn steps(&self) -> Result<Vec<u64>, Error> {
        let entries = self.entries()?.into_iter();
        let mut steps: Vec<u64> = entries
            .filter_map(|(entry, _)| if let Some(Entry::Whole(step)) = entry { Some(step) } else { None })
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Writes a checkpoint, then removes those that need not stay. If that fails, the folder is unchanged. The best one
    /// that it names is on disk: if the checkpoint of the best evaluation is not, it names the best that is.
    pub(super) fn write(&self, mut saved: Saved, model: &[u8], optimizer: &[u8]) -> Result<PathBuf, Error> {
        let step = saved.cursor.step();
        let path = self.path(step);
        for (file, bytes) in [(MODEL, model), (OPTIMIZER, optimizer)] {
            check_finite(&path.join(file), bytes)?;
        }
        // Somebody may have taken the folder away since.
        fs::create_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        self.clean();
        self.name_what_is_there(&mut saved)?;
        let files = [(MODEL, model), (OPTIMIZER, optimizer)];
        saved.files = files.iter().map(|(name, bytes)| ((*name).to_owned(), Seal::of(bytes))).collect();
        if self.read(step).is_ok_and(|there| there.saved.says_the_same(&saved)) {
            // A run that continued from an earlier one comes by the same step again.
            self.prune(&saved);
            return Ok(path);
        }
        let text = serde_json::to_string_pretty(&saved).map_err(|error| Error::bad_file(&path, &error.to_string()))?;
        let run = format!("{FIRST_LINE}{:08x}\n{text}\n", crc32fast::hash(text.as_bytes()));
        let beside = self.folder.join(Entry::Half(step).name());
        let written = write_folder(&beside, files.into_iter().chain([(RUN, run.as_bytes())]));
        let put = written.and_then(|()| put_in_place(&beside, &path));
        if put.is_err() {
            // What is half written is of no use to anyone; that it cannot be removed adds nothing to the error.
            let _ = fs::remove_dir_all(&beside);
        }
        put?;
        sync_folder(&self.folder)?;
        self.prune(&saved);
        Ok(path)
    }

    /// Lets the checkpoint name a best one that is there, or none, and say which it does without.
    fn name_what_is_there(&self, saved: &mut Saved) -> Result<(), Error> {
        let named = saved.cursor.best().map(|best| best.step).filter(|step| *step != saved.cursor.step());
        let Some(missing) = named.filter(|step| !self.path(*step).is_dir()) else { return Ok(()) };
        let before: Vec<u64> = self.steps()?.into_iter().filter(|step| *step < missing).collect();
        let best = before.into_iter().rev().find_map(|step| {
            let there = read_run(&self.path(step).join(RUN)).ok()?;
            there.cursor.best().is_some_and(|best| best.step == step).then_some(there.cursor)
        });
        saved.cursor.take_best_of(best.as_ref());
        saved.lost_best = Some(missing);
        Ok(())
    }

    /// Removes what a killed process left. What cannot be removed stays; no checkpoint fails for that.
    fn clean(&self) {
        for (entry, path) in self.entries().unwrap_or_default() {
            if let Some(Entry::Half(_)) = entry {
                let _ = remove(&path);
            }
        }
    }

    /// Removes those that need not stay. What cannot be removed stays: the checkpoint is written all the same.
    fn prune(&self, saved: &Saved) {
        let (now, best) = (saved.cursor.step(), saved.cursor.best().map(|best| best.step));
        // Behind this one are checkpoints of a run that went another way.
        let steps: Vec<u64> = self.steps().unwrap_or_default().into_iter().filter(|step| *step <= now).collect();
        let stay = steps.len().saturating_sub(usize::try_from(self.keep_last).unwrap_or(usize::MAX));
        let is_named = |step: u64| read_run(&self.path(step).join(RUN)).is_ok_and(|saved| saved.name.is_some());
        for step in steps[..stay].iter().filter(|step| Some(**step) != best && !is_named(**step)) {
            let _ = remove(&self.path(*step));
        }
    }

    /// Reads a checkpoint and checks every byte of it.
    pub(super) fn read(&self, step: u64) -> Result<Checkpoint, Error> {
        let path = self.path(step);
        let saved = read_run(&path.join(RUN))?;
        if saved.cursor.step() != step {
            let reason = format!(
                "it is the checkpoint of step {}, but its folder is named for another step",
                saved.cursor.step()
            );
            return Err(Error::bad_file(&path.join(RUN), &reason));
        }
        let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for name in [MODEL, OPTIMIZER] {
            let file = path.join(name);
            let bytes = files::read(&file).map_err(Error::file(&file))?;
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

/// A name of ours in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// The checkpoint of a step.
    Whole(u64),
    /// One that is being written, or was when its process was killed.
    Half(u64),
}

impl Entry {
    fn of(name: &str) -> Option<Entry> {
        let whole = name.strip_prefix("step-").and_then(|step| step.parse().ok()).map(Entry::Whole);
        let step = || name.strip_prefix(".step-")?.strip_suffix(".new")?.parse().ok();
        // `step-7` is not ours: ours is `step-000000007`.
        whole.or_else(|| step().map(Entry::Half)).filter(|entry| entry.name() == name)
    }

    fn name(self) -> String {
        match self {
            Entry::Whole(step) => format!("step-{step:09}"),
            Entry::Half(step) => format!(".step-{step:09}.new"),
        }
    }
}

/// Removes a folder of ours.
fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_dir_all(path).map_err(Error::file(path))
}

/// Writes a new folder of files, and syncs it.
fn write_folder<'a>(folder: &Path, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<(), Error> {
    fs::create_dir(folder).map_err(Error::file(folder))?;
    for (name, bytes) in files {
        write_synced(&folder.join(name), bytes)?;
    }
    sync_folder(folder)
}

/// Renames a folder to where another may be, which goes.
fn put_in_place(beside: &Path, path: &Path) -> Result<(), Error> {
    if path.exists() {
        remove(path)?;
    }
    fs::rename(beside, path).map_err(Error::file(path))
}

fn read_run(file: &Path) -> Result<Saved, Error> {
    let text = files::read_text(file).map_err(Error::file(file))?;
    let bad = |reason: &str| Error::bad_file(file, reason);
    let (first, rest) = text.split_once('\n').ok_or_else(|| bad("it is cut off"))?;
    let sum = first.strip_prefix(FIRST_LINE).and_then(|sum| u32::from_str_radix(sum, 16).ok());
    let sum = sum.ok_or_else(|| bad("it is not a checkpoint of gradus"))?;
    let rest = rest.strip_suffix('\n').ok_or_else(|| bad("it is cut off"))?;
    if crc32fast::hash(rest.as_bytes()) != sum {
        return Err(bad("it is not what was written"));
    }
    Saved::from_json(rest).map_err(|reason| bad(&reason))
}
