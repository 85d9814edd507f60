//! Confusion matrices, and the scores that follow from them, as scikit-learn has them.

use std::sync::Arc;

/// How often the rows of each class were answered with each.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    classes: usize,
    /// `[classes, classes]`: what is right, then what was answered.
    cells: Arc<[u32]>,
}

/// Precision and recall of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ClassScore {
    /// Share of the rows answered with it that are of it; 0 if there are none.
    pub precision: f64,
    /// Share of its rows that were answered with it; 0 if there are none.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// Its rows.
    pub rows: u64,
    /// The rows answered with it.
    pub answers: u64,
}

impl Confusion {
    /// A matrix of so many classes; missing cells are 0.
    pub(super) fn new(classes: usize, mut cells: Vec<u32>) -> Confusion {
        cells.resize(classes * classes, 0);
        Confusion { classes, cells: cells.into() }
    }

    /// The matrix of these rows; `None` if they are not square.
    pub fn of_rows(rows: &[Vec<u32>]) -> Option<Confusion> {
        let is_square = rows.iter().all(|row| row.len() == rows.len());
        is_square.then(|| Confusion::new(rows.len(), rows.concat()))
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often the rows of a class were predicted as each.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn row(&self, class: usize) -> &[u32] {
        &self.cells[class * self.classes..][..self.classes]
    }

    /// Rows that have a cell.
    pub fn rows(&self) -> u64 {
        self.cells.iter().map(|cell| u64::from(*cell)).sum()
    }

    /// Precision and recall of each class.
    pub fn scores(&self) -> Vec<ClassScore> {
        let mut answers = vec![0; self.classes];
        for class in 0..self.classes {
            answers.iter_mut().zip(self.row(class)).for_each(|(sum, cell)| *sum += u64::from(*cell));
        }
        let score = |(class, answers): (usize, u64)| {
            let rows = self.row(class).iter().map(|cell| u64::from(*cell)).sum();
            ClassScore::of(u64::from(self.row(class)[class]), rows, answers)
        };
        answers.into_iter().enumerate().map(score).collect()
    }

    /// The mean of the F1 of each class that a row or an answer has, and the mean weighted by rows.
    pub(super) fn f1(&self) -> [f64; 2] {
        let scores = self.scores();
        let met = scores.iter().filter(|score| score.rows + score.answers > 0);
        let weighted = scores.iter().map(|score| score.f1 * score.rows as f64).sum::<f64>();
        [mean(met.map(|score| score.f1)), ratio(weighted, self.rows() as f64)]
    }
}

impl ClassScore {
    /// From the rows of a class that are answered with it, its rows, and the rows answered with it.
    pub(super) fn of(right: u64, rows: u64, answers: u64) -> ClassScore {
        let [hit, of_rows, of_answers] = [right, rows, answers].map(|count| count as f64);
        ClassScore {
            precision: ratio(hit, of_answers),
            recall: ratio(hit, of_rows),
            f1: ratio(2.0 * hit, of_rows + of_answers),
            rows,
            answers,
        }
    }
}

/// As a file holds it: the rows of the matrix.
impl From<&Confusion> for Vec<Vec<u32>> {
    fn from(confusion: &Confusion) -> Vec<Vec<u32>> {
        (0..confusion.classes).map(|class| confusion.row(class).to_vec()).collect()
    }
}

/// 0 if there is nothing to be a part of.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// 0 of none.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    ratio(sum, count)
}
