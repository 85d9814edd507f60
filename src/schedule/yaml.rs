//! Reading YAML: the one file that knows the YAML crate.
//!
//! The text is read into the crate's own value first, which refuses equal keys at any depth, alias bombs and deep
//! nesting; sections then take their keys one by one and complain about what is left.

use super::as_written::{Texts, Written};
use super::class::{self, Arguments};
use super::{BadLaw, Error};
use crate::params::{Field, Shown, nearest, nearest_three};
use serde::de::DeserializeSeed;
use serde_yaml::{Mapping, Value};
use std::sync::Arc;

/// A mapping of a file, at a dotted path.
pub(crate) struct Section {
    place: Place,
    known: Vec<&'static str>,
    map: Mapping,
    /// What was read, with what stands for it where nothing does.
    said: Mapping,
}

impl Section {
    /// The top level of a file.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Section, Error> {
        let not_yaml = |error: serde_yaml::Error| Error::NotYaml { file: file.to_owned(), reason: error.to_string() };
        if open_brackets(text) > MOST_OPEN {
            let reason = format!("brackets are nested more than {MOST_OPEN} deep");
            return Err(Error::NotYaml { file: file.to_owned(), reason });
        }
        let mut value: Value = serde_yaml::from_str(text.trim_start_matches('\u{feff}')).map_err(not_yaml)?;
        value.apply_merge().map_err(not_yaml)?;
        if value.is_null() {
            return Err(Error::NotYaml { file: file.to_owned(), reason: "the file is empty".to_owned() });
        }
        Section::of(Place::top(file), value)
    }

    fn of(place: Place, value: Value) -> Result<Section, Error> {
        match value {
            Value::Mapping(map) => Ok(Section { place, known: Vec::new(), map, said: Mapping::new() }),
            other => Err(Error::BadValue {
                file: place.said_by(&place.path),
                key: if place.path.is_empty() { "the file".to_owned() } else { place.path },
                value: show(&other),
                allowed: "a mapping of keys to values".to_owned(),
                nearest: None,
            }),
        }
    }

    fn key(&self, key: &str) -> String {
        self.place.key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.know(key);
        let value = self.map.remove(key).filter(|value| !is_taken_away(value))?;
        self.said.insert(key.into(), value.clone());
        Some(value)
    }

    /// What stands for a key that is not there.
    pub(crate) fn say<T: Clone + Into<Value>>(&mut self, key: &'static str, default: T) -> T {
        self.said.insert(key.into(), default.clone().into());
        default
    }

    /// What was read so far with all that stands for what is not there, as it would have to be written.
    pub(crate) fn said(&self) -> Raw {
        Raw(self.said.clone())
    }

    /// The same without a key that says nothing here.
    pub(crate) fn unsay(&mut self, key: &str) {
        self.said.remove(key);
    }

    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// Complains about the first key that is none of these. To be asked before any is taken, so that a slip in a key is
    /// told as that, and not as the key that is missing for it.
    pub(crate) fn only(&mut self, keys: &[&'static str]) -> Result<(), Error> {
        self.only_among(keys, &keys.join(", "))
    }

    /// The same, where the message is to list the keys in other words.
    pub(crate) fn only_among(&mut self, keys: &[&'static str], listed: &str) -> Result<(), Error> {
        keys.iter().for_each(|key| self.know(key));
        if let Some(key) = self.map.keys().find(|key| key.as_str().is_none_or(|key| !keys.contains(&key))) {
            return Err(self.unknown(key, listed.to_owned()));
        }
        self.map.retain(|_, value| !is_taken_away(value));
        Ok(())
    }

    /// The same, where the keys are too many to be listed: the message has the nearest three.
    pub(crate) fn only_near(&mut self, keys: &[&'static str]) -> Result<(), Error> {
        let slip = self.map.keys().find(|key| key.as_str().is_none_or(|key| !keys.contains(&key))).map(show);
        let near = slip.map_or_else(String::new, |slip| nearest_three(&slip, keys).join(", "));
        self.only_among(keys, &format!("{near} and others"))
    }

    fn unknown(&self, key: &Value, known: String) -> Error {
        let key = show(key);
        let nearest = nearest(&key, self.known.iter().copied()).map(str::to_owned);
        let key = self.key(&key);
        Error::UnknownKey { file: self.place.said_by(&key), key, nearest, known }
    }

    pub(crate) fn bad(&self, key: &str, value: String, allowed: &str, nearest: Option<&str>) -> Error {
        let key = self.key(key);
        let (allowed, nearest) = (allowed.to_owned(), nearest.map(str::to_owned));
        Error::BadValue { file: self.place.said_by(&key), key, value, allowed, nearest }
    }

    /// The value does not go with another, or with what is here; `why` ends the sentence.
    pub(crate) fn unfit(&self, key: &str, value: impl ToString, why: impl Into<String>) -> Error {
        self.place.unfit(key, value, why)
    }

    /// Two keys that say the same thing; the first has this value.
    pub(crate) fn beside(&self, key: &str, value: impl ToString, other: &str) -> Error {
        self.place.unfit(key, value, format!("stands beside {other}; keep one of them"))
    }

    /// A section below this one; `purpose` is what it is for, with an example.
    pub(crate) fn section(&mut self, key: &'static str, purpose: &'static str) -> Result<Section, Error> {
        match self.take(key) {
            Some(value) if !value.is_null() => Section::of(self.place.below(key), value),
            found => {
                let section = self.key(key);
                let file = self.place.said_by(&section);
                Err(Error::MissingSection { file, section, empty: found.is_some(), purpose })
            }
        }
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !is_taken_away(value))
    }

    /// Whether something stands at a dotted path.
    pub(crate) fn has_at(&self, path: &str) -> bool {
        self.at(path).is_some()
    }

    fn at(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|first| self.map.get(first));
        steps.fold(first, |value, step| value.and_then(|value| value.get(step))).filter(|value| !is_taken_away(value))
    }

    /// What stands at a dotted path, as one would write it; nothing where nothing does.
    pub(crate) fn shown_at(&self, path: &str) -> String {
        self.at(path).map_or_else(String::new, show)
    }

    /// Whether the key is there and has this one below it.
    pub(crate) fn has_below(&self, key: &str, below: &str) -> bool {
        let value = self.map.get(key).and_then(|section| section.get(below));
        value.is_some_and(|value| !is_taken_away(value))
    }

    /// The key's text, where it is there and has one.
    pub(crate) fn peek(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    /// What is left of it, as it stands.
    pub(crate) fn raw(&self) -> Raw {
        let stays = self.map.iter().filter(|(_, value)| !is_taken_away(value));
        Raw(stays.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(crate) fn missing(&self, keys: &[&'static str]) -> Error {
        self.place.missing(keys)
    }

    /// The key means something elsewhere; `instead` is what to write here.
    pub(crate) fn misplaced(&self, key: &str, instead: impl Into<String>) -> Error {
        self.place.misplaced(key, instead)
    }

    /// A number, where there is one.
    pub(crate) fn optional(&mut self, key: &'static str) -> Result<Option<f64>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        as_number(&value).map(Some).ok_or_else(|| self.bad(key, show(&value), "a number", None))
    }

    /// A number. As in PyYAML, `1e-3` without a dot is text; text that reads as a number is taken as one.
    pub(crate) fn number(&mut self, key: &'static str, default: f64) -> Result<f64, Error> {
        Ok(self.optional(key)?.unwrap_or_else(|| self.say(key, default)))
    }

    /// A rate, where there is one: a number that is 0 or more, also in f32.
    pub(crate) fn rate(&mut self, key: &'static str) -> Result<Option<f64>, Error> {
        match self.optional(key)? {
            Some(rate) if !Field::Lr.allows(rate) => {
                Err(self.bad(key, rate.to_string(), "a finite number that is 0 or more", None))
            }
            given => Ok(given),
        }
    }

    /// A whole number, where there is one.
    pub(crate) fn count(&mut self, key: &'static str) -> Result<Option<u64>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.as_u64().or_else(|| as_number(&value).and_then(whole)) {
            Some(count) => Ok(Some(count)),
            None => Err(self.bad(key, show(&value), "a whole number that is 0 or more", None)),
        }
    }

    /// A whole number, with a default.
    pub(crate) fn count_or(&mut self, key: &'static str, default: u64) -> Result<u64, Error> {
        Ok(self.count(key)?.unwrap_or_else(|| self.say(key, default)))
    }

    /// True or false.
    pub(crate) fn flag(&mut self, key: &'static str) -> Result<bool, Error> {
        self.truth(key, false)
    }

    /// A list of numbers, where there is one.
    pub(crate) fn numbers(&mut self, key: &'static str) -> Result<Option<Vec<f64>>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let numbers = value.as_sequence().and_then(|list| list.iter().map(as_number).collect::<Option<Vec<f64>>>());
        numbers.map(Some).ok_or_else(|| self.bad(key, show(&value), "a list of numbers", None))
    }

    /// A list of mappings; empty where the key is not there.
    pub(crate) fn sections(&mut self, key: &'static str) -> Result<Vec<Section>, Error> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Sequence(list)) => {
                let place = |at| self.place.below(&format!("{key}[{at}]"));
                list.into_iter().enumerate().map(|(at, value)| Section::of(place(at), value)).collect()
            }
            Some(other) => Err(self.bad(key, show(&other), "a list of mappings", None)),
        }
    }

    /// Two numbers.
    pub(crate) fn pair(&mut self, key: &'static str, default: (f64, f64)) -> Result<(f64, f64), Error> {
        let Some(value) = self.take(key) else {
            self.say(key, vec![default.0, default.1]);
            return Ok(default);
        };
        let numbers = value.as_sequence().and_then(|list| list.iter().map(as_number).collect::<Option<Vec<f64>>>());
        match numbers.as_deref() {
            Some([first, second]) => Ok((*first, *second)),
            _ => Err(self.bad(key, show(&value), "a list of two numbers", None)),
        }
    }

    /// One of a few words.
    pub(crate) fn word(&mut self, key: &'static str, words: &[&'static str]) -> Result<&'static str, Error> {
        let Some(value) = self.take(key) else { return Err(self.missing(&[key])) };
        let text = value.as_str().unwrap_or_default();
        words.iter().find(|word| **word == text).copied().ok_or_else(|| {
            let allowed = format!("one of {}", words.join(", "));
            // Of `torch.optim.AdamW` the last part is what is meant.
            let last = text.rsplit('.').next().unwrap_or(text);
            self.bad(key, show(&value), &allowed, nearest(last, words.iter().copied()))
        })
    }

    /// One of a few words; the first where the key is not there.
    pub(crate) fn word_or_first(&mut self, key: &'static str, words: &[&'static str]) -> Result<&'static str, Error> {
        match words.first() {
            Some(first) if !self.has(key) => {
                self.know(key);
                Ok(self.say(key, *first))
            }
            _ => self.word(key, words),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, Error> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let texts = value
            .as_sequence()
            .and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        texts.ok_or_else(|| self.bad(key, show(&value), "a list of texts", None))
    }

    /// A list of texts, numbers or truths, as they would be written.
    pub(crate) fn scalars(&mut self, key: &'static str) -> Result<Vec<String>, Error> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let is_scalar = |item: &&Value| item.is_string() || item.is_number() || item.is_bool();
        let texts = value.as_sequence().filter(|list| list.iter().all(|item| is_scalar(&item)));
        let texts = texts.map(|list| list.iter().map(flow).collect());
        texts.ok_or_else(|| self.bad(key, show(&value), "a list of names", None))
    }

    /// A text that has to be there.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<String, Error> {
        match self.take(key) {
            None => Err(self.missing(&[key])),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.bad(key, show(&other), "a text", None)),
        }
    }

    /// Arguments of a class; none where the key is not there.
    pub(crate) fn arguments(&mut self, key: &'static str) -> Result<Arguments, Error> {
        match self.take(key) {
            None | Some(Value::Null) => Ok(Arguments::new()),
            Some(value) => match as_python(&value) {
                Some(class::Value::Map(arguments)) => Ok(arguments),
                _ => Err(self.bad(key, show(&value), "a mapping of argument names to values", None)),
            },
        }
    }

    /// All keys that are left, as arguments.
    pub(crate) fn rest(&mut self) -> Result<Arguments, Error> {
        match as_python(&Value::Mapping(self.raw().0)) {
            Some(class::Value::Map(arguments)) => {
                self.map.clear();
                Ok(arguments)
            }
            _ => Err(self.bad("the keys", self.place.path.clone(), "names and plain values", None)),
        }
    }

    /// Complains about the first key that nobody took.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.map.keys().next().map_or(Ok(()), |key| Err(self.unknown(key, self.known.join(", "))))
    }
}

/// A schedule without the arguments of its schedulers.
pub(super) fn without_arguments(text: &str) -> Option<Raw> {
    let mut section = Section::parse("", text).ok()?;
    forget_arguments(&mut section.map);
    Some(section.raw())
}

fn forget_arguments(map: &mut Mapping) {
    for (key, value) in map.iter_mut() {
        let Some(below) = value.as_mapping_mut() else { continue };
        if matches!(key.as_str(), Some("lr_scheduler" | "lr_scheduler_init")) {
            below.remove("init_args");
        }
        forget_arguments(below);
    }
}

/// A mapping as it stands in a file, or is to stand in one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Raw(Mapping);

/// What may stand in one.
pub(crate) use serde_yaml::Value as RawValue;

impl From<Raw> for Value {
    fn from(raw: Raw) -> Value {
        Value::Mapping(raw.0)
    }
}

impl Raw {
    /// With this key, in the place of any of its name.
    #[must_use]
    pub(crate) fn with(mut self, key: impl Into<Value>, value: impl Into<Value>) -> Raw {
        self.0.insert(key.into(), value.into());
        self
    }

    /// With this key; nothing stands there where there is no value.
    #[must_use]
    pub(crate) fn with_maybe(self, key: &str, value: Option<impl Into<Value>>) -> Raw {
        self.with(key, value.map_or(Value::Null, Into::into))
    }

    /// With this among its `init_args`.
    #[must_use]
    pub(crate) fn with_argument(&self, key: &str, value: impl Into<Value>) -> Raw {
        let given = self.0.get("init_args").and_then(Value::as_mapping).cloned();
        let arguments = Raw(given.unwrap_or_default()).with(key, value);
        self.clone().with("init_args", arguments)
    }

    /// With all of these, in the place of any of their names.
    #[must_use]
    pub(crate) fn with_all(mut self, other: Raw) -> Raw {
        self.0.extend(other.0);
        self
    }

    /// With these keys alone.
    #[must_use]
    pub(crate) fn only(self, keys: &[&str]) -> Raw {
        Raw(self.0.into_iter().filter(|(key, _)| key.as_str().is_some_and(|key| keys.contains(&key))).collect())
    }

    /// Without these keys.
    #[must_use]
    pub(crate) fn without(self, keys: &[&str]) -> Raw {
        Raw(self.0.into_iter().filter(|(key, _)| key.as_str().is_none_or(|key| !keys.contains(&key))).collect())
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Each value by its dotted key, as text.
    pub(crate) fn flat(&self) -> Vec<(String, String)> {
        let mut flat = Vec::new();
        flatten("", &self.0, &mut flat);
        flat
    }

    /// As text, in block style.
    pub(crate) fn to_text(&self) -> String {
        serde_yaml::to_string(&self.0).unwrap_or_default()
    }
}

fn flatten(path: &str, map: &Mapping, flat: &mut Vec<(String, String)>) {
    for (key, value) in map {
        let key = if path.is_empty() { show(key) } else { format!("{path}.{}", show(key)) };
        match value {
            Value::Mapping(below) => flatten(&key, below, flat),
            value => flat.push((key, flow(value))),
        }
    }
}

/// What a file needs that holds a schedule among other things.
impl Section {
    /// Changes the text at a dotted path, where there is one.
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
        write_over(&mut value, written(texts, text.trim_start_matches('\u{feff}')));
        section.map = value.as_mapping().cloned().unwrap_or_default();
        Ok(section)
    }

    /// Puts a value in the place of what stands at a dotted path, read as YAML, its texts as they are written; sections
    /// that are not there are made. Null takes the key away, unless it has a meaning there.
    pub(crate) fn set(&mut self, texts: Texts, path: &str, value: &str) -> Result<(), Error> {
        let told = told_setting(path, value);
        let not_yaml = |error: serde_yaml::Error| Error::NotYaml { file: told.clone(), reason: error.to_string() };
        let mut read: Value = serde_yaml::from_str(value).map_err(not_yaml)?;
        let steps: Vec<&str> = path.split('.').collect();
        if read.is_null() {
            read = if means_null(&steps) { read } else { taken_away() };
        } else if let Some(texts) = texts.below(&steps) {
            write_over(&mut read, written(texts, value));
        }
        self.put(&steps, read).map_err(|(key, found)| Error::BadValue {
            file: told.clone(),
            key,
            value: found,
            allowed: "a mapping of keys to values".to_owned(),
            nearest: None,
        })?;
        Arc::make_mut(&mut self.place.settings).push((path.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Puts a value where these keys lead. What stands in the way, and its key, where it is no mapping.
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

    /// These keys alone, as a section of their own; they are gone from here.
    pub(crate) fn split_off(&mut self, keys: &[&'static str]) -> Section {
        let map = keys.iter().filter_map(|key| self.take(key).map(|value| (Value::from(*key), value))).collect();
        Section { place: self.place.clone(), known: Vec::new(), map, said: Mapping::new() }
    }

    /// What is written is added, in the place of any of its name.
    pub(crate) fn extend(&mut self, raw: Raw) {
        self.map.extend(raw.0);
    }

    /// A list of whole numbers, where there is one.
    pub(crate) fn counts(&mut self, key: &'static str) -> Result<Option<Vec<usize>>, Error> {
        let Some(numbers) = self.numbers(key)? else { return Ok(None) };
        let whole: Option<Vec<usize>> =
            numbers.iter().map(|number| whole(*number).map(|count| count as usize)).collect();
        let shown = || format!("[{}]", numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", "));
        whole.map(Some).ok_or_else(|| self.bad(key, shown(), "a list of whole numbers", None))
    }

    /// A text, where there is one that is not null.
    pub(crate) fn maybe_text(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        if self.is_null(key) {
            self.take(key);
        }
        if self.has(key) { self.text(key).map(Some) } else { Ok(None) }
    }

    /// Whether the key's value is this word.
    pub(crate) fn is_word(&self, key: &str, word: &str) -> bool {
        self.peek(key) == Some(word)
    }
}

/// The texts of a file as they are written. What is no mapping where one is expected is told by who reads the values.
fn written(texts: Texts, text: &str) -> Written {
    texts.deserialize(serde_yaml::Deserializer::from_str(text)).unwrap_or(Written::Nothing)
}

/// Puts texts in the place of what YAML made of them.
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

/// Whether null says something by itself at this path, be it that it is refused: no early stopping, a rate that follows the
/// optimizer's, Python's None.
fn means_null(path: &[&str]) -> bool {
    match path {
        ["early_stopping"] | ["finetuning", "base_max_lr"] | ["phases", _, "lr"] | ["checkpoint", "monitor"] => true,
        _ => path.contains(&"init_args"),
    }
}

/// Stands where a key has been taken away until it is known whether there is such a key at all.
fn taken_away() -> Value {
    let tag = serde_yaml::value::Tag::new("taken_away");
    Value::Tagged(Box::new(serde_yaml::value::TaggedValue { tag, value: Value::Null }))
}

fn is_taken_away(value: &Value) -> bool {
    matches!(value, Value::Tagged(tagged) if tagged.tag == "taken_away" && tagged.value.is_null())
}

/// A key as it stands in a file: phases are numbers.
fn key_of(step: &str) -> Value {
    step.parse::<u64>().map_or_else(|_| Value::from(step), Value::from)
}

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
                return Err(self.unfit("a key", shown, "is there twice, as text and as a number"));
            }
            phases.push((number, Section::of(self.place.below(&number.to_string()), value.clone())?));
        }
        if !texts.is_empty() {
            let (file, texts) = (&self.place.file, cut(texts.join(", "), SHOWN_TEXT));
            warnings.push(format!("{file}: phases {texts} are text; read as whole numbers"));
        }
        phases.sort_by_key(|(number, _)| *number);
        if phases.iter().enumerate().any(|(place, (number, _))| place as u64 != *number) {
            return Err(self.renumbered(&phases));
        }
        Ok(phases.into_iter().map(|(_, section)| section).collect())
    }

    /// Phases with gaps: the error shows them as they would have to be.
    fn renumbered(&self, phases: &[(u64, Section)]) -> Error {
        let numbers: Vec<String> = phases.iter().map(|(number, _)| number.to_string()).collect();
        let map: Mapping = phases
            .iter()
            .enumerate()
            .map(|(place, (_, section))| (Value::from(place), Value::Mapping(section.map.clone())))
            .collect();
        let text = cut(serde_yaml::to_string(&map).unwrap_or_default(), SHOWN_SCHEDULE);
        Error::BadValue {
            file: self.place.file.clone(),
            key: if self.place.path.is_empty() { "the phases".to_owned() } else { self.place.path.clone() },
            value: numbers.join(", "),
            allowed: format!(
                "0 to {} without a gap. Numbered anew they would be:\n{}",
                phases.len() - 1,
                text.trim_end()
            ),
            nearest: None,
        }
    }

    fn bad_key(&self, key: &str, allowed: &str) -> Error {
        Error::BadValue {
            file: self.place.file.clone(),
            key: if self.place.path.is_empty() { "a key".to_owned() } else { format!("a key of {}", self.place.path) },
            value: key.to_owned(),
            allowed: allowed.to_owned(),
            nearest: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Whether the key is there and null.
    pub(crate) fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// The error for a section that is there with nothing in it; `purpose` is what it is for, with an example.
    pub(crate) fn empty(&self, purpose: &'static str) -> Error {
        let file = self.place.said_by(&self.place.path);
        Error::MissingSection { file, section: self.place.path.clone(), empty: true, purpose }
    }

    /// A section, where there is one that is not null.
    pub(crate) fn maybe_section(&mut self, key: &'static str) -> Result<Option<Section>, Error> {
        let value = self.take(key).filter(|value| !value.is_null());
        value.map(|value| Section::of(self.place.below(key), value)).transpose()
    }

    /// A number that has to be one in YAML too: no text that reads as a number.
    pub(crate) fn plain_number(&mut self, key: &'static str) -> Result<Option<f64>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.as_f64().filter(|number| !number.is_nan());
        number.map(Some).ok_or_else(|| self.bad(key, show(&value), "a number (without quotes)", None))
    }

    /// True or false, with a default. As in PyYAML, yes, no, on and off are truths too.
    pub(crate) fn truth(&mut self, key: &'static str, default: bool) -> Result<bool, Error> {
        let Some(value) = self.take(key) else { return Ok(self.say(key, default)) };
        as_truth(&value).ok_or_else(|| self.bad(key, show(&value), "true or false", None))
    }

    /// A whole number that may be negative.
    pub(crate) fn integer(&mut self, key: &'static str, default: i64) -> Result<i64, Error> {
        let Some(value) = self.take(key) else { return Ok(self.say(key, default)) };
        value.as_i64().ok_or_else(|| self.bad(key, show(&value), "a whole number", None))
    }

    /// A text with a default.
    pub(crate) fn text_or(&mut self, key: &'static str, default: &str) -> Result<String, Error> {
        if self.has(key) { self.text(key) } else { Ok(self.say(key, default.to_owned())) }
    }
}

/// A section's place, for what is found out later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    path: String,
    /// What the command line has put into the file, by whole paths.
    settings: Arc<Vec<(String, String)>>,
}

/// A setting of the command line, as it was given.
fn told_setting(path: &str, value: &str) -> String {
    format!("--set {}", Shown(&format!("{path}={value}")))
}

impl Place {
    /// The top of a file.
    pub(crate) fn top(file: &str) -> Place {
        Place { file: file.to_owned(), ..Place::default() }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The file and the path, for a message.
    pub(crate) fn at(&self) -> String {
        format!("{}: {}", self.file, self.path)
    }

    /// The place of a section here.
    fn below(&self, key: &str) -> Place {
        Place { path: self.key(key), ..self.clone() }
    }

    /// Who says what stands at a whole path: the last setting that put it there, else the file.
    fn said_by(&self, path: &str) -> String {
        let is_below =
            |set: &str| path.strip_prefix(set).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let setting = self.settings.iter().rev().find(|(set, _)| is_below(set));
        setting.map_or_else(|| self.file.clone(), |(set, value)| told_setting(set, value))
    }

    /// The value does not go with another, or with what is here; `why` ends the sentence.
    pub(crate) fn unfit(&self, key: &str, value: impl ToString, why: impl Into<String>) -> Error {
        let key = self.key(key);
        let value = cut(value.to_string(), SHOWN_TEXT);
        Error::Unfit { file: self.said_by(&key), key, value, why: why.into() }
    }

    /// The key means something elsewhere; `instead` is what to write here.
    pub(crate) fn misplaced(&self, key: &str, instead: impl Into<String>) -> Error {
        let key = self.key(key);
        Error::Misplaced { file: self.said_by(&key), key, instead: instead.into() }
    }

    pub(crate) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn bad(&self, key: &str, value: impl ToString, allowed: impl Into<String>) -> Error {
        self.bad_near(key, value, allowed, None)
    }

    pub(crate) fn bad_near(
        &self,
        key: &str,
        value: impl ToString,
        allowed: impl Into<String>,
        nearest: Option<&str>,
    ) -> Error {
        let key = self.key(key);
        Error::BadValue {
            file: self.said_by(&key),
            key,
            value: cut(value.to_string(), SHOWN_TEXT),
            allowed: allowed.into(),
            nearest: nearest.map(str::to_owned),
        }
    }

    /// None of these keys is there, one of which has to be; the first is the usual one.
    pub(crate) fn missing(&self, keys: &[&'static str]) -> Error {
        let (key, others) = keys.split_first().map_or(("", Vec::new()), |(key, others)| (*key, others.to_vec()));
        let key = self.key(key);
        Error::Missing { file: self.said_by(&key), key, others }
    }

    /// What stands here moves `field`, and so does what stands at `by`.
    pub(crate) fn moved_twice(&self, field: Field, by: &Place) -> Error {
        Error::MovedTwice { file: self.said_by(&self.path), key: self.path.clone(), field, by: by.path.clone() }
    }

    /// A law's complaint about an argument, as one about the key of that name.
    pub(crate) fn named(&self, error: Error) -> Error {
        match error {
            Error::BadArgument { argument, value, allowed, .. } => self.bad(argument, value, allowed),
            other => other,
        }
    }

    /// What stands here gives a group a value at a step that its field does not allow.
    pub(crate) fn gives(&self, step: u64, group: usize, field: Field, value: f64, allowed: &'static str) -> Error {
        let (file, key) = (self.said_by(&self.path), self.path.clone());
        Error::BadLaw(Box::new(BadLaw { file, key, step, group, name: None, field, value, allowed }))
    }

    /// What a law of the program's own says of its keys.
    pub(crate) fn own(&self, reason: String) -> Error {
        Error::Own { file: self.said_by(&self.path), key: self.path.clone(), reason }
    }

    pub(crate) fn class(&self, refusal: class::Error) -> Error {
        Error::Class { file: self.said_by(&self.path), key: self.path.clone(), refusal: Box::new(refusal) }
    }
}

/// The parser's time grows with the square of the brackets that are open; it refuses 128 of them, but only at their end.
const MOST_OPEN: usize = 10_000;

/// The most brackets that are open at once, those in texts and comments among them.
fn open_brackets(text: &str) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn whole(number: f64) -> Option<u64> {
    // 2^53: from there on f64 has no odd numbers.
    let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    is_whole.then_some(number as u64)
}

/// A value for a class. Text that reads as a number with digits in front is one, as everywhere in a file.
fn as_python(value: &Value) -> Option<class::Value> {
    Some(match value {
        Value::Null => class::Value::None,
        Value::Bool(flag) => class::Value::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => class::Value::Integer(integer),
            None => class::Value::Number(number.as_f64()?),
        },
        Value::String(text) => match as_number(value).filter(|_| text.contains(|c: char| c.is_ascii_digit())) {
            Some(number) => class::Value::Number(number),
            None => as_truth(value).map_or_else(|| class::Value::Text(text.clone()), class::Value::Bool),
        },
        Value::Sequence(list) => class::Value::List(list.iter().map(as_python).collect::<Option<_>>()?),
        Value::Mapping(map) => {
            let mut arguments = Arguments::new();
            for (key, value) in map {
                arguments.set(key.as_str()?, as_python(value)?);
            }
            class::Value::Map(arguments)
        }
        Value::Tagged(_) => return None,
    })
}

/// True or false, in the words of YAML 1.1 too.
fn as_truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match value.as_str()? {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    })
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Longer values are cut in messages.
const SHOWN: usize = 60;
/// So are names, patterns and paths.
const SHOWN_TEXT: usize = 240;
/// And a schedule that is shown anew.
const SHOWN_SCHEDULE: usize = 10_000;

/// A value as one would write it on one line, cut where it is long.
fn show(value: &Value) -> String {
    cut(flow(value), SHOWN)
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.replace(['\n', '\r'], " "),
        Value::Sequence(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Mapping(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", flow(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Tagged(tagged) => format!("{} {}", tagged.tag, flow(&tagged.value)),
    }
}
