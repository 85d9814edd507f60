//! `gradus demo pictures`: a small ResNet on emoji that are part of the program.

use super::asks::Asks;
use super::train::{self, Loudness};
use clap::Args;
use gradus::run::RunFile;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The run; `gradus train` would do the same with it.
const RUN: &str = "\
model: {type: resnet, depth: 18, width: 16, size: 32}
data: {embedded: emoji, test_percent: 20, augmentation: {flip: true, padding: 4}}
epochs: 25
batch_size: 32
optimizer: {type: adamw, lr: 4.0e-3, weight_decay: 0.05, no_decay: [bias, bn, downsample.1]}
lr_scheduler: {type: one_cycle}
";

#[derive(Args)]
pub(super) struct Options {
    /// Folder that holds the run's folder, emoji.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Times through the train set.
    #[arg(long, value_name = "EPOCHS")]
    epochs: Option<usize>,
    /// Start again: the old files of the run are removed.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    loudness: Loudness,
}

pub(super) fn run(asks: &Asks, options: &Options) -> anyhow::Result<ExitCode> {
    let output = std::path::absolute(&options.out)?.to_string_lossy().into_owned();
    let epochs = options.epochs.map(|epochs| ("epochs".to_owned(), epochs.to_string()));
    let settings: Vec<(String, String)> = [("output".to_owned(), output)].into_iter().chain(epochs).collect();
    let run = RunFile::parse("demo pictures", RUN, (Path::new(""), "emoji"), &settings)?;
    train::begin(asks, run, options.overwrite, options.loudness.says())
}
