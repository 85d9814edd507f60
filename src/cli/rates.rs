//! Rates over a run, as numbers.

use gradus::params::{Field, Row};
use gradus::schedule::{Plan, Spec};

/// The rows of a run, `[steps, groups]`.
pub(super) struct Rows {
    pub(super) names: Vec<String>,
    pub(super) steps_per_epoch: Option<u64>,
    pub(super) rows: Vec<Row>,
}

impl Rows {
    /// Of a schedule without phases, for any model.
    pub(super) fn of(spec: &Spec, steps: u64, steps_per_epoch: Option<u64>) -> anyhow::Result<Rows> {
        let mut names = vec!["decay"];
        let mut groups = vec![spec.row];
        if !spec.no_decay.is_empty() {
            names.push("no_decay");
            groups.push(spec.row.weight_decay(0.0));
        }
        names.extend(spec.groups.iter().map(|group| group.pattern.as_str()));
        groups.extend(spec.groups.iter().map(|group| group.row));
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
                rows.extend(places.iter().map(|place| place.map_or(now[0].lr(0.0), |place| now[place])));
            }
        }
        Ok(Rows { names, steps_per_epoch: Some(plan.steps_per_epoch()), rows })
    }

    /// The fields that the groups' rules have.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field> {
        let first = &self.rows[..self.names.len()];
        Field::ALL.into_iter().filter(|field| first.iter().any(|row| row.has(*field)))
    }

    /// Whether the rule of a group has a field.
    pub(super) fn has(&self, group: usize, field: Field) -> bool {
        self.rows[group].has(field)
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
        for (group, name) in self.names.iter().enumerate().filter(|(group, _)| self.has(*group, field)) {
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

/// A curve cut into columns; if there are fewer steps than columns, a step fills several.
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

/// A learning rate as one knows it: `1.9e-3`.
pub(super) fn rate(lr: f64) -> String {
    if lr == 0.0 { "0".to_owned() } else { format!("{lr:.1e}") }
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
