//! `gradus plan`: what a schedule will do, before anything trains.

use super::asked::{Asked, refuse};
use super::asks::Asks;
use super::plan_options::{ModelName, Plan};
use super::plan_told::{MOST_STEPS, told};
use super::rates::Rows;
use super::rates_told::{self, Outputs};
use super::say::{self, caution};
use super::says::Says;
use super::{demo_transformer, phase_table, plan_run};
use anyhow::Context;
use gradus::data::Vocabulary;
use gradus::measure;
use gradus::nn::Network;
use gradus::nn::models::Gpt2;
use gradus::params::{Param, shown_path};
use gradus::run::{self, RunFile};
use gradus::schedule::{self, Phases, Spec};
use gradus::train::{Config, files};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Steps of an epoch of the demo's digits, in batches of 32.
const DIGITS_STEPS_PER_EPOCH: u64 = 44;

pub(super) fn run(asks: &Asks, options: &Plan) -> anyhow::Result<()> {
    if let Some(steps) = options.steps.filter(|steps| *steps == 0 || *steps > MOST_STEPS) {
        refuse!("--steps {steps}: a plan has from 1 to {MOST_STEPS} steps");
    }
    if options.steps_per_epoch == Some(0) {
        refuse!("--steps-per-epoch 0: an epoch has at least 1 step");
    }
    let file = options.file.to_string_lossy().into_owned();
    let text = files::read_text(&options.file)
        .with_context(|| format!("reading {}", shown_path(&options.file)))
        .map_err(Asked::error)?;
    check_outputs(options)?;
    if RunFile::is_one(&file, &text) {
        options.refuse("the run file has it; --set KEY=VALUE changes it")?;
        write(options, &plan_run::told(asks, options)?);
        return Ok(());
    }
    if options.ranks.is_some() {
        refuse!("--ranks is for run files: {file} has no model");
    }
    if !options.settings.is_empty() {
        refuse!("--set is for run files: {file} has no model and no data");
    }
    let spec = Spec::parse(&file, &text)?;
    for warning in &spec.warnings {
        caution!("{warning}");
    }
    let is_phased = spec.phases != Phases::Everything;
    let has_model = options.shapes.is_some() || options.model.is_some();
    if options.json && !is_phased && !has_model {
        refuse!("--json: {file} has no phases; --csv FILE writes the rates of every step");
    }
    if options.time && !is_phased && !has_model {
        refuse!("--time: {file} has no phases; --shapes FILE gives the parameters of a step");
    }
    let speed = match options.time {
        true => Some(measure::optimizer_bytes_per_second(&asks.engine(Says::Nothing)?)?),
        false => None,
    };
    let told = match (options.model, options.steps) {
        _ if options.shapes.is_some() => phases_of_shapes(options, &spec, speed)?,
        (Some(model), _) => phases(options, model, &spec, speed)?,
        (None, _) if is_phased => {
            refuse!("{file} has phases: --model or --shapes must name the parameters that they thaw")
        }
        (None, Some(steps)) => {
            options.refuse_model("it is for --model or --shapes")?;
            rates_told::told(&Rows::of(&spec, steps, options.steps_per_epoch)?, &spec, &options.outputs)?
        }
        (None, None) => refuse!("{file} has no phases: --steps must give the length of the run"),
    };
    write(options, &told);
    Ok(())
}

fn write(options: &Plan, told: &str) {
    if options.json { say::data(told) } else { say::out(told) }
}

/// What each phase of a model in a file thaws, moves and holds.
fn phases_of_shapes(options: &Plan, spec: &Spec, speed: Option<f64>) -> anyhow::Result<String> {
    if options.steps.is_some() {
        refuse!("--steps: with --shapes give --epochs and --steps-per-epoch");
    }
    let (Some(file), Some(steps_per_epoch)) = (&options.shapes, options.steps_per_epoch) else {
        refuse!("--shapes needs --steps-per-epoch");
    };
    phase_lines(options, spec, &run::shapes(file)?, steps_per_epoch, None, speed)
}

/// What each phase thaws, moves and holds.
fn phases(options: &Plan, model: ModelName, spec: &Spec, speed: Option<f64>) -> anyhow::Result<String> {
    match model {
        ModelName::Mlp => {
            let given = [("--preset", options.preset.is_some()), ("--batch-size", options.batch_size.is_some())];
            if let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                refuse!("{name} is for --model transformer");
            }
            phase_lines(options, spec, &options.network.model()?.params(), DIGITS_STEPS_PER_EPOCH, None, speed)
        }
        ModelName::Transformer => {
            if let Some((name, _)) = options.network.given().into_iter().find(|(_, is_given)| *is_given) {
                refuse!("{name} is for --model mlp");
            }
            let preset = options.preset.as_deref().unwrap_or("tiny");
            let batch = options.batch_size.unwrap_or(demo_transformer::BATCH);
            let model = demo_transformer::decoder(preset, &Vocabulary::printable_ascii())?;
            let pass = |trainable: &[Param]| pass(&model, batch, trainable);
            pass(&[])?;
            let steps_per_epoch = demo_transformer::steps_per_epoch(batch).max(1);
            phase_lines(options, spec, &model.params(), steps_per_epoch, Some(&pass), speed)
        }
    }
}

/// What a transformer's pass takes where these parameters are trainable.
fn pass(model: &Gpt2, batch: usize, trainable: &[Param]) -> anyhow::Result<phase_table::Pass> {
    let names: HashSet<&str> = trainable.iter().map(|param| param.name.as_str()).collect();
    let pass = model.training(batch, demo_transformer::CONTEXT, |name| names.contains(name))?;
    let test = model.evaluation(batch, demo_transformer::CONTEXT)?;
    let activation_bytes = pass.bytes() + test.bytes_beside(&pass);
    Ok(phase_table::Pass { activation_bytes, dispatches: Some(pass.dispatch_count()) })
}

fn phase_lines(
    options: &Plan,
    spec: &Spec,
    params: &[Param],
    steps_per_epoch: u64,
    pass: Option<phase_table::PassOf<'_>>,
    optimizer_bytes_per_second: Option<f64>,
) -> anyhow::Result<String> {
    let plan = schedule::Plan::new(spec, params, options.length(steps_per_epoch)?)?;
    for warning in plan.warnings().iter().filter(|warning| !spec.warnings.contains(warning)) {
        caution!("{warning}");
    }
    let config = Config::default().parameters(options.parameters.unwrap_or_default());
    let run = phase_table::Run { config, pass, optimizer_bytes_per_second };
    let is_drawn = options.outputs.svg.is_some() || options.outputs.csv.is_some() || spec.phases == Phases::Everything;
    told(&plan, spec, params, &run, options, is_drawn)
}

/// Refuses outputs that could not be written, or would overwrite what they should not, before any work is done.
fn check_outputs(options: &Plan) -> anyhow::Result<()> {
    let Outputs { svg, csv } = &options.outputs;
    let outputs = [("--svg", svg), ("--csv", csv)];
    for (name, path) in outputs.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))) {
        check_output(name, path)?;
        if path.exists() && fs::canonicalize(path)? == fs::canonicalize(&options.file)? {
            refuse!("{name} {}: this is the schedule itself", shown_path(path));
        }
    }
    if svg.is_some() && svg == csv {
        refuse!("--svg and --csv name the same file");
    }
    Ok(())
}

/// Whether a file can be written there, by its path.
pub(super) fn check_output(name: &str, path: &Path) -> anyhow::Result<()> {
    let shown = shown_path(path);
    if path.is_dir() || path.file_name().is_none() {
        refuse!("{name} {shown}: this is a folder, a file is needed");
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        refuse!("{name} {shown}: there is no folder {}", shown_path(folder));
    }
    Ok(())
}
