//! `report.html`: a run on one page that needs nothing else, made from what the run's folder holds.
//!
//! What the folder holds may be anything: every number is read as one, every text is escaped.

use super::report_chart::{Across, Chart, Curve, HOLE, color, draw, in_css};
use super::report_log::{self, Evaluated, Holes, Metric, Phase, Step};
use super::report_text::{escaped, number};
use super::run_folder::{INPUTS, METRICS, STEPS};
use super::scores::{Look, SCORES};
use super::thinned::Thinned;
use super::{confusion, mistakes};
use gradus::params::Shown;
use gradus::train::files;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const NAME: &str = "report.html";

/// Rows of a table; `metrics.jsonl` has all.
const MOST_ROWS: usize = 1000;

/// What the files of a run say.
struct Run {
    evaluations: Vec<Evaluated>,
    phases: Vec<Phase>,
    steps: Steps,
    /// Each log's name and what it does not say.
    holes: [(&'static str, Holes); 2],
}

/// What a report draws of the steps, which may be millions.
struct Steps {
    loss: Thinned,
    grad_norm: Thinned,
    loss_scale: Thinned,
    /// Each group's name and rates.
    rates: Vec<(String, Thinned)>,
    last: u64,
}

impl Run {
    fn read(folder: &Path) -> anyhow::Result<Run> {
        let (mut evaluations, mut phases): (Vec<Evaluated>, Vec<Phase>) = Default::default();
        let metrics = report_log::read(&folder.join(METRICS), |metric| match metric {
            Metric::Phase(phase) => {
                let steps = phase.steps;
                phases.push(phase);
                steps
            }
            Metric::Evaluation(evaluation) => {
                let steps = evaluation.steps;
                evaluations.push(evaluation);
                steps
            }
        })?;
        let (steps, missing) = Steps::read(&folder.join(STEPS), &phases)?;
        Ok(Run { evaluations, phases, steps, holes: [(METRICS, metrics), (STEPS, missing)] })
    }

    fn last_step(&self) -> u64 {
        self.steps.last.max(self.evaluations.last().map_or(0, |evaluation| evaluation.steps)).max(1)
    }
}

impl Steps {
    /// The groups of a step have the names of its phase.
    fn read(path: &Path, phases: &[Phase]) -> anyhow::Result<(Steps, Holes)> {
        let curve = Thinned::new;
        let mut steps = Steps { loss: curve(), grad_norm: curve(), loss_scale: curve(), rates: Vec::new(), last: 0 };
        let mut places: HashMap<String, usize> = HashMap::new();
        let (mut phase, mut now): (Option<u64>, Vec<usize>) = (None, Vec::new());
        let holes = report_log::read(path, |step: Step| {
            if phase != Some(step.phase) || now.len() != step.lrs.len() {
                phase = Some(step.phase);
                let began = phases.iter().rev().find(|phase| phase.began == step.phase);
                let name = |group: usize| match began.and_then(|phase| phase.groups.get(group)) {
                    Some((name, ..)) => name.clone(),
                    None => format!("group {group}"),
                };
                now = (0..step.lrs.len()).map(|group| steps.place(name(group), &mut places)).collect();
            }
            let at = step.step as f64;
            let add = |curve: &mut Thinned, value: Option<f64>| value.into_iter().for_each(|y| curve.push((at, y)));
            add(&mut steps.loss, step.loss);
            add(&mut steps.grad_norm, step.grad_norm);
            add(&mut steps.loss_scale, step.loss_scale);
            for (place, rate) in now.iter().zip(&step.lrs) {
                add(&mut steps.rates[*place].1, *rate);
            }
            steps.last = step.step;
            step.step
        })?;
        Ok((steps, holes))
    }

    /// The place of a group's curve.
    fn place(&mut self, name: String, places: &mut HashMap<String, usize>) -> usize {
        *places.entry(name).or_insert_with_key(|name| {
            self.rates.push((name.clone(), Thinned::new()));
            self.rates.len() - 1
        })
    }
}

/// A heading, and below it names with values.
pub(super) type Section = (&'static str, Vec<(String, String)>);

/// Writes the page of a run's folder. The files lack the best evaluation in words, and what `sections` hold.
pub(super) fn write(
    folder: &Path,
    [title, summary]: [&str; 2],
    best: Option<String>,
    sections: &[Section],
) -> anyhow::Result<PathBuf> {
    let path = folder.join(NAME);
    let classes = confusion::section(folder, INPUTS)? + &mistakes::section(folder)?;
    let run = Run::read(folder)?;
    files::replace(&path, page(&run, [title, summary], (best, &classes), sections)?.as_bytes())?;
    Ok(path)
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
@media (min-width: 600px) { th.text { white-space: nowrap; } } .wide { overflow-x: auto; } .wide svg { min-width: 600px; } td.text { overflow-wrap: anywhere; } circle.value { fill: transparent; } circle.value:hover { fill: var(--soft); fill-opacity: .4; }
.grid { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; width: 8rem; } figure img { width: 6rem; height: 6rem; object-fit: contain; image-rendering: pixelated; }
figcaption { font-size: .85rem; line-height: 1.3; overflow-wrap: anywhere; } .soft { color: var(--soft); }
";

/// The beginning of a page.
pub(super) fn head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><style>{STYLE}</style></head><body>\n",
        escaped(title)
    )
}

fn page(
    run: &Run,
    [title, summary]: [&str; 2],
    (best, classes): (Option<String>, &str),
    sections: &[Section],
) -> anyhow::Result<String> {
    let mut page = head(title);
    writeln!(page, "<h1>{}</h1>\n<p class=\"soft\">{}</p>", escaped(title), escaped(summary))?;
    page.push_str(&headline(run));
    if let Some(best) = best {
        writeln!(page, "<p class=\"soft\">best: {}</p>", escaped(&best))?;
    }
    page.push_str(&told_holes(run));
    let starts: Vec<f64> = run.phases.iter().map(|phase| phase.steps as f64).collect();
    let spans = run.holes.iter().flat_map(|(_, holes)| &holes.spans);
    let holes: Vec<(f64, f64)> = spans.map(|(from, to)| (*from as f64, *to as f64)).collect();
    let across = Across::Steps(run.last_step() as f64);
    for (title, what, curves) in charts(run) {
        let picture = draw(&Chart { what, curves: &curves, phases: &starts, holes: &holes, across })?;
        if !picture.is_empty() {
            writeln!(page, "<h2>{title}</h2>\n{}<div class=\"wide\">{picture}</div>", legend(&curves))?;
        }
    }
    page.push_str(classes);
    page.push_str(&phase_table(run)?);
    page.push_str(&evaluation_table(run)?);
    for (title, rows) in sections {
        writeln!(page, "<h2>{title}</h2>\n<table>")?;
        for (name, value) in rows {
            writeln!(
                page,
                "<tr><th class=\"text\">{}</th><td class=\"text\">{}</td></tr>",
                escaped(name),
                escaped(value)
            )?;
        }
        page.push_str("</table>\n");
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

/// The numbers that one looks for first.
fn headline(run: &Run) -> String {
    let Some(last) = run.evaluations.last() else { return "<p class=\"soft\">no evaluation yet</p>\n".to_owned() };
    let best = run.evaluations.iter().filter_map(|evaluation| evaluation.val_loss).reduce(f64::min);
    let told = |name: &str, value: String| format!("<div><b>{value}</b>{name}</div>");
    format!(
        "<div class=\"numbers\">{}{}{}{}{}</div>\n",
        told("test loss", number(last.val_loss, 4)),
        told("lowest test loss", number(best, 4)),
        scores(run)
            .map(|score| told(
                &format!("test {}", score.title),
                last.score(score.name).map_or_else(|| "–".to_owned(), |value| score.shown(value))
            ))
            .collect::<String>(),
        told("steps", last.steps.to_string()),
        told("skipped", last.skipped_steps.to_string()),
    )
}

/// What is missing, where anything is.
fn told_holes(run: &Run) -> String {
    let damaged = run.holes.iter().filter(|(_, holes)| holes.lines > 0);
    let told: Vec<String> = damaged
        .map(|(name, holes)| match holes.lines {
            1 => format!("1 line of {name} is damaged or missing"),
            lines => format!("{lines} lines of {name} are damaged or missing"),
        })
        .collect();
    if told.is_empty() {
        return String::new();
    }
    let mark = format!("<i style=\"background:{}\"></i>", in_css(HOLE));
    format!("<p class=\"legend\">{mark}gaps: {}; their values are not on this page</p>\n", told.join(", "))
}

fn charts(run: &Run) -> Vec<(String, &'static str, Vec<Curve>)> {
    let tested = |name: &str, of: &dyn Fn(&Evaluated) -> Option<f64>| {
        let points = run.evaluations.iter().filter_map(|line| Some((line.steps as f64, of(line)?)));
        Curve { name: name.to_owned(), points: points.collect(), faint: false }
    };
    let each_step = |name: &str, curve: &Thinned| Curve { name: name.to_owned(), points: curve.points(), faint: true };
    let score = |score: &Look| tested(score.title, &|line| line.score(score.name));
    let loss = vec![
        each_step("each step", &run.steps.loss),
        tested("test", &|line| line.val_loss),
        tested("training, mean of the epoch", &|line| line.train_loss),
    ];
    let mut charts = vec![("Loss".to_owned(), "loss", loss)];
    for ((title, what), sets) in further(run) {
        let curves = sets.iter().map(|(set, key)| tested(set, &|line| line.score(key))).collect();
        charts.push((format!("Further sets: {title}"), what, curves));
    }
    let (shares, numbers): (Vec<&Look>, Vec<&Look>) = scores(run).partition(|score| score.is_share);
    if let Some(first) = shares.first() {
        charts.push((titled(first), "share", shares.iter().map(|look| score(look)).collect()));
    }
    charts.extend(numbers.into_iter().map(|look| (titled(look), look.title, vec![score(look)])));
    charts.push(("Learning rate of each group".to_owned(), "lr", rates(&run.steps)));
    charts.push(("Gradient norm".to_owned(), "norm", vec![each_step("before clipping", &run.steps.grad_norm)]));
    if !run.steps.loss_scale.is_empty() {
        charts.push(("Loss scale".to_owned(), "scale", vec![each_step("loss scale", &run.steps.loss_scale)]));
    }
    charts
}

/// The scores that the run's evaluations have.
fn scores(run: &Run) -> impl Iterator<Item = &'static Look> {
    SCORES.iter().filter(|score| run.evaluations.iter().any(|line| line.score(score.name).is_some()))
}

/// Scores of further sets: by score and its name in charts, each set and its key in the log.
fn further(run: &Run) -> BTreeMap<(&'static str, &'static str), BTreeSet<(&str, &str)>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for key in run.evaluations.iter().flat_map(Evaluated::keys) {
        if let Some((set, look)) = Look::of_further(key) {
            let what = if look.is_share { "share" } else { look.title };
            found.entry((look.title, what)).or_default().insert((set, key));
        }
    }
    found
}

/// A heading of a score.
fn titled(score: &Look) -> String {
    format!("Test {}", score.title)
}

/// The curves of the groups. Those that follow the same one share it.
fn rates(steps: &Steps) -> Vec<Curve> {
    let mut known: HashMap<Vec<[u64; 2]>, usize> = HashMap::new();
    let mut curves: Vec<Curve> = Vec::new();
    for (name, rates) in &steps.rates {
        let (name, points) = (Shown(name).to_string(), rates.points());
        let bits = points.iter().map(|(x, y)| [x.to_bits(), y.to_bits()]).collect();
        let place = *known.entry(bits).or_insert(curves.len());
        match curves.get_mut(place) {
            Some(curve) => curve.name.push_str(&format!(", {name}")),
            None => curves.push(Curve { name, points, faint: false }),
        }
    }
    curves
}

/// The colours of curves, with their names.
pub(super) fn legend(curves: &[Curve]) -> String {
    const MOST: usize = 12;
    let entry = |(place, curve): (usize, &Curve)| {
        format!("<i style=\"background:{}\"></i>{}", in_css(color(place)), escaped(&Shown(&curve.name).to_string()))
    };
    let entries: String =
        curves.iter().enumerate().filter(|(_, curve)| !curve.points.is_empty()).take(MOST).map(entry).collect();
    let more = if curves.len() > MOST { format!(" and {} more", curves.len() - MOST) } else { String::new() };
    format!("<p class=\"legend\">{entries}{more}</p>\n")
}

/// What was frozen when.
fn phase_table(run: &Run) -> anyhow::Result<String> {
    let mut table = "<h2>Phases</h2>\n<div class=\"wide\"><table>\n<tr><th>phase</th><th>from step</th><th class=\"text\">because</th>\
                     <th>parameters that train</th><th class=\"text\">thawed</th></tr>\n"
        .to_owned();
    for phase in &run.phases {
        let because = match phase.reason.as_deref() {
            Some("early_stopping") => "the previous phase stopped improving",
            Some(_) => "the previous phase reached its last epoch",
            None => "the run begins",
        };
        let back = phase.restored.map_or_else(String::new, |step| format!("; restored step {step}"));
        let elements = phase.groups.iter().fold(0u64, |sum, (_, elements, _)| sum.saturating_add(*elements));
        let names: Vec<String> = phase.thawed.iter().map(|name| escaped(&Shown(name).to_string())).collect();
        writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td class=\"text\">{because}{back}</td><td>{elements}</td>\
             <td class=\"text\"><details><summary>{} tensors</summary>{}</details></td></tr>",
            phase.began,
            phase.steps,
            names.len(),
            names.join(", ")
        )?;
    }
    table.push_str("</table></div>\n<p class=\"soft\">In the charts every other phase is a band. Frozen parameters cost a step nothing.</p>\n");
    Ok(table)
}

fn evaluation_table(run: &Run) -> anyhow::Result<String> {
    let every = run.evaluations.len().div_ceil(MOST_ROWS).max(1);
    let summary = if every > 1 { format!("one of {every}, all are in {METRICS}") } else { "all numbers".to_owned() };
    let heads: String = scores(run).map(|score| format!("<th>test {}</th>", score.title)).collect();
    let mut table = format!(
        "<h2>Evaluations</h2>\n<details><summary>{summary}</summary><div class=\"wide\"><table>\n<tr><th>epoch</th><th>steps</th>\
                     <th>phase</th><th>training loss</th><th>test loss</th>{heads}</tr>\n"
    );
    for line in run.evaluations.iter().rev().step_by(every).rev() {
        let scored: String =
            scores(run).map(|score| format!("<td>{}</td>", number(line.score(score.name), 5))).collect();
        writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{scored}</tr>",
            line.epoch,
            line.steps,
            line.phase,
            number(line.train_loss, 5),
            number(line.val_loss, 5)
        )?;
    }
    table.push_str("</table></div></details>\n");
    Ok(table)
}
