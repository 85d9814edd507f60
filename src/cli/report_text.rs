//! Numbers and words of a report, as its page holds them.

use gradus::params::tame_line;

/// A number with so many places, or a dash if there is none.
pub(super) fn number(value: Option<f64>, places: usize) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 1e9 => format!("{value:.places$e}"),
        Some(value) => format!("{value:.places$}"),
    }
}

/// Text as a page holds it, on one line.
pub(super) fn escaped(text: &str) -> String {
    tame_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
