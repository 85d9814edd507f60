//! Scores of a test: which there are, what the device counts for them, and how they are computed.

use super::Error;
use super::confusion::{ClassScore, Confusion, mean, ratio};
use crate::engine::layout::{Loss, Metrics};
use crate::engine::{Buffer, Dispatch, Engine, Range};
use crate::nn::Batch;
use crate::nn::ops::{confusion, label_confusion, squared_error_sums};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Most classes of which a matrix is counted.
const MOST_CLASSES: usize = 1024;

/// The scores of a test, beside its loss.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scoring {
    /// The share of right answers.
    Accuracy,
    /// The same, with precision and recall of each of so many classes.
    Classes(usize),
    /// How well the next token is known.
    Tokens,
    /// How well each of so many labels is known to be there.
    Labels(usize),
    /// How near numbers are; of each its squares about its mean, over all targets of the test.
    Numbers(Vec<f64>),
}

/// Scores of a test beside its loss, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    names: &'static [&'static str],
    values: [f64; 3],
}

impl Scoring {
    /// For so many classes: scores of each, unless they are too many for a matrix.
    pub(super) fn of_classes(classes: usize) -> Scoring {
        if classes <= MOST_CLASSES { Scoring::Classes(classes) } else { Scoring::Accuracy }
    }

    /// Of rows of so many targets.
    pub(super) fn of_numbers(width: usize, targets: &[f32]) -> Scoring {
        let squares = |output: usize| {
            let values = || targets.iter().skip(output).step_by(width.max(1)).map(|target| f64::from(*target));
            let center = mean(values());
            values().map(|value| (value - center).powi(2)).sum()
        };
        Scoring::Numbers((0..width).map(squares).collect())
    }

    /// The names of its scores.
    pub fn names(&self) -> &'static [&'static str] {
        match self {
            Scoring::Accuracy => &["val_accuracy"],
            Scoring::Classes(_) => &["val_accuracy", "val_f1", "val_f1_weighted"],
            Scoring::Tokens => &["val_accuracy", "val_perplexity"],
            Scoring::Labels(_) => &["val_accuracy", "val_f1"],
            Scoring::Numbers(_) => &["val_mse", "val_r2"],
        }
    }

    /// Those of its scores that the device itself can compare: a loss counts each row as right or wrong.
    pub(super) fn comparable(&self) -> &'static [&'static str] {
        match self {
            Scoring::Accuracy | Scoring::Classes(_) | Scoring::Tokens => &["val_accuracy"],
            Scoring::Labels(_) | Scoring::Numbers(_) => &[],
        }
    }

    /// Bytes that the device counts in, over so many batches.
    pub(super) fn bytes(&self, batches: u32) -> u64 {
        let words = match self {
            Scoring::Accuracy | Scoring::Tokens => 0,
            Scoring::Classes(classes) => classes * classes,
            Scoring::Labels(labels) => 4 * labels,
            Scoring::Numbers(squares) => squares.len() * batches as usize,
        };
        4 * words as u64
    }

    /// What counts a batch by its logits.
    pub(super) fn dispatch(
        &self,
        engine: &Engine,
        (batch, logits): (&Batch, Range),
        counts: &Buffer,
    ) -> Result<Option<Dispatch>, Error> {
        let shape = |outputs: usize| Loss::new(batch.examples, outputs);
        let of = |name| batch.get(name).cloned();
        let (labels, position, counts) = (of("labels")?, of("position")?, counts.all());
        Ok(match self {
            Scoring::Accuracy | Scoring::Tokens => None,
            Scoring::Classes(classes) => Some(confusion(engine, &shape(*classes), [logits, labels, counts, position])?),
            Scoring::Labels(outputs) => {
                let memory = [logits, of("targets")?, labels, counts, position];
                Some(label_confusion(engine, &shape(*outputs), memory)?)
            }
            Scoring::Numbers(squares) => {
                let memory = [logits, of("targets")?, labels, counts, position];
                Some(squared_error_sums(engine, &shape(squares.len()), memory)?)
            }
        })
    }

    /// The scores from a test's counts, and the matrix, if any.
    pub(super) fn scores(&self, tested: &Metrics, counts: &[u8]) -> (Scores, Option<Confusion>) {
        let rows = f64::from(tested.rows);
        let accuracy = ratio(f64::from(tested.correct), rows);
        let words = || bytemuck::pod_collect_to_vec::<u8, u32>(counts);
        let scores = |values: [f64; 3]| Scores { names: self.names(), values };
        match self {
            Scoring::Accuracy => (scores([accuracy, 0.0, 0.0]), None),
            Scoring::Tokens => (scores([accuracy, tested.mean_loss().exp(), 0.0]), None),
            Scoring::Classes(classes) => {
                let confusion = Confusion::new(*classes, words());
                // A row without an answer is in no cell.
                let all_answered = confusion.rows() == u64::from(tested.rows);
                let [f1, weighted] = if all_answered { confusion.f1() } else { [f64::NAN; 2] };
                (scores([accuracy, f1, weighted]), Some(confusion))
            }
            Scoring::Labels(_) => {
                let [accuracy, f1] = of_labels(&words(), tested.rows);
                (scores([accuracy, f1, 0.0]), None)
            }
            Scoring::Numbers(squares) => {
                let sums = bytemuck::pod_collect_to_vec::<u8, f32>(counts);
                let [error, r2] = of_numbers(&sums, squares, rows);
                let lost = if tested.loss_sum.is_nan() { f64::NAN } else { 0.0 };
                (scores([error + lost, r2 + lost, 0.0]), None)
            }
        }
    }
}

/// Share of right answers over all labels, and the mean of each label's F1. Cells: not there, answered wrongly; there, not
/// answered; there and answered.
fn of_labels(cells: &[u32], rows: u32) -> [f64; 2] {
    let (cells, _) = cells.as_chunks::<4>();
    let cells: Vec<[u64; 4]> = cells.iter().map(|cells| cells.map(u64::from)).collect();
    if cells.iter().any(|cells| cells.iter().sum::<u64>() != u64::from(rows)) {
        return [f64::NAN; 2];
    }
    let right: u64 = cells.iter().map(|[absent, _, _, there]| absent + there).sum();
    let f1 = |[_, wrong, missed, there]: &[u64; 4]| ClassScore::of(*there, missed + there, wrong + there).f1;
    [ratio(right as f64, f64::from(rows) * cells.len() as f64), mean(cells.iter().map(f1))]
}

/// The mean squared error and R², each the mean over the outputs. Sums: of each batch, of each output.
fn of_numbers(sums: &[f32], squares: &[f64], rows: f64) -> [f64; 2] {
    let outputs = squares.len().max(1);
    let error = |output: usize| sums.iter().skip(output).step_by(outputs).map(|sum| f64::from(*sum)).sum::<f64>();
    let r2 = |(output, squares): (usize, &f64)| match error(output) {
        // As in scikit-learn: for constant targets R² is 1 or 0.
        error if *squares == 0.0 => f64::from(u8::from(error == 0.0)),
        error => 1.0 - error / squares,
    };
    let total: f64 = (0..squares.len()).map(error).sum();
    [ratio(total, rows * outputs as f64), mean(squares.iter().enumerate().map(r2))]
}

impl Scores {
    /// Each name and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
        self.names.iter().copied().zip(self.values)
    }

    /// The score of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// As names and values.
impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.names.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64) -> bool {
        (got - expected).abs() < 1e-8
    }

    fn counted(rows: u32, correct: u32) -> Metrics {
        Metrics { rows, correct, ..Metrics::default() }
    }

    fn scored(scoring: &Scoring, tested: &Metrics, counts: &[u32]) -> Vec<f64> {
        let (scores, _) = scoring.scores(tested, bytemuck::cast_slice(counts));
        scores.iter().map(|(_, value)| value).collect()
    }

    /// Values of scikit-learn, from `tests/golden/generators/heads.py`.
    #[test]
    fn classes_and_labels_score_as_in_scikit_learn() {
        #[rustfmt::skip]
        let cells = [
            3, 1, 0, 0, 0,
            0, 2, 0, 1, 0,
            1, 0, 3, 0, 0,
            0, 0, 0, 0, 0,
            0, 0, 0, 0, 0,
        ];
        let got = scored(&Scoring::of_classes(5), &counted(11, 8), &cells);
        let expected = [0.727_272_727, 0.568_452_381, 0.766_233_766];
        assert!(got.iter().zip(expected).all(|(got, expected)| near(*got, expected)), "{got:?}");
        let cells = [2, 0, 1, 2, 2, 1, 0, 2, 5, 0, 0, 0];
        let got = scored(&Scoring::Labels(3), &counted(5, 3), &cells);
        assert!(near(got[0], 0.866_666_667) && near(got[1], 0.533_333_333), "{got:?}");
    }

    #[test]
    fn a_row_without_an_answer_leaves_no_score() {
        let got = scored(&Scoring::Classes(2), &counted(4, 2), &[1, 1, 0, 1]);
        assert!(got[0] == 0.5 && got[1].is_nan() && got[2].is_nan(), "{got:?}");
        assert!(scored(&Scoring::Labels(1), &counted(4, 2), &[1, 1, 0, 1]).iter().all(|score| score.is_nan()));
        let nothing = scored(&Scoring::Classes(2), &counted(0, 0), &[0; 4]);
        assert_eq!(nothing, [0.0; 3]);
        assert_eq!(Scoring::of_classes(1025).names(), ["val_accuracy"]);
    }

    #[test]
    fn numbers_that_do_not_vary_are_told_wholly_or_not_at_all() {
        let scoring = Scoring::of_numbers(2, &[3.0, 1.0, 3.0, 2.0]);
        assert_eq!(scoring, Scoring::Numbers(vec![0.0, 0.5]));
        let of = |sums: [f32; 4]| scored(&scoring, &counted(2, 0), &sums.map(f32::to_bits));
        assert_eq!(of([0.0, 0.25, 0.0, 0.0]), [0.0625, 0.75]);
        assert_eq!(of([1.0, 0.25, 0.0, 0.25]), [0.375, 0.0]);
    }

    #[test]
    fn perplexity_is_the_exponential_of_the_loss() {
        let tested = Metrics { rows: 4, correct: 1, loss_sum: 8.0, loss_whole: 8, ..Metrics::default() };
        assert_eq!(scored(&Scoring::Tokens, &tested, &[]), [0.25, 2.0f64.exp()]);
    }
}
