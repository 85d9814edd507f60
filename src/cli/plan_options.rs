//! What `gradus plan` is asked.

use super::asked::refuse;
use super::demo::MlpSizes;
use super::demo_transformer;
use super::rates_told::Outputs;
use super::train::setting;
use clap::{Args, ValueEnum};
use gradus::params::Storage;
use gradus::schedule;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Plan {
    /// A run file, which needs no other option; or a schedule: a YAML file with the sections `optimizer`, `lr_scheduler` and
    /// `laws`, or with phases, which needs --model or --shapes.
    #[arg(value_name = "FILE.yaml")]
    pub(super) file: PathBuf,
    /// Replace a value of the run file, as in --set epochs=5; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(super) settings: Vec<(String, String)>,
    /// Model whose parameters the phases thaw: prints what each phase thaws, moves and keeps in memory. For the transformer,
    /// the demo's decoder, also the memory of activations and the dispatches of forward pass, loss and backward pass.
    #[arg(long, value_enum, value_name = "NAME")]
    pub(super) model: Option<ModelName>,
    /// A safetensors file whose parameters the phases thaw; only its header is read. Needs --steps-per-epoch.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "hidden", "activation", "preset", "batch_size"])]
    pub(super) shapes: Option<PathBuf>,
    /// Measure the optimizer on this adapter, and print the shortest possible time of a step in each phase, by its bytes.
    #[arg(long)]
    pub(super) time: bool,
    /// Write the cost of each phase as JSON. For the rates of a schedule without phases use --csv.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) network: MlpSizes,
    /// Size of the transformer: tiny, small or base [default: tiny].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["hidden", "activation"])]
    pub(super) preset: Option<String>,
    /// Sequences of a batch of the transformer [default: 16].
    #[arg(long, value_name = "ROWS")]
    pub(super) batch_size: Option<usize>,
    /// Storage of parameters, for --model and --shapes: f32, or bf16 for matrices only.
    #[arg(long, value_name = "STORAGE", value_parser = demo_transformer::storage_of_parameters)]
    pub(super) parameters: Option<Storage>,
    /// Epochs of the run, for --model and --shapes [default: 30].
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<u64>,
    /// Steps of the run.
    #[arg(long, value_name = "N")]
    pub(super) steps: Option<u64>,
    /// Steps of an epoch, for schedules that count epochs [default with --model: that of the demo].
    #[arg(long, value_name = "M")]
    pub(super) steps_per_epoch: Option<u64>,
    /// Of a run file: the bytes and seconds that so many ranks exchange in a step of each phase, by --link and --bus.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "json")]
    pub(super) ranks: Option<u64>,
    /// GB that a rank sends in a second, and gets at the same time [12.5 is a network of 100 Gbit/s].
    #[arg(long, value_name = "GB/S", default_value_t = 12.5, requires = "ranks", value_parser = rate)]
    link: f64,
    /// GB in a second between host and device [25 is PCI Express 4.0 with 16 lanes].
    #[arg(long, value_name = "GB/S", default_value_t = 25.0, requires = "ranks", value_parser = rate)]
    bus: f64,
    #[command(flatten)]
    pub(super) outputs: Outputs,
}

/// What ranks are connected by, in GB a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) ranks: usize,
    /// From a rank to the others, and at the same time back.
    pub(super) link: f64,
    /// Between host and device.
    pub(super) bus: f64,
}

/// A rate that is one.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("a number above 0".to_owned()),
    }
}

impl Plan {
    /// Refuses options that repeat what the run file says, or that apply to something missing.
    pub(super) fn refuse(&self, told: &str) -> anyhow::Result<()> {
        let given = [
            ("--model", self.model.is_some()),
            ("--shapes", self.shapes.is_some()),
            ("--steps", self.steps.is_some()),
            ("--steps-per-epoch", self.steps_per_epoch.is_some()),
        ];
        self.refuse_model(told)?;
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => refuse!("{name}: {told}"),
            None => Ok(()),
        }
    }

    /// The ranks whose exchange is asked for.
    pub(super) fn links(&self) -> Option<Links> {
        let ranks = usize::try_from(self.ranks?).unwrap_or(usize::MAX);
        Some(Links { ranks, link: self.link, bus: self.bus })
    }

    /// Refuses options about a model.
    pub(super) fn refuse_model(&self, told: &str) -> anyhow::Result<()> {
        let given = [
            ("--epochs", self.epochs.is_some()),
            ("--parameters", self.parameters.is_some()),
            ("--preset", self.preset.is_some()),
            ("--batch-size", self.batch_size.is_some()),
        ];
        match given.into_iter().chain(self.network.given()).find(|(_, is_given)| *is_given) {
            Some((name, _)) => refuse!("{name}: {told}"),
            None => Ok(()),
        }
    }

    /// How long the run is, by --epochs or by --steps.
    pub(super) fn length(&self, steps_per_epoch: u64) -> anyhow::Result<schedule::Epochs> {
        let of_epoch = self.steps_per_epoch.unwrap_or(steps_per_epoch);
        Ok(match (self.steps, self.epochs) {
            (Some(_), Some(_)) => refuse!("--steps and --epochs: only one of them can be given"),
            (Some(steps), None) if steps.is_multiple_of(of_epoch) => {
                schedule::Epochs { epochs: steps / of_epoch, steps_per_epoch: of_epoch }
            }
            (Some(steps), None) if self.steps_per_epoch.is_none() => {
                schedule::Epochs { epochs: 1, steps_per_epoch: steps }
            }
            (Some(steps), None) => refuse!("--steps {steps} is not a whole number of epochs of {of_epoch} steps"),
            (None, epochs) => schedule::Epochs { epochs: epochs.unwrap_or(30), steps_per_epoch: of_epoch },
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelName {
    Mlp,
    Transformer,
}
