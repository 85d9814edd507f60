//! A value relative to the base value, or a number.

use super::shape;
use crate::schedule::Error;
use crate::schedule::file::section::Section;

/// The two keys of a level, the absolute one first.
pub(in crate::schedule) type LevelKeys = [&'static str; 2];

/// The lowest level of a law.
pub(super) const MIN: LevelKeys = ["min", "min_ratio"];

/// The value at which a law starts or ends, for a group with a known base value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Level {
    /// A share of the group's base value, in [0, 1].
    Ratio(f64),
    /// A value, the same for every group; a group whose base is lower stays at its base and is not lifted.
    Absolute(f64),
}

impl Level {
    /// Nothing.
    pub const ZERO: Level = Level::Ratio(0.0);
    /// The base itself.
    pub const BASE: Level = Level::Ratio(1.0);

    /// The value for the base `base`: from 0 to `base`.
    pub fn of(self, base: f64) -> f64 {
        match self {
            Level::Ratio(ratio) => ratio * base,
            Level::Absolute(value) => value.min(base),
        }
    }

    /// A level by one of two keys, if any.
    pub(in crate::schedule) fn read(
        section: &mut Section,
        [absolute, ratio]: LevelKeys,
    ) -> Result<Option<Level>, Error> {
        match (section.optional(absolute)?, section.optional(ratio)?) {
            (Some(_), Some(value)) => Err(section.beside(ratio, value, absolute)),
            (Some(value), None) => Ok(Some(Level::Absolute(value))),
            (None, ratio) => Ok(ratio.map(Level::Ratio)),
        }
    }

    /// Itself, checked; `names` are what messages call the absolute form and the ratio.
    pub(super) fn checked(self, law: &'static str, names: LevelKeys) -> Result<Level, Error> {
        match self {
            Level::Ratio(ratio) => shape::share(law, names[1], ratio)?,
            Level::Absolute(value) => shape::factor(law, names[0], value)?,
        };
        Ok(self)
    }

    /// Itself, checked as the lowest level of a law.
    pub(super) fn min(self, law: &'static str) -> Result<Level, Error> {
        self.checked(law, MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_level_lifts_nobody() {
        assert_eq!((Level::Absolute(0.1).of(1.0), Level::Absolute(0.1).of(0.01)), (0.1, 0.01));
        assert_eq!(Level::Ratio(0.1).of(2.0), 0.2);
        assert!(Level::Ratio(1.1).min("cosine").is_err() && Level::Absolute(f64::NAN).min("cosine").is_err());
    }
}
