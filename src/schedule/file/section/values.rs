//! What a key of a section may have for its value.

use super::Section;
use crate::params::{Field, nearest};
use crate::schedule::Error;
use crate::schedule::class::{self, Arguments};
use crate::schedule::file::scalar::{as_number, as_python, as_truth, whole};
use crate::schedule::file::shown::{flow, show};
use crate::schedule::file::yaml::Value;

/// Two numbers or three, in words.
pub(crate) fn so_many_numbers(count: usize) -> &'static str {
    if count == 3 { "three numbers" } else { "two numbers" }
}

impl Section {
    /// A number, if any.
    pub(crate) fn optional(&mut self, key: &'static str) -> Result<Option<f64>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        as_number(&value).map(Some).ok_or_else(|| self.bad(key, show(&value), "a number", None))
    }

    /// A number. As in PyYAML, `1e-3` without a dot is text; text that reads as a number is taken as one.
    pub(crate) fn number(&mut self, key: &'static str, default: f64) -> Result<f64, Error> {
        Ok(self.optional(key)?.unwrap_or_else(|| self.say(key, default)))
    }

    /// A rate, if any: a number that is 0 or more, also in f32.
    pub(crate) fn rate(&mut self, key: &'static str) -> Result<Option<f64>, Error> {
        match self.optional(key)? {
            Some(rate) if !Field::Lr.allows(rate) => {
                Err(self.bad(key, rate.to_string(), "a finite number that is 0 or more", None))
            }
            given => Ok(given),
        }
    }

    /// A whole number, if any.
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

    /// A list of numbers, if any.
    pub(crate) fn numbers(&mut self, key: &'static str) -> Result<Option<Vec<f64>>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let numbers = value.as_sequence().and_then(|list| list.iter().map(as_number).collect::<Option<Vec<f64>>>());
        numbers.map(Some).ok_or_else(|| self.bad(key, show(&value), "a list of numbers", None))
    }

    /// A list of mappings; empty if the key is missing.
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

    /// As many numbers as the default has.
    pub(crate) fn list_of(&mut self, key: &'static str, default: &[f64]) -> Result<Vec<f64>, Error> {
        let Some(value) = self.take(key) else {
            self.say(key, default.to_vec());
            return Ok(default.to_vec());
        };
        let numbers = value.as_sequence().and_then(|list| list.iter().map(as_number).collect::<Option<Vec<f64>>>());
        let numbers = numbers.filter(|numbers| numbers.len() == default.len());
        let allowed = || format!("a list of {}", so_many_numbers(default.len()));
        numbers.ok_or_else(|| self.bad(key, show(&value), &allowed(), None))
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

    /// One of a few words; the first by default.
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

    /// A required text.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<String, Error> {
        match self.take(key) {
            None => Err(self.missing(&[key])),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.bad(key, show(&other), "a text", None)),
        }
    }

    /// Arguments of a class; none if the key is missing.
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
            _ => Err(self.bad("the keys", self.place.path().to_owned(), "names and plain values", None)),
        }
    }

    /// A list of whole numbers, if any.
    pub(crate) fn counts(&mut self, key: &'static str) -> Result<Option<Vec<usize>>, Error> {
        let Some(numbers) = self.numbers(key)? else { return Ok(None) };
        let whole: Option<Vec<usize>> =
            numbers.iter().map(|number| whole(*number).map(|count| count as usize)).collect();
        let shown = || format!("[{}]", numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", "));
        whole.map(Some).ok_or_else(|| self.bad(key, shown(), "a list of whole numbers", None))
    }

    /// Two whole numbers, or one for both; with a default.
    pub(crate) fn two_counts(&mut self, key: &'static str, default: [u64; 2]) -> Result<[u64; 2], Error> {
        let Some(value) = self.take(key) else {
            self.say(key, default.to_vec());
            return Ok(default);
        };
        let count = |value: &Value| value.as_u64().or_else(|| as_number(value).and_then(whole));
        let found = match value.as_sequence().map(Vec::as_slice) {
            None => count(&value).map(|side| [side; 2]),
            Some([first, second]) => count(first).zip(count(second)).map(|(first, second)| [first, second]),
            Some(_) => None,
        };
        found.ok_or_else(|| self.bad(key, show(&value), "a whole number, or two", None))
    }

    /// A text, if it is there and not null.
    pub(crate) fn maybe_text(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        if self.is_null(key) {
            self.take(key);
        }
        if self.has(key) { self.text(key).map(Some) } else { Ok(None) }
    }

    /// A number in YAML too: not text that reads as a number.
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
