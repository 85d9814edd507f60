//! The folder of a run: what it leaves behind.

use super::progress::Says;
use super::run_lock::LockedFolder;
use super::say::{caution, say};
use super::tensorboard::EventFile;
use anyhow::{Context, bail};
use gradus::optim::Stats;
use gradus::schedule::Reason;
use gradus::train::{Began, Checkpoints, Event, Progress, Trainer};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The files of a run's folder.
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const STEPS: &str = "steps.jsonl";
const CHECKPOINTS: &str = "checkpoints";
const MODEL: &str = "model.safetensors";
pub(super) const BEST: &str = "best.safetensors";

/// A folder with `metrics.jsonl` (a line for each evaluation and each phase), `steps.jsonl` (a line for each report of a
/// step), event files for TensorBoard, `schedule.yaml`, `checkpoints/`, `best.safetensors` and at the end
/// `model.safetensors`.
pub(super) struct RunFolder {
    metrics: File,
    steps: File,
    events: EventFile,
    /// The groups of the phase.
    groups: Vec<String>,
    /// The last field: the files above are closed before the folder is anybody's again.
    folder: LockedFolder,
}

/// How to begin in a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// A run must not have been there.
    New,
    /// What a run left goes.
    Over,
    /// Go on from its last checkpoint.
    Resume,
}

impl RunFolder {
    /// A new run's folder; or an old one's, from which the trainer goes on.
    pub(super) fn open(
        folder: LockedFolder,
        trainer: &mut Trainer,
        every_steps: Option<u64>,
        begin: Begin,
        says: Says,
    ) -> anyhow::Result<RunFolder> {
        let path = folder.path();
        if begin == Begin::Over {
            clear(path)?;
        }
        let checkpoints = Checkpoints::new(&path.join(CHECKPOINTS), trainer.plan().keep_last(), every_steps)?;
        trainer.save_best_to(&path.join(BEST));
        let steps = if begin == Begin::Resume {
            go_on(trainer, checkpoints, says)?
        } else if checkpoints.is_empty()? {
            trainer.checkpoint_to(checkpoints);
            0
        } else {
            let folder = checkpoints.folder().display();
            bail!(
                "{folder} has checkpoints of a run: --resume goes on with it; else name another folder or remove them"
            );
        };
        write_beside(&path.join("schedule.yaml"), trainer.plan().to_yaml().as_bytes())?;
        keep_until(&path.join(METRICS), |line| match line["began"].is_null() {
            true => line["steps"].as_u64().is_some_and(|at| at <= steps),
            // A phase that began at this step begins again.
            false => line["steps"].as_u64().is_some_and(|at| at < steps),
        })?;
        keep_until(&path.join(STEPS), |line| line["step"].as_u64().is_some_and(|at| at < steps))?;
        let mut run = RunFolder {
            metrics: appended(&path.join(METRICS))?,
            steps: appended(&path.join(STEPS))?,
            events: EventFile::create(path, steps)?,
            groups: Vec::new(),
            folder,
        };
        let now = trainer.phase_now()?;
        run.take_groups(&now);
        if steps == 0 {
            run.note(&Event::Phase(now))?;
        }
        Ok(run)
    }

    /// Adds what happened to the files.
    pub(super) fn note(&mut self, event: &Event) -> anyhow::Result<()> {
        self.gather_for_tensorboard(event);
        self.events.write()?;
        let written = match event {
            Event::Evaluation(evaluation) => append(&mut self.metrics, evaluation),
            Event::Phase(began) => {
                self.take_groups(began);
                append(&mut self.metrics, &PhaseLine::of(began))
            }
            Event::Step(progress) => append(&mut self.steps, &StepLine::of(progress)),
            Event::CheckpointAhead
            | Event::Checkpoint(_)
            | Event::NoCheckpoint(_)
            | Event::Best(_)
            | Event::NoBest(_) => Ok(()),
        };
        written.with_context(|| format!("writing metrics in {}", self.folder.path().display()))
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
            }
            Event::Evaluation(evaluation) => {
                let scalars = [
                    ("loss/validation", evaluation.val_loss),
                    ("loss/train_epoch", evaluation.train_loss),
                    ("accuracy/validation", evaluation.val_accuracy),
                    ("skipped_steps", evaluation.skipped_steps as f64),
                ];
                scalars.into_iter().for_each(|(tag, value)| events.scalar(evaluation.steps, tag, value))
            }
            Event::Phase(began) => events.scalar(began.steps, "phase", began.phase as f64),
            Event::CheckpointAhead
            | Event::Checkpoint(_)
            | Event::NoCheckpoint(_)
            | Event::Best(_)
            | Event::NoBest(_) => {}
        }
    }

    /// Writes the parameters that were tested; the files of the run.
    pub(super) fn finish(&mut self, trainer: &mut Trainer) -> anyhow::Result<Vec<PathBuf>> {
        let path = self.folder.path();
        write_beside(&path.join(MODEL), &trainer.save_tested()?)?;
        let best = trainer.saved_best().map(|_| BEST);
        let files = [MODEL].into_iter().chain(best).chain([METRICS, STEPS, "schedule.yaml", CHECKPOINTS]);
        Ok(files.map(|name| path.join(name)).collect())
    }
}

/// What `steps.jsonl` says of a step.
#[derive(serde::Serialize)]
struct StepLine<'a> {
    step: u64,
    phase: usize,
    loss: f32,
    lrs: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_norm: Option<f32>,
    skipped_steps: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_seconds: Option<f64>,
}

impl StepLine<'_> {
    fn of(progress: &Progress) -> StepLine<'_> {
        let Progress { step, phase, lrs, loss, stats } = progress;
        let Stats { grad_norm, skipped_steps, device_seconds, .. } = *stats;
        StepLine { step: *step, phase: *phase, loss: *loss, lrs, grad_norm, skipped_steps, device_seconds }
    }
}

/// What `metrics.jsonl` says of a phase.
#[derive(serde::Serialize)]
struct PhaseLine<'a> {
    /// The phase.
    began: usize,
    steps: u64,
    reason: Option<&'static str>,
    restored: Option<u64>,
    thawed: &'a [String],
    /// Each group's name, elements and rate.
    groups: &'a [(String, usize, f64)],
}

impl PhaseLine<'_> {
    fn of(began: &Began) -> PhaseLine<'_> {
        let reason = began.reason.map(|reason| match reason {
            Reason::EarlyStopping => "early_stopping",
            Reason::MaxTransitionEpoch => "max_transition_epoch",
        });
        let Began { phase, steps, restored, thawed, groups, .. } = began;
        PhaseLine { began: *phase, steps: *steps, reason, restored: *restored, thawed, groups }
    }
}

/// Whether a folder holds a run.
pub(super) fn holds_a_run(path: &Path) -> bool {
    [METRICS, CHECKPOINTS, MODEL].iter().any(|name| path.join(name).exists())
}

/// Whether a run in this folder has a checkpoint to go on from.
pub(super) fn has_checkpoints(path: &Path) -> bool {
    fs::read_dir(path.join(CHECKPOINTS)).is_ok_and(|mut entries| entries.next().is_some())
}

/// Removes what a run left, and nothing else.
fn clear(path: &Path) -> anyhow::Result<()> {
    let removed = |file: &Path, removed: std::io::Result<()>| match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", file.display()))
        }
        _ => Ok(()),
    };
    let entries = fs::read_dir(path).with_context(|| format!("reading the folder {}", path.display()))?;
    let events = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_event_file(path));
    for file in
        [METRICS, STEPS, MODEL, BEST, "best.safetensors.new"].map(|name| path.join(name)).into_iter().chain(events)
    {
        removed(&file, fs::remove_file(&file))?;
    }
    let checkpoints = path.join(CHECKPOINTS);
    removed(&checkpoints, fs::remove_dir_all(&checkpoints))
}

fn is_event_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events.out.tfevents."))
}

fn appended(file: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.with_context(|| format!("opening {}", file.display()))
}

/// Adds a line in one write: nothing of it waits in this process, which may be ended at any time.
fn append(file: &mut File, line: &impl serde::Serialize) -> std::io::Result<()> {
    file.write_all((serde_json::to_string(line)? + "\n").as_bytes())
}

/// Steps done before.
fn go_on(trainer: &mut Trainer, checkpoints: Checkpoints, says: Says) -> anyhow::Result<u64> {
    let folder = checkpoints.folder().display().to_string();
    let Some(resumed) = trainer.resume(checkpoints)? else {
        caution!("{folder} has no checkpoint yet: the run begins");
        return Ok(0);
    };
    if let Some(error) = &resumed.no_best {
        caution!("the best parameters so far are not in {BEST}: {error}");
    }
    for error in &resumed.left_out {
        caution!("{error}; the checkpoint before it is used");
    }
    if says >= Says::Usual {
        say!("going on after {} steps, from {}", resumed.steps, resumed.path.display());
    }
    Ok(resumed.steps)
}

/// Drops the lines of what the run comes by again. A line that is cut off goes too.
fn keep_until(file: &Path, kept: impl Fn(&serde_json::Value) -> bool) -> anyhow::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let is_kept = |line: &&str| serde_json::from_str(line).is_ok_and(|value| kept(&value));
    let lines: String = text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
    write_beside(file, lines.as_bytes())
}

/// Writes a file beside itself first, then renames it.
pub(super) fn write_beside(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut beside = path.to_owned();
    beside.as_mut_os_string().push(".new");
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is half written is of no use to anyone; that it cannot be removed adds nothing to the error.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}
