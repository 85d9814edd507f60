//! `use_mixed_precision`: what activations and their gradients are stored in.

use super::Error;
use crate::nn::{MixedPrecision, ValueStorage};
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use crate::schedule::file::yaml::Value;

const KEY: &str = "use_mixed_precision";
const PURPOSE: &str = "it says what values are stored in, as in {values: bf16, f32: [classifier]}";
/// What other programs call them.
const OTHER_WORDS: [(&str, &str); 9] = [
    ("fp16", "f16"),
    ("float16", "f16"),
    ("half", "f16"),
    ("16-mixed", "f16"),
    ("bfloat16", "bf16"),
    ("bf16-mixed", "bf16"),
    ("fp32", "false"),
    ("f32", "false"),
    ("no", "false"),
];
const NARROW: [ValueStorage; 2] = [ValueStorage::Bf16, ValueStorage::F16];

/// `None` is `auto`.
pub(super) fn read(top: &mut Section) -> Result<Option<MixedPrecision>, Error> {
    if top.is_word(KEY, "auto") {
        top.text(KEY)?;
        return Ok(None);
    }
    for values in NARROW {
        if top.is_word(KEY, values.name()) {
            top.text(KEY)?;
            return Ok(Some(values.into()));
        }
    }
    if top.has_below(KEY, "values") || top.has_below(KEY, "f32") {
        return Ok(Some(module_by_module(top.section(KEY, PURPOSE)?)?));
    }
    let shown = top.shown_at(KEY);
    let meant = OTHER_WORDS.iter().find(|(word, _)| shown.eq_ignore_ascii_case(word)).map(|(_, meant)| *meant);
    let is_on = top.flag(KEY).map_err(|_| top.bad(KEY, shown, "true, false, bf16, f16 or auto", meant))?;
    Ok(Some(if is_on { ValueStorage::Bf16 } else { ValueStorage::F32 }.into()))
}

/// `{values: bf16, f32: [module, …]}`.
fn module_by_module(mut section: Section) -> Result<MixedPrecision, Error> {
    section.only(&["values", "f32"])?;
    let word = section.word("values", &["bf16", "f16"])?;
    let values = NARROW.into_iter().find(|values| values.name() == word).unwrap_or_default();
    let wide = section.texts("f32")?;
    section.finish()?;
    Ok(MixedPrecision::new(values).wide(wide))
}

pub(super) fn written(precision: Option<&MixedPrecision>) -> Value {
    match precision {
        None => "auto".into(),
        Some(MixedPrecision { values: ValueStorage::F32, .. }) => false.into(),
        Some(MixedPrecision { values, wide, .. }) if wide.is_empty() => values.name().into(),
        Some(MixedPrecision { values, wide, .. }) => {
            Raw::default().with("values", values.name()).with("f32", wide.clone()).into()
        }
    }
}
