//! `gradus plan`: what a schedule will do, before anything trains.

use super::asked::{Asked, refuse};
use super::asks::Asks;
use super::demo::Network;
use super::progress::Says;
use super::rates::{self, Rows};
use super::say::{self, caution};
use super::train::setting;
use super::{demo_transformer, phase_table, plan_run};
use anyhow::Context;
use clap::{Args, ValueEnum};
use gradus::data::Vocabulary;
use gradus::measure;
use gradus::nn::Family;
use gradus::nn::models::Gpt2;
use gradus::params::{Param, Storage, shown_path};
use gradus::run::{self, RunFile};
use gradus::schedule::{self, Phases, Spec};
use gradus::train::{Config, files};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// More would fill the memory of a small machine.
pub(super) const MOST_STEPS: u64 = 10_000_000;

#[derive(Args)]
pub(super) struct Plan {
    /// A run file, which needs nothing else; or a schedule: a YAML file with the sections `optimizer` and `lr_scheduler` and,
    /// for fields other than the lr, `laws`; or one with phases, or with nothing but phases, for which --model is needed.
    #[arg(value_name = "FILE.yaml")]
    pub(super) file: PathBuf,
    /// Put a value in the place of what the run file says, as in --set epochs=5; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(super) settings: Vec<(String, String)>,
    /// Model whose parameters the phases thaw: prints what each phase thaws, moves and holds; of the transformer, which is
    /// the demo's decoder, also the memory of a step's activations and the dispatches of forward, loss and backward.
    #[arg(long, value_enum, value_name = "NAME")]
    model: Option<ModelName>,
    /// A safetensors file whose parameters the phases thaw; its header alone is read. Needs --steps-per-epoch.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "hidden", "activation", "preset", "batch_size"])]
    shapes: Option<PathBuf>,
    /// Measure the optimizer on this adapter, and say what a step of it takes at least in each phase, by the bytes it moves.
    #[arg(long)]
    pub(super) time: bool,
    /// Write what each phase costs as JSON, and nothing else; the rates of a schedule without phases are for --csv.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    network: Network,
    /// Size of the transformer: tiny, small or base [default: tiny].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["hidden", "activation"])]
    preset: Option<String>,
    /// Sequences of a batch of the transformer [default: 16].
    #[arg(long, value_name = "ROWS")]
    batch_size: Option<usize>,
    /// How parameters are stored, for --model and --shapes: f32, or bf16, which matrices are and vectors are not.
    #[arg(long, value_name = "STORAGE", value_parser = demo_transformer::storage_of_parameters)]
    parameters: Option<Storage>,
    /// Epochs of the run, for --model and --shapes [default: 30].
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Steps of the run.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Steps of an epoch, for schedules that count in epochs; with --model, the demo's where not given.
    #[arg(long, value_name = "M")]
    steps_per_epoch: Option<u64>,
    #[command(flatten)]
    pub(super) outputs: Outputs,
}

/// What is written beside what is printed.
#[derive(Args)]
pub(super) struct Outputs {
    /// Picture to write: each field that moves, over the steps.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(super) svg: Option<PathBuf>,
    /// Table to write: the exact numbers of every step and group.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(super) csv: Option<PathBuf>,
}

impl Plan {
    /// Refuses what says of the model or the run what is said elsewhere, or for what is not there.
    fn refuse(&self, told: &str) -> anyhow::Result<()> {
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

    /// Refuses what says more of a model.
    fn refuse_model(&self, told: &str) -> anyhow::Result<()> {
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
    fn length(&self, steps_per_epoch: u64) -> anyhow::Result<schedule::Epochs> {
        let of_epoch = self.steps_per_epoch.unwrap_or(steps_per_epoch);
        Ok(match (self.steps, self.epochs) {
            (Some(_), Some(_)) => refuse!("--steps and --epochs both say how long the run is"),
            (Some(steps), None) if steps.is_multiple_of(of_epoch) => {
                schedule::Epochs { epochs: steps / of_epoch, steps_per_epoch: of_epoch }
            }
            (Some(steps), None) if self.steps_per_epoch.is_none() => {
                schedule::Epochs { epochs: 1, steps_per_epoch: steps }
            }
            (Some(steps), None) => refuse!("--steps {steps} are no whole number of epochs of {of_epoch} steps"),
            (None, epochs) => schedule::Epochs { epochs: epochs.unwrap_or(30), steps_per_epoch: of_epoch },
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModelName {
    Mlp,
    Transformer,
}

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
        options.refuse("the run file says it; --set KEY=VALUE puts another value in its place")?;
        write(options, &plan_run::told(asks, options)?);
        return Ok(());
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
        refuse!("--time: {file} has no phases; --shapes FILE says what a step goes over");
    }
    let speed = match options.time {
        true => Some(measure::optimizer_bytes_per_second(&asks.engine(Says::Nothing)?)?),
        false => None,
    };
    let told = match (options.model, options.steps) {
        _ if options.shapes.is_some() => phases_of_shapes(options, &spec, speed)?,
        (Some(model), _) => phases(options, model, &spec, speed)?,
        (None, _) if is_phased => refuse!("{file} has phases: --model or --shapes says whose parameters they thaw"),
        (None, Some(steps)) => {
            options.refuse_model("it is for --model or --shapes")?;
            rates::told(&Rows::of(&spec, steps, options.steps_per_epoch)?, &spec, &options.outputs)?
        }
        (None, None) => refuse!("{file} has no phases: --steps says how long the run is"),
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
        refuse!("--steps: --epochs and --steps-per-epoch say how long the run is with --shapes");
    }
    let (Some(file), Some(steps_per_epoch)) = (&options.shapes, options.steps_per_epoch) else {
        refuse!("--shapes: --steps-per-epoch says how long an epoch is");
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
    let config = Config { parameters: options.parameters.unwrap_or_default(), ..Config::default() };
    let run = phase_table::Run { config, pass, optimizer_bytes_per_second };
    let is_drawn = options.outputs.svg.is_some() || options.outputs.csv.is_some() || spec.phases == Phases::Everything;
    told(&plan, spec, params, &run, options, is_drawn)
}

/// What a plan's phases cost, and where that is wanted its rates.
pub(super) fn told(
    plan: &schedule::Plan,
    spec: &Spec,
    params: &[Param],
    run: &phase_table::Run<'_>,
    options: &Plan,
    is_drawn: bool,
) -> anyhow::Result<String> {
    let costs = phase_table::costs(plan, params, run)?;
    if options.json {
        return Ok(serde_json::to_string_pretty(&costs)? + "\n");
    }
    let table = format!("{}\n{}", phase_table::draw(&costs), phase_table::names(plan, params));
    if !is_drawn {
        let notes: String = spec.intervals().iter().map(|note| rates::noted(note)).collect();
        return Ok(table + &notes);
    }
    if plan.steps() > MOST_STEPS {
        return Ok(format!("{table}note      the rates of more than {MOST_STEPS} steps are not drawn\n"));
    }
    let ends = phase_table::latest(plan)?;
    Ok(format!("{table}{ends}{}", rates::told(&Rows::of_plan(plan)?, spec, &options.outputs)?))
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

/// Whether a file can be written there, as far as its path says.
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
