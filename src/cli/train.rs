//! `gradus train`: one file, one run.

use super::asks::Asks;
use super::model_folder::MODEL;
use super::progress::{Ended, Look, best_text, train_with_bar};
use super::ranks::{self, HowRanks, Ranks};
use super::ready::Ready;
use super::report::Section;
use super::say::{self, caution, say, tell};
use super::says::Says;
use super::set_up::{SetUp, beginning, going_on};
use super::verdict::Verdict;
use super::{cache, memory, mistakes, report, scores, signals};
use anyhow::bail;
use clap::Args;
use gradus::engine::{Counters, Engine};
use gradus::params::shown_path;
use gradus::run::RunFile;
use gradus::train::{CacheNote, Error, Evaluation, Event, Trainer};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Train {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    ranks: HowRanks,
    /// Replace a value of the file, as in --set optimizer.lr=3e-4; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Start a run again: its old files are removed.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    #[command(flatten)]
    loudness: Loudness,
}

const EXAMPLES: &str = "\
Examples:
  gradus train run.yaml                            train; the results are in runs/run/
  gradus train run.yaml --set epochs=5 --set name=longer
  gradus train --resume runs/run                   resume after Ctrl-C or a crash
  gradus train run.yaml --adapters 0,1             train on two adapters (docs/ranks.md)
  mpirun -n 4 gradus train run.yaml                train in four processes, if built with the feature mpi

Ctrl-C finishes the step, writes a checkpoint and prints the command that resumes. SIGTERM and SIGHUP (without
nohup) do the same. A second signal ends the program at once.
Exit codes: 0 done, 1 failed, 2 the request cannot be carried out, 130 ended by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.";

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The run file.
    #[arg(value_name = "RUN.YAML")]
    file: Option<PathBuf>,
    /// Resume the run of this folder from its last checkpoint.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
}

/// How much is printed.
#[derive(Args)]
pub(super) struct Loudness {
    /// Print errors and warnings only.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more: the programs of a step, each checkpoint, every thawed parameter.
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

pub(super) fn run(asks: &Asks, options: &Train) -> anyhow::Result<ExitCode> {
    say::go_on_without_stdout();
    ranks::each(asks, &options.ranks, |asks, ranks| {
        let says = if ranks.rank().is_first() { options.loudness.says() } else { Says::Nothing };
        let set_up = match (&options.which.resume, &options.which.file) {
            (Some(folder), _) => Some(going_on((asks, ranks), folder, &options.settings, says)?),
            (None, Some(file)) => {
                let run = ranks.agree(RunFile::read(file, &options.settings).map_err(Into::into))?;
                beginning((asks, ranks), run, options.overwrite, says)?
            }
            (None, None) => bail!("name a run file"),
        };
        set_up.map_or(Ok(ExitCode::SUCCESS), |set_up| train(set_up, ranks, says))
    })
}

/// Begins a run and trains it; `overwrites` what is in its folder.
pub(super) fn begin(asks: &Asks, run: RunFile, overwrites: bool, says: Says) -> anyhow::Result<ExitCode> {
    say::go_on_without_stdout();
    let alone = &mut Ranks::alone();
    match beginning((asks, alone), run, overwrites, says)? {
        Some(set_up) => train(set_up, alone, says),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn train(set_up: SetUp, ranks: &Ranks, says: Says) -> anyhow::Result<ExitCode> {
    let SetUp { engine, ready, mut trainer, checked, out, folder } = set_up;
    let Some(mut out) = out else { return ranks.follow(&mut trainer) };
    trainer.note_checked(&checked.line);
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
    if says >= Says::Usual {
        ready.run.schedule.intervals().iter().for_each(|told| say!("{told}"));
    }
    let (unit, of_row) = ready.material.units;
    let look = Look { units: (unit, of_row * ready.rows_per_step()), says };
    let (started, before) = (Instant::now(), engine.counters());
    signals::listen()?;
    let mut verdict = Verdict::default();
    let note = |event: &Event| {
        verdict.note(event);
        out.note(event)
    };
    let ended = train_with_bar(&mut trainer, &look, || signals::ended().is_some(), note)?;
    let Ended { last, interrupted, broke } = ended;
    let checkpoint = if interrupted { trainer.checkpoint_now(|event| drop(out.note(event))) } else { Ok(None) };
    let finished = match &broke {
        None => out.finish(&mut trainer),
        Some(_) => Ok(()),
    };
    let seconds = started.elapsed().as_secs_f64();
    let mut rows = environment(&engine, &trainer, engine.counters() - before, seconds);
    rows.extend(out.remarks.iter().map(|remark| ("remark", remark.clone())));
    for note in trainer.trunk_notes() {
        if matches!(note, CacheNote::Damaged(_) | CacheNote::NotKept(_)) {
            caution!("frozen trunk: {}", cache::noted(&note));
        }
    }
    let failure = last.as_ref().and_then(|last| verdict.failure(last));
    let broken = broke.as_ref().map(|error| format!("{error}, {}", verdict.cause()));
    rows.extend(broken.iter().chain(&failure).map(|text| ("failed", text.clone())));
    let memory = memory::rows(&ready, &trainer)?;
    let mut sections =
        vec![("Memory in the last phase", memory), ("Check of the kernels", checked.rows), ("Environment", rows)]
            .into_iter()
            .map(|(title, rows)| (title, rows.into_iter().map(|(name, told)| (name.to_owned(), told)).collect()))
            .collect::<Vec<Section>>();
    if !ready.precision.is_empty() {
        sections.insert(1, ("Mixed precision", ready.precision.clone()));
    }
    if matches!(finished, Ok(())) && broke.is_none() && !interrupted {
        mistakes::write(&folder, &engine, &ready)?;
    }
    let report = report::write(&folder, [&ready.run.name, &ready.material.summary], best_text(&trainer), &sections);
    if let Some(last) = last.filter(|last| last.skipped_steps > 0 && failure.is_none()) {
        let (skipped, steps) = (last.skipped_steps, last.steps);
        caution!("{skipped} of {steps} steps were skipped: their gradients were not finite");
    }
    match broke {
        Some(error @ (Error::Broken { .. } | Error::NotFinite { .. })) => bail!("{error}, {}", verdict.cause()),
        Some(error @ Error::Schedule(_)) => {
            tell!("{} steps were trained and are in a checkpoint", trainer.cursor().step());
            tell!(
                "correct the schedule and resume with: gradus train --resume {} --set KEY=VALUE",
                shown_path(&folder)
            );
            return Err(error.into());
        }
        Some(error) => return Err(error.into()),
        None => {}
    }
    if let Some(code) = signals::ended().filter(|_| interrupted) {
        match checkpoint?.or_else(|| out.checkpoint().map(Path::to_owned)) {
            Some(at) => tell!("interrupted after {} steps; {} holds them", trainer.cursor().step(), shown_path(&at)),
            None => tell!("interrupted after {} steps; no checkpoint holds them", trainer.cursor().step()),
        }
        tell!("resume with: gradus train --resume {}", shown_path(&folder));
        return Ok(ExitCode::from(code));
    }
    finished?;
    let report = report?;
    if says >= Says::Usual {
        summarize(&trainer, last, seconds);
        tell_what_is_left(&folder, &report, &ready);
    }
    match failure {
        Some(failure) => bail!("the run failed: {failure}"),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// How the numbers of a run were made.
fn environment(engine: &Engine, trainer: &Trainer, counted: Counters, seconds: f64) -> Vec<(&'static str, String)> {
    let adapter = engine.adapter().map_or_else(
        || "cpu (no shader ran)".to_owned(),
        |adapter| format!("{} ({}, {}; {})", adapter.name, adapter.kind, adapter.backend, adapter.driver),
    );
    let command: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let trunk = trainer.trunk_bytes();
    let mut environment = vec![
        ("command", command.join(" ")),
        ("adapter", adapter),
        ("gradus", env!("CARGO_PKG_VERSION").to_owned()),
        ("platform", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("seconds of this process", format!("{seconds:.1}")),
        ("submissions, dispatches", format!("{}, {}", counted.submissions, counted.dispatches)),
        ("waits for the device", counted.blocking_waits.to_string()),
        ("moved by programs", megabytes(counted.program_bytes)),
        ("of this by the optimizer", megabytes(trainer.optimizer_bytes())),
        (
            "uploaded, downloaded",
            format!("{}, {}", megabytes(counted.uploaded_bytes), megabytes(counted.downloaded_bytes)),
        ),
    ];
    let exchanged = trainer.exchanged();
    if exchanged.steps > 0 {
        environment.push(("ranks", ranks::told(trainer.rank(), &exchanged)));
    }
    if trunk > 0 {
        environment.push(("frozen trunk cached", megabytes(trunk)));
        environment.extend(trainer.trunk_notes().iter().map(|note| ("frozen trunk", cache::noted(note))));
    }
    environment
}

/// Prints where the results are, and what to do next.
fn tell_what_is_left(folder: &Path, report: &Path, ready: &Ready) {
    let shown = shown_path(folder);
    say!("model          {}", shown_path(&folder.join(MODEL)));
    say!("report         {}", shown_path(report));
    if ready.run.model.kind.answers() {
        say!("next           gradus predict {shown} FILE");
    } else {
        say!("next           gradus generate {shown} --prompt TEXT");
    }
}

fn summarize(trainer: &Trainer, last: Option<Evaluation>, seconds: f64) {
    let Some(last) = last else {
        say!("the run had ended: nothing is left to train");
        return;
    };
    say!();
    say!("steps          {} in {seconds:.1} s", trainer.cursor().step());
    if trainer.step_upload_bytes() > 0 {
        say!(
            "uploads        {:.2} MB a step: its examples stay in host memory",
            trainer.step_upload_bytes() as f64 / 1e6
        );
    }
    if trainer.trunk_bytes() > 0 {
        let notes = trainer.trunk_notes();
        let is_read = !notes.is_empty() && notes.iter().all(|note| matches!(note, CacheNote::Read(_)));
        let of = if is_read { ", read from an earlier run's" } else { "" };
        say!("frozen trunk   {:.1} MB cached{of}", trainer.trunk_bytes() as f64 / 1e6);
    }
    if last.val_loss.is_finite() {
        say!("test loss      {:.4}, {}", last.val_loss, scores::words(&last));
    }
    if let Some(best) = best_text(trainer) {
        say!("best           {best}");
    }
}
