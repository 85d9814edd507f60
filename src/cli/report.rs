//! `report.html`: a run on one page that needs nothing else, made from what the run's folder holds.

use super::report_chart::{Across, Chart, Curve, color, draw};
use super::run_folder::{METRICS, STEPS, write_beside};
use anyhow::Context;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = "report.html";

/// What the files of a run say.
struct Run {
    evaluations: Vec<Value>,
    phases: Vec<Value>,
    steps: Vec<Value>,
}

/// Writes the page of a run's folder. `best` and `environment` are what the files do not say: the best evaluation in words,
/// names and values.
pub(super) fn write(
    folder: &Path,
    [title, summary]: [&str; 2],
    best: Option<String>,
    environment: &[(&str, String)],
) -> anyhow::Result<PathBuf> {
    let metrics = lines(&folder.join(METRICS))?;
    let (phases, evaluations) = metrics.into_iter().partition(|line| !line["began"].is_null());
    let run = Run { evaluations, phases, steps: lines(&folder.join(STEPS))? };
    let path = folder.join(NAME);
    write_beside(&path, page(&run, [title, summary], best, environment)?.as_bytes())?;
    Ok(path)
}

fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let line = |line: &str| serde_json::from_str(line).with_context(|| format!("reading {}", path.display()));
    text.lines().map(line).collect()
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2126; --soft: #767c84; --line: #d8dce0; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6e9; --soft: #969ca4; --line: #3a3f45; --page: #16191c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; } p.soft, .legend { color: var(--soft); margin: .2rem 0; }
.numbers { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 1rem 0; } .numbers b { display: block; font-size: 1.4rem; font-weight: 600; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { text-align: right; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; } td.text, th.text { text-align: left; } svg { max-width: 100%; height: auto; }
.legend i { display: inline-block; width: 1.4em; height: 3px; vertical-align: middle; margin: 0 .4em 0 1em; } summary { cursor: pointer; color: var(--soft); }
";

fn page(
    run: &Run,
    [title, summary]: [&str; 2],
    best: Option<String>,
    environment: &[(&str, String)],
) -> anyhow::Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0}</title><style>{STYLE}</style></head><body>\n<h1>{0}</h1>\n<p class=\"soft\">{1}</p>\n",
        escaped(title),
        escaped(summary)
    );
    page.push_str(&headline(run));
    if let Some(best) = best {
        writeln!(page, "<p class=\"soft\">best: {}</p>", escaped(&best))?;
    }
    let starts: Vec<f64> = run.phases.iter().filter_map(|phase| phase["steps"].as_f64()).collect();
    let last_of = |lines: &[Value], key: &str| lines.last().and_then(|line| line[key].as_f64()).unwrap_or(0.0);
    let steps = last_of(&run.steps, "step").max(last_of(&run.evaluations, "steps")).max(1.0);
    for (title, what, curves) in charts(run) {
        let picture = draw(&Chart { what, curves: &curves, phases: &starts, across: Across::Steps(steps) })?;
        if !picture.is_empty() {
            writeln!(page, "<h2>{title}</h2>\n{}{picture}", legend(&curves))?;
        }
    }
    page.push_str(&phase_table(run)?);
    page.push_str(&evaluation_table(run)?);
    page.push_str("<h2>Environment</h2>\n<table>\n");
    for (name, value) in environment {
        writeln!(page, "<tr><th class=\"text\">{}</th><td class=\"text\">{}</td></tr>", escaped(name), escaped(value))?;
    }
    page.push_str("</table>\n</body></html>\n");
    Ok(page)
}

/// The numbers that one looks for first.
fn headline(run: &Run) -> String {
    let Some(last) = run.evaluations.last() else { return "<p class=\"soft\">no evaluation yet</p>\n".to_owned() };
    let best = run.evaluations.iter().filter_map(|line| line["val_loss"].as_f64()).reduce(f64::min);
    let number = |name: &str, value: String| format!("<div><b>{value}</b>{name}</div>");
    let loss = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
    format!(
        "<div class=\"numbers\">{}{}{}{}{}</div>\n",
        number("test loss", loss(last["val_loss"].as_f64())),
        number("least test loss", loss(best)),
        number(
            "test accuracy",
            last["val_accuracy"].as_f64().map_or("–".to_owned(), |share| format!("{:.2} %", 100.0 * share))
        ),
        number("steps", last["steps"].to_string()),
        number("skipped", last["skipped_steps"].to_string()),
    )
}

fn charts(run: &Run) -> Vec<(&'static str, &'static str, Vec<Curve>)> {
    let of = |lines: &[Value], x: &str, y: &str| -> Vec<(f64, f64)> {
        lines.iter().filter_map(|line| Some((line[x].as_f64()?, line[y].as_f64()?))).collect()
    };
    let curve = |name: &str, points| Curve { name: name.to_owned(), points, faint: false };
    let each_step = |name: &str, key: &str| Curve { faint: true, ..curve(name, of(&run.steps, "step", key)) };
    vec![
        (
            "Loss",
            "loss",
            vec![
                each_step("each step", "loss"),
                curve("test", of(&run.evaluations, "steps", "val_loss")),
                curve("training, mean of the epoch", of(&run.evaluations, "steps", "train_loss")),
            ],
        ),
        ("Test accuracy", "share", vec![curve("accuracy", of(&run.evaluations, "steps", "val_accuracy"))]),
        ("Learning rate of each group", "lr", rates(run)),
        ("Gradient norm", "norm", vec![each_step("before clipping", "grad_norm")]),
    ]
}

/// The curves of the groups, by the names that they have in the phase of the step.
fn rates(run: &Run) -> Vec<Curve> {
    let names_in = |phase: u64| -> Vec<String> {
        let began = run.phases.iter().rev().find(|line| line["began"].as_u64() == Some(phase));
        let groups = began.and_then(|line| line["groups"].as_array());
        groups.into_iter().flatten().map(|group| group[0].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut curves: Vec<Curve> = Vec::new();
    let (mut phase, mut names) = (None, Vec::new());
    for step in &run.steps {
        if phase != step["phase"].as_u64() {
            phase = step["phase"].as_u64();
            names = names_in(phase.unwrap_or(0));
        }
        let rates = step["lrs"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        for (place, rate) in rates.enumerate() {
            let name = names.get(place).cloned().unwrap_or_else(|| format!("group {place}"));
            let known = curves.iter().position(|curve| curve.name == name);
            let known = known.unwrap_or_else(|| {
                curves.push(Curve { name, points: Vec::new(), faint: false });
                curves.len() - 1
            });
            curves[known].points.push((step["step"].as_f64().unwrap_or(0.0), rate));
        }
    }
    // Groups that follow the same curve share one.
    let mut merged: Vec<Curve> = Vec::new();
    for curve in curves {
        match merged.iter_mut().find(|known| known.points == curve.points) {
            Some(known) => known.name.push_str(&format!(", {}", curve.name)),
            None => merged.push(curve),
        }
    }
    merged
}

fn legend(curves: &[Curve]) -> String {
    const MOST: usize = 12;
    let entry = |(place, curve): (usize, &Curve)| {
        format!("<i style=\"background:{}\"></i>{}", color(place), escaped(&curve.name))
    };
    let entries: String =
        curves.iter().enumerate().filter(|(_, curve)| !curve.points.is_empty()).take(MOST).map(entry).collect();
    let more = if curves.len() > MOST { format!(" and {} more", curves.len() - MOST) } else { String::new() };
    format!("<p class=\"legend\">{entries}{more}</p>\n")
}

/// What was frozen when.
fn phase_table(run: &Run) -> anyhow::Result<String> {
    let mut table = "<h2>Phases</h2>\n<table>\n<tr><th>phase</th><th>from step</th><th class=\"text\">because</th>\
                     <th>parameters that train</th><th class=\"text\">thawed</th></tr>\n"
        .to_owned();
    for phase in &run.phases {
        let because = match phase["reason"].as_str() {
            Some("early_stopping") => "the phase before got no better",
            Some(_) => "the phase before reached its last epoch",
            None => "the run begins",
        };
        let back = phase["restored"].as_u64().map_or_else(String::new, |step| format!("; back to step {step}"));
        let elements: u64 =
            phase["groups"].as_array().into_iter().flatten().filter_map(|group| group[1].as_u64()).sum();
        let thawed: Vec<&str> = phase["thawed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let names = escaped(&thawed.join(", "));
        writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td class=\"text\">{because}{back}</td><td>{elements}</td>\
             <td class=\"text\"><details><summary>{} tensors</summary>{names}</details></td></tr>",
            phase["began"],
            phase["steps"],
            thawed.len()
        )?;
    }
    table.push_str("</table>\n<p class=\"soft\">In the charts every other phase is a band. What has not thawed costs a step nothing.</p>\n");
    Ok(table)
}

fn evaluation_table(run: &Run) -> anyhow::Result<String> {
    let mut table =
        "<h2>Evaluations</h2>\n<details><summary>all numbers</summary><table>\n<tr><th>epoch</th><th>steps</th>\
                     <th>phase</th><th>training loss</th><th>test loss</th><th>test accuracy</th></tr>\n"
            .to_owned();
    for line in &run.evaluations {
        let number = |key: &str| line[key].as_f64().map_or("–".to_owned(), |value| format!("{value:.5}"));
        writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            line["epoch"],
            line["steps"],
            line["phase"],
            number("train_loss"),
            number("val_loss"),
            number("val_accuracy")
        )?;
    }
    table.push_str("</table></details>\n");
    Ok(table)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
