//! Scores of a test, as the binary shows them.

use gradus::train::{AlsoTested, Evaluation};

/// How a score is shown.
pub(super) struct Look {
    /// Its name among the metrics.
    pub(super) name: &'static str,
    /// What it is called in tables and charts.
    pub(super) title: &'static str,
    /// Its tag for TensorBoard.
    pub(super) tag: &'static str,
    /// Whether it is a share, which a table gives in hundredths.
    pub(super) is_share: bool,
}

/// Every score, in the order of tables.
pub(super) const SCORES: [Look; 6] = [
    Look { name: "val_accuracy", title: "accuracy", tag: "accuracy/validation", is_share: true },
    Look { name: "val_f1", title: "F1", tag: "f1/validation", is_share: true },
    Look { name: "val_f1_weighted", title: "weighted F1", tag: "f1_weighted/validation", is_share: true },
    Look { name: "val_mse", title: "squared error", tag: "squared_error/validation", is_share: false },
    Look { name: "val_r2", title: "R²", tag: "r2/validation", is_share: false },
    Look { name: "val_perplexity", title: "perplexity", tag: "perplexity/validation", is_share: false },
];

/// The loss, as it is shown of a further set.
const LOSS: Look = Look { name: "val_loss", title: "loss", tag: "loss/validation", is_share: false };

impl Look {
    /// The metric of a further set that has this name there, and what the set is called: `old` of `old_loss`.
    pub(super) fn of_further(key: &str) -> Option<(&str, &'static Look)> {
        let looks = [&LOSS].into_iter().chain(&SCORES);
        let set = |look: &'static Look| Some((key.strip_suffix(look.name.trim_start_matches("val"))?, look));
        let mut found = looks.filter_map(set).filter(|(set, _)| !set.is_empty() && !["val", "train"].contains(set));
        found.next()
    }

    /// Its tag for TensorBoard, of a further set.
    pub(super) fn tag_of(&self, set: &str) -> String {
        self.tag.replace("validation", set)
    }

    /// A value of it in a table.
    pub(super) fn shown(&self, value: f64) -> String {
        if self.is_share { format!("{:.2} %", 100.0 * value) } else { format!("{value:.4}") }
    }
}

/// The titles of these scores, for the head of a table.
pub(super) fn titles(names: &[&str]) -> String {
    let known = SCORES.iter().filter(|look| names.contains(&look.name));
    known.map(|look| format!("   {:>width$}", look.title, width = width(look))).collect()
}

/// An evaluation's scores below their titles.
pub(super) fn columns(evaluation: &Evaluation) -> String {
    let column = |look: &Look| {
        let value = look.shown(evaluation.scores.get(look.name)?);
        Some(format!("   {value:>width$}", width = width(look)))
    };
    SCORES.iter().filter_map(column).collect()
}

/// An evaluation's scores in words: `accuracy 97.22 %, F1 97.10 %`.
pub(super) fn words(evaluation: &Evaluation) -> String {
    let words = |look: &Look| Some(format!("{} {}", look.title, look.shown(evaluation.scores.get(look.name)?)));
    SCORES.iter().filter_map(words).collect::<Vec<_>>().join(", ")
}

/// What an evaluation found on a further set, in words: `old: loss 0.5321, accuracy 97.22 %`.
pub(super) fn words_of(also: &AlsoTested) -> String {
    let scores = SCORES.iter().filter_map(|look| Some((look, also.scores.get(look.name)?)));
    let words = [(&LOSS, also.loss)]
        .into_iter()
        .chain(scores)
        .map(|(look, value)| format!("{} {}", look.title, look.shown(value)));
    format!("{}: {}", also.name, words.collect::<Vec<_>>().join(", "))
}

fn width(look: &Look) -> usize {
    look.title.chars().count().max(8)
}
