//! Rates over a run, told: a chart, the numbers that matter, a table of them all.

use super::rates::{Curve, Rows, short};
use super::{chart, picture};
use clap::Args;
use gradus::params::{Field, shown_path};
use gradus::schedule::{LawSpec, Spec};
use gradus::train::files;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Files written in addition to the print.
#[derive(Args)]
pub(super) struct Outputs {
    /// Picture to write: each field that moves, over the steps.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(super) svg: Option<PathBuf>,
    /// Table to write: the exact numbers of every step and group.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(super) csv: Option<PathBuf>,
}

/// More curves than this are not drawn one below the other.
const MOST_CHARTS: usize = 6;

/// The rate of each group, step by step.
pub(super) fn told(rows: &Rows, spec: &Spec, outputs: &Outputs) -> anyhow::Result<String> {
    let mut told = String::new();
    if rows.curves(Field::Lr).len() <= MOST_CHARTS {
        told.push_str(&chart::draw(rows));
        told.push('\n');
    }
    for group in 0..rows.names.len() {
        told.push_str(&key_numbers(rows, group));
    }
    for note in notes(spec, rows) {
        told.push_str(&noted(&note));
    }
    if let Some(path) = &outputs.svg {
        files::replace(path, picture::draw(rows)?.as_bytes())?;
        writeln!(told, "written   {}", shown_path(path))?;
    }
    if let Some(path) = &outputs.csv {
        files::replace(path, csv(rows).as_bytes())?;
        writeln!(told, "written   {}", shown_path(path))?;
    }
    Ok(told)
}

/// Columns of the terminal.
const WIDTH: usize = 80;

/// The path of each field that moves, one a line, and the weight decay in any case.
fn key_numbers(rows: &Rows, group: usize) -> String {
    let mut text = String::new();
    for field in rows.fields().filter(|field| rows.has(group, *field)) {
        let values = rows.values(group, field);
        let moves = values.iter().any(|value| *value != values[0]);
        let told = match field {
            Field::Lr => path(&values, true),
            _ if moves => path(&values, false),
            Field::WeightDecay => vec![short(values[0])],
            _ => continue,
        };
        let name = if field == Field::Lr { rows.names[group].as_str() } else { "" };
        text.push_str(&wrapped(&format!("{name:9} {field}:"), &told));
    }
    text
}

/// A curve's start and end, and its extremes beyond both. A peak is always printed.
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

/// A note, on as many lines as it needs.
pub(super) fn noted(note: &str) -> String {
    let (mut text, mut line) = (String::new(), "note     ".to_owned());
    for word in note.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(9);
        }
        line.push(' ');
        line.push_str(word);
    }
    text + &line + "\n"
}

/// Items after a head, on as many lines as they need.
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

/// Notes on what the curves do not show, or show but is seldom meant.
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
        notes.push("a plateau law reduces by metrics; this plan assumes that none comes".to_owned());
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
            let value = row.has(field).then(|| format!("{:?}", row.get(field)));
            text.push_str(&format!(",{}", value.unwrap_or_default()));
        }
        text.push('\n');
    }
    text
}
