//! A factor at given steps.

use super::Law;
use super::shape::{factor, scaled};
use super::words::{Words, build};
use crate::schedule::Error;
use crate::schedule::file::length::{Keys, Length, Unit};
use crate::schedule::file::section::Section;

const NAME: &str = "multi_step";

const MILESTONES: Keys = ["milestones", "milestones_epochs", "milestones_fraction"];

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&["gamma"], &MILESTONES], |file| {
    let (gamma, milestones) = (file.section.number("gamma", 0.1)?, milestones(file.section)?);
    build(move |over| {
        let steps = milestones.iter().map(|milestone| over.steps(*milestone)).collect::<Result<_, _>>()?;
        MultiStep::new(gamma, steps)
    })
});

fn milestones(section: &mut Section) -> Result<Vec<Length>, Error> {
    let mut found: Option<(&str, Vec<Length>)> = None;
    for (place, key) in MILESTONES.into_iter().enumerate() {
        let Some(numbers) = section.numbers(key)? else { continue };
        if let Some((other, _)) = found {
            return Err(section.beside(key, format!("{numbers:?}"), other));
        }
        let mut lengths = Vec::new();
        for number in numbers {
            let unit = match place {
                0 if number >= 0.0 && number.fract() == 0.0 => Unit::Steps(number as u64),
                0 => return Err(section.bad(key, number.to_string(), "a whole number that is 0 or more", None)),
                1 => Unit::Epochs(number),
                _ => Unit::Fraction(number),
            };
            lengths.push(Length { keys: MILESTONES, unit }.checked(section)?);
        }
        found = Some((key, lengths));
    }
    found.map(|(_, lengths)| lengths).ok_or_else(|| section.missing(&MILESTONES))
}

/// value = base · gamma^k, k the number of milestones that are at most `step`. A milestone given twice counts twice.
///
/// He et al. 2016, "Deep residual learning" (arXiv 1512.03385), section 4.2.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiStep {
    gamma: f64,
    milestones: Vec<u64>,
}

impl MultiStep {
    /// The factor `gamma` at each milestone, in any order.
    ///
    /// # Errors
    /// A factor that is negative or not a number.
    pub fn new(gamma: f64, mut milestones: Vec<u64>) -> Result<MultiStep, Error> {
        milestones.sort_unstable();
        Ok(MultiStep { gamma: factor(NAME, "gamma", gamma)?, milestones })
    }
}

impl Law for MultiStep {
    fn value(&self, base: f64, step: u64) -> f64 {
        let passed = self.milestones.partition_point(|milestone| *milestone <= step);
        scaled(base, self.gamma.powf(passed as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_at_milestones() {
        let law = MultiStep::new(0.5, vec![7, 3, 7]).unwrap();
        assert_eq!([0, 2, 3, 6, 7, 99].map(|step| law.value(8.0, step)), [8.0, 8.0, 4.0, 4.0, 1.0, 1.0]);
    }
}
