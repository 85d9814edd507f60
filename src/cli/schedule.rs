//! `gradus schedule generate`: a schedule to begin with.

use super::asked::refuse;
use super::demo::MlpSizes;
use super::plan::check_output;
use super::say::{self, say};
use super::train::setting;
use clap::{Args, ValueEnum};
use gradus::nn::Network;
use gradus::params::{Param, shown_path};
use gradus::run::{Material, RunFile};
use gradus::schedule::{by_layer, implicit, to_yaml};
use gradus::train::files;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Generate {
    /// A run file; the parameters of its model thaw.
    #[arg(value_name = "RUN.YAML", required_unless_present = "model")]
    file: Option<PathBuf>,
    /// Replace a value of the run file; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting, requires = "file")]
    settings: Vec<(String, String)>,
    /// Model whose parameters thaw.
    #[arg(long, value_name = "NAME", value_parser = ["mlp"], conflicts_with = "file")]
    model: Option<String>,
    #[command(flatten)]
    network: MlpSizes,
    /// Which parameters thaw together.
    #[arg(long, value_enum, default_value = "pair")]
    by: By,
    /// File to write; without it the schedule is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite an existing file.
    #[arg(long, requires = "out")]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// Two parameters a phase, from the last one up: the implicit schedule.
    Pair,
    /// A layer a phase: the head first, embeddings last.
    Layer,
}

pub(super) fn generate(options: &Generate) -> anyhow::Result<()> {
    let text = match &options.file {
        Some(file) => {
            if let Some((name, _)) = options.network.given().into_iter().find(|(_, is_given)| *is_given) {
                refuse!("{name}: the run file names the model");
            }
            let run = RunFile::read(file, &options.settings)?;
            schedule(options, &run.model.kind.to_string(), &Material::read(&run)?.task.params())
        }
        None => {
            let sizes: Vec<String> = options.network.sizes().iter().map(usize::to_string).collect();
            schedule(options, &format!("mlp {}", sizes.join("-")), &options.network.model()?.params())
        }
    };
    let Some(path) = &options.out else {
        say::data(&text);
        return Ok(());
    };
    check_output("--out", path)?;
    if path.exists() && !options.force {
        refuse!("--out {}: this file exists already; --force overwrites it", shown_path(path));
    }
    files::replace(path, text.as_bytes())?;
    say!("written   {}", shown_path(path));
    Ok(())
}

fn schedule(options: &Generate, model: &str, params: &[Param]) -> String {
    let (phases, what) = match options.by {
        By::Pair => (implicit(params), "two parameters a phase"),
        By::Layer => (by_layer(params), "a layer a phase"),
    };
    let about = format!("# {model}: {what}, the head first.");
    let keys =
        "# Phase 0 has the optimizer's rate. Others take lr (1e-5 without it); any may take max_transition_epoch.";
    format!("{about}\n{keys}\n{}", to_yaml(&phases))
}
