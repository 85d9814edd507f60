//! What a law is in a file: its short name, its keys, how they are read, and the law that they make of a run.

use super::level::{LevelKeys, MIN};
use super::warm_up::Ramp;
use super::{Law, Level, Plateau};
use crate::params::Field;
use crate::schedule::Error;
use crate::schedule::file::length::{Keys, Length, Run};
use crate::schedule::file::place::Place;
use crate::schedule::file::section::Section;
use std::sync::Arc;

/// The level that beta1 falls to if a law moves it too.
pub(in crate::schedule) const BETA1: LevelKeys = ["beta1_min", "beta1_min_ratio"];

/// How often a law multiplies by its factor.
pub(super) const EVERY: Keys = ["every_steps", "every_epochs", "every_fraction"];

/// A law of the list, as files call it.
pub(in crate::schedule) struct Words {
    pub(in crate::schedule) name: &'static str,
    /// Its own keys. They are known before anything is read, so that a misspelt key is reported as such, and not as a
    /// missing key or value.
    pub(in crate::schedule) keys: &'static [&'static [&'static str]],
    /// Reads those keys, in the order in which they are written.
    pub(in crate::schedule) read: fn(&mut Reading) -> Result<Build, Error>,
    /// It may move beta1 the opposite way.
    pub(in crate::schedule) moves_beta1: bool,
    /// Its decays are fixed in the run: the warm-up is part of it, and a run may continue from a decay without one.
    pub(in crate::schedule) decays: bool,
    /// Why it cannot have a cool-down, if so.
    pub(in crate::schedule) no_cooldown: Option<&'static str>,
}

impl Words {
    pub(super) const fn new(
        name: &'static str,
        keys: &'static [&'static [&'static str]],
        read: fn(&mut Reading) -> Result<Build, Error>,
    ) -> Words {
        Words { name, keys, read, moves_beta1: false, decays: false, no_cooldown: None }
    }
}

/// The law of the field, and one for beta1.
pub(in crate::schedule) type Laws = (Box<dyn Law>, Option<Box<dyn Law>>);

/// Makes the law of a run.
pub(in crate::schedule) type Build = Arc<dyn Fn(&Over) -> Result<Laws, Error> + Send + Sync>;

/// Makes a law that does not move beta1.
pub(in crate::schedule) fn build<L: Law + 'static>(
    make: impl Fn(&Over) -> Result<L, Error> + Send + Sync + 'static,
) -> Result<Build, Error> {
    Ok(Arc::new(move |over| Ok((boxed(make(over)?), None))))
}

pub(in crate::schedule) fn boxed(law: impl Law + 'static) -> Box<dyn Law> {
    Box::new(law)
}

/// What a law is made over.
pub(in crate::schedule) struct Over<'a> {
    /// The steps of the law itself, without warm-up and cool-down.
    pub(in crate::schedule) run: Run,
    /// The warm-up, and its length in the file.
    pub(in crate::schedule) ramp: Option<Ramp>,
    pub(in crate::schedule) warmup: Option<Length>,
    /// The level that beta1 falls to.
    pub(in crate::schedule) beta1: Option<Level>,
    /// The place of the law.
    pub(in crate::schedule) place: &'a Place,
    /// There is no run yet; this length is larger than any.
    pub(in crate::schedule) probing: bool,
    /// Numbers of steps are the user's, and not those of a run that nobody asked for.
    pub(in crate::schedule) has_known_steps: bool,
}

impl Over<'_> {
    /// A length of the law's own in steps; a fraction is one of its steps.
    pub(super) fn steps(&self, length: Length) -> Result<u64, Error> {
        length.steps(self.place, self.run.steps, self.run)
    }
}

/// A law's section while its own keys are read. What is read is remembered, for what is asked of every law alike.
pub(in crate::schedule) struct Reading<'a> {
    pub(in crate::schedule) section: &'a mut Section,
    pub(in crate::schedule) field: Field,
    pub(in crate::schedule) lengths: Vec<Length>,
    pub(in crate::schedule) levels: Vec<LevelAt>,
    /// The law that metrics move, if it is such a law.
    pub(in crate::schedule) plateau: Option<Plateau>,
}

/// A level, and the key of its absolute form.
#[derive(Clone, Debug)]
pub(in crate::schedule) struct LevelAt {
    pub(in crate::schedule) place: Place,
    pub(in crate::schedule) key: &'static str,
    pub(in crate::schedule) level: Level,
}

impl Reading<'_> {
    /// A level, or a share of the base.
    pub(super) fn level(&mut self, keys: LevelKeys, share: f64) -> Result<Level, Error> {
        let level = match Level::read(self.section, keys)? {
            Some(level) => level,
            None => Level::Ratio(self.section.say(keys[1], share)),
        };
        self.levels.push(LevelAt { place: self.section.place(), key: keys[0], level });
        Ok(level)
    }

    /// The lowest level, or a share of the base.
    pub(super) fn min(&mut self, share: f64) -> Result<Level, Error> {
        self.level(MIN, share)
    }

    /// A length, if any.
    pub(super) fn length(&mut self, keys: Keys) -> Result<Option<Length>, Error> {
        let length = Length::read(self.section, keys)?;
        self.lengths.extend(length);
        Ok(length)
    }

    /// A required length.
    pub(super) fn required_length(&mut self, keys: Keys) -> Result<Length, Error> {
        self.length(keys)?.ok_or_else(|| self.section.missing(&keys))
    }

    /// A required number.
    pub(super) fn required(&mut self, key: &'static str) -> Result<f64, Error> {
        self.section.optional(key)?.ok_or_else(|| self.section.missing(&[key]))
    }
}
