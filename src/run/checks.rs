//! What of a run file does not go together, and what is accepted although it may not be meant.

use super::{Error, ModelSpec};
use crate::params::{Rule, Storage};
use crate::schedule::Spec;
use crate::schedule::file::section::Section;

/// Epochs that are recommended for a pretrained trunk (Devlin et al. 2019 take 2 to 4, Ludwig 3 to 10).
const FINE_TUNING_EPOCHS: std::ops::RangeInclusive<usize> = 3..=10;

/// Refuses what cannot be.
pub(super) fn refuse(top: &mut Section, name: &str, model: &ModelSpec, schedule: &Spec) -> Result<(), Error> {
    if model.parameters != Storage::F32 {
        let refused = schedule.rows().position(|row| !row.rule.stores_bf16()).map(|place| match place.checked_sub(1) {
            None => format!("type: {}", schedule.row.rule),
            Some(entry) => format!("groups[{entry}].type: {}", schedule.groups[entry].row.rule),
        });
        if let Some(other) = refused.or(schedule.row.ema_decay.map(|_| "ema_decay".to_owned())) {
            let titles: Vec<&str> = Rule::ALL.into_iter().filter(|rule| rule.stores_bf16()).map(Rule::title).collect();
            let (last, others) = titles.split_last().unwrap_or((&"", &[]));
            let stored = format!("{} and {last}", others.join(", "));
            let why = format!("does not go with optimizer.{other}: it needs {stored}, without ema_decay");
            return Err(top.unfit("model.parameters", model.parameters, why).into());
        }
    }
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(top.bad("name", name.to_owned(), "the name of a folder", None).into());
    }
    Ok(())
}

/// Keys that change nothing.
pub(super) fn doubts(file: &str, top: &mut Section) -> Result<Option<String>, Error> {
    let compiles = top.truth("compile", true)?;
    Ok((!compiles).then(|| format!("{file}: compile: false changes nothing: every step is compiled")))
}

/// That a trunk that never trains runs without dropout.
pub(super) fn told_still_trunk(file: &str, model: &ModelSpec, trains_trunk: bool) -> Option<String> {
    let dropout = model.dropout.or(model.pretrained.as_ref().map(|folder| folder.model.sizes.dropout)).unwrap_or(0.0);
    (!trains_trunk && dropout > 0.0).then(|| {
        format!(
            "{file}: trainable: false: the trunk runs without its dropout of {dropout}, so that its outputs can \
             be cached"
        )
    })
}

/// What a pretrained model is seldom trained with.
pub(super) fn doubts_of_fine_tuning(
    file: &str,
    model: &ModelSpec,
    epochs: usize,
    has_rate: bool,
    rate: f64,
) -> Vec<String> {
    let mut doubts = Vec::new();
    if model.from.is_some() && !has_rate {
        doubts.push(format!(
            "{file}: no rate is given, so it is {rate:e}: a pretrained model is usually fine-tuned with much less (learning_rate: auto)"
        ));
    }
    if model.from.is_some() && !FINE_TUNING_EPOCHS.contains(&epochs) {
        let (least, most) = (FINE_TUNING_EPOCHS.start(), FINE_TUNING_EPOCHS.end());
        doubts
            .push(format!("{file}: epochs = {epochs}: a pretrained model is usually fine-tuned for {least} to {most}"));
    }
    doubts
}
