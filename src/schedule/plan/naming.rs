//! The names by which a schedule calls parameters: the model's own, or with what classes and wrappers put before them.

use crate::params::{Pattern, nearest};
use crate::schedule::file::phase_spec::PhaseSpec;

/// Prefixes of every name: a module that holds the model, and wrappers.
const WRAPPERS: [&str; 5] = ["", "model.", "module.", "_orig_mod.", "model._orig_mod."];

/// The first of these names that a pattern matches, with any prefix.
pub(super) fn first(pattern: &Pattern, names: &[&str]) -> Result<Option<usize>, String> {
    for wrapper in WRAPPERS {
        let wrapped: Vec<String> = names.iter().map(|name| format!("{wrapper}{name}")).collect();
        let wrapped: Vec<&str> = wrapped.iter().map(String::as_str).collect();
        if let Some(place) = pattern.select(&wrapped)?.first() {
            return Ok(Some(*place));
        }
    }
    Ok(None)
}

/// The names in the form in which most patterns match; the model's own form if several are equal. A schedule has one
/// form, so that a pattern such as `(?!model.bert)` works.
pub(super) fn written(phases: &[PhaseSpec], names: &[&str], in_class: &[String]) -> Vec<String> {
    let own: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let patterns: Vec<Pattern> = phases.iter().flat_map(|phase| &phase.params).map(|text| Pattern::new(text)).collect();
    let found = |names: &[String]| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        patterns.iter().filter(|pattern| pattern.select(&names).is_ok_and(|chosen| !chosen.is_empty())).count()
    };
    let (mut most, mut best) = (found(&own), own.clone());
    let classes = [own, in_class.to_vec()];
    for wrapper in WRAPPERS {
        for names in classes.iter().filter(|names| !names.is_empty()) {
            if most == patterns.len() {
                return best;
            }
            let names: Vec<String> = names.iter().map(|name| format!("{wrapper}{name}")).collect();
            let count = found(&names);
            if count > most {
                (most, best) = (count, names);
            }
        }
    }
    best
}

/// What of a pattern surely is not what was meant, in words.
pub(super) fn doubt(pattern: &Pattern) -> Option<String> {
    pattern.doubtful().map(|part| format!("{part} is no choice, which is written (a|b)"))
}

/// What would be accepted in the place of a pattern that finds nothing.
pub(super) fn told_names(doubt: Option<String>) -> String {
    let mut allowed = "the name of a parameter, or a pattern that matches the start of one".to_owned();
    allowed.extend(doubt.map(|doubt| format!("; {doubt}")));
    allowed
}

/// The nearest name, or the nearest start of one, up to a dot.
pub(super) fn nearest_start<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let starts = names.iter().flat_map(|name| name.match_indices('.').map(|(at, _)| &name[..at]));
    nearest(text.trim_end_matches(".*"), names.iter().copied().chain(starts))
}
