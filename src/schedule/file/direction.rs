//! Which values of a metric are better: by its name, or by the file.

use super::class_spec::ClassSpec;
use super::section::Section;
use crate::schedule::law::Better;
use crate::schedule::{Error, class};

/// The direction by the words of a metric's name; `None` for other names.
pub(in crate::schedule) fn of_name(monitor: &str) -> Option<Better> {
    let monitor = monitor.to_ascii_lowercase();
    monitor.split(|letter: char| !letter.is_ascii_alphanumeric()).find_map(|word| match word {
        "loss" | "mse" | "perplexity" => Some(Better::Lower),
        "accuracy" | "acc" | "f1" | "r2" => Some(Better::Higher),
        _ => None,
    })
}

/// `mode: min | max`; by default `usual`, else that of the name, else lower. A mode that contradicts the name is obeyed
/// with a warning.
pub(in crate::schedule) fn read(
    section: &mut Section,
    monitor: &str,
    usual: Option<Better>,
    warnings: &mut Vec<String>,
) -> Result<Better, Error> {
    if !section.has("mode") {
        return Ok(usual.or(of_name(monitor)).unwrap_or(Better::Lower));
    }
    let mode = section.word_or_first("mode", &["min", "max"])?;
    let better = if mode == "max" { Better::Higher } else { Better::Lower };
    let at = section.place().at();
    warnings.extend(doubt(monitor, better).map(|doubt| format!("{at}.mode = {mode} is obeyed, although {doubt}")));
    Ok(better)
}

/// What speaks against a direction, where anything does.
pub(in crate::schedule) fn doubt(monitor: &str, better: Better) -> Option<String> {
    let named = of_name(monitor).filter(|named| *named != better)?;
    let which = if named == Better::Higher { "higher" } else { "lower" };
    Some(format!("a {which} {monitor} is better"))
}

/// The same of a class, whose default is its own.
pub(in crate::schedule) fn doubt_class(spec: &ClassSpec, monitor: &str) -> Option<String> {
    let better = class::better(&spec.path, &spec.arguments)?;
    let doubt = doubt(monitor, better)?;
    let (path, mode) = (&spec.path, mode(better));
    Some(format!("{}: {path} uses mode: {mode}, although {doubt}; init_args can change it", spec.place.at()))
}

/// Its word in a file.
pub(in crate::schedule) fn mode(better: Better) -> &'static str {
    match better {
        Better::Lower => "min",
        Better::Higher => "max",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Spec;

    #[test]
    fn names_say_it_by_their_words() {
        for (name, better) in [
            ("val_loss", Some(Better::Lower)),
            ("val_accuracy", Some(Better::Higher)),
            ("val/acc", Some(Better::Higher)),
            ("F1", Some(Better::Higher)),
            ("macro-f1", Some(Better::Higher)),
            ("val_f1_weighted", Some(Better::Higher)),
            ("val_r2", Some(Better::Higher)),
            ("val_mse", Some(Better::Lower)),
            ("val_perplexity", Some(Better::Lower)),
            ("lossless", None),
            ("account", None),
        ] {
            assert_eq!(of_name(name), better, "{name}");
        }
    }

    fn spec(sections: &str) -> Spec {
        let text = format!("optimizer: {{type: adamw}}\nlr_scheduler: {{type: plateau, patience: 1}}\n{sections}");
        Spec::parse("run.yaml", &text).unwrap()
    }

    /// The directions of early stopping, checkpoint and plateau, and the warnings.
    fn directions(sections: &str) -> (Vec<Better>, Vec<String>) {
        let spec = spec(sections);
        let stopping = spec.early_stopping.iter().map(|stopping| stopping.better);
        let plateau = spec.laws[0].plateau().map(|plateau| plateau.better());
        let all = stopping.chain([spec.checkpoint.better]).chain(plateau).collect();
        (all, spec.warnings)
    }

    #[test]
    fn what_is_left_out_is_filled_one_way() {
        use Better::{Higher, Lower};
        for (sections, expected) in [
            ("", vec![Lower, Lower]),
            ("early_stopping: {monitor: val_accuracy}", vec![Higher, Higher, Higher]),
            ("early_stopping: {monitor: score, mode: max}", vec![Higher, Higher, Higher]),
            ("early_stopping: {monitor: val_accuracy}\ncheckpoint: {monitor: val_loss}", vec![Higher, Lower, Lower]),
            ("early_stopping: {monitor: score, mode: max}\ncheckpoint: {monitor: score}", vec![Higher; 3]),
            ("early_stopping: {monitor: val_loss}\ncheckpoint: {monitor: val_accuracy}", vec![Lower, Higher, Higher]),
            ("checkpoint: {monitor: val_accuracy}", vec![Higher, Higher]),
            ("early_stopping: {}\ncheckpoint: {monitor: val_accuracy}", vec![Lower, Higher, Higher]),
        ] {
            assert_eq!(directions(sections), (expected, vec![]), "{sections}");
        }
        assert_eq!(
            spec("early_stopping: {monitor: val_accuracy}\ncheckpoint: {keep_last: 1}").checkpoint.monitor,
            "val_accuracy"
        );
    }

    #[test]
    fn a_mode_that_contradicts_the_name_is_obeyed_and_told() {
        let (all, warnings) = directions("early_stopping: {monitor: val_accuracy, mode: min}");
        assert_eq!(all, [Better::Lower; 3]);
        let told = "run.yaml: early_stopping.mode = min is obeyed, although a higher val_accuracy is better";
        assert_eq!(warnings, [told]);
        let (all, warnings) = directions("checkpoint: {monitor: val_loss, mode: max}");
        assert_eq!(all, [Better::Higher; 2]);
        assert_eq!(warnings, ["run.yaml: checkpoint.mode = max is obeyed, although a lower val_loss is better"]);
        let text = "{optimizer: {type: adamw}, lr_scheduler: {type: plateau, mode: max}}";
        let spec = Spec::parse("run.yaml", text).unwrap();
        assert_eq!(spec.warnings, ["run.yaml: lr_scheduler.mode = max is obeyed, although a lower val_loss is better"]);
    }

    #[test]
    fn classes_keep_their_own_and_it_is_told() {
        let warnings = |law: &str, rest: &str| {
            let text = format!("optimizer: {{type: adamw}}\nlr_scheduler: {law}\n{rest}");
            Spec::parse("run.yaml", &text).unwrap().warnings
        };
        let by_accuracy = "{class_path: ReduceLROnPlateau, monitor: val_accuracy}";
        let told = "run.yaml: lr_scheduler: ReduceLROnPlateau uses mode: min, although a higher val_accuracy is better; \
                    init_args can change it";
        assert_eq!(warnings(by_accuracy, ""), [told]);
        assert_eq!(warnings("{class_path: ReduceLROnPlateau}", "checkpoint: {monitor: val_accuracy}"), [told]);
        let meant = "{class_path: ReduceLROnPlateau, init_args: {mode: max}, monitor: val_accuracy}";
        assert!(warnings(meant, "").is_empty() && warnings("{class_path: ReduceLROnPlateau}", "").is_empty());
        let of_timm = "{class_path: timm.scheduler.PlateauLRScheduler, monitor: val_loss}";
        assert!(warnings(of_timm, "")[0].contains("uses mode: max, although a lower val_loss is better"));
        // A plain schedule of finetuning-scheduler.
        let text = "0: {params: [a]}\n1: {params: [b], new_lr_scheduler: {lr_scheduler_init: {class_path: \
                    torch.optim.lr_scheduler.ReduceLROnPlateau}, pl_lrs_cfg: {monitor: val_accuracy}}}";
        let spec = Spec::parse("fts.yaml", text).unwrap();
        assert!(spec.warnings[0].starts_with("fts.yaml: 1.new_lr_scheduler"), "{:?}", spec.warnings);
    }
}
