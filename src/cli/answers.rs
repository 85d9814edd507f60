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
        let name = (!self.names.is_empty()).then(|| NAME.to_owned());
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
        csv(name.into_iter().chain(cells))
    }

    /// The line of the example at this place with these numbers.
    pub(super) fn line(&self, place: usize, numbers: &[f32]) -> String {
        let name = self.names.get(place);
        match self.form {
            Form::Csv => csv(name.cloned().into_iter().chain(self.cells(numbers))),
            Form::JsonLines => {
                let mut answer = self.answer(numbers);
                if let Some(name) = name {
                    answer[NAME] = json!(name);
                }
                format!("{answer}\n")
            }
        }
    }

    /// As cells of CSV.
    fn cells(&self, numbers: &[f32]) -> Vec<String> {
        let texts = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<String>>();
        match self.objective {
            None | Some(Objective::Numbers) => texts(numbers),
            Some(Objective::Labels) => {
                let there = self.labels(numbers).join(self.separator);
                [there].into_iter().chain(texts(&sigmoids(numbers))).collect()
            }
            Some(_) => {
                let cell = |(label, share): (&str, f32)| [label.to_owned(), share.to_string()];
                self.classes(numbers).into_iter().flat_map(cell).collect()
            }
        }
    }

    /// As an object of JSON.
    fn answer(&self, numbers: &[f32]) -> Value {
        match self.objective {
            None => json!({"vector": numbers.iter().map(short).collect::<Vec<Value>>()}),
            Some(Objective::Numbers) => self.named(numbers),
            Some(Objective::Labels) => {
                json!({"labels": self.labels(numbers), "probabilities": self.named(&sigmoids(numbers))})
            }
            Some(_) => {
                let one = |(label, share): &(&str, f32)| json!({"label": label, "probability": short(share)});
                let classes = self.classes(numbers);
                let mut answer = classes.first().map_or(Value::Null, one);
                if self.top > 1 {
                    answer["top"] = classes.iter().map(one).collect();
                }
                answer
            }
        }
    }

    fn top(&self) -> usize {
        self.top.clamp(1, self.outputs.len().max(1))
    }

    /// The likeliest classes, each with its probability.
    fn classes(&self, logits: &[f32]) -> Vec<(&str, f32)> {
        let shares = softmax(logits);
        let mut order: Vec<usize> = (0..shares.len().min(self.outputs.len())).collect();
        order.sort_by(|one, other| logits[*other].total_cmp(&logits[*one]));
        order.truncate(self.top());
        order.into_iter().map(|place| (self.outputs[place].as_str(), shares[place])).collect()
    }

    /// The labels with a probability above one half.
    fn labels(&self, logits: &[f32]) -> Vec<&str> {
        let there = self.outputs.iter().zip(logits).filter(|(_, logit)| **logit > 0.0);
        there.map(|(name, _)| name.as_str()).collect()
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

pub(super) fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) - f64::from(highest)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

fn sigmoids(logits: &[f32]) -> Vec<f32> {
    logits.iter().map(|logit| (1.0 / (1.0 + (-f64::from(*logit)).exp())) as f32).collect()
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
