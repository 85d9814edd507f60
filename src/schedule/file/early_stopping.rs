//! When a phase, or the run, has stopped getting better.

use super::direction::{self, mode};
use super::raw::Raw;
use super::section::Section;
use crate::schedule::law::Better;
use crate::schedule::{Error, exact};
use serde::{Deserialize, Serialize};

/// The section `early_stopping`, with the names and rules of Lightning's `EarlyStopping`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EarlyStopping {
    /// The metric.
    pub monitor: String,
    /// Which of its values are better.
    pub better: Better,
    /// Checks without an improvement before it acts; 0 acts like 1.
    pub patience: u64,
    /// An improvement is one by more than this.
    pub min_delta: f64,
    /// A metric better than this ends the run.
    pub stopping_threshold: Option<f64>,
    /// A metric worse than this ends the run.
    pub divergence_threshold: Option<f64>,
    /// A metric that is not finite ends the run.
    pub check_finite: bool,
}

impl Default for EarlyStopping {
    fn default() -> EarlyStopping {
        EarlyStopping {
            monitor: "val_loss".to_owned(),
            better: Better::Lower,
            patience: 3,
            min_delta: 0.0,
            stopping_threshold: None,
            divergence_threshold: None,
            check_finite: true,
        }
    }
}

/// Why a run ends before its last epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// The last phase did not improve for `patience` checks.
    Patience,
    /// The metric is not finite.
    NotFinite,
    /// The metric passed `stopping_threshold`.
    Reached,
    /// The metric passed `divergence_threshold`.
    Diverged,
}

/// What early stopping remembers. The best metric is kept over phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::schedule) struct Patience {
    /// Checks since the best.
    pub(in crate::schedule) wait: u64,
    #[serde(with = "exact::maybe")]
    pub(in crate::schedule) best: Option<f64>,
    /// The phase has run out of patience.
    pub(in crate::schedule) is_complete: bool,
}

impl EarlyStopping {
    /// Reads the section; a mode that contradicts the metric's name is a warning.
    pub(in crate::schedule) fn read(mut section: Section, warnings: &mut Vec<String>) -> Result<EarlyStopping, Error> {
        section.only(&[
            "monitor",
            "mode",
            "patience",
            "min_delta",
            "stopping_threshold",
            "divergence_threshold",
            "check_finite",
        ])?;
        let usual = EarlyStopping::default();
        let monitor = section.text_or("monitor", &usual.monitor)?;
        Ok(EarlyStopping {
            better: direction::read(&mut section, &monitor, None, warnings)?,
            monitor,
            patience: section.count("patience")?.unwrap_or(usual.patience),
            min_delta: finite(&mut section, "min_delta")?.unwrap_or(usual.min_delta),
            stopping_threshold: finite(&mut section, "stopping_threshold")?,
            divergence_threshold: finite(&mut section, "divergence_threshold")?,
            check_finite: section.truth("check_finite", true)?,
        })
    }

    /// Takes a metric in, in f32 as the reference does. In a phase that is not the last one, running out of patience
    /// completes the phase; everything else ends the run.
    pub(in crate::schedule) fn check(&self, patience: &mut Patience, metric: f64, is_last: bool) -> Option<Stop> {
        let metric = metric as f32;
        let beats = |a: f64, b: f64| match self.better {
            Better::Lower => a < b,
            Better::Higher => a > b,
        };
        let value = f64::from(metric);
        if self.check_finite && !metric.is_finite() {
            return Some(Stop::NotFinite);
        }
        if self.stopping_threshold.is_some_and(|threshold| beats(value, threshold)) {
            return Some(Stop::Reached);
        }
        if self.divergence_threshold.is_some_and(|threshold| beats(-value, -threshold)) {
            return Some(Stop::Diverged);
        }
        let by = match self.better {
            Better::Lower => -self.min_delta.abs(),
            Better::Higher => self.min_delta.abs(),
        };
        let needed = f64::from(metric - by as f32);
        let is_better = !needed.is_nan() && patience.best.is_none_or(|best| beats(needed, best));
        if is_better {
            (patience.best, patience.wait) = (Some(value), 0);
            return None;
        }
        patience.wait += 1;
        if patience.wait < self.patience {
            return None;
        }
        if is_last {
            return Some(Stop::Patience);
        }
        (patience.is_complete, patience.wait) = (true, 0);
        None
    }
}

/// As a section.
impl From<&EarlyStopping> for Raw {
    fn from(stopping: &EarlyStopping) -> Raw {
        Raw::default()
            .with("monitor", stopping.monitor.as_str())
            .with("mode", mode(stopping.better))
            .with("patience", stopping.patience)
            .with("min_delta", stopping.min_delta)
            .with_maybe("stopping_threshold", stopping.stopping_threshold)
            .with_maybe("divergence_threshold", stopping.divergence_threshold)
            .with("check_finite", stopping.check_finite)
    }
}

fn finite(section: &mut Section, key: &'static str) -> Result<Option<f64>, Error> {
    if section.is_null(key) {
        return Ok(None);
    }
    match section.optional(key)? {
        Some(value) if !value.is_finite() => Err(section.bad(key, value.to_string(), "a finite number", None)),
        other => Ok(other),
    }
}
