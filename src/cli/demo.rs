//! `gradus demo mlp`.

use super::asked::{Asked, refuse};
use super::batch::Batch;
use super::model_folder::MODEL;
use super::progress::{Ended, Look, best_text, train_with_bar};
use super::run_folder::RunFolder;
use super::run_lock::LockedFolder;
use super::say::{self, caution, say};
use super::says::Says;
use anyhow::Context;
use clap::Args;
use gradus::data;
use gradus::engine::{Counters, Engine};
use gradus::nn::{Activation, Model, Network, models};
use gradus::params::{Param, shown_path};
use gradus::schedule::{Plan, Spec, implicit, to_yaml};
use gradus::train::{Classify, Config, Event, Trainer, files};
use std::path::{Path, PathBuf};
use std::time::Instant;

const SCHEDULE: &str = include_str!("../../schedules/digits_mlp.yaml");

/// The network of the demo.
#[derive(Args)]
pub(super) struct MlpSizes {
    /// Sizes of the hidden layers [default: 128,64].
    #[arg(long, value_delimiter = ',', value_name = "SIZES")]
    hidden: Vec<usize>,
    /// Activation between layers: relu or gelu [default: gelu].
    #[arg(long, value_name = "NAME")]
    activation: Option<String>,
}

impl MlpSizes {
    /// Sizes of all layers, for digits of 8 by 8 pixels.
    pub(super) fn sizes(&self) -> Vec<usize> {
        let hidden: &[usize] = if self.hidden.is_empty() { &[128, 64] } else { &self.hidden };
        [64].into_iter().chain(hidden.iter().copied()).chain([10]).collect()
    }

    /// Whether any of it is asked for.
    pub(super) fn given(&self) -> [(&'static str, bool); 2] {
        [("--hidden", !self.hidden.is_empty()), ("--activation", self.activation.is_some())]
    }

    pub(super) fn model(&self) -> anyhow::Result<models::Mlp> {
        Ok(models::Mlp::new(&self.sizes(), Activation::parse(self.activation.as_deref().unwrap_or("gelu"))?)?)
    }
}

#[derive(Args)]
pub(super) struct Mlp {
    #[command(flatten)]
    network: MlpSizes,
    /// Schedule to follow; without FILE the implicit schedule, which thaws two parameters a phase from the head down.
    /// Without this option everything trains from the start.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = IMPLICIT)]
    schedule: Option<String>,
    /// Times through the train set.
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    #[command(flatten)]
    batch: Batch,
    /// Learning rate at the start [default: that of the schedule].
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Seed of the split, the initial values and the order of the rows.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Folder for the results: model.safetensors, best.safetensors, metrics.jsonl, schedule.yaml and checkpoints.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Steps between checkpoints [default: one after each evaluation].
    #[arg(long, value_name = "STEPS", requires = "out")]
    checkpoint_every: Option<u64>,
    /// Resume from the last good checkpoint in --out.
    #[arg(long, requires = "out")]
    resume: bool,
}

/// The value of `--schedule` without a file.
const IMPLICIT: &str = "implicit";

pub(super) fn run(engine: &Engine, options: &Mlp) -> anyhow::Result<()> {
    if options.out.is_some() {
        say::go_on_without_stdout();
    }
    let mut spec = read_schedule(options.schedule.as_deref())?;
    spec.row.lr = options.lr.unwrap_or(spec.row.lr);
    if let Err(gradus::params::Error::BadValue { field, value, allowed, .. }) = spec.row.check("") {
        refuse!("--lr {value}: {field} is not {allowed}");
    }
    let model = options.network.model()?;
    if spec.finetuning.gen_ft_sched_only {
        say::data(&to_yaml(&implicit(&model.params())));
        return Ok(());
    }
    let (train, test) = data::digits()?.split_stratified(20, options.seed)?;
    if options.resume && options.batch.is_auto() {
        refuse!("--resume with --batch-size auto: name the size that the run began with");
    }
    let config = Config::default().epochs(options.epochs).seed(options.seed);
    let task = Classify::new(&model, (&train, &test))?;
    let rows = options.batch.rows(engine, &task, &config, &spec)?;
    let spec = options.batch.scaled(&spec, rows, config.batch_size)?;
    let config = config.batch_size(rows);
    let look = Look { units: ("rows", rows), says: Says::Usual };
    let started = Instant::now();
    let mut trainer = Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs))?;
    let whole = Model::from(model.clone());
    let mut folder = match &options.out {
        Some(path) => {
            let (locked, every_steps) = (LockedFolder::take(path)?, options.checkpoint_every);
            Some(match options.resume {
                true => RunFolder::resume(locked, (&mut trainer, &whole), every_steps, Says::Usual)?,
                false => RunFolder::begin(locked, (&mut trainer, &whole), every_steps)?,
            })
        }
        None => None,
    };
    let parameters: usize = model.params().iter().map(Param::elements).sum();
    let layers: Vec<String> = options.network.sizes().iter().map(usize::to_string).collect();
    let (rows, tests) = (train.rows(), test.rows());
    say!("{rows} digits to train on, {tests} to test; {} ({parameters} parameters)", layers.join("-"));
    for warning in trainer.plan().warnings() {
        caution!("{warning}");
    }

    let (before, first_step) = (engine.counters(), trainer.cursor().step());
    let note = |event: &Event| folder.as_mut().map_or(Ok(()), |folder| folder.note(event));
    let Ended { last, .. } = train_with_bar(&mut trainer, &look, || false, note)?.sound()?;
    let seconds = started.elapsed().as_secs_f64();
    summarize(engine, parameters, trainer.cursor().step() - first_step, seconds, engine.counters() - before);
    if let Some(folder) = &mut folder {
        folder.finish(&mut trainer)?;
        options.out.iter().for_each(|out| say!("model          {}", shown_path(&out.join(MODEL))));
    }
    let Some(last) = last else {
        say!("the run had ended: nothing is left to train");
        return Ok(());
    };
    if let Some(best) = best_text(&trainer) {
        say!("best           {best}");
    }
    say!("test accuracy  {:.2} %", 100.0 * last.metric("val_accuracy").unwrap_or(f64::NAN));
    Ok(())
}

fn read_schedule(file: Option<&str>) -> anyhow::Result<Spec> {
    Ok(match file {
        None => Spec::parse("schedules/digits_mlp.yaml", SCHEDULE)?,
        Some(IMPLICIT) if !Path::new(IMPLICIT).exists() => Spec::implicit(),
        Some(file) => Spec::parse(
            file,
            &files::read_text(Path::new(file)).with_context(|| format!("reading {file}")).map_err(Asked::error)?,
        )?,
    })
}

fn summarize(engine: &Engine, parameters: usize, steps: u64, seconds: f64, counted: Counters) {
    let per_step = |count: u64| count as f64 / steps as f64;
    let adapter = engine.adapter().map_or_else(
        || "cpu (no shader ran)".to_owned(),
        |adapter| format!("{} ({}, {}; {})", adapter.name, adapter.kind, adapter.backend, adapter.driver),
    );
    say!();
    say!("adapter        {adapter}");
    say!("parameters     {parameters}");
    say!("steps          {steps} in {seconds:.1} s, {:.0} steps/s", steps as f64 / seconds);
    say!(
        "per step       {:.2} submissions (evaluations included), {:.0} bytes uploaded, {:.2} bytes downloaded",
        per_step(counted.submissions),
        per_step(counted.uploaded_bytes),
        per_step(counted.downloaded_bytes)
    );
    say!(
        "waits          {:.4} blocking waits per step ({} in all: evaluations that decide, checkpoints, the end of the run), {} short sleeps while the device had work",
        per_step(counted.blocking_waits),
        counted.blocking_waits,
        counted.throttles
    );
}
