//! `gradus lr-find`: which learning rate a run file's model would learn fastest with.

use super::asked::Asked;
use super::asks::Asks;
use super::chart;
use super::ready::Ready;
use super::report_chart::{Across, Chart, Curve as Line, draw};
use super::say::{self, say};
use super::says::Says;
use super::train::{Loudness, setting};
use anyhow::{Context, bail};
use clap::Args;
use gradus::params::shown_path;
use gradus::run::RunFile;
use gradus::schedule::lr_find::{Axis, Curve, End, Rule, Scale, Suggestion, Sweep};
use gradus::train::files;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LrFind {
    /// The run file.
    #[arg(value_name = "RUN.YAML")]
    file: PathBuf,
    /// Replace a value of the file, as in --set batch_size=64; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// The first rate.
    #[arg(long, default_value = "1e-7", value_name = "LR")]
    start: f64,
    /// The last rate.
    #[arg(long, default_value = "10", value_name = "LR")]
    end: f64,
    /// Steps of the sweep.
    #[arg(long, default_value_t = 100, value_name = "N")]
    steps: u32,
    /// Raise the rate by the same amount in each step, not by the same factor.
    #[arg(long)]
    linear: bool,
    /// Smoothing of the losses: the share of the average that stays in a step.
    #[arg(long, default_value_t = 0.98, value_name = "BETA")]
    beta: f64,
    /// The sweep ends at this many times the best loss.
    #[arg(long, default_value_t = 4.0, value_name = "TIMES")]
    stop_factor: f64,
    /// Picture to write [default: NAME.lr-find.svg in the run file's output folder].
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Table to write [default: NAME.lr-find.csv in the run file's output folder].
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the result as JSON to standard output, and nothing else.
    #[arg(long, conflicts_with_all = ["svg", "csv"])]
    json: bool,
    #[command(flatten)]
    loudness: Loudness,
}

const EXAMPLES: &str = "\
Examples:
  gradus lr-find run.yaml
  gradus lr-find run.yaml --start 1e-5 --end 1 --steps 200
  gradus train run.yaml --set learning_rate=1e-3     with the suggested rate

The range test changes no run: nothing is written into a run's folder.";

/// The ways to pick a rate, and what they are called.
const RULES: [(&str, Rule); 3] = [
    ("steepest descent", Rule::Steepest(Axis::LogRate)),
    ("tenth of the minimum", Rule::TenthOfMinimum),
    ("valley", Rule::Valley),
];

pub(super) fn run(asks: &Asks, options: &LrFind) -> anyhow::Result<()> {
    let says = if options.json { Says::Nothing } else { options.loudness.says() };
    let engine = &asks.engine(says)?;
    let sweep = Sweep::default()
        .scale(if options.linear { Scale::Linear } else { Scale::Exponential })
        .start(options.start)
        .end(options.end)
        .num(options.steps)
        .beta(options.beta)
        .stop_factor(options.stop_factor);
    sweep.check()?;
    let mut ready =
        Ready::read(engine, RunFile::read(&options.file, &options.settings)?, None, says).map_err(Asked::error)?;
    let mut trainer = ready.trainer(engine).map_err(Asked::error)?;
    let curve = trainer.lr_find(&sweep, |_| ())?;
    if curve.points().is_empty() {
        bail!("the first loss is not finite: there is no curve");
    }
    if options.json {
        say::data(&(json(&curve) + "\n"));
        return Ok(());
    }
    let written = write(options, &ready.run, &curve)?;
    // The file's rate is that of a step of its base batch size; the sweep's is what the optimizer had.
    let scaled = ready.run.lr_scaling.factor(ready.rows_per_step(), ready.run.base_batch_size)?;
    if says >= Says::Usual {
        say::out(&terminal(&curve));
    }
    let again = again(options, &ready);
    match falls(&curve) {
        Err(why) => say!("no suggestion: {why}"),
        Ok(()) => {
            for (name, rule) in RULES {
                match suggestion(&curve, rule) {
                    Some(found) => say!("{name:22} {:.1e}   {again}={:.1e}", found.lr, found.lr / scaled),
                    None => say!("{name:22} none: the loss never falls"),
                }
            }
        }
    }
    if says >= Says::Usual {
        written.iter().for_each(|path| say!("written                {}", shown_path(path)));
    }
    Ok(())
}

/// The command that trains with a rate, up to the rate.
fn again(options: &LrFind, ready: &Ready) -> String {
    let key = ready.run.rate_key;
    let kept = options.settings.iter().filter(|(known, _)| known != key);
    let settings: String = kept.map(|(key, value)| format!("--set '{key}={value}' ")).collect();
    format!("gradus train {} {settings}--set {key}", shown_path(&options.file))
}

/// Share of the first loss that the smoothed loss must fall by, at least: less is the batches' own ups and downs.
const LEAST_FALL: f64 = 0.01;

/// Whether the loss falls, so that a rule applies; else why not. The first loss is that of the unchanged model.
fn falls(curve: &Curve) -> Result<(), String> {
    let points = curve.points();
    let first = points[0].loss;
    let of_all = |start: f64, pick: fn(f64, f64) -> f64| points.iter().map(|point| point.smoothed).fold(start, pick);
    let (lowest, highest) = (of_all(first, f64::min), of_all(first, f64::max));
    if lowest <= (1.0 - LEAST_FALL) * first {
        return Ok(());
    }
    let ended = matches!(curve.end(), Some(End::Diverged | End::NotFinite));
    let why = if ended || highest > (1.0 + 10.0 * LEAST_FALL) * first {
        "it only rises, so every rate tried is too high: a lower --start may help"
    } else {
        "it does not fall, so every rate tried is too low, or there is nothing to learn: a higher --end may help"
    };
    Err(format!("the smoothed loss never falls below its first value, {first:.4}; {why}"))
}

/// A rule's pick among the points up to the lowest loss: rates at which a diverged loss comes down again are useless.
fn suggestion(curve: &Curve, rule: Rule) -> Option<Suggestion> {
    let points = curve.points();
    let losses: Vec<f64> = points.iter().map(|point| point.smoothed).collect();
    let lrs: Vec<f64> = points.iter().map(|point| point.lr).collect();
    let lowest = (0..losses.len()).min_by(|one, other| losses[*one].total_cmp(&losses[*other]))?;
    rule.pick(&lrs[..=lowest], &losses[..=lowest])
}

/// The smoothed loss over the steps of the sweep.
fn terminal(curve: &Curve) -> String {
    let points = curve.points();
    let losses: Vec<f64> = points.iter().map(|point| point.smoothed).collect();
    let ends = [0, points.len() / 2, points.len() - 1].map(|place| format!("{:.1e}", points[place].lr));
    let why = match curve.end() {
        Some(End::Diverged) => "the loss went too far above its best",
        Some(End::NotFinite) => "the loss was not finite",
        _ => "all rates were tried",
    };
    format!(
        "\nsmoothed loss over the learning rate ({} steps; {why})\n{}{:11}{:<28}{:^8}{:>28}\n\n",
        points.len(),
        chart::plot(&losses),
        "",
        ends[0],
        ends[1],
        ends[2]
    )
}

fn write(options: &LrFind, run: &RunFile, curve: &Curve) -> anyhow::Result<[PathBuf; 2]> {
    let default = |extension: &str| run.output.join(format!("{}.lr-find.{extension}", run.name));
    let svg = options.svg.clone().unwrap_or_else(|| default("svg"));
    let csv = options.csv.clone().unwrap_or_else(|| default("csv"));
    for path in [&svg, &csv] {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", shown_path(folder)))?;
        }
    }
    let line = |name: &str, faint: bool, of: fn(&gradus::schedule::lr_find::Point) -> f64| Line {
        name: name.to_owned(),
        points: curve.points().iter().map(|point| (point.lr.log10(), of(point))).collect(),
        faint,
    };
    let curves = [line("loss", true, |point| point.loss), line("smoothed", false, |point| point.smoothed)];
    let (from, to) = (curve.points()[0].lr.log10(), curve.points()[curve.points().len() - 1].lr.log10());
    let chart = Chart { what: "loss", curves: &curves, phases: &[], holes: &[], across: Across::LogRate(from, to) };
    files::replace(&svg, draw(&chart)?.as_bytes())?;
    let rows = curve.points().iter().map(|point| format!("{:e},{},{}\n", point.lr, point.loss, point.smoothed));
    let table: String = ["lr,loss,smoothed\n".to_owned()].into_iter().chain(rows).collect();
    files::replace(&csv, table.as_bytes())?;
    Ok([svg, csv])
}

fn json(curve: &Curve) -> String {
    let points: Vec<serde_json::Value> = curve
        .points()
        .iter()
        .map(|point| serde_json::json!({"lr": point.lr, "loss": point.loss, "smoothed": point.smoothed}))
        .collect();
    let falls = falls(curve).is_ok();
    let picked = |rule| suggestion(curve, rule).filter(|_| falls).map(|found| found.lr);
    let suggestions: serde_json::Map<String, serde_json::Value> =
        RULES.iter().map(|(name, rule)| (name.replace(' ', "_"), serde_json::json!(picked(*rule)))).collect();
    serde_json::json!({"points": points, "suggestions": suggestions}).to_string()
}
