//! `use_mixed_precision`: what activations and their gradients are stored in.

use super::Error;
use crate::nn::ValueStorage;
use crate::schedule::file::section::Section;
use crate::schedule::file::yaml::Value;

const KEY: &str = "use_mixed_precision";

pub(super) fn read(top: &mut Section) -> Result<ValueStorage, Error> {
    if let Some(word) = ["f16", "auto"].into_iter().find(|word| top.is_word(KEY, word)) {
        let why = "is not here yet: gradients in f16 need a loss scale; bf16, the meaning of true, needs none";
        return Err(top.unfit(KEY, word, why).into());
    }
    if top.is_word(KEY, "bf16") {
        top.text(KEY)?;
        return Ok(ValueStorage::Bf16);
    }
    let shown = top.shown_at(KEY);
    let is_on = top.flag(KEY).map_err(|_| top.bad(KEY, shown, "true, false or bf16", None))?;
    Ok(if is_on { ValueStorage::Bf16 } else { ValueStorage::F32 })
}

pub(super) fn written(values: ValueStorage) -> Value {
    match values {
        ValueStorage::F32 => false.into(),
        narrow => narrow.name().into(),
    }
}
