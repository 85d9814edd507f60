//! What each phase of a schedule thaws, moves and holds.

use gradus::optim::Forecast;
use gradus::params::{Param, Shown, shown_list};
use gradus::schedule::Plan;
use gradus::train::Config;

/// What forward and backward of a step take, where only some parameters are trainable.
pub(super) struct Pass {
    pub(super) activation_bytes: u64,
    /// If they are known.
    pub(super) dispatches: Option<usize>,
}

/// What a pass takes where these parameters are trainable.
pub(super) type PassOf<'a> = &'a dyn Fn(&[Param]) -> anyhow::Result<Pass>;

/// How the run is set, as far as it decides what a phase costs.
pub(super) struct Run<'a> {
    pub(super) config: Config,
    /// Of models that tell it.
    pub(super) pass: Option<PassOf<'a>>,
    /// What the optimizer moves in a second, if it was measured.
    pub(super) optimizer_bytes_per_second: Option<f64>,
}

const COLUMNS: [&str; 7] = ["phase", "ends", "thaws", "trainable", "moved a step", "moments", "best copy"];

/// What a pass adds to a line.
const PASS_COLUMNS: [&str; 2] = ["gradients", "activations"];

/// What a set of trainable parameters costs, in numbers.
#[derive(serde::Serialize)]
pub(super) struct Cost {
    /// The phase; none for training everything.
    phase: Option<usize>,
    ends: Option<String>,
    thaws_tensors: usize,
    trainable_elements: usize,
    elements: usize,
    lr: f64,
    step_bytes: u64,
    state_bytes: u64,
    gradient_bytes: u64,
    best_copy_bytes: Option<u64>,
    optimizer_seconds_at_least: Option<f64>,
    activation_bytes: Option<u64>,
    dispatches: Option<usize>,
    #[serde(skip)]
    best_is_on_device: bool,
}

/// What each phase costs, and training everything.
pub(super) fn costs(plan: &Plan, params: &[Param], run: &Run<'_>) -> anyhow::Result<Vec<Cost>> {
    let mut costs = Vec::new();
    let mut thawed: Vec<usize> = Vec::new();
    for (number, phase) in plan.phases().iter().enumerate() {
        thawed.extend(&phase.params);
        let best = plan.restores_best().then_some(run.config.best_device_limit_bytes);
        let cost = cost(plan, number, (&thawed, params), run, best)?;
        let lr = if number == 0 { plan.row_of(0).lr } else { phase.lr };
        let (ends, thaws_tensors) = (Some(ends(plan, number)), phase.params.len());
        costs.push(Cost { phase: Some(number), ends, thaws_tensors, lr, ..cost });
    }
    let all: Vec<usize> = (0..params.len()).collect();
    costs.push(cost(plan, 0, (&all, params), run, None)?);
    Ok(costs)
}

/// A line for each phase, and one for training everything.
pub(super) fn draw(costs: &[Cost]) -> String {
    let (timed, passed) = costs
        .first()
        .map_or((false, false), |cost| (cost.optimizer_seconds_at_least.is_some(), cost.activation_bytes.is_some()));
    let mut head: Vec<String> = COLUMNS.map(str::to_owned).into();
    head.extend(timed.then(|| "optimizer, at least".to_owned()));
    head.extend(PASS_COLUMNS.iter().filter(|_| passed).map(|name| (*name).to_owned()));
    head.extend(costs.first().and_then(|cost| cost.dispatches).map(|_| "model's dispatches".to_owned()));
    let lines: Vec<Vec<String>> = [head].into_iter().chain(costs.iter().map(line)).collect();
    aligned(&lines)
}

/// The parameters of each phase, by name.
pub(super) fn names(plan: &Plan, params: &[Param]) -> String {
    let mut text = String::new();
    for (number, phase) in plan.phases().iter().enumerate() {
        let names: Vec<&str> = phase.params.iter().map(|place| params[*place].name.as_str()).collect();
        // With one phase the list is cut.
        let names = match plan.phases().len() {
            1 => shown_list(&names),
            _ => names.iter().map(|name| Shown(name).to_string()).collect::<Vec<_>>().join(", "),
        };
        let lr = if number == 0 { plan.row_of(0).lr } else { phase.lr };
        text.push_str(&format!("phase {number}  lr {lr:e}  {}\n", names));
    }
    text
}

/// When each phase begins, if no metric ends the one before it sooner.
pub(super) fn latest(plan: &Plan) -> anyhow::Result<String> {
    let (stages, last) = (plan.latest()?, plan.phases().len() - 1);
    if last == 0 {
        return Ok(String::new());
    }
    let mut text = "\nthe latest end of each phase, unless a metric ends it sooner:\n".to_owned();
    for stage in &stages {
        text.push_str(&format!("phase {} begins at step {}\n", stage.depth(), stage.step()));
    }
    if stages.len() <= last {
        text.push_str(&format!("phase {} begins only if a metric ends the one before it\n", stages.len()));
    }
    Ok(text)
}

fn ends(plan: &Plan, number: usize) -> String {
    let patience = plan.patience().map(|patience| format!("patience {patience}"));
    let is_last = number + 1 == plan.phases().len();
    let limit = plan.phases()[number].max_transition_epoch.filter(|_| !is_last).map(|epoch| format!("epoch {epoch}"));
    let end = is_last.then(|| format!("epoch {}", plan.epochs()));
    let ends: Vec<String> = patience.into_iter().chain(limit).chain(end).collect();
    if ends.is_empty() { "never".to_owned() } else { ends.join(" or ") }
}

/// The cost of a set of trainable parameters, by place among all, in a phase.
fn cost(
    plan: &Plan,
    phase: usize,
    (places, params): (&[usize], &[Param]),
    run: &Run<'_>,
    best_device_limit_bytes: Option<u64>,
) -> anyhow::Result<Cost> {
    let trainable: Vec<Param> = places.iter().map(|place| params[*place].clone()).collect();
    let mut forecasts = Vec::with_capacity(trainable.len());
    for (place, param) in places.iter().zip(&trainable) {
        let (row, precision) = (plan.row_of_param(phase, *place), run.config.precision(param));
        precision.check(&param.name, &row)?;
        forecasts.push(Forecast::of(&[row], &run.config.settings).with_squares().with_precision(precision));
    }
    let sum = |bytes: fn(&Forecast, &Param) -> u64| -> u64 {
        forecasts.iter().zip(&trainable).map(|(forecast, param)| bytes(forecast, param)).sum()
    };
    let elements = |params: &[Param]| params.iter().map(Param::elements).sum::<usize>();
    let best_copy_bytes = best_device_limit_bytes.map(|_| sum(|forecast, param| forecast.best_bytes([param])));
    let step_bytes = sum(|forecast, param| forecast.step_bytes([param]));
    let pass = run.pass.map(|pass| pass(&trainable)).transpose()?;
    Ok(Cost {
        phase: None,
        ends: None,
        thaws_tensors: params.len(),
        trainable_elements: elements(&trainable),
        elements: elements(params),
        lr: plan.row_of(phase).lr,
        step_bytes,
        state_bytes: sum(|forecast, param| forecast.state_bytes([param])),
        gradient_bytes: sum(|forecast, param| forecast.gradient_bytes([param])),
        best_copy_bytes,
        best_is_on_device: best_copy_bytes <= best_device_limit_bytes,
        optimizer_seconds_at_least: run.optimizer_bytes_per_second.map(|speed| step_bytes as f64 / speed),
        activation_bytes: pass.as_ref().map(|pass| pass.activation_bytes),
        dispatches: pass.as_ref().and_then(|pass| pass.dispatches),
    })
}

/// The columns of a cost.
fn line(cost: &Cost) -> Vec<String> {
    let share = 100.0 * cost.trainable_elements as f64 / cost.elements as f64;
    let best = cost.best_copy_bytes.map_or_else(String::new, |bytes| {
        format!("{} {}", size(bytes), if cost.best_is_on_device { "on the device" } else { "in host memory" })
    });
    let mut line = vec![
        cost.phase.map_or("all".to_owned(), |phase| phase.to_string()),
        cost.ends.clone().unwrap_or_default(),
        format!("{} tensors", cost.thaws_tensors),
        format!("{} ({share:.1} %)", cost.trainable_elements),
        size(cost.step_bytes),
        size(cost.state_bytes),
        best,
    ];
    line.extend(cost.optimizer_seconds_at_least.map(|seconds| format!("{:.3} ms", 1e3 * seconds)));
    if let Some(activation_bytes) = cost.activation_bytes {
        line.extend([size(cost.gradient_bytes), size(activation_bytes)]);
    }
    line.extend(cost.dispatches.map(|dispatches| dispatches.to_string()));
    line
}

/// Bytes in the unit that suits them.
pub(super) fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// Lines of cells in columns.
pub(super) fn aligned(lines: &[Vec<String>]) -> String {
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
