//! A warm-up or a cool-down in a file.

use super::length::{Keys, Length};
use super::section::Section;
use crate::schedule::Error;
use crate::schedule::law::cool_down::{COOLDOWN, COOLDOWN_END};
use crate::schedule::law::level::LevelKeys;
use crate::schedule::law::warm_up::{WARMUP, WARMUP_START};
use crate::schedule::law::{Level, Rise};

/// Its shape, its length, and the level at its outer end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) shape: Rise,
    pub(super) length: Length,
    pub(super) level: Level,
}

/// The keys of one of the two: its shape by the key itself; the first shape is the default.
struct Words {
    key: &'static str,
    shapes: [&'static str; 3],
    length: Keys,
    level: LevelKeys,
    /// Whether a constant one must say its level.
    holds_its_level: bool,
}

const WARM: Words = Words {
    key: "warmup",
    shapes: ["linear", "constant", "cosine"],
    length: WARMUP,
    level: WARMUP_START,
    holds_its_level: true,
};

/// A constant cool-down holds what the law had, and needs no level.
const COOL: Words = Words {
    key: "cooldown",
    shapes: ["constant", "linear", "cosine"],
    length: COOLDOWN,
    level: COOLDOWN_END,
    holds_its_level: false,
};

impl Edge {
    /// The warm-up, if any.
    pub(super) fn warm_up(section: &mut Section) -> Result<Option<Edge>, Error> {
        WARM.read(section)
    }

    /// The cool-down, if any.
    pub(super) fn cool_down(section: &mut Section) -> Result<Option<Edge>, Error> {
        COOL.read(section)
    }

    /// All keys of a warm-up.
    pub(super) fn warm_up_keys() -> impl Iterator<Item = &'static str> {
        WARM.keys()
    }

    /// All keys of a cool-down.
    pub(super) fn cool_down_keys() -> impl Iterator<Item = &'static str> {
        COOL.keys()
    }
}

impl Words {
    fn keys(&self) -> impl Iterator<Item = &'static str> {
        [self.key].into_iter().chain(self.length).chain(self.level)
    }

    fn read(&self, section: &mut Section) -> Result<Option<Edge>, Error> {
        let shaped = section.has(self.key);
        let shape = match section.word_or_first(self.key, &self.shapes)? {
            "linear" => Rise::Linear,
            "cosine" => Rise::Cosine,
            _ => Rise::Constant,
        };
        let length = Length::read(section, self.length)?;
        let given = Level::read(section, self.level)?;
        let Some(length) = length else {
            section.unsay(self.key);
            return if shaped || given.is_some() { Err(section.missing(&self.length)) } else { Ok(None) };
        };
        let [absolute, ratio] = self.level;
        if self.holds_its_level && shape == Rise::Constant && given.is_none() {
            return Err(section.missing(&[ratio, absolute]));
        }
        let level = given.unwrap_or_else(|| Level::Ratio(section.say(ratio, 0.0)));
        Ok(Some(Edge { shape, length, level }))
    }
}
