//! Phases, whose keys are numbers.

use super::Section;
use crate::schedule::Error;
use crate::schedule::file::shown::{SHOWN_SCHEDULE, SHOWN_TEXT, cut, show};
use crate::schedule::file::yaml::{self, Mapping, Value, is_taken_away};

/// What only schedules of phases need.
impl Section {
    /// Whether the file is a bare schedule of phases: its keys are numbers, or text that reads as whole ones.
    pub(crate) fn is_numbered(&self) -> bool {
        let numbered = |key: &Value| key.is_number() || key.as_str().is_some_and(|text| text.parse::<i64>().is_ok());
        !self.map.is_empty() && self.map.keys().all(numbered)
    }

    /// The sections of phases 0…n, in this order. Keys that are text are read as numbers, with a warning.
    pub(crate) fn phases(self, warnings: &mut Vec<String>) -> Result<Vec<Section>, Error> {
        let mut phases: Vec<(u64, Section)> = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        for (key, value) in self.map.iter().filter(|(_, value)| !is_taken_away(value)) {
            let number = match key {
                Value::String(text) => text.parse().ok().inspect(|_: &u64| texts.push(format!("{text:?}"))),
                other => other.as_u64(),
            };
            let shown = show(key);
            let Some(number) = number else {
                let allowed = "a phase: phases are whole numbers from 0 on";
                return Err(self.bad_key(&shown, allowed));
            };
            if phases.iter().any(|(known, _)| *known == number) {
                return Err(self.unfit("a key", shown, "occurs twice, as text and as a number"));
            }
            phases.push((number, Section::of(self.place.below(&number.to_string()), value.clone())?));
        }
        if !texts.is_empty() {
            let (file, texts) = (self.place.file(), cut(texts.join(", "), SHOWN_TEXT));
            warnings.push(format!("{file}: phases {texts} are text; read as whole numbers"));
        }
        phases.sort_by_key(|(number, _)| *number);
        if phases.iter().enumerate().any(|(place, (number, _))| place as u64 != *number) {
            return Err(self.renumbered(&phases));
        }
        Ok(phases.into_iter().map(|(_, section)| section).collect())
    }

    /// Phases with gaps: the error shows them as they would must be.
    fn renumbered(&self, phases: &[(u64, Section)]) -> Error {
        let numbers: Vec<String> = phases.iter().map(|(number, _)| number.to_string()).collect();
        let map: Mapping = phases
            .iter()
            .enumerate()
            .map(|(place, (_, section))| (Value::from(place), Value::Mapping(section.map.clone())))
            .collect();
        let text = cut(yaml::print(&map), SHOWN_SCHEDULE);
        Error::BadValue {
            file: self.place.file().to_owned(),
            key: if self.place.path().is_empty() { "the phases".to_owned() } else { self.place.path().to_owned() },
            value: numbers.join(", "),
            allowed: format!("0 to {} without a gap. Renumbered they are:\n{}", phases.len() - 1, text.trim_end()),
            nearest: None,
        }
    }

    fn bad_key(&self, key: &str, allowed: &str) -> Error {
        Error::BadValue {
            file: self.place.file().to_owned(),
            key: if self.place.path().is_empty() {
                "a key".to_owned()
            } else {
                format!("a key of {}", self.place.path())
            },
            value: key.to_owned(),
            allowed: allowed.to_owned(),
            nearest: None,
        }
    }
}
