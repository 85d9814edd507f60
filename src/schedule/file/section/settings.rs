//! Values of the command line instead of a file's, and a schedule among other things of one file.

use super::Section;
use crate::schedule::Error;
use crate::schedule::file::as_written::{Texts, Written};
use crate::schedule::file::place::told_setting;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::shown::show;
use crate::schedule::file::yaml::{self, Mapping, Value, is_taken_away, taken_away};

/// What a file needs that holds a schedule among other things.
impl Section {
    /// Changes the text at a dotted path, if any.
    pub(crate) fn change_text(&mut self, path: &str, change: impl FnOnce(&str) -> String) {
        let steps: Vec<&str> = path.split('.').collect();
        let Some((first, rest)) = steps.split_first() else { return };
        let value = rest
            .iter()
            .try_fold(self.map.get_mut(key_of(first)), |value, step| value.map(|value| value.get_mut(key_of(step))));
        if let Some(Some(Value::String(text))) = value {
            *text = change(text);
        }
    }

    /// The top level of a file whose texts are taken as they are written in it.
    pub(crate) fn parse_with(texts: Texts, file: &str, text: &str) -> Result<Section, Error> {
        let mut section = Section::parse(file, text)?;
        let mut value = Value::Mapping(section.map);
        write_over(&mut value, yaml::written(texts, text));
        section.map = value.as_mapping().cloned().unwrap_or_default();
        Ok(section)
    }

    /// Whether a setting is null, in any of YAML's words for it.
    pub(crate) fn is_null_setting(value: &str) -> bool {
        yaml::value(value).is_ok_and(|value| value.is_null())
    }

    /// Whether null at a top-level key is a value of its own, such as no early stopping.
    pub(crate) fn means_null(key: &str) -> bool {
        means_null(&[key])
    }

    /// Replaces the value at a dotted path by one read as YAML, with texts as written; missing sections are made. Null
    /// removes the key, unless it has a meaning there.
    pub(crate) fn set(&mut self, texts: Texts, path: &str, value: &str) -> Result<(), Error> {
        let told = told_setting(path, value);
        let not_yaml = |reason| Error::NotYaml { file: told.clone(), reason };
        let mut read = yaml::value(value).map_err(not_yaml)?;
        let steps: Vec<&str> = path.split('.').collect();
        if read.is_null() {
            read = if means_null(&steps) { read } else { taken_away() };
        } else if let Some(texts) = texts.below(&steps) {
            write_over(&mut read, yaml::written(texts, value));
        }
        self.put(&steps, read).map_err(|(key, found)| Error::BadValue {
            file: told.clone(),
            key,
            value: found,
            allowed: "a mapping of keys to values".to_owned(),
            nearest: None,
        })?;
        self.place.set(path, value);
        Ok(())
    }

    /// Puts a value at these keys. Returns what is in the way, and its key, if it is not a mapping.
    pub(crate) fn put(&mut self, steps: &[&str], value: impl Into<Value>) -> Result<(), (String, String)> {
        let Some((last, steps)) = steps.split_last() else { return Ok(()) };
        let mut map = &mut self.map;
        for step in steps {
            let below = map.entry(key_of(step)).or_insert_with(|| Value::Mapping(Mapping::new()));
            if below.is_null() || is_taken_away(below) {
                *below = Value::Mapping(Mapping::new());
            }
            let found = show(below);
            map = below.as_mapping_mut().ok_or_else(|| ((*step).to_owned(), found))?;
        }
        map.insert(key_of(last), value.into());
        Ok(())
    }

    /// Takes away those of these keys whose value is null, as if they were not there.
    pub(crate) fn forget_nulls(&mut self, keys: &[&'static str]) {
        let is_nothing = |value: &Value| value.is_null() || is_taken_away(value);
        self.map.retain(|key, value| !is_nothing(value) || key.as_str().is_none_or(|key| !keys.contains(&key)));
    }

    /// Moves these keys into a section of their own.
    pub(crate) fn split_off(&mut self, keys: &[&'static str]) -> Section {
        let map = keys.iter().filter_map(|key| self.take(key).map(|value| (Value::from(*key), value))).collect();
        Section { place: self.place.clone(), known: Vec::new(), map, said: Mapping::new() }
    }

    /// What is written is added, instead of any of its name.
    pub(crate) fn extend(&mut self, raw: Raw) {
        self.map.extend(raw.0);
    }
}

/// Puts texts instead of what YAML made of them.
fn write_over(value: &mut Value, written: Written) {
    match (value, written) {
        (Value::Mapping(map), Written::Map(entries)) => {
            for (key, written) in entries {
                if let Some(value) = map.get_mut(key) {
                    write_over(value, written);
                }
            }
        }
        (Value::Sequence(list), Written::List(texts)) if list.len() == texts.len() => {
            list.iter_mut().zip(texts).for_each(|(value, text)| write_over(value, Written::Text(text)));
        }
        (value, Written::Text(text)) if value.is_bool() || value.is_number() || value.is_null() => {
            *value = Value::String(text);
        }
        _ => {}
    }
}

/// Whether null has a meaning at this path, or is refused there: no early stopping, a rate that follows the
/// optimizer's, Python's None.
fn means_null(path: &[&str]) -> bool {
    match path {
        ["early_stopping"] | ["finetuning", "base_max_lr"] | ["phases", _, "lr"] | ["checkpoint", "monitor"] => true,
        _ => path.contains(&"init_args"),
    }
}

/// A key as written in a file: phases are numbers.
fn key_of(step: &str) -> Value {
    step.parse::<u64>().map_or_else(|_| Value::from(step), Value::from)
}
