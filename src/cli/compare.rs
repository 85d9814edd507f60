//! `gradus compare`: runs side by side, in a table and as curves on one page.

use super::asked::Asked;
use super::phase_table::aligned;
use super::report::{self, legend};
use super::report_chart::{Across, Chart, Curve, draw};
use super::report_log::{self, Evaluated, Metric};
use super::report_text::{escaped, number};
use super::run_folder::{METRICS, holds_a_run};
use super::say::{self, caution, say};
use super::scores::SCORES;
use anyhow::anyhow;
use clap::Args;
use gradus::params::{Shown, shown_path};
use gradus::train::files;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(after_help = "Example:\n  gradus compare runs/digits runs/longer --out compare.html")]
pub(super) struct Compare {
    /// The folders of the runs.
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// The page to write [default: compare.html beside the first run].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is compared of a run.
struct Run {
    name: String,
    evaluations: Vec<Evaluated>,
}

impl Run {
    fn read(folder: &Path) -> anyhow::Result<Run> {
        if !holds_a_run(folder) {
            return Err(Asked::error(anyhow!("{} holds no run", shown_path(folder))));
        }
        let mut evaluations = Vec::new();
        let holes = report_log::read(&folder.join(METRICS), |metric| match metric {
            Metric::Phase(phase) => phase.steps,
            Metric::Evaluation(evaluation) => {
                let steps = evaluation.steps;
                evaluations.push(evaluation);
                steps
            }
        })?;
        if holes.lines > 0 {
            caution!("{}: {} lines are damaged or missing", shown_path(&folder.join(METRICS)), holes.lines);
        }
        Ok(Run { name: shown_path(folder), evaluations })
    }

    /// The evaluation with the lowest loss.
    fn best(&self) -> Option<&Evaluated> {
        let tested = self.evaluations.iter().filter(|evaluation| evaluation.val_loss.is_some());
        tested.min_by(|one, other| one.val_loss.unwrap_or(f64::MAX).total_cmp(&other.val_loss.unwrap_or(f64::MAX)))
    }
}

pub(super) fn run(options: &Compare) -> anyhow::Result<()> {
    let runs: Vec<Run> = options.runs.iter().map(|folder| Run::read(folder)).collect::<anyhow::Result<_>>()?;
    let lines = table(&runs);
    let beside = || options.runs[0].parent().unwrap_or(Path::new("")).join("compare.html");
    let path = options.out.clone().unwrap_or_else(beside);
    files::replace(&path, page(&runs, &lines)?.as_bytes())?;
    say::headed(&aligned(&lines));
    say!();
    say!("page           {}", shown_path(&path));
    Ok(())
}

/// A line of titles, then one for each run: its last evaluation, and its lowest loss.
fn table(runs: &[Run]) -> Vec<Vec<String>> {
    let is_scored = |name: &str| runs.iter().flat_map(|run| &run.evaluations).any(|line| line.score(name).is_some());
    let scores: Vec<_> = SCORES.iter().filter(|look| is_scored(look.name)).collect();
    let mut head: Vec<String> = ["run", "epochs", "steps", "test loss", "lowest", "of epoch"].map(str::to_owned).into();
    head.extend(scores.iter().map(|look| look.title.to_owned()));
    let line = |run: &Run| {
        let (last, best) = (run.evaluations.last(), run.best());
        let count = |of: Option<u64>| of.map_or_else(|| "–".to_owned(), |count| count.to_string());
        let mut line = vec![
            run.name.clone(),
            count(last.map(|last| last.epoch)),
            count(last.map(|last| last.steps)),
            number(last.and_then(|last| last.val_loss), 4),
            number(best.and_then(|best| best.val_loss), 4),
            count(best.map(|best| best.epoch)),
        ];
        line.extend(scores.iter().map(|look| {
            last.and_then(|last| last.score(look.name)).map_or_else(|| "–".to_owned(), |value| look.shown(value))
        }));
        line
    };
    [head].into_iter().chain(runs.iter().map(line)).collect()
}

/// The table and the curves, on a page that needs nothing else.
fn page(runs: &[Run], lines: &[Vec<String>]) -> anyhow::Result<String> {
    let mut page = report::head("Runs compared");
    page.push_str("<h1>Runs compared</h1>\n<div class=\"wide\"><table>\n");
    for (place, line) in lines.iter().enumerate() {
        let tag = if place == 0 { "th" } else { "td" };
        let cells: String = line.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
        writeln!(page, "<tr>{cells}</tr>")?;
    }
    page.push_str("</table></div>\n");
    let last = runs.iter().filter_map(|run| run.evaluations.last()).map(|last| last.steps).max().unwrap_or(1);
    let mut add = |title: &str, of: &dyn Fn(&Evaluated) -> Option<f64>| -> anyhow::Result<()> {
        let curve = |run: &Run| {
            let points = run.evaluations.iter().filter_map(|line| Some((line.steps as f64, of(line)?))).collect();
            Curve { name: Shown(&run.name).to_string(), points, faint: false }
        };
        let curves: Vec<Curve> = runs.iter().map(curve).collect();
        let across = Across::Steps(last as f64);
        let picture = draw(&Chart { what: title, curves: &curves, phases: &[], holes: &[], across })?;
        if !picture.is_empty() {
            writeln!(page, "<h2>{title}</h2>\n{}<div class=\"wide\">{picture}</div>", legend(&curves))?;
        }
        Ok(())
    };
    add("test loss", &|line| line.val_loss)?;
    add("training loss", &|line| line.train_loss)?;
    for look in &SCORES {
        add(look.title, &|line| line.score(look.name))?;
    }
    page.push_str("</body></html>\n");
    Ok(page)
}
