//! The folder of a run: the files that it writes.

use super::asked::{Asked, refuse};
use super::confusion;
use super::log::{self, Log};
use super::log_lines::{PhaseLine, StepLine};
use super::mistakes;
use super::model_folder::{self, MODEL};
use super::run_lock::{LOCK, LockedFolder};
use super::say::{caution, say};
use super::says::Says;
use super::scores::{Look, SCORES};
use super::tensorboard::EventFile;
use anyhow::{Context, bail};
use gradus::nn::Model;
use gradus::params::shown_path;
use gradus::run::{Material, RunFile};
use gradus::train::{
    Began, Checkpoints, Error, Evaluation, Event, LostBest, MadeOn, OtherEpochs, Progress, Resumed, Trainer, files,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a disk that was full is waited for.
const RETRY: Duration = Duration::from_secs(1);

/// The files of a run's folder.
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const STEPS: &str = "steps.jsonl";
const CHECKPOINTS: &str = "checkpoints";
pub(super) const BEST: &str = "best.safetensors";

/// The files that a new run removes from its folder, besides the logs for TensorBoard and the checkpoints.
const OTHERS: [&str; 5] = [confusion::FILE, mistakes::FILE, "report.html", "schedule.yaml", INPUTS];

/// The run's own copy of its file, with all that was found out.
pub(super) const RUN: &str = "run.yaml";
/// What data becomes numbers by.
pub(super) const INPUTS: &str = "inputs.json";
/// The `run.yaml` of a run that takes the place of another: once it is there, what the other left must go.
const NEXT: &str = ".next-run.yaml";

/// A folder with `metrics.jsonl` (a line for each evaluation and each phase), `steps.jsonl` (a line for each report of a
/// step), event files for TensorBoard, `schedule.yaml`, `checkpoints/`, `best.safetensors` and at the end
/// `model.safetensors`.
pub(super) struct RunFolder {
    metrics: Log,
    steps: Log,
    events: EventFile,
    /// The groups of the phase.
    groups: Vec<String>,
    /// The last checkpoint that was written or gone on from.
    checkpoint: Option<PathBuf>,
    /// What a reader of the report should know of the run's files.
    pub(super) remarks: Vec<String>,
    /// What the coming evaluation has found on further sets.
    also: Vec<(String, f64)>,
    model: Model,
    /// The last field: the files above are closed before the folder is anybody's again.
    folder: LockedFolder,
}

impl RunFolder {
    /// A new run's folder, in which no run is.
    pub(super) fn begin(
        folder: LockedFolder,
        (trainer, model): (&mut Trainer, &Model),
        every_steps: Option<u64>,
    ) -> anyhow::Result<RunFolder> {
        let checkpoints = Checkpoints::new(&folder.path().join(CHECKPOINTS), trainer.plan().keep_last(), every_steps)?;
        if !checkpoints.is_empty()? {
            let folder = shown_path(checkpoints.folder());
            refuse!("{folder} has checkpoints of a run: resume it with --resume, name another folder, or remove them");
        }
        trainer.save_best_to(&folder.path().join(BEST));
        trainer.checkpoint_to(checkpoints);
        RunFolder::open(folder, (trainer, model), None)
    }

    /// The folder of a run that continues, from its last checkpoint.
    pub(super) fn resume(
        folder: LockedFolder,
        (trainer, model): (&mut Trainer, &Model),
        every_steps: Option<u64>,
        says: Says,
    ) -> anyhow::Result<RunFolder> {
        let checkpoints = Checkpoints::new(&folder.path().join(CHECKPOINTS), trainer.plan().keep_last(), every_steps)?;
        trainer.save_best_to(&folder.path().join(BEST));
        for stray in checkpoints.strays()? {
            caution!("gradus did not write {}, and leaves it as it is", shown_path(&stray));
        }
        let shown = shown_path(checkpoints.folder());
        // Another run, or none that is good: nothing has been done yet.
        let resumed = trainer.resume(checkpoints).map_err(|error| match error {
            Error::OtherRun { .. } | Error::BadFile { .. } => Asked::error(error.into()),
            other => other.into(),
        })?;
        match &resumed {
            None => caution!("{shown} has no checkpoint yet: the run starts"),
            Some(resumed) if says >= Says::Usual => {
                say!("resuming after {} steps, from {}", resumed.steps, shown_path(&resumed.path));
            }
            Some(_) => {}
        }
        let mut run = RunFolder::open(folder, (trainer, model), resumed.as_ref())?;
        run.remarks = resumed.iter().flat_map(remarks).collect();
        run.remarks.iter().for_each(|remark| caution!("{remark}"));
        Ok(run)
    }

    fn open(
        folder: LockedFolder,
        (trainer, model): (&Trainer, &Model),
        resumed: Option<&Resumed>,
    ) -> anyhow::Result<RunFolder> {
        let path = folder.path();
        let steps = resumed.map_or(0, |resumed| resumed.steps);
        files::replace(&path.join("schedule.yaml"), trainer.plan().to_yaml().as_bytes())?;
        let metrics = log::keep_until(&path.join(METRICS), |line| match line["began"].is_null() {
            true => line["steps"].as_u64().map(|at| at <= steps),
            // A phase that began at this step begins again.
            false => line["steps"].as_u64().map(|at| at < steps),
        })?;
        log::keep_until(&path.join(STEPS), |line| line["step"].as_u64().map(|at| at < steps))?;
        let mut run = RunFolder {
            metrics: Log::open(&path.join(METRICS))?,
            steps: Log::open(&path.join(STEPS))?,
            events: EventFile::create(path, steps)?,
            groups: Vec::new(),
            checkpoint: resumed.map(|resumed| resumed.path.clone()),
            remarks: Vec::new(),
            also: Vec::new(),
            model: model.clone(),
            folder,
        };
        let now = trainer.phase_now()?;
        run.take_groups(&now);
        if steps == 0 {
            run.note(&Event::Phase(now))?;
        }
        // TensorBoard skips events of the step at which a run resumes, and this evaluation stays.
        if let Some(last) = metrics.last().filter(|line| line["began"].is_null() && line["steps"] == steps) {
            run.gather_evaluation(last);
            run.events.write()?;
        }
        Ok(run)
    }

    /// The last checkpoint that was written or gone on from.
    pub(super) fn checkpoint(&self) -> Option<&Path> {
        self.checkpoint.as_deref()
    }

    /// Adds what happened to the files. What cannot be written is passed over, and told the first time.
    pub(super) fn note(&mut self, event: &Event) -> anyhow::Result<()> {
        self.gather_for_tensorboard(event);
        let shown = self.events.write();
        let noted = match event {
            Event::Also(tested) => {
                self.also.extend(tested.metrics());
                Ok(())
            }
            Event::Evaluation(evaluation) => {
                let line = EvaluationLine { evaluation, also: std::mem::take(&mut self.also).into_iter().collect() };
                self.metrics.add(&line)
            }
            Event::Confusion(matrix) => confusion::write(self.folder.path(), matrix),
            Event::Phase(began) => {
                self.take_groups(began);
                self.metrics.add(&PhaseLine::of(began))
            }
            Event::Step(progress) => self.steps.add(&StepLine::of(progress)),
            Event::CheckpointAhead => self.metrics.sync().and(self.steps.sync()),
            Event::Checkpoint(path) => {
                self.checkpoint = Some(path.clone());
                Ok(())
            }
            _ => Ok(()),
        };
        noted.and(shown)
    }

    fn take_groups(&mut self, began: &Began) {
        self.groups = began.groups.iter().map(|(name, ..)| name.clone()).collect();
    }

    fn gather_for_tensorboard(&mut self, event: &Event) {
        let RunFolder { events, groups, .. } = self;
        match event {
            Event::Step(Progress { step, lrs, loss, stats, .. }) => {
                events.scalar(*step, "loss/train", f64::from(*loss));
                for (group, lr) in groups.iter().zip(lrs) {
                    events.scalar(*step, &format!("lr/{group}"), *lr);
                }
                if let Some(norm) = stats.grad_norm {
                    events.scalar(*step, "gradient_norm", f64::from(norm));
                }
                if let Some(scale) = stats.loss_scale {
                    events.scalar(*step, "loss_scale", f64::from(scale));
                }
            }
            Event::Evaluation(evaluation) => {
                // Numbers and nothing else: it has its line in the log too.
                let line = EvaluationLine { evaluation, also: self.also.iter().cloned().collect() };
                self.gather_evaluation(&serde_json::to_value(line).unwrap_or_default());
            }
            Event::Phase(began) => events.scalar(began.steps, "phase", began.phase as f64),
            _ => {}
        }
    }

    /// An evaluation's line in the log; null is a number that is not finite.
    fn gather_evaluation(&mut self, line: &Value) {
        let scalars =
            [("loss/validation", "val_loss"), ("loss/train_epoch", "train_loss"), ("skipped_steps", "skipped_steps")];
        let scores = SCORES.iter().filter(|score| line.get(score.name).is_some());
        let step = line["steps"].as_u64().unwrap_or_default();
        for (tag, key) in scalars.into_iter().chain(scores.map(|score| (score.tag, score.name))) {
            self.events.scalar(step, tag, line[key].as_f64().unwrap_or(f64::NAN));
        }
        let further = line.as_object().into_iter().flatten();
        let further = further.filter_map(|(key, value)| Some((Look::of_further(key)?, value)));
        for ((set, look), value) in further {
            self.events.scalar(step, &look.tag_of(set), value.as_f64().unwrap_or(f64::NAN));
        }
    }

    /// Writes the parameters that were tested; the files of the run.
    pub(super) fn finish(&mut self, trainer: &mut Trainer) -> anyhow::Result<()> {
        let path = self.folder.path();
        // A disk that was full for a moment is not a reason to end without it.
        let written = model_folder::write_tensors(path, &self.model, trainer).or_else(|_| {
            std::thread::sleep(RETRY);
            model_folder::write_tensors(path, &self.model, trainer)
        });
        // That it could not be written has been told.
        let _ = trainer.write_unwritten_best(&mut |_| ());
        written.with_context(|| match &self.checkpoint {
            Some(at) => format!("the parameters are in {}", shown_path(&at.join(MODEL))),
            None => "there is no file of the parameters".to_owned(),
        })
    }
}

/// A line of `metrics.jsonl`: an evaluation, with what it found on further sets.
#[derive(serde::Serialize)]
struct EvaluationLine<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    #[serde(flatten)]
    also: BTreeMap<String, f64>,
}

/// Remarks on how a run resumes.
fn remarks(resumed: &Resumed) -> Vec<String> {
    let left_out = resumed.left_out.iter().map(|error| format!("{error}; the previous checkpoint is used"));
    let no_best = resumed.no_best.iter();
    let no_best = no_best.map(|error| format!("the best parameters so far are not in {BEST}: {error}"));
    let lost = resumed.lost_best.iter().map(|LostBest { step, instead }| {
        let stands = instead.map_or_else(
            || "there is no earlier one".to_owned(),
            |instead| format!("that of step {instead} is used instead"),
        );
        format!("the checkpoint of the best evaluation, after step {step}, is missing: {stands}")
    });
    let epochs = resumed.other_epochs.iter().map(|OtherEpochs { there, last_lrs, next_lrs }| {
        let rates = |rates: &[f64]| rates.iter().map(|rate| format!("{rate:.2e}")).collect::<Vec<_>>().join(" ");
        format!(
            "epochs was {there} when the run began: its rates are computed again: {} in the last step, {} in the next",
            rates(last_lrs),
            rates(next_lrs)
        )
    });
    left_out.chain(no_best).chain(lost).chain(epochs).collect()
}

/// Whether a folder holds a run. A lone `run.yaml` belongs to the user, unless the folder was locked for a run.
pub(super) fn holds_a_run(path: &Path) -> bool {
    let is_there = |name: &&str| path.join(name).exists();
    [NEXT, METRICS, CHECKPOINTS, MODEL].iter().any(is_there) || [RUN, LOCK].iter().all(is_there)
}

/// Whether a run in this folder has a checkpoint to continue from.
pub(super) fn has_checkpoints(path: &Path) -> bool {
    Checkpoints::are_in(&path.join(CHECKPOINTS))
}

/// What the last checkpoint of the run in this folder was made on.
pub(super) fn made_on(path: &Path) -> Option<MadeOn> {
    Checkpoints::made_on(&path.join(CHECKPOINTS))
}

/// The last checkpoint of the run in this folder, by its name.
pub(super) fn last_checkpoint(path: &Path) -> Option<PathBuf> {
    Checkpoints::of_another_rank(&path.join(CHECKPOINTS), 1, None).last_path().ok()?
}

/// Micro-batches of a step of the run in this folder, on all its ranks together.
pub(super) fn micro_batches(path: &Path) -> Option<usize> {
    Checkpoints::micro_batches(&path.join(CHECKPOINTS))
}

/// Has a rank that writes nothing do what the first one does for the files of this folder. It resumes if the first does.
pub(super) fn follow(
    path: &Path,
    trainer: &mut Trainer,
    (every_steps, resumes): (Option<u64>, bool),
) -> anyhow::Result<()> {
    let (folder, keep_last) = (path.join(CHECKPOINTS), trainer.plan().keep_last());
    let checkpoints = Checkpoints::of_another_rank(&folder, keep_last, every_steps);
    trainer.save_best_to(&path.join(BEST));
    if resumes {
        trainer.resume(checkpoints)?;
    } else {
        trainer.checkpoint_to(checkpoints);
    }
    Ok(())
}

/// Writes which run is in a folder: its file, then its model and how its data becomes numbers, a tokenizer's file
/// first.
pub(super) fn write_run(path: &Path, text: &str, (run, material): (&RunFile, &Material)) -> anyhow::Result<()> {
    files::replace(&path.join(RUN), text.as_bytes())?;
    model_folder::write_description(path, run, material)?;
    Ok(files::replace(&path.join(INPUTS), material.inputs.to_json().as_bytes())?)
}

/// Begins a run in place of another. If killed before this file exists, the old run is whole; afterwards [`take_place`]
/// completes it.
pub(super) fn overwrite(path: &Path, run: &str) -> anyhow::Result<()> {
    let checkpoints = path.join(CHECKPOINTS);
    if checkpoints.is_symlink() {
        refuse!("{} is a link: its target is not removed", shown_path(&checkpoints));
    }
    files::replace(&path.join(NEXT), run.as_bytes())?;
    take_place(path)
}

/// Ends what [`overwrite`] began: what the old run left goes, nothing else does, and the folder is the new one's.
pub(super) fn take_place(path: &Path) -> anyhow::Result<()> {
    let next = path.join(NEXT);
    if !next.exists() {
        return Ok(());
    }
    let checkpoints = path.join(CHECKPOINTS);
    match fs::symlink_metadata(&checkpoints) {
        Ok(there) if there.is_symlink() => {
            bail!("{} is a link: its target is not removed", shown_path(&checkpoints))
        }
        Ok(_) => Checkpoints::remove_all(&checkpoints)?,
        Err(_) => {}
    }
    let entries = fs::read_dir(path).with_context(|| format!("reading the folder {}", shown_path(path)))?;
    let events = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_event_file(path));
    let files = [METRICS, STEPS, BEST].into_iter().chain(OTHERS).chain(model_folder::FILES);
    let files = files.flat_map(|name| [path.join(name), path.join(format!("{name}.new"))]);
    for file in files.chain(events) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", shown_path(&file)));
            }
            _ => {}
        }
    }
    fs::rename(&next, path.join(RUN)).with_context(|| format!("writing {}", shown_path(&path.join(RUN))))
}

/// One of ours, by the name that this program gives them.
fn is_event_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with("events.out.tfevents.") && name.contains(".gradus.")
    })
}
