//! The one file that knows the YAML crate.
//!
//! Text is read into the crate's own value, which refuses equal keys at any depth, alias bombs and deep nesting.

use super::as_written::{Texts, Written};
use serde::de::DeserializeSeed;

pub(in crate::schedule) use serde_yaml::Mapping;
pub(crate) use serde_yaml::Value;

/// The value of a whole file; an error if it is empty.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if open_brackets(text) > MOST_OPEN {
        return Err(format!("brackets are nested more than {MOST_OPEN} deep"));
    }
    let mut value = value(without_mark(text))?;
    value.apply_merge().map_err(|error| error.to_string())?;
    if value.is_null() { Err("the file is empty".to_owned()) } else { Ok(value) }
}

/// A single value.
pub(super) fn value(text: &str) -> Result<Value, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

/// As text, in block style.
pub(super) fn print(map: &Mapping) -> String {
    serde_yaml::to_string(map).unwrap_or_default()
}

/// The texts of a file as they are written. The reader of the values reports what is not a mapping.
pub(super) fn written(texts: Texts, text: &str) -> Written {
    texts.deserialize(serde_yaml::Deserializer::from_str(without_mark(text))).unwrap_or(Written::Nothing)
}

fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// Marks a removed key until it is known whether there is such a key.
pub(super) fn taken_away() -> Value {
    let tag = serde_yaml::value::Tag::new("taken_away");
    Value::Tagged(Box::new(serde_yaml::value::TaggedValue { tag, value: Value::Null }))
}

pub(super) fn is_taken_away(value: &Value) -> bool {
    matches!(value, Value::Tagged(tagged) if tagged.tag == "taken_away" && tagged.value.is_null())
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
