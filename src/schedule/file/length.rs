//! Numbers of steps in a file: in steps, in epochs, or as a fraction.

use super::place::Place;
use super::section::Section;
use crate::schedule::Error;

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its steps.
    pub steps: u64,
    /// The steps of an epoch, for laws that count in epochs.
    pub steps_per_epoch: Option<u64>,
}

/// The three keys of a length: in steps, which is also what a law calls it, in epochs, and as a fraction.
pub(in crate::schedule) type Keys = [&'static str; 3];

/// The keys of a law's own length.
pub(in crate::schedule) const OWN: Keys = ["steps", "epochs", "fraction"];

/// A number of steps in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::schedule) struct Length {
    pub(in crate::schedule) keys: Keys,
    pub(in crate::schedule) unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::schedule) enum Unit {
    Steps(u64),
    Epochs(f64),
    Fraction(f64),
}

impl Length {
    /// A length by one of three keys, if any.
    pub(in crate::schedule) fn read(section: &mut Section, keys: Keys) -> Result<Option<Length>, Error> {
        let given = [
            section.count(keys[0])?.map(Unit::Steps),
            section.optional(keys[1])?.map(Unit::Epochs),
            section.optional(keys[2])?.map(Unit::Fraction),
        ];
        let mut found: Option<Length> = None;
        for unit in given.into_iter().flatten() {
            let length = Length { keys, unit }.checked(section)?;
            if let Some(other) = found {
                return Err(section.beside(length.key(), unit.show(), other.key()));
            }
            found = Some(length);
        }
        Ok(found)
    }

    /// Itself, if the number suits its unit.
    pub(in crate::schedule) fn checked(self, section: &Section) -> Result<Length, Error> {
        match self.unit {
            Unit::Epochs(epochs) if !(epochs.is_finite() && epochs >= 0.0) => {
                Err(section.bad(self.key(), epochs.to_string(), "a finite number that is 0 or more", None))
            }
            Unit::Fraction(fraction) if !(0.0..=1.0).contains(&fraction) => {
                Err(section.bad(self.key(), fraction.to_string(), "a number from 0 to 1", None))
            }
            _ => Ok(self),
        }
    }

    /// The key that the file has for it.
    pub(in crate::schedule) fn key(self) -> &'static str {
        match self.unit {
            Unit::Steps(_) => self.keys[0],
            Unit::Epochs(_) => self.keys[1],
            Unit::Fraction(_) => self.keys[2],
        }
    }

    /// In steps of a run. `whole` is what a fraction is a fraction of.
    pub(in crate::schedule) fn steps(self, place: &Place, whole: u64, run: Run) -> Result<u64, Error> {
        match (self.unit, run.steps_per_epoch) {
            (Unit::Steps(steps), _) => Ok(steps),
            (Unit::Fraction(fraction), _) => Ok((fraction * whole as f64).round() as u64),
            (Unit::Epochs(epochs), Some(steps)) => Ok((epochs * steps as f64).round() as u64),
            (Unit::Epochs(epochs), None) => {
                let why = "needs the steps of an epoch: give --steps-per-epoch, or count in steps";
                Err(place.unfit(self.key(), epochs, why))
            }
        }
    }
}

impl Unit {
    pub(in crate::schedule) fn is_like(self, other: Unit) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Only the number.
    pub(in crate::schedule) fn show(self) -> String {
        match self {
            Unit::Steps(steps) => steps.to_string(),
            Unit::Epochs(number) | Unit::Fraction(number) => number.to_string(),
        }
    }
}
