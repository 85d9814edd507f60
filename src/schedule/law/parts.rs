//! The laws that a law of a file is made of.

use super::words::Reading;
use crate::schedule::Error;
use crate::schedule::file::law_spec::LawSpec;

pub(super) const PARTS: [&str; 1] = ["parts"];

/// The laws of the list `parts`, one or more.
pub(super) fn read(file: &mut Reading) -> Result<Vec<LawSpec>, Error> {
    let [key] = PARTS;
    if !file.section.has(key) {
        return Err(file.section.missing(&PARTS));
    }
    let parts = file.section.sections(key)?;
    if parts.is_empty() {
        return Err(file.section.bad(key, "[]".to_owned(), "a list of one law or more: it is empty", None));
    }
    let parts: Vec<LawSpec> =
        parts.into_iter().map(|part| LawSpec::read_part(part, file.field)).collect::<Result<_, _>>()?;
    file.section.say(key, parts.iter().map(|part| part.raw.clone()).collect::<Vec<_>>());
    file.levels.extend(parts.iter().flat_map(LawSpec::levels));
    Ok(parts)
}
