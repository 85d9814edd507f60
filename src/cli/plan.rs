//! `gradus plan`: what a schedule will do, before anything trains.

use super::demo::Network;
use super::run_folder::write_beside;
use super::say::{self, caution};
use super::{chart, demo_transformer, phase_table, picture};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use gradus::data::Vocabulary;
use gradus::engine::{AdapterChoice, Engine};
use gradus::nn::transformer::Transformer;
use gradus::params::{Field, Param, Row, Storage, shown_path};
use gradus::schedule::{self, LawSpec, Phases, Spec};
use gradus::train::{Config, files};
use gradus::{measure, run};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// More would fill the memory of a small machine.
const MOST_STEPS: u64 = 10_000_000;

#[derive(Args)]
pub(super) struct Plan {
    /// The schedule: a YAML file with the sections `optimizer` and `lr_scheduler` and, for fields other than the lr, `laws`;
    /// or one with phases, or with nothing but phases, for which --model is needed.
    #[arg(value_name = "FILE.yaml")]
    file: PathBuf,
    /// Model whose parameters the phases thaw: prints what each phase thaws, moves and holds; of the transformer, which is
    /// the demo's decoder, also the memory of a step's activations and the dispatches of forward, loss and backward.
    #[arg(long, value_enum, value_name = "NAME")]
    model: Option<ModelName>,
    /// A safetensors file whose parameters the phases thaw; its header alone is read. Needs --steps-per-epoch.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "hidden", "activation", "preset", "batch_size"])]
    shapes: Option<PathBuf>,
    /// Measure the optimizer on this adapter, and say what a step of it takes at least in each phase, by the bytes it moves.
    #[arg(long)]
    time: bool,
    /// Write what each phase costs as JSON, and nothing else; the rates of a schedule without phases are for --csv.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
    /// Size of the transformer: tiny, small or base [default: tiny].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["hidden", "activation"])]
    preset: Option<String>,
    /// Sequences of a batch of the transformer [default: 16].
    #[arg(long, value_name = "ROWS")]
    batch_size: Option<usize>,
    /// How parameters are stored, for --model and --shapes: f32, or bf16, which matrices are and vectors are not.
    #[arg(long, value_name = "STORAGE", default_value_t, value_parser = demo_transformer::storage_of_parameters)]
    parameters: Storage,
    /// Epochs of the run, for --model.
    #[arg(long, default_value_t = 30, value_name = "N")]
    epochs: u64,
    /// Steps of the run.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Steps of an epoch, for schedules that count in epochs; with --model, the demo's where not given.
    #[arg(long, value_name = "M")]
    steps_per_epoch: Option<u64>,
    /// Picture to write: each field that moves, over the steps.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Table to write: the exact numbers of every step and group.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModelName {
    Mlp,
    Transformer,
}

/// Steps of an epoch of the demo's digits, in batches of 32.
const DIGITS_STEPS_PER_EPOCH: u64 = 44;

pub(super) fn run(choice: &AdapterChoice, options: &Plan) -> anyhow::Result<()> {
    if let Some(steps) = options.steps.filter(|steps| *steps == 0 || *steps > MOST_STEPS) {
        bail!("--steps {steps}: a plan has from 1 to {MOST_STEPS} steps");
    }
    if options.steps_per_epoch == Some(0) {
        bail!("--steps-per-epoch 0: an epoch has at least 1 step");
    }
    let file = options.file.to_string_lossy().into_owned();
    let text = files::read_text(&options.file).with_context(|| format!("reading {}", shown_path(&options.file)))?;
    let spec = Spec::parse(&file, &text)?;
    check_outputs(options)?;
    for warning in &spec.warnings {
        caution!("{warning}");
    }
    let is_phased = spec.phases != Phases::Everything;
    if options.json && !is_phased && options.shapes.is_none() {
        bail!("--json: {file} has no phases; --csv FILE writes the rates of every step");
    }
    if options.time && !is_phased && options.shapes.is_none() {
        bail!("--time: {file} has no phases; --shapes FILE says what a step goes over");
    }
    let speed = match options.time {
        true => Some(measure::optimizer_bytes_per_second(&Engine::new(choice)?)?),
        false => None,
    };
    let told = match (options.model, options.steps) {
        _ if options.shapes.is_some() => phases_of_shapes(options, &spec, speed)?,
        (Some(model), _) if is_phased => phases(options, model, &spec, speed)?,
        (None, _) if is_phased => bail!("{file} has phases: --model or --shapes says whose parameters they thaw"),
        (_, Some(steps)) => rates(options, &spec, steps)?,
        (_, None) => bail!("{file} has no phases: --steps says how long the run is"),
    };
    if options.json {
        say::data(&told)
    } else {
        say::out(&told)
    }
    Ok(())
}

/// What each phase of a model in a file thaws, moves and holds.
fn phases_of_shapes(options: &Plan, spec: &Spec, speed: Option<f64>) -> anyhow::Result<String> {
    no_pictures(options)?;
    if options.steps.is_some() {
        bail!("--steps: --epochs and --steps-per-epoch say how long the run is with --shapes");
    }
    let (Some(file), Some(steps_per_epoch)) = (&options.shapes, options.steps_per_epoch) else {
        bail!("--shapes: --steps-per-epoch says how long an epoch is");
    };
    phase_lines(options, spec, &run::shapes(file)?, steps_per_epoch, None, speed)
}

fn no_pictures(options: &Plan) -> anyhow::Result<()> {
    if options.svg.is_some() || options.csv.is_some() {
        bail!("--svg and --csv: when a phase ends depends on metrics; there is no picture of its rates beforehand");
    }
    Ok(())
}

/// What each phase thaws, moves and holds.
fn phases(options: &Plan, model: ModelName, spec: &Spec, speed: Option<f64>) -> anyhow::Result<String> {
    no_pictures(options)?;
    match model {
        ModelName::Mlp => {
            let given = [("--preset", options.preset.is_some()), ("--batch-size", options.batch_size.is_some())];
            if let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                bail!("{name} is for --model transformer");
            }
            phase_lines(options, spec, &options.network.model()?.params(), DIGITS_STEPS_PER_EPOCH, None, speed)
        }
        ModelName::Transformer => {
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
fn pass(model: &Transformer, batch: usize, trainable: &[Param]) -> anyhow::Result<phase_table::Pass> {
    let names: HashSet<&str> = trainable.iter().map(|param| param.name.as_str()).collect();
    let pass = model.training(batch, demo_transformer::CONTEXT, |name| names.contains(name))?;
    let test = model.evaluation(batch, demo_transformer::CONTEXT)?;
    let activation_bytes = pass.bytes() + test.bytes_beside(&pass);
    Ok(phase_table::Pass { activation_bytes, dispatches: pass.dispatch_count() })
}

fn phase_lines(
    options: &Plan,
    spec: &Spec,
    params: &[Param],
    steps_per_epoch: u64,
    pass: Option<phase_table::PassOf<'_>>,
    optimizer_bytes_per_second: Option<f64>,
) -> anyhow::Result<String> {
    let steps_per_epoch = options.steps_per_epoch.unwrap_or(steps_per_epoch);
    let epochs = schedule::Epochs { epochs: options.epochs, steps_per_epoch };
    let plan = schedule::Plan::new(spec, params, epochs)?;
    for warning in plan.warnings().iter().filter(|warning| !spec.warnings.contains(warning)) {
        caution!("{warning}");
    }
    let config = Config { parameters: options.parameters, ..Config::default() };
    let run = phase_table::Run { config, pass, optimizer_bytes_per_second };
    let costs = phase_table::costs(&plan, params, &run)?;
    if options.json {
        return Ok(serde_json::to_string_pretty(&costs)? + "\n");
    }
    Ok(format!("{}\n{}", phase_table::draw(&costs), phase_table::names(&plan, params)))
}

/// The rate of each group, step by step.
fn rates(options: &Plan, spec: &Spec, steps: u64) -> anyhow::Result<String> {
    let rows = Rows::of(spec, steps, options.steps_per_epoch)?;
    let mut told = chart::draw(&rows);
    told.push('\n');
    for group in 0..rows.names.len() {
        told.push_str(&key_numbers(&rows, group));
    }
    for note in notes(spec, &rows) {
        writeln!(told, "note      {note}")?;
    }
    if let Some(path) = &options.svg {
        write_beside(path, picture::draw(&rows)?.as_bytes())?;
        writeln!(told, "written   {}", shown_path(path))?;
    }
    if let Some(path) = &options.csv {
        write_beside(path, csv(&rows).as_bytes())?;
        writeln!(told, "written   {}", shown_path(path))?;
    }
    Ok(told)
}

/// The rows of a run, `[steps, groups]`.
pub(super) struct Rows {
    pub(super) names: Vec<&'static str>,
    pub(super) steps_per_epoch: Option<u64>,
    rows: Vec<Row>,
}

impl Rows {
    fn of(spec: &Spec, steps: u64, steps_per_epoch: Option<u64>) -> anyhow::Result<Rows> {
        let mut names = vec!["decay"];
        let mut groups = vec![spec.row];
        if !spec.no_decay.is_empty() {
            names.push("no_decay");
            groups.push(Row { weight_decay: 0.0, ..spec.row });
        }
        let rows = spec.table(&groups, steps, steps_per_epoch).map_err(|error| error.naming(&names))?;
        Ok(Rows { names, steps_per_epoch, rows })
    }

    /// The fields that the rule has.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        self.rows[0].fields()
    }

    pub(super) fn steps(&self) -> usize {
        self.rows.len() / self.names.len()
    }

    /// One field of one group, step by step.
    pub(super) fn values(&self, group: usize, field: Field) -> Vec<f64> {
        self.rows.iter().skip(group).step_by(self.names.len()).map(|row| row.get(field)).collect()
    }

    /// The different curves of a field, each with the names of the groups that follow it.
    pub(super) fn curves(&self, field: Field) -> Vec<Curve> {
        let mut curves: Vec<Curve> = Vec::new();
        for (group, name) in self.names.iter().enumerate() {
            let values = self.values(group, field);
            match curves.iter_mut().find(|curve| curve.values == values) {
                Some(curve) => {
                    curve.names.push_str(", ");
                    curve.names.push_str(name);
                }
                None => curves.push(Curve { names: (*name).to_owned(), values }),
            }
        }
        curves
    }

    /// Whether any group's value of this field changes.
    pub(super) fn moves(&self, field: Field) -> bool {
        let groups = self.names.len();
        self.rows.iter().skip(groups).zip(&self.rows).any(|(next, row)| next.get(field) != row.get(field))
    }
}

/// What one or more groups do alike.
pub(super) struct Curve {
    pub(super) names: String,
    pub(super) values: Vec<f64>,
}

/// The part of a curve that falls into one column of a chart.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) first: f64,
    pub(super) lowest: f64,
    pub(super) highest: f64,
    pub(super) last: f64,
}

/// A curve cut into columns; where there are fewer steps than columns, a step fills several.
pub(super) fn spans(values: &[f64], columns: usize) -> impl Iterator<Item = Span> {
    (0..columns).map(move |column| {
        let start = column * values.len() / columns;
        let end = ((column + 1) * values.len() / columns).max(start + 1);
        let first = values[start];
        let span = Span { first, lowest: first, highest: first, last: values[end - 1] };
        values[start..end].iter().fold(span, |span, value| Span {
            lowest: span.lowest.min(*value),
            highest: span.highest.max(*value),
            ..span
        })
    })
}

/// A number in at most four digits.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.3e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        exponent @ -2..=3 => {
            let places = (3 - exponent).unsigned_abs() as usize;
            trimmed(&format!("{value:.places$}")).to_owned()
        }
        exponent => format!("{}e{exponent}", trimmed(digits)),
    }
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// Columns of the terminal.
const WIDTH: usize = 80;

/// The path of each field that moves, one a line, and the weight decay in any case.
fn key_numbers(rows: &Rows, group: usize) -> String {
    let mut text = String::new();
    for field in rows.fields() {
        let values = rows.values(group, field);
        let moves = values.iter().any(|value| *value != values[0]);
        let told = match field {
            Field::Lr => path(&values, true),
            _ if moves => path(&values, false),
            Field::WeightDecay => vec![short(values[0])],
            _ => continue,
        };
        let name = if field == Field::Lr { rows.names[group] } else { "" };
        text.push_str(&wrapped(&format!("{name:9} {field}:"), &told));
    }
    text
}

/// Where a curve starts and ends, and how far it goes beyond both in between. A peak is told in any case.
fn path(values: &[f64], peaks: bool) -> Vec<String> {
    let (first, last) = (values[0], values[values.len() - 1]);
    let place = |better: fn(f64, f64) -> bool| {
        (1..values.len()).fold(0, |best, step| if better(values[step], values[best]) { step } else { best })
    };
    let (lowest, highest) = (place(|value, best| value < best), place(|value, best| value > best));
    let mut told = vec![format!("first {}", short(first))];
    if peaks {
        told.push(format!("peak {} at step {highest}", short(values[highest])));
    } else if values[highest] > first.max(last) {
        told.push(format!("highest {} at step {highest}", short(values[highest])));
    }
    if values[lowest] < first.min(last) {
        told.push(format!("lowest {} at step {lowest}", short(values[lowest])));
    }
    told.push(format!("last {}", short(last)));
    told
}

/// Items behind a head, on as many lines as they need.
fn wrapped(head: &str, items: &[String]) -> String {
    let (mut text, mut line) = (String::new(), head.to_owned());
    for (place, item) in items.iter().enumerate() {
        let comma = if place + 1 < items.len() { "," } else { "" };
        if line.len() + 1 + item.len() + comma.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(11);
        }
        line.push_str(&format!(" {item}{comma}"));
    }
    text + &line + "\n"
}

/// What the curves alone do not say, or what they say that is seldom meant.
fn notes(spec: &Spec, rows: &Rows) -> Vec<String> {
    let any = |is: fn(&LawSpec) -> bool| spec.laws.iter().any(is);
    let mut notes = ends(rows);
    if any(LawSpec::takes_steps_for_epochs) {
        notes.push("timm counts epochs (t_in_epochs), but interval: step counts steps".to_owned());
    } else if !notes.is_empty() && any(LawSpec::is_class_by_step) {
        notes.push("a class that counts epochs needs interval: epoch".to_owned());
    }
    notes.extend(spec.intervals());
    if any(LawSpec::needs_metrics) {
        notes.push("a plateau law reduces by metrics; this is what happens without any".to_owned());
    }
    notes
}

/// Each lr that is 0 for a tenth of the run or more, at its end: a cosine is next to 0 only in its very last steps.
fn ends(rows: &Rows) -> Vec<String> {
    let curves = rows.curves(Field::Lr);
    let whose = |curve: &Curve| if curves.len() > 1 { format!(" of {}", curve.names) } else { String::new() };
    let told = |curve: &Curve| {
        let (steps, from) = (curve.values.len(), dead_from(&curve.values));
        let dead = steps - from;
        let early = 10 * dead >= steps;
        early.then(|| format!("lr{} is 0 from step {from} on, for {dead} of {steps} steps", whose(curve)))
    };
    curves.iter().filter_map(told).collect()
}

/// The step from which on a curve is less than a billionth of its peak.
fn dead_from(values: &[f64]) -> usize {
    let peak = values.iter().copied().fold(0.0, f64::max);
    match values.iter().rposition(|value| *value > 1e-9 * peak) {
        Some(last) => last + 1,
        // It was never anything else.
        None => values.len(),
    }
}

/// Every row; numbers are the shortest that read back as the same f64.
fn csv(rows: &Rows) -> String {
    let names: Vec<&str> = rows.fields().map(Field::name).collect();
    let mut text = format!("step,group,{}\n", names.join(","));
    for (place, row) in rows.rows.iter().enumerate() {
        let (step, group) = (place / rows.names.len(), place % rows.names.len());
        text.push_str(&format!("{step},{}", rows.names[group]));
        for field in rows.fields() {
            text.push_str(&format!(",{:?}", row.get(field)));
        }
        text.push('\n');
    }
    text
}

/// Refuses outputs that could not be written, or would overwrite what they should not, before any work is done.
fn check_outputs(options: &Plan) -> anyhow::Result<()> {
    let outputs = [("--svg", &options.svg), ("--csv", &options.csv)];
    for (name, path) in outputs.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))) {
        check_output(name, path)?;
        if path.exists() && fs::canonicalize(path)? == fs::canonicalize(&options.file)? {
            bail!("{name} {}: this is the schedule itself", shown_path(path));
        }
    }
    if options.svg.is_some() && options.svg == options.csv {
        bail!("--svg and --csv name the same file");
    }
    Ok(())
}

/// Whether a file can be written there, as far as its path says.
pub(super) fn check_output(name: &str, path: &Path) -> anyhow::Result<()> {
    let shown = shown_path(path);
    if path.is_dir() || path.file_name().is_none() {
        bail!("{name} {shown}: this is a folder, a file is needed");
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        bail!("{name} {shown}: there is no folder {}", shown_path(folder));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let told = [0.0, 1e-3, 0.003, 1.234_56e-5, 0.05, 0.9, 0.123_456, 1.0, 99.996, 1234.0, 12_345.0].map(short);
        assert_eq!(told, ["0", "1e-3", "3e-3", "1.235e-5", "0.05", "0.9", "0.1235", "1", "100", "1234", "1.234e4"]);
    }

    #[test]
    fn spans_cover_every_value_once_and_repeat_where_there_are_few() {
        let values: Vec<f64> = (0..10).map(f64::from).collect();
        let cut: Vec<_> = spans(&values, 3).map(|span| (span.first, span.last)).collect();
        assert_eq!(cut, [(0.0, 2.0), (3.0, 5.0), (6.0, 9.0)]);
        let cut: Vec<_> = spans(&values[..2], 5).map(|span| span.lowest).collect();
        assert_eq!(cut, [0.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
