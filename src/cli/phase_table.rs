//! What each phase of a schedule thaws, moves and holds.

use gradus::optim::{Forecast, Settings};
use gradus::params::{Param, Row};
use gradus::schedule::Plan;

/// A line for each phase, and one for training everything.
pub(super) fn draw(plan: &Plan, params: &[Param], settings: &Settings, best_device_limit_bytes: u64) -> String {
    let mut lines =
        vec![["phase", "ends", "thaws", "trainable", "moved a step", "moments", "best copy"].map(str::to_owned)];
    let mut thawed: Vec<Param> = Vec::new();
    for (number, phase) in plan.phases().iter().enumerate() {
        let new = phase.params.iter().map(|place| params[*place].clone());
        thawed.extend(new);
        let ends = ends(plan, number);
        let thaws = format!("{} tensors", phase.params.len());
        let best = plan.restores_best().then_some(best_device_limit_bytes);
        lines.push(line([number.to_string(), ends, thaws], plan.row_of(number), &thawed, params, settings, best));
    }
    let all = ["all".to_owned(), String::new(), format!("{} tensors", params.len())];
    lines.push(line(all, plan.row_of(0), params, params, settings, None));
    aligned(&lines)
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

/// The seven columns of a set of trainable parameters.
fn line(
    [phase, ends, thaws]: [String; 3],
    row: Row,
    trainable: &[Param],
    params: &[Param],
    settings: &Settings,
    best_device_limit_bytes: Option<u64>,
) -> [String; 7] {
    let forecast = Forecast::of(&[row], settings).with_squares();
    let elements = |params: &[Param]| params.iter().map(Param::elements).sum::<usize>();
    let (some, all) = (elements(trainable), elements(params));
    let share = 100.0 * some as f64 / all as f64;
    let best = best_device_limit_bytes.map_or_else(String::new, |limit| {
        let bytes = forecast.best_bytes(trainable);
        format!("{} {}", size(bytes), if bytes <= limit { "on the device" } else { "in host memory" })
    });
    let moved = size(forecast.step_bytes(trainable));
    [phase, ends, thaws, format!("{some} ({share:.1} %)"), moved, size(forecast.state_bytes(trainable)), best]
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

fn aligned(lines: &[[String; 7]]) -> String {
    let widths: Vec<usize> =
        (0..7).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
