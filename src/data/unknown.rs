//! Characters that a vocabulary does not have.

use std::collections::BTreeMap;
use std::fmt;

/// Characters that a vocabulary does not have, each with how often it came and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownCharacters {
    found: BTreeMap<char, (usize, u64)>,
}

impl UnknownCharacters {
    /// Counts a character on a line, from 1 on.
    pub fn add(&mut self, character: char, line: u64) {
        self.found.entry(character).or_insert((0, line)).0 += 1;
    }

    /// Appends what was found later.
    pub fn extend(&mut self, later: &UnknownCharacters) {
        for (character, (times, line)) in &later.found {
            self.found.entry(*character).or_insert((0, *line)).0 += times;
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Each with its count and first line; the most frequent first.
    pub fn counted(&self) -> Vec<(char, usize, u64)> {
        let mut counted: Vec<_> =
            self.found.iter().map(|(character, (times, line))| (*character, *times, *line)).collect();
        counted.sort_by_key(|(character, times, _)| (std::cmp::Reverse(*times), *character));
        counted
    }
}

/// Most that are listed; a text in another script has thousands.
const LISTED: usize = 100;

impl fmt::Display for UnknownCharacters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.counted();
        for (place, (character, times, line)) in counted.iter().take(LISTED).enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match times {
                1 => write!(formatter, "{comma}{character:?} (once, on line {line})")?,
                _ => write!(formatter, "{comma}{character:?} ({times} times, first on line {line})")?,
            }
        }
        match counted.get(LISTED..) {
            None | Some([]) => Ok(()),
            Some(more) => {
                let times: usize = more.iter().map(|(_, times, _)| times).sum();
                write!(formatter, " and {} more characters ({times} times)", more.len())
            }
        }
    }
}
