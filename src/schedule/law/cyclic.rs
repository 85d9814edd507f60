//! Up and down between the lowest value and the base value.

use super::level::MIN;
use super::shape::{at_least_one, mix, share};
use super::words::{BETA1, Build, Reading, Words, boxed};
use super::{Law, Level};
use crate::schedule::Error;
use crate::schedule::file::length::Keys;
use crate::schedule::file::section::Section;
use std::sync::Arc;

const NAME: &str = "cyclic";

const UP: Keys = ["up_steps", "up_epochs", "up_fraction"];
const DOWN: Keys = ["down_steps", "down_epochs", "down_fraction"];

/// As files say it.
pub(super) const WORDS: Words =
    Words { moves_beta1: true, ..Words::new(NAME, &[&["mode", "gamma"], &UP, &DOWN, &MIN], read) };

fn read(file: &mut Reading) -> Result<Build, Error> {
    let mode = mode(file.section)?;
    let (up, down) = (file.required_length(UP)?, file.length(DOWN)?);
    let min = file.min(0.0)?;
    Ok(Arc::new(move |over| {
        let law = Cyclic::new(over.steps(up)?, over.steps(down.unwrap_or(up))?, min, mode)?;
        let beta1 = over.beta1.map(|low| law.momentum(low)).transpose()?;
        Ok((boxed(law), beta1.map(boxed)))
    }))
}

fn mode(section: &mut Section) -> Result<Mode, Error> {
    let mode = section.word_or_first("mode", &["triangular", "triangular2", "exp_range"])?;
    match (mode, section.optional("gamma")?) {
        ("exp_range", gamma) => Ok(Mode::ExpRange(gamma.ok_or_else(|| section.missing(&["gamma"]))?)),
        (mode, Some(gamma)) => Err(section.unfit("gamma", gamma, format!("needs mode: exp_range, not {mode}"))),
        ("triangular2", None) => Ok(Mode::Triangular2),
        _ => Ok(Mode::Triangular),
    }
}

/// How the height changes from cycle to cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// It stays.
    Triangular,
    /// It halves with every cycle.
    Triangular2,
    /// gamma^step, gamma in [0, 1].
    ExpRange(f64),
}

/// value = min + (base − min) · x · height; x rises from 0 to 1 in `up` steps and falls back in `down` steps; height is 1,
/// 2^−cycle or gamma^step.
///
/// Smith 2017, "Cyclical learning rates" (arXiv 1506.01186). The base value is the top, as in every law here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cyclic {
    up: u64,
    down: u64,
    min: Level,
    mode: Mode,
}

impl Cyclic {
    /// A cycle of `up` and `down` steps.
    ///
    /// # Errors
    /// No steps, a level or gamma out of range.
    pub fn new(up: u64, down: u64, min: Level, mode: Mode) -> Result<Cyclic, Error> {
        let up = at_least_one(NAME, UP[0], up)?;
        let down = at_least_one(NAME, DOWN[0], down)?;
        if up.checked_add(down).is_none() {
            return Err(Error::bad_argument(NAME, DOWN[0], down, "a number of steps that can be counted"));
        }
        if let Mode::ExpRange(gamma) = mode {
            share(NAME, "gamma", gamma)?;
        }
        Ok(Cyclic { up, down, min: min.min(NAME)?, mode })
    }

    /// The opposite law for a momentum (beta1): from the base value down to `low` when this one is at its top.
    ///
    /// # Errors
    /// A level out of range.
    pub fn momentum(self, low: Level) -> Result<CyclicMomentum, Error> {
        Ok(CyclicMomentum { cyclic: self, low: low.checked(NAME, BETA1)? })
    }

    fn height(&self, step: u64) -> f64 {
        let total = self.up + self.down;
        let (cycle, at) = (step / total, step % total);
        let x = if at <= self.up { at as f64 / self.up as f64 } else { (total - at) as f64 / self.down as f64 };
        x * match self.mode {
            Mode::Triangular => 1.0,
            Mode::Triangular2 => 0.5f64.powf(cycle as f64),
            Mode::ExpRange(gamma) => gamma.powf(step as f64),
        }
    }
}

impl Law for Cyclic {
    fn value(&self, base: f64, step: u64) -> f64 {
        mix(self.min.of(base), base, self.height(step))
    }
}

/// What [`Cyclic::momentum`] gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CyclicMomentum {
    cyclic: Cyclic,
    low: Level,
}

impl Law for CyclicMomentum {
    fn value(&self, base: f64, step: u64) -> f64 {
        mix(base, self.low.of(base), self.cyclic.height(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_falls_and_shrinks() {
        let law = Cyclic::new(2, 4, Level::ZERO, Mode::Triangular2).unwrap();
        assert_eq!([0, 1, 2, 4, 6, 8, 14].map(|step| law.value(8.0, step)), [0.0, 4.0, 8.0, 4.0, 0.0, 4.0, 2.0]);
        let law = Cyclic::new(2, 2, Level::Ratio(0.5), Mode::ExpRange(0.5)).unwrap();
        assert_eq!([0, 2, 4].map(|step| law.value(1.0, step)), [0.5, 0.625, 0.5]);
        let momentum = law.momentum(Level::Absolute(0.5)).unwrap();
        assert_eq!([0, 2].map(|step| momentum.value(0.75, step)), [0.75, 0.6875]);
    }
}
