//! The keys of a run file that are short forms of the schedule's, with Ludwig's names.

use super::{Error, ModelKind, ModelSpec};
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;

/// `learning_rate: auto`, as in Ludwig: the rate, and what it is for.
fn auto_rate(model: &ModelSpec, trainable: bool) -> (f64, &'static str) {
    match (model.kind, &model.from, trainable) {
        (ModelKind::Mlp, ..) => (1e-3, "an MLP"),
        (ModelKind::Vit, _, true) => (1e-5, "a pretrained vision transformer"),
        (kind, Some(_), false) if kind.reads_pictures() => (1e-3, "a head on a frozen trunk of pictures"),
        (kind, Some(_), true) if kind.reads_pictures() => (1e-4, "a pretrained network on pictures"),
        (kind, None, _) if kind.reads_pictures() => (1e-3, "a network on pictures from scratch"),
        (_, None, _) => (1e-4, "a transformer from scratch"),
        (_, Some(_), true) => (1e-5, "a pretrained transformer"),
        (_, Some(_), false) => (2e-5, "a head on a frozen trunk"),
    }
}

/// What these keys decide outside the schedule.
pub(super) struct Said {
    /// Whether the trunk trains.
    pub(super) trains_trunk: bool,
    /// The rate of `learning_rate: auto`, in words.
    pub(super) auto_rate: Option<String>,
    /// Whether the file has a rate.
    pub(super) has_rate: bool,
}

/// What a decay of `learning_rate_scheduler` is called as a law.
const DECAYS: [(&str, &str); 3] = [("none", "constant"), ("linear", "linear"), ("cosine", "cosine")];

/// Takes `learning_rate`, `learning_rate_scheduler` and `trainable` from the run file and writes what they say into the
/// schedule, which is then complete.
pub(super) fn into_schedule(top: &mut Section, schedule: &mut Section, model: &ModelSpec) -> Result<Said, Error> {
    let trainable = top.truth("trainable", true)?;
    let auto = top.is_word("learning_rate", "auto").then(|| auto_rate(model, trainable));
    let rate = match auto {
        Some((rate, _)) => {
            top.text("learning_rate")?;
            Some(rate)
        }
        None => top.rate("learning_rate")?,
    };
    let has_rate = rate.is_some() || schedule.has_below("optimizer", "lr");
    if let (Some(_), true) = (rate, schedule.has_below("optimizer", "lr")) {
        return Err(schedule.beside("optimizer.lr", schedule.shown_at("optimizer.lr"), "learning_rate").into());
    }
    // If it is not a mapping, the schedule's reader reports that.
    if !schedule.has_below("optimizer", "type") {
        let _ = schedule.put(&["optimizer", "type"], "adamw");
    }
    if let Some(rate) = rate {
        let _ = schedule.put(&["optimizer", "lr"], rate);
    }
    if let Some(section) = top.maybe_section("learning_rate_scheduler")? {
        if schedule.has("lr_scheduler") {
            let law = schedule.shown_at("lr_scheduler");
            return Err(schedule.beside("lr_scheduler", law, "learning_rate_scheduler").into());
        }
        let law = law(section)?;
        schedule.extend(Raw::default().with("lr_scheduler", law));
    }
    if !trainable {
        for key in ["phases", "finetuning"] {
            if schedule.has(key) {
                return Err(top.beside("trainable", "false", key).into());
            }
        }
        let head = model.patterns_above_trunk()?;
        schedule.extend(Raw::default().with("phases", Raw::default().with(0, Raw::default().with("params", head))));
        if !schedule.has("early_stopping") {
            schedule.extend(Raw::default().with_maybe("early_stopping", None::<Raw>));
        }
    } else if !schedule.has("lr_scheduler") && !schedule.has("phases") && !schedule.has("finetuning") {
        schedule.extend(Raw::default().with("lr_scheduler", Raw::default().with("type", "constant")));
    }
    let auto_rate = auto.map(|(rate, what)| format!("learning_rate: auto is {rate:e}, the rate for {what}"));
    Ok(Said { trains_trunk: trainable, auto_rate, has_rate })
}

fn law(mut section: Section) -> Result<Raw, Error> {
    section.only(&["decay", "warmup_fraction"])?;
    if section.is_null("decay") {
        section.put(&["decay"], "none").ok();
    }
    let word = section.word_or_first("decay", &DECAYS.map(|(decay, _)| decay))?;
    let law = DECAYS.iter().find(|(decay, _)| *decay == word).map_or("constant", |(_, law)| law);
    let warmup = section.optional("warmup_fraction")?;
    let raw = Raw::default().with("type", law);
    Ok(match warmup {
        Some(fraction) => raw.with("warmup_fraction", fraction),
        None => raw,
    })
}
