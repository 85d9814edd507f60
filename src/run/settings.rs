//! Values of the command line that replace those of a run file, and the file that `schedule` names.

use super::Error;
use super::paths::absolute;
use super::pretrained_folder::is_hub_name;
use crate::schedule::Spec;
use crate::schedule::file::as_written::Texts;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use crate::schedule::file::spec::SECTIONS;
use crate::train::files;
use std::path::Path;

/// Where texts are, exactly as written: a column may be called `1`, a class `True`, a run `007`.
const TEXTS: Texts = Texts::Below(&[
    ("name", Texts::Here),
    ("output", Texts::Here),
    ("schedule", Texts::Here),
    ("model", Texts::Below(&[("from", Texts::Here)])),
    (
        "data",
        Texts::Below(&[
            ("train", Texts::Here),
            ("train_labels", Texts::Here),
            ("test", Texts::Here),
            ("test_labels", Texts::Here),
            ("image", Texts::Here),
            ("text", Texts::Here),
            ("text_pair", Texts::Here),
            ("label", Texts::Here),
            ("label_separator", Texts::Here),
            ("labels", Texts::Listed),
            ("features", Texts::Listed),
            ("classes", Texts::Listed),
        ]),
    ),
]);

/// What may be set for a run that continues.
pub(super) const MAY_CHANGE: [&str; 8] = [
    "epochs",
    "checkpoint_every_steps",
    "memory_limit_megabytes",
    "steps_per_submission",
    "check",
    "shard_optimizer",
    "data.cache",
    "data.device_megabytes",
];

/// Files of data, which may have been moved: what is in them must be the same.
pub(super) const DATA_FILES: [&str; 4] = ["data.train", "data.test", "data.train_labels", "data.test_labels"];

/// Applies a setting of the command line. Its paths are relative to the current folder.
fn set(top: &mut Section, key: &str, value: &str) -> Result<(), Error> {
    top.set(TEXTS, key, value)?;
    let files = DATA_FILES.into_iter().chain(["schedule", "output", "model.from", "continue.run"]);
    let is_below = |path: &str| path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    for path in files.filter(|path| is_below(path)) {
        // A model may be named as the hub names it.
        let is_name = |text: &str| path == "model.from" && is_hub_name(text) && !Path::new(text).exists();
        top.change_text(path, |text| if is_name(text) { text.to_owned() } else { absolute(Path::new(text)) });
    }
    Ok(())
}

/// A run file with these settings and with the sections of the schedule that it names.
pub(super) fn top(file: &str, text: &str, folder: &Path, settings: &[(String, String)]) -> Result<Section, Error> {
    let mut top = Section::parse_with(TEXTS, file, text)?;
    let (which, others): (Vec<_>, Vec<_>) = settings.iter().partition(|(key, _)| key == "schedule");
    which.iter().try_for_each(|(key, value)| set(&mut top, key, value))?;
    let is_null = |section: &str| others.iter().any(|(key, value)| key == section && Section::is_null_setting(value));
    let given_way = take_schedule_file(&mut top, folder, is_null)?;
    let has_given_way = |key: &str| given_way.contains(&key) && !Section::means_null(key);
    let mut others = others.iter().filter(|(key, _)| !has_given_way(key));
    others.try_for_each(|(key, value)| set(&mut top, key, value))?;
    Ok(top)
}

/// Adds the sections of the file that `schedule` names. A section that the command line sets to null is the schedule's then.
/// Returns those sections.
fn take_schedule_file(
    top: &mut Section,
    folder: &Path,
    is_null: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>, Error> {
    let Some(named) = top.maybe_text("schedule")? else { return Ok(Vec::new()) };
    let path = folder.join(named);
    let text = files::read_text(&path).map_err(|error| Error::unreadable(&path, &error))?;
    let shown = path.display().to_string();
    // What is wrong with the file is reported under its own name.
    Spec::parse(&shown, &text)?;
    let file = Section::parse(&shown, &text)?;
    let sections = if file.is_numbered() { Raw::default().with("phases", file.raw()) } else { file.raw() };
    let twice = SECTIONS.into_iter().filter(|key| top.has(key) && sections.has(key));
    let (given_way, twice): (Vec<_>, Vec<_>) = twice.partition(|key| is_null(key));
    if let Some(twice) = twice.first() {
        let kept = if Section::means_null(twice) { "have neither" } else { "keep the schedule's" };
        let instead = format!("{shown} has it too; keep one of them, or give --set {twice}=null to {kept}");
        return Err(top.misplaced(twice, instead).into());
    }
    top.split_off(&given_way);
    top.extend(sections);
    Ok(given_way)
}
