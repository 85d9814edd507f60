//! The folder of a run: what it leaves behind.

use anyhow::{Context, bail};
use gradus::train::{Checkpoints, Evaluation, Trainer};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder with `metrics.jsonl`, `schedule.yaml`, `checkpoints/` and at the end `model.safetensors`.
pub(super) struct RunFolder {
    path: PathBuf,
    metrics: File,
}

impl RunFolder {
    /// A new run's folder; or with `resume` an old one's, from which the trainer goes on.
    pub(super) fn open(
        path: &Path,
        trainer: &mut Trainer,
        every_steps: Option<u64>,
        resume: bool,
    ) -> anyhow::Result<RunFolder> {
        fs::create_dir_all(path).with_context(|| format!("making the folder {}", path.display()))?;
        let checkpoints = Checkpoints::new(&path.join("checkpoints"), trainer.plan().keep_last(), every_steps)?;
        let steps = if resume {
            go_on(trainer, checkpoints)?
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
        let file = path.join("metrics.jsonl");
        keep_until(&file, steps)?;
        let metrics = OpenOptions::new().create(true).append(true).open(&file);
        let metrics = metrics.with_context(|| format!("opening {}", file.display()))?;
        Ok(RunFolder { path: path.to_owned(), metrics })
    }

    /// Adds a line to the metrics.
    pub(super) fn note(&mut self, evaluation: &Evaluation) -> anyhow::Result<()> {
        let line = serde_json::to_string(evaluation)?;
        writeln!(self.metrics, "{line}").with_context(|| format!("writing metrics in {}", self.path.display()))
    }

    /// Writes the parameters.
    pub(super) fn finish(&self, trainer: &Trainer) -> anyhow::Result<()> {
        let model = self.path.join("model.safetensors");
        write_beside(&model, &trainer.parameters().save()?)?;
        for name in ["model.safetensors", "metrics.jsonl", "schedule.yaml", "checkpoints"] {
            println!("written        {}", self.path.join(name).display());
        }
        Ok(())
    }
}

/// Steps done before.
fn go_on(trainer: &mut Trainer, checkpoints: Checkpoints) -> anyhow::Result<u64> {
    let folder = checkpoints.folder().display().to_string();
    let Some(resumed) = trainer.resume(checkpoints)? else {
        println!("{folder} has no checkpoint yet: the run begins");
        return Ok(0);
    };
    for error in &resumed.left_out {
        eprintln!("gradus: warning: {error}; the checkpoint before it is used");
    }
    println!("going on after {} steps, from {}", resumed.steps, resumed.path.display());
    Ok(resumed.steps)
}

/// Drops the lines of evaluations after so many steps: the run comes by them again. A line that is cut off goes too.
fn keep_until(file: &Path, steps: u64) -> anyhow::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let kept = |line: &&str| {
        let value: Result<serde_json::Value, _> = serde_json::from_str(line);
        value.ok().and_then(|value| value["steps"].as_u64()).is_some_and(|at| at <= steps)
    };
    let lines: String = text.lines().filter(kept).map(|line| format!("{line}\n")).collect();
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
