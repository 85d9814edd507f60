//! Rates over a run: a chart, the numbers that matter, a table of them all.

use super::plan::Outputs;
use super::{chart, picture};
use gradus::params::{Field, Row, shown_path};
use gradus::schedule::{LawSpec, Plan, Spec};
use gradus::train::files;
use std::fmt::Write as _;

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

/// The rows of a run, `[steps, groups]`.
pub(super) struct Rows {
    pub(super) names: Vec<String>,
    pub(super) steps_per_epoch: Option<u64>,
    rows: Vec<Row>,
}

impl Rows {
    /// Of a schedule without phases, whatever its model is.
    pub(super) fn of(spec: &Spec, steps: u64, steps_per_epoch: Option<u64>) -> anyhow::Result<Rows> {
        let mut names = vec!["decay"];
        let mut groups = vec![spec.row];
        if !spec.no_decay.is_empty() {
            names.push("no_decay");
            groups.push(Row { weight_decay: 0.0, ..spec.row });
        }
        let rows = spec.table(&groups, steps, steps_per_epoch).map_err(|error| error.naming(&names))?;
        Ok(Rows { names: names.into_iter().map(str::to_owned).collect(), steps_per_epoch, rows })
    }

    /// Of a whole run whose phases end at their latest. A group has a rate of 0 before it joins.
    pub(super) fn of_plan(plan: &Plan) -> anyhow::Result<Rows> {
        let stages = plan.latest()?;
        let mut names: Vec<String> = Vec::new();
        for stage in &stages {
            let new = plan.groups(stage)?.into_iter().map(|group| group.name);
            names.extend(new.filter(|name| !names.contains(name)).collect::<Vec<_>>());
        }
        let mut rows = Vec::new();
        for (place, stage) in stages.iter().enumerate() {
            let end = stages.get(place + 1).map_or(plan.steps(), |next| next.step());
            let groups: Vec<String> = plan.groups(stage)?.into_iter().map(|group| group.name).collect();
            let places: Vec<Option<usize>> =
                names.iter().map(|name| groups.iter().position(|group| group == name)).collect();
            for now in plan.rows(stage, end - stage.step())?.chunks(groups.len().max(1)) {
                rows.extend(places.iter().map(|place| place.map_or(Row { lr: 0.0, ..now[0] }, |place| now[place])));
            }
        }
        Ok(Rows { names, steps_per_epoch: Some(plan.steps_per_epoch()), rows })
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
        let name = if field == Field::Lr { rows.names[group].as_str() } else { "" };
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
