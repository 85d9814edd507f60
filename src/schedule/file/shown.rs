//! Values as one would write them in a message.

use super::yaml::Value;

/// Longer values are cut in messages.
const SHOWN: usize = 60;
/// So are names, patterns and paths.
pub(super) const SHOWN_TEXT: usize = 240;
/// And a schedule that is printed.
pub(super) const SHOWN_SCHEDULE: usize = 10_000;

/// A value on one line, cut if it is long.
pub(super) fn show(value: &Value) -> String {
    cut(flow(value), SHOWN)
}

pub(super) fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

pub(super) fn flow(value: &Value) -> String {
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
