//! Numbers and truths as files say them, and values as Python would see them.

use super::yaml::Value;
use crate::schedule::class::{self, Arguments};

/// A whole number.
pub(super) fn whole(number: f64) -> Option<u64> {
    // 2^53: from there on f64 has no odd numbers.
    let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    is_whole.then_some(number as u64)
}

/// A value for a class. Text that reads as a number with digits in front is one, as everywhere in a file.
pub(super) fn as_python(value: &Value) -> Option<class::Value> {
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
pub(super) fn as_truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match value.as_str()? {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    })
}

/// A number, or text that reads as one.
pub(super) fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}
