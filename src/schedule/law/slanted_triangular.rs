//! A short rise and a long fall.

use super::Law;
use super::shape::{at_least_one, mix};
use super::words::{Words, build};
use crate::schedule::Error;

const NAME: &str = "slanted_triangular";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&["cut_fraction", "ratio", "form"]], |file| {
    let (cut, ratio) = (file.section.number("cut_fraction", 0.1)?, file.section.number("ratio", 32.0)?);
    let slope = match file.section.word_or_first("form", &["exact", "paper"])? {
        "paper" => Slope::Paper,
        _ => Slope::Exact,
    };
    build(move |over| SlantedTriangular::new(over.run.steps, cut, ratio, slope))
});

/// How steep the fall is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slope {
    /// It reaches the lowest value at the end of the run.
    Exact,
    /// cut · (1 / cut_fraction − 1) steps, as printed in the paper; the lowest value holds from there on.
    Paper,
}

/// value = base (1 + p (ratio − 1)) / ratio, with p = step / cut before cut = ⌊steps · cut_fraction⌋ and falling from 1 to 0
/// after it; never below base / ratio.
///
/// Howard & Ruder 2018, "ULMFiT" (arXiv 1801.06146), equation 3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlantedTriangular {
    cut: u64,
    fall: f64,
    ratio: f64,
}

impl SlantedTriangular {
    /// The paper's values are 0.1 and 32.
    ///
    /// # Errors
    /// No steps, a cut outside [0, 1), a ratio below 1; in the paper's form, a cut that rounds to no steps.
    pub fn new(steps: u64, cut_fraction: f64, ratio: f64, slope: Slope) -> Result<SlantedTriangular, Error> {
        at_least_one(NAME, "steps", steps)?;
        if !(0.0..1.0).contains(&cut_fraction) {
            return Err(Error::bad_argument(NAME, "cut_fraction", cut_fraction, "in [0, 1)"));
        }
        if !(ratio.is_finite() && ratio >= 1.0) {
            return Err(Error::bad_argument(NAME, "ratio", ratio, "a finite number that is 1 or more"));
        }
        let cut = ((steps as f64 * cut_fraction) as u64).min(steps - 1);
        let fall = match slope {
            Slope::Exact => (steps - cut) as f64,
            Slope::Paper if cut == 0 => {
                let allowed = "large enough: form: paper needs a rise of a whole step or more";
                return Err(Error::bad_argument(NAME, "cut_fraction", cut_fraction, allowed));
            }
            Slope::Paper => cut as f64 * (1.0 / cut_fraction - 1.0),
        };
        Ok(SlantedTriangular { cut, fall, ratio })
    }
}

impl Law for SlantedTriangular {
    fn value(&self, base: f64, step: u64) -> f64 {
        let share = if step < self.cut {
            step as f64 / self.cut as f64
        } else {
            (1.0 - (step - self.cut) as f64 / self.fall).max(0.0)
        };
        mix(base / self.ratio, base, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_falls_and_stays_above_the_lowest() {
        for slope in [Slope::Exact, Slope::Paper] {
            let law = SlantedTriangular::new(100, 0.1, 32.0, slope).unwrap();
            assert_eq!([0, 10, 100, 200].map(|step| law.value(32.0, step)), [1.0, 32.0, 1.0, 1.0]);
        }
        let law = SlantedTriangular::new(105, 0.1, 32.0, Slope::Paper).unwrap();
        assert_eq!(law.value(32.0, 104), 1.0, "p would be negative there");
        assert_eq!(SlantedTriangular::new(5, 0.1, 32.0, Slope::Exact).unwrap().value(1.0, 0), 1.0);
        assert!(SlantedTriangular::new(5, 0.1, 32.0, Slope::Paper).is_err());
    }
}
