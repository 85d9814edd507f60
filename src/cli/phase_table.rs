//! What each phase of a schedule thaws, moves and holds.

use gradus::optim::{Forecast, Settings};
use gradus::params::{Param, Row};
use gradus::schedule::Plan;

/// What forward and backward of a step take, where only some parameters are trainable.
pub(super) struct Pass {
    pub(super) activation_bytes: u64,
    pub(super) dispatches: usize,
}

/// What a pass takes where these parameters are trainable.
pub(super) type PassOf<'a> = &'a dyn Fn(&[Param]) -> anyhow::Result<Pass>;

/// How the run is set, as far as it decides what a phase costs.
pub(super) struct Run<'a> {
    pub(super) settings: Settings,
    pub(super) best_device_limit_bytes: u64,
    /// Of models that tell it.
    pub(super) pass: Option<PassOf<'a>>,
    /// What the optimizer moves in a second, where it was measured.
    pub(super) optimizer_bytes_per_second: Option<f64>,
}

const COLUMNS: [&str; 7] = ["phase", "ends", "thaws", "trainable", "moved a step", "moments", "best copy"];

/// What a pass adds to a line.
const PASS_COLUMNS: [&str; 3] = ["gradients", "activations", "model's dispatches"];

/// A line for each phase, and one for training everything.
pub(super) fn draw(plan: &Plan, params: &[Param], run: &Run<'_>) -> anyhow::Result<String> {
    let mut head: Vec<String> = COLUMNS.map(str::to_owned).into();
    head.extend(run.optimizer_bytes_per_second.map(|_| "optimizer, at least".to_owned()));
    head.extend(PASS_COLUMNS.iter().filter(|_| run.pass.is_some()).map(|name| (*name).to_owned()));
    let mut lines = vec![head];
    let mut thawed: Vec<Param> = Vec::new();
    for (number, phase) in plan.phases().iter().enumerate() {
        let new = phase.params.iter().map(|place| params[*place].clone());
        thawed.extend(new);
        let ends = ends(plan, number);
        let thaws = format!("{} tensors", phase.params.len());
        let best = plan.restores_best().then_some(run.best_device_limit_bytes);
        lines.push(line([number.to_string(), ends, thaws], plan.row_of(number), (&thawed, params), run, best)?);
    }
    let all = ["all".to_owned(), String::new(), format!("{} tensors", params.len())];
    lines.push(line(all, plan.row_of(0), (params, params), run, None)?);
    Ok(aligned(&lines))
}

/// The parameters of each phase, by name.
pub(super) fn names(plan: &Plan, params: &[Param]) -> String {
    let mut text = String::new();
    for (number, phase) in plan.phases().iter().enumerate() {
        let names: Vec<&str> = phase.params.iter().map(|place| params[*place].name.as_str()).collect();
        let lr = if number == 0 { plan.row_of(0).lr } else { phase.lr };
        text.push_str(&format!("phase {number}  lr {lr:e}  {}\n", names.join(", ")));
    }
    text
}

fn ends(plan: &Plan, number: usize) -> String {
    let patience = plan.patience().map(|patience| format!("patience {patience}"));
    let is_last = number + 1 == plan.phases().len();
    let limit = plan.phases()[number].max_transition_epoch.filter(|_| !is_last).map(|epoch| format!("epoch {epoch}"));
    let end = is_last.then(|| format!("epoch {}", plan.epochs()));
    let ends: Vec<String> = patience.into_iter().chain(limit).chain(end).collect();
    if ends.is_empty() { "never".to_owned() } else { ends.join(" or ") }
}

/// The columns of a set of trainable parameters, among all.
fn line(
    [phase, ends, thaws]: [String; 3],
    row: Row,
    (trainable, params): (&[Param], &[Param]),
    run: &Run<'_>,
    best_device_limit_bytes: Option<u64>,
) -> anyhow::Result<Vec<String>> {
    let forecast = Forecast::of(&[row], &run.settings).with_squares();
    let elements = |params: &[Param]| params.iter().map(Param::elements).sum::<usize>();
    let (some, all) = (elements(trainable), elements(params));
    let share = 100.0 * some as f64 / all as f64;
    let best = best_device_limit_bytes.map_or_else(String::new, |limit| {
        let bytes = forecast.best_bytes(trainable);
        format!("{} {}", size(bytes), if bytes <= limit { "on the device" } else { "in host memory" })
    });
    let moved = size(forecast.step_bytes(trainable));
    let held = size(forecast.state_bytes(trainable));
    let mut line = vec![phase, ends, thaws, format!("{some} ({share:.1} %)"), moved, held, best];
    if let Some(speed) = run.optimizer_bytes_per_second {
        line.push(format!("{:.3} ms", 1e3 * forecast.step_bytes(trainable) as f64 / speed));
    }
    if let Some(pass) = run.pass {
        let Pass { activation_bytes, dispatches } = pass(trainable)?;
        line.extend([size(forecast.gradient_bytes(trainable)), size(activation_bytes), dispatches.to_string()]);
    }
    Ok(line)
}

fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
