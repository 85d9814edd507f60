//! `gradus train`: one file, one run.

use super::asked::Asked;
use super::progress::{Ended, Look, Says, best_text, train_with_bar};
use super::run_folder::{Begin, RunFolder, has_checkpoints, holds_a_run, write_beside};
use super::run_lock::LockedFolder;
use super::say::{self, caution, say, tell};
use super::{batch, report, signals};
use anyhow::{anyhow, bail};
use clap::Args;
use gradus::engine::{Counters, Engine};
use gradus::run::{BatchRows, Material, RunFile};
use gradus::schedule::Plan;
use gradus::train::{Evaluation, Event, Trainer};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// The run's own copy of its file, with all that was found out.
const RUN: &str = "run.yaml";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Train {
    #[command(flatten)]
    which: Which,
    /// Put a value in the place of what the file says, as in --set optimizer.lr=3e-4; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Begin anew in a folder that holds a run: what that run left is removed.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    #[command(flatten)]
    loudness: Loudness,
}

const EXAMPLES: &str = "\
Examples:
  gradus train run.yaml                            train; what the run leaves is in runs/run/
  gradus train run.yaml --set epochs=5 --set name=longer
  gradus train --resume runs/run                   go on after Ctrl-C or a crash

Ctrl-C finishes the step, writes a checkpoint and says how to go on; so do SIGTERM, and SIGHUP without nohup. A second one
ends the program at once.
Exit codes: 0 done, 1 failed, 2 what was asked for cannot be, 130 ended by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.";

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The run file.
    #[arg(value_name = "RUN.YAML")]
    file: Option<PathBuf>,
    /// Go on with the run of this folder, from its last checkpoint.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
}

/// How much is said.
#[derive(Args)]
pub(super) struct Loudness {
    /// Say nothing but errors and warnings.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more: the programs of a step, and each checkpoint.
    #[arg(short, long)]
    verbose: bool,
}

impl Loudness {
    pub(super) fn says(&self) -> Says {
        match (self.quiet, self.verbose) {
            (true, _) => Says::Nothing,
            (_, true) => Says::All,
            _ => Says::Usual,
        }
    }
}

/// `KEY=VALUE`.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a dotted key and a value, as in optimizer.lr=3e-4".to_owned()),
    }
}

/// What a run needs before it begins.
pub(super) struct Ready {
    pub(super) run: RunFile,
    pub(super) material: Material,
    /// Rows of a pass.
    pub(super) batch_rows: usize,
}

impl Ready {
    /// Reads what the file names, and finds the batch size where it is to be found; in a folder that a run goes on in, what
    /// that run began with. Warnings go to stderr.
    pub(super) fn read(engine: &Engine, run: RunFile, goes_on_in: Option<&Path>, says: Says) -> anyhow::Result<Ready> {
        let material = match goes_on_in {
            Some(folder) => Material::of_run(&run, folder)?,
            None => Material::read(&run)?,
        };
        for warning in run.warnings.iter().chain(&material.warnings) {
            caution!("{warning}");
        }
        if says >= Says::Usual {
            say!("{}", material.summary);
        }
        let batch_rows = match run.batch_rows {
            BatchRows::Rows(rows) => rows,
            BatchRows::Auto => {
                // From one row on: a small set has no more.
                let (config, limit_bytes) = (run.config(1), run.memory_limit_bytes);
                batch::find(engine, &*material.task, &config, &run.schedule, limit_bytes, says >= Says::Usual)?
            }
        };
        Ok(Ready { run, material, batch_rows })
    }

    /// Rows of a step, which are those of all its passes.
    pub(super) fn rows_per_step(&self) -> usize {
        self.run.config(self.batch_rows).rows_per_step()
    }

    /// The trainer.
    pub(super) fn trainer(&self, engine: &Engine) -> anyhow::Result<Trainer> {
        let (config, spec) = (self.run.config(self.batch_rows), self.run.scaled(self.batch_rows)?);
        let plan = |params: gradus::schedule::Model<'_>, epochs| Plan::new(&spec, params, epochs);
        let trainer = Trainer::new(engine, &*self.material.task, config, plan)?;
        for warning in trainer.plan().warnings().iter().filter(|warning| !self.run.warnings.contains(warning)) {
            caution!("{warning}");
        }
        Ok(trainer)
    }
}

pub(super) fn run(engine: &Engine, options: &Train) -> anyhow::Result<ExitCode> {
    say::go_on_without_stdout();
    let says = options.loudness.says();
    // A folder with a run in it is held before it is read; a new one is made once nothing is refused any more.
    let mut held = None;
    if let Some(folder) = &options.which.resume {
        if !holds_a_run(folder) {
            return Err(Asked::error(anyhow!("{} holds no run to go on with", folder.display())));
        }
        held = Some(LockedFolder::take(folder)?);
    }
    let (run, folder, begin) = match (&options.which.file, &options.which.resume) {
        (_, Some(folder)) => (RunFile::read(&folder.join(RUN), &options.settings)?, folder.clone(), Begin::Resume),
        (Some(file), None) => {
            let run = RunFile::read(file, &options.settings)?;
            let folder = run.folder();
            (run, folder, if options.overwrite { Begin::Over } else { Begin::New })
        }
        (None, None) => bail!("name a run file"),
    };
    let shown = folder.display();
    if begin == Begin::New && (holds_a_run(&folder) || folder.join(RUN).exists()) {
        let ways = format!("go on with it by --resume {shown}, begin anew with --overwrite, or --set name=…");
        return Err(Asked::error(anyhow!("{shown} holds a run already: {ways}")));
    }
    if begin == Begin::Over && holds_a_run(&folder) {
        held = Some(LockedFolder::take(&folder)?);
    }
    let goes_on_in = (begin == Begin::Resume && has_checkpoints(&folder)).then_some(folder.as_path());
    let ready = Ready::read(engine, run, goes_on_in, says).map_err(Asked::error)?;
    let mut trainer = ready.trainer(engine).map_err(Asked::error)?;
    // What cannot be written is told before anything is trained, and what is refused leaves the folder as it was.
    let every_steps = ready.run.checkpoint_every_steps;
    let locked = held.map_or_else(|| LockedFolder::take(&folder), Ok)?;
    let mut out = RunFolder::open(locked, &mut trainer, every_steps, begin, says)?;
    write_beside(&folder.join("inputs.json"), ready.material.inputs.to_json().as_bytes())?;
    write_beside(&folder.join(RUN), ready.run.resolved(ready.batch_rows).as_bytes())?;
    train(engine, &ready, &mut trainer, (&mut out, &folder), says)
}

fn train(
    engine: &Engine,
    ready: &Ready,
    trainer: &mut Trainer,
    (out, folder): (&mut RunFolder, &Path),
    says: Says,
) -> anyhow::Result<ExitCode> {
    if says == Says::All {
        for program in trainer.programs()? {
            say!(
                "{} dispatches, {} barriers, {} bytes: {}",
                program.dispatches.len(),
                program.barriers(),
                program.bytes(),
                program.label
            );
        }
    }
    let (unit, of_row) = ready.material.units;
    let look = Look { units: (unit, of_row * ready.rows_per_step()), says };
    let (started, before) = (Instant::now(), engine.counters());
    signals::listen()?;
    let stop = || signals::ended().is_some();
    let Ended { last, interrupted, noted } = train_with_bar(trainer, &look, stop, |event: &Event| out.note(event))?;
    let checkpoint = if interrupted { trainer.checkpoint_now(|event| drop(out.note(event)))? } else { None };
    let mut written = out.finish(trainer)?;
    let environment = environment(engine, trainer, engine.counters() - before, started.elapsed().as_secs_f64());
    written.push(report::write(folder, [&ready.run.name, &ready.material.summary], best_text(trainer), &environment)?);
    warn_of_losses(last);
    if let Some(code) = signals::ended().filter(|_| interrupted) {
        let (at, folder) = (checkpoint.unwrap_or_default(), folder.display());
        tell!("interrupted after {} steps; {} holds them", trainer.cursor().step(), at.display());
        tell!("go on with: gradus train --resume {folder}");
        return Ok(ExitCode::from(code));
    }
    if says >= Says::Usual {
        summarize(trainer, last, started.elapsed().as_secs_f64());
        for file in written {
            say!("written        {}", file.display());
        }
    }
    noted.map(|()| ExitCode::SUCCESS)
}

/// What a reader of the run's numbers wants to know of how they were made.
fn environment(engine: &Engine, trainer: &Trainer, counted: Counters, seconds: f64) -> Vec<(&'static str, String)> {
    let adapter = engine.adapter().map_or_else(
        || "cpu (no shader ran)".to_owned(),
        |adapter| format!("{} ({}, {}; {})", adapter.name, adapter.kind, adapter.backend, adapter.driver),
    );
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let trunk = trainer.trunk_bytes();
    let mut environment = vec![
        ("adapter", adapter),
        ("gradus", env!("CARGO_PKG_VERSION").to_owned()),
        ("platform", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("seconds of this process", format!("{seconds:.1}")),
        ("submissions, dispatches", format!("{}, {}", counted.submissions, counted.dispatches)),
        ("waits for the device", counted.blocking_waits.to_string()),
        ("moved by programs", megabytes(counted.program_bytes)),
        ("of it by the optimizer", megabytes(trainer.optimizer_bytes())),
        (
            "uploaded, downloaded",
            format!("{}, {}", megabytes(counted.uploaded_bytes), megabytes(counted.downloaded_bytes)),
        ),
    ];
    if trunk > 0 {
        environment.push(("frozen trunk kept", megabytes(trunk)));
    }
    environment
}

/// A run that came to nothing looks like any other until one reads its numbers.
fn warn_of_losses(last: Option<Evaluation>) {
    let Some(last) = last else { return };
    if !last.val_loss.is_finite() {
        caution!("the test loss is {}: a lower rate or optimizer.clip_norm may help", last.val_loss);
    }
    if last.skipped_steps > 0 {
        let (skipped, steps) = (last.skipped_steps, last.steps);
        caution!("{skipped} of {steps} steps were skipped: their gradients were not finite");
    }
}

fn summarize(trainer: &Trainer, last: Option<Evaluation>, seconds: f64) {
    let Some(last) = last else {
        say!("the run was over: nothing was left to train");
        return;
    };
    say!();
    say!("steps          {} in {seconds:.1} s", trainer.cursor().step());
    if trainer.trunk_bytes() > 0 {
        say!("frozen trunk   {:.1} MB kept", trainer.trunk_bytes() as f64 / 1e6);
    }
    if last.val_loss.is_finite() {
        say!("test loss      {:.4}, accuracy {:.2} %", last.val_loss, 100.0 * last.val_accuracy);
    }
    if let Some(best) = best_text(trainer) {
        say!("best           {best}");
    }
}
