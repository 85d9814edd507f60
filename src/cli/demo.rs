//! `gradus demo mlp`.

use anyhow::{Context, bail};
use clap::Args;
use gradus::data;
use gradus::engine::{Counters, Engine};
use gradus::nn::{self, Activation};
use gradus::optim::Settings;
use gradus::schedule::Spec;
use gradus::train::{Config, Epoch, Progress, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SCHEDULE: &str = include_str!("../../schedules/digits_mlp.yaml");

#[derive(Args)]
pub(super) struct Mlp {
    /// Sizes of the hidden layers.
    #[arg(long, value_delimiter = ',', default_value = "128,64", value_name = "SIZES")]
    hidden: Vec<usize>,
    /// Activation between layers: relu or gelu.
    #[arg(long, default_value = "gelu", value_name = "NAME")]
    activation: String,
    /// Times through the train set.
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    /// Rows of a batch.
    #[arg(long, default_value_t = 32, value_name = "ROWS")]
    batch_size: usize,
    /// Learning rate at the start; the schedule's where not given.
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Seed of the split, the initial values and the order of the rows.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Folder for the parameters (model.safetensors) and the epochs (metrics.jsonl); made where it is not there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(engine: &Engine, options: &Mlp) -> anyhow::Result<()> {
    let spec = Spec::parse("schedules/digits_mlp.yaml", SCHEDULE)?;
    let digits = data::digits()?;
    let (train, test) = digits.split(20, options.seed)?;
    let sizes: Vec<usize> =
        [digits.inputs()].into_iter().chain(options.hidden.iter().copied()).chain([digits.classes()]).collect();
    let model = nn::Mlp::new(&sizes, Activation::parse(&options.activation)?)?;
    let row = gradus::params::Row { lr: options.lr.unwrap_or(spec.row.lr), ..spec.row };
    if let Err(gradus::params::Error::BadValue { field, value, allowed, .. }) = row.check("") {
        bail!("--lr {value}: {field} is not {allowed}");
    }
    let config = Config {
        batch_size: options.batch_size,
        micro_batches: 1,
        epochs: options.epochs,
        seed: options.seed,
        row,
        no_decay: spec.no_decay.clone(),
        settings: Settings { guard: true, ..Settings::default() },
    };
    if let Some(folder) = &options.out {
        fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    }

    let started = Instant::now();
    let mut trainer = Trainer::new(engine, &model, (&train, &test), config, |groups, run| spec.laws(groups, run))?;
    let parameters: usize = model.params().iter().map(gradus::params::Param::elements).sum();
    let layers: Vec<String> = sizes.iter().map(usize::to_string).collect();
    println!(
        "{} digits to train on, {} to test; {} ({parameters} parameters)",
        train.rows(),
        test.rows(),
        layers.join("-")
    );

    let before = engine.counters();
    let epochs = train_with_bar(&mut trainer, options.epochs)?;
    let seconds = started.elapsed().as_secs_f64();
    summarize(
        engine,
        parameters,
        options.epochs as u64 * trainer.steps_per_epoch(),
        seconds,
        engine.counters() - before,
    );
    if let Some(folder) = &options.out {
        save(folder, &trainer, &epochs)?;
    }
    let Some(last) = epochs.last() else { bail!("no epoch was reported") };
    println!("test accuracy  {:.2} %", 100.0 * last.test_accuracy);
    Ok(())
}

fn train_with_bar(trainer: &mut Trainer, epochs: usize) -> anyhow::Result<Vec<Epoch>> {
    let bar = ProgressBar::new(epochs as u64 * trainer.steps_per_epoch());
    bar.set_style(ProgressStyle::with_template("{bar:30} step {pos}/{len}  loss {msg}")?);
    bar.println("epoch        lr   train loss   test loss   accuracy");
    if bar.is_hidden() {
        println!("epoch        lr   train loss   test loss   accuracy");
    }
    let done = RefCell::new(Vec::new());
    let on_step = |progress: &Progress| {
        bar.set_position(progress.step + 1);
        bar.set_message(format!("{:.4}", progress.loss));
    };
    let on_epoch = |epoch: &Epoch| {
        let line = format!(
            "{:>5}  {:.2e}   {:>10.4}  {:>10.4}   {:>6.2} %",
            epoch.epoch,
            epoch.lr,
            epoch.train_loss,
            epoch.test_loss,
            100.0 * epoch.test_accuracy
        );
        if bar.is_hidden() {
            println!("{line}")
        } else {
            bar.println(line)
        }
        done.borrow_mut().push(*epoch);
    };
    trainer.run(on_step, on_epoch)?;
    bar.finish_and_clear();
    Ok(done.into_inner())
}

fn summarize(engine: &Engine, parameters: usize, steps: u64, seconds: f64, counted: Counters) {
    let per_step = |count: u64| count as f64 / steps as f64;
    let adapter = engine.adapter().map_or_else(
        || "cpu (the twins; no shader ran)".to_owned(),
        |adapter| format!("{} ({}, {}; {})", adapter.name, adapter.kind, adapter.backend, adapter.driver),
    );
    println!();
    println!("adapter        {adapter}");
    println!("parameters     {parameters}");
    println!("steps          {steps} in {seconds:.1} s, {:.0} steps/s", steps as f64 / seconds);
    println!(
        "per step       {:.2} submissions (evaluations included), {:.0} bytes uploaded, {:.2} bytes downloaded",
        per_step(counted.submissions),
        per_step(counted.uploaded_bytes),
        per_step(counted.downloaded_bytes)
    );
    println!(
        "waits          {:.4} blocking waits per step ({} in all: the end of the run), {} short sleeps while the device had work",
        per_step(counted.blocking_waits),
        counted.blocking_waits,
        counted.throttles
    );
}

/// Writes what a run leaves behind; each file beside itself first, then renamed.
fn save(folder: &Path, trainer: &Trainer, epochs: &[Epoch]) -> anyhow::Result<()> {
    let mut lines = String::new();
    for epoch in epochs {
        lines.push_str(&serde_json::to_string(epoch)?);
        lines.push('\n');
    }
    for (name, bytes) in [("model.safetensors", trainer.parameters().save()?), ("metrics.jsonl", lines.into_bytes())] {
        let path = folder.join(name);
        let beside = folder.join(format!("{name}.new"));
        fs::write(&beside, bytes).with_context(|| format!("writing {}", beside.display()))?;
        fs::rename(&beside, &path).with_context(|| format!("renaming {} to {}", beside.display(), path.display()))?;
        println!("written        {}", path.display());
    }
    Ok(())
}
