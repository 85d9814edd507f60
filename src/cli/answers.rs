//! Predictions as CSV or as JSON lines.

use gradus::nn::Objective;
use serde_json::{Map, Value, json};

/// The column of names.
const NAME: &str = "file";

/// How answers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Csv,
    JsonLines,
}

/// The meaning of a row's numbers, and their format.
pub(super) struct Answers<'a> {
    pub(super) form: Form,
    /// What the outputs are; `None`: the numbers are a vector.
    pub(super) objective: Option<Objective>,
    /// What the outputs are called.
    pub(super) outputs: &'a [String],
    /// The separator of several labels.
    pub(super) separator: &'a str,
    /// How many of the most likely classes are printed.
    pub(super) top: usize,
    /// What each example is called, if examples have names.
    pub(super) names: Vec<String>,
}

impl Answers<'_> {
    /// The first line, if the format has one.
    pub(super) fn header(&self, width: usize) -> String {
        if self.form == Form::JsonLines {
            return String::new();
        }
        let names = if self.names.is_empty() { String::new() } else { format!("{NAME},") };
        let cells: Vec<String> = match self.objective {
            None => (0..width).map(|place| format!("v{place}")).collect(),
            Some(Objective::Labels) => ["labels".to_owned()].into_iter().chain(self.outputs.iter().cloned()).collect(),
            Some(Objective::Numbers) => self.outputs.to_vec(),
            Some(_) => (1..=self.top())
                .flat_map(|place| {
                    let more = if place == 1 { String::new() } else { format!("_{place}") };
                    [format!("label{more}"), format!("probability{more}")]
                })
                .collect(),
        };
        names + &csv(cells)
    }

    /// The line of the example at this place with these numbers.
    pub(super) fn line(&self, place: usize, numbers: &[f32]) -> String {
        let line = self.unnamed(numbers);
        match (self.form, self.names.get(place)) {
            (_, None) => line,
            (Form::Csv, Some(name)) => format!("{},{line}", quoted(name)),
            (Form::JsonLines, Some(name)) => {
                let rest = line.strip_prefix('{').unwrap_or(&line);
                format!("{{\"{NAME}\":{},{rest}", json!(name))
            }
        }
    }

    fn unnamed(&self, numbers: &[f32]) -> String {
        match (self.form, self.objective) {
            (Form::Csv, None | Some(Objective::Numbers)) => csv(numbers.iter().map(f32::to_string)),
            (Form::JsonLines, None) => json_line(json!({"vector": numbers.iter().map(short).collect::<Vec<Value>>()})),
            (Form::JsonLines, Some(Objective::Numbers)) => json_line(self.named(numbers)),
            (form, Some(Objective::Labels)) => self.labels(form, numbers),
            (form, Some(_)) => self.classes(form, numbers),
        }
    }

    fn top(&self) -> usize {
        self.top.clamp(1, self.outputs.len().max(1))
    }

    /// The likeliest classes, each with its probability.
    fn classes(&self, form: Form, logits: &[f32]) -> String {
        let shares = softmax(logits);
        let mut order: Vec<usize> = (0..shares.len().min(self.outputs.len())).collect();
        order.sort_by(|one, other| logits[*other].total_cmp(&logits[*one]));
        order.truncate(self.top());
        if form == Form::Csv {
            return csv(order.iter().flat_map(|place| [self.outputs[*place].clone(), shares[*place].to_string()]));
        }
        let one = |place: &usize| json!({"label": self.outputs[*place], "probability": short(&shares[*place])});
        let mut answer = order.first().map_or(Value::Null, one);
        if self.top > 1 {
            answer["top"] = order.iter().map(one).collect();
        }
        json_line(answer)
    }

    /// The labels with a probability above one half, and the probability of each label.
    fn labels(&self, form: Form, logits: &[f32]) -> String {
        let shares: Vec<f32> = logits.iter().map(|logit| sigmoid(*logit)).collect();
        let there = self.outputs.iter().zip(logits).filter(|(_, logit)| **logit > 0.0);
        let there: Vec<&str> = there.map(|(name, _)| name.as_str()).collect();
        match form {
            Form::Csv => csv([there.join(self.separator)].into_iter().chain(shares.iter().map(f32::to_string))),
            Form::JsonLines => json_line(json!({"labels": there, "probabilities": self.named(&shares)})),
        }
    }

    fn named(&self, numbers: &[f32]) -> Value {
        let named = self.outputs.iter().cloned().zip(numbers.iter().map(short));
        Value::Object(named.collect::<Map<String, Value>>())
    }
}

/// A number with as many digits as f32 needs.
fn short(number: &f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) - f64::from(highest)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

fn json_line(value: Value) -> String {
    format!("{value}\n")
}

fn csv(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(&cell)).collect();
    cells.join(",") + "\n"
}

/// A cell, in quotes if it needs them.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(form: Form, objective: Option<Objective>, top: usize) -> Answers<'static> {
        let outputs: &'static [String] = Vec::leak(vec!["good".to_owned(), "so, so".to_owned(), "bad".to_owned()]);
        Answers { form, objective, outputs, separator: "|", top, names: Vec::new() }
    }

    #[test]
    fn classes_come_with_their_shares_the_likeliest_first() {
        let logits = [1.0, 3.0, 2.0];
        let csv = answers(Form::Csv, Some(Objective::Classes), 2);
        assert_eq!(csv.header(3), "label,probability,label_2,probability_2\n");
        assert_eq!(csv.line(0, &logits), "\"so, so\",0.66524094,bad,0.24472848\n");
        let json = answers(Form::JsonLines, Some(Objective::Classes), 1);
        assert_eq!(json.header(3), "");
        assert_eq!(json.line(0, &logits), "{\"label\":\"so, so\",\"probability\":0.66524094}\n");
        let json = answers(Form::JsonLines, Some(Objective::Classes), 9).line(0, &logits);
        assert!(json.contains("\"top\":[{\"label\":\"so, so\"") && json.contains("\"label\":\"good\""), "{json}");
        assert_eq!(answers(Form::Csv, Some(Objective::Classes), 1).line(0, &[1e30, -1e30, 0.0]), "good,1\n");
    }

    #[test]
    fn labels_numbers_and_vectors_have_their_columns() {
        let labels = answers(Form::Csv, Some(Objective::Labels), 1);
        assert_eq!(labels.header(3), "labels,good,\"so, so\",bad\n");
        assert_eq!(labels.line(0, &[1.0, -1.0, 0.5]), "good|bad,0.7310586,0.26894143,0.62245935\n");
        let json = answers(Form::JsonLines, Some(Objective::Labels), 1).line(0, &[1.0, -1.0, -0.5]);
        assert!(json.starts_with("{\"labels\":[\"good\"],\"probabilities\":{"), "{json}");
        let numbers = answers(Form::Csv, Some(Objective::Numbers), 1);
        assert_eq!(
            (numbers.header(3), numbers.line(0, &[0.1, 2.0, -3.5])),
            ("good,\"so, so\",bad\n".to_owned(), "0.1,2,-3.5\n".to_owned())
        );
        let vectors = answers(Form::Csv, None, 1);
        assert_eq!((vectors.header(2), vectors.line(0, &[0.25, 1.0])), ("v0,v1\n".to_owned(), "0.25,1\n".to_owned()));
        assert_eq!(answers(Form::JsonLines, None, 1).line(0, &[0.1]), "{\"vector\":[0.1]}\n");
    }

    #[test]
    fn examples_with_names_are_named_first() {
        let names = vec!["cat, a.png".to_owned(), "b.png".to_owned()];
        let csv = Answers { names: names.clone(), ..answers(Form::Csv, Some(Objective::Classes), 1) };
        assert_eq!(csv.header(3), "file,label,probability\n");
        assert_eq!(csv.line(0, &[0.0, -1e30, -1e30]), "\"cat, a.png\",good,1\n");
        let json = Answers { names, ..answers(Form::JsonLines, Some(Objective::Classes), 1) };
        assert_eq!(json.line(1, &[0.0, -1e30, -1e30]), "{\"file\":\"b.png\",\"label\":\"good\",\"probability\":1.0}\n");
    }
}
