//! `--batch-size` and `--lr-scaling`: rows of a batch, found by trials on request, and rates scaled with them.

use super::asked::refuse;
use super::say::say;
use clap::{Args, ValueEnum};
use gradus::engine::Engine;
use gradus::params::Group;
use gradus::run::RunFile;
use gradus::schedule::{Epochs, LrScaling, ModelParams, Plan, Spec};
use gradus::train::{Config, Recomputed, Task, auto_batch_size, recomputed_layers};

#[derive(Args)]
pub(super) struct Batch {
    /// Rows of a batch, or `auto`: the size that trains fastest within --memory-limit.
    #[arg(long, value_name = "ROWS", value_parser = size)]
    batch_size: Option<Size>,
    /// How rates follow the batch size, from that of the demo on.
    #[arg(long, value_name = "HOW", default_value = "none")]
    lr_scaling: Scaling,
    /// Megabytes that `--batch-size auto` may use for parameters, gradients, moments and activations.
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    memory_limit: u64,
}

#[derive(Clone, Copy)]
enum Size {
    Rows(usize),
    Auto,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scaling {
    None,
    Linear,
    Sqrt,
}

fn size(text: &str) -> Result<Size, String> {
    match text {
        "auto" => Ok(Size::Auto),
        rows => rows.parse().map(Size::Rows).map_err(|_| "a number of rows, or auto".to_owned()),
    }
}

impl Batch {
    /// Whether the size is found by trials.
    pub(super) fn is_auto(&self) -> bool {
        matches!(self.batch_size, Some(Size::Auto))
    }

    /// What was asked for, for the name of a file.
    pub(super) fn label(&self) -> String {
        let size = match self.batch_size {
            None => String::new(),
            Some(Size::Rows(rows)) => format!("-batch{rows}"),
            Some(Size::Auto) => "-auto".to_owned(),
        };
        let scaling = match self.lr_scaling {
            Scaling::None => "",
            Scaling::Linear => "-linear",
            Scaling::Sqrt => "-sqrt",
        };
        size + scaling
    }

    /// Rows of a batch: as asked for, or what the settings have.
    pub(super) fn rows(&self, engine: &Engine, task: &dyn Task, config: &Config, spec: &Spec) -> anyhow::Result<usize> {
        match self.batch_size {
            None => Ok(config.batch_size),
            Some(Size::Rows(0)) => refuse!("--batch-size 0: at least 1 is needed"),
            Some(Size::Rows(rows)) => Ok(rows),
            Some(Size::Auto) => {
                let limit_bytes = self.memory_limit.saturating_mul(1_000_000);
                find(engine, task, config, spec, limit_bytes, true)
            }
        }
    }

    /// The schedule with rates for so many rows, if it is meant for `base`.
    pub(super) fn scaled(&self, spec: &Spec, rows: usize, base: usize) -> anyhow::Result<Spec> {
        let scaling = match self.lr_scaling {
            Scaling::None => LrScaling::None,
            Scaling::Linear => LrScaling::Linear,
            Scaling::Sqrt => LrScaling::Sqrt,
        };
        let factor = scaling.factor(rows, base)?;
        if factor != 1.0 {
            say!("rates are multiplied by {factor:.3}");
        }
        Ok(spec.scaled(scaling, rows, base)?)
    }
}

/// The batch size that trains fastest within a limit; `says` prints the trials.
pub(super) fn find(
    engine: &Engine,
    task: &dyn Task,
    config: &Config,
    spec: &Spec,
    limit_bytes: u64,
    says: bool,
) -> anyhow::Result<usize> {
    let groups = all_that_thaws(task, config, spec)?;
    let found = auto_batch_size(engine, task, config, &groups, limit_bytes)?;
    if says {
        say!("batch size  megabytes  rows/s");
        for tried in &found.tried {
            let speed = tried.samples_per_second.map_or("no room".to_owned(), |speed| format!("{speed:.0}"));
            say!("{:>10}  {:>9.1}  {speed}", tried.batch_size, tried.bytes as f64 / 1e6);
        }
        say!("batch size {}", found.batch_size);
    }
    Ok(found.batch_size)
}

/// The layers that make their activations again so that a step of so many rows fits the limit that the run has; `None` without one.
pub(super) fn recomputed(task: &dyn Task, config: &Config, run: &RunFile) -> anyhow::Result<Option<Recomputed>> {
    let Some(limit_bytes) = run.memory_limit_bytes else { return Ok(None) };
    let groups = all_that_thaws(task, config, &run.schedule)?;
    Ok(Some(recomputed_layers(task, config, &groups, limit_bytes)?))
}

/// What they save and cost, in a line.
pub(super) fn told(again: &Recomputed) -> String {
    let Recomputed { layers, of, bytes, bytes_if_kept, products, .. } = again;
    let [bytes, kept] = [bytes, bytes_if_kept].map(|bytes| *bytes as f64 / 1e6);
    match layers {
        0 => format!("memory: {bytes:.1} MB; every layer keeps its activations"),
        _ => format!(
            "memory: {bytes:.1} MB instead of {kept:.1}; the lowest {layers} of {of} layers make their activations again, with {:.0} % \
             more multiplications",
            100.0 * (products - 1.0)
        ),
    }
}

/// All that ever thaws, a group for each row: a later phase needs the most.
fn all_that_thaws(task: &dyn Task, config: &Config, spec: &Spec) -> anyhow::Result<Vec<Group>> {
    let (params, tied, in_class) = (task.params(), task.tied(), task.names_in_class());
    let epochs = Epochs { epochs: config.epochs as u64, steps_per_epoch: task.steps_per_epoch(config)? };
    let plan = Plan::new(spec, ModelParams { params: &params, tied: &tied, in_class: &in_class }, epochs)?;
    let mut groups: Vec<Group> = Vec::new();
    for place in plan.phases().iter().flat_map(|phase| &phase.params) {
        let (row, name) = (plan.row_of_param(0, *place), params[*place].name.clone());
        match groups.iter_mut().find(|group| group.row == row) {
            Some(group) => group.params.push(name),
            None => groups.push(Group::new(format!("all that thaws, {}", groups.len()), row, [name])),
        }
    }
    Ok(groups)
}
