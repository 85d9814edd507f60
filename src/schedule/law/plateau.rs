//! A factor whenever a metric no longer gets better.

use super::level::MIN;
use super::shape::{factor, scaled, share};
use super::words::{Build, Reading, Words, boxed};
use super::{Better, Law, Level};
use crate::schedule::Error;
use crate::schedule::exact;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "plateau";

/// As in files. The default mode is that of the metric, which is unknown there: it comes last.
pub(super) const WORDS: Words = Words {
    no_cooldown: Some("plateau has no cool-down; metrics that do not count after a reduction are cooldown_metrics"),
    ..Words::new(
        NAME,
        &[&["factor", "patience", "mode", "threshold", "threshold_mode", "cooldown_metrics"], &MIN],
        read,
    )
};

fn read(file: &mut Reading) -> Result<Build, Error> {
    let factor = file.section.number("factor", 0.1)?;
    let patience = file.section.count_or("patience", 10)?;
    let threshold = file.section.number("threshold", 1e-4)?;
    let threshold = match file.section.word_or_first("threshold_mode", &["rel", "abs"])? {
        "abs" => Threshold::Absolute(threshold),
        _ => Threshold::Relative(threshold),
    };
    let cooldown = file.section.count_or("cooldown_metrics", 0)?;
    let law = Plateau::new(Better::Lower, factor, patience, file.min(0.0)?);
    let law = law.and_then(|law| law.threshold(threshold)).map_err(|error| file.section.place().named(error))?;
    let says_mode = file.section.has("mode");
    let mode = file.section.word_or_first("mode", &["min", "max"])?;
    if !says_mode {
        file.section.unsay("mode");
    }
    let law = law.toward(if mode == "max" { Better::Higher } else { Better::Lower }).cooldown(cooldown);
    file.plateau = Some(law);
    Ok(law.build(PlateauState::default()))
}

/// By how much a metric must be better.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Threshold {
    /// By this share of the best one's size.
    Relative(f64),
    /// By this much.
    Absolute(f64),
}

/// value = max(min, base · factor^k), k the reductions that the metrics so far have caused.
///
/// A metric is bad unless it is better than the best by more than the threshold; NaN is never better. After more
/// than `patience` bad ones in a row the value is reduced, and the next `cooldown` metrics do not count as bad. As
/// `torch.optim.lr_scheduler.ReduceLROnPlateau`, but a relative threshold is a share of the best one's size, so that
/// a negative best does not make it easier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    better: Better,
    factor: f64,
    patience: u64,
    threshold: Threshold,
    cooldown: u64,
    min: Level,
}

impl Plateau {
    /// A reduction by `factor` after more than `patience` bad metrics, with a relative threshold of 1e-4.
    ///
    /// # Errors
    /// A factor outside [0, 1), a level out of range.
    pub fn new(better: Better, factor: f64, patience: u64, min: Level) -> Result<Plateau, Error> {
        if !(0.0..1.0).contains(&factor) {
            return Err(Error::bad_argument(NAME, "factor", factor, "in [0, 1)"));
        }
        let threshold = Threshold::Relative(1e-4);
        Ok(Plateau { better, factor, patience, threshold, cooldown: 0, min: min.min(NAME)? })
    }

    /// With another threshold.
    ///
    /// # Errors
    /// One that is negative or not a number; a share over 1.
    pub fn threshold(self, threshold: Threshold) -> Result<Plateau, Error> {
        match threshold {
            Threshold::Relative(value) => share(NAME, "threshold", value)?,
            Threshold::Absolute(value) => factor(NAME, "threshold", value)?,
        };
        Ok(Plateau { threshold, ..self })
    }

    /// Which metrics are better.
    pub fn better(&self) -> Better {
        self.better
    }

    /// With other metrics for better.
    #[must_use]
    pub fn toward(self, better: Better) -> Plateau {
        Plateau { better, ..self }
    }

    /// With metrics that do not count after a reduction.
    #[must_use]
    pub fn cooldown(self, cooldown: u64) -> Plateau {
        Plateau { cooldown, ..self }
    }

    /// The level that it never falls below.
    pub fn min(&self) -> Level {
        self.min
    }

    /// The state after one more metric.
    #[must_use]
    pub fn observe(&self, state: PlateauState, metric: f64) -> PlateauState {
        let PlateauState { best, mut bad, mut resting, mut reductions } = state;
        let better = !metric.is_nan() && best.is_none_or(|best| self.is_better(metric, best));
        bad = if better { 0 } else { bad.saturating_add(1) };
        if resting > 0 {
            resting -= 1;
            bad = 0;
        }
        if bad > self.patience {
            (bad, resting) = (0, self.cooldown);
            reductions += 1;
        }
        PlateauState { best: if better { Some(metric) } else { best }, bad, resting, reductions }
    }

    fn is_better(&self, metric: f64, best: f64) -> bool {
        let by = match self.threshold {
            Threshold::Relative(share) if best.is_finite() => share * best.abs(),
            Threshold::Relative(_) => 0.0,
            Threshold::Absolute(by) => by,
        };
        match self.better {
            Better::Lower => metric < best - by,
            Better::Higher => metric > best + by,
        }
    }

    /// The value at `step`, from the metrics so far and the steps before which they became known.
    pub fn value(&self, base: f64, step: u64, metrics: &[(u64, f64)]) -> f64 {
        let known = metrics.iter().filter(|(at, _)| *at <= step);
        let state = known.fold(PlateauState::default(), |state, (_, metric)| self.observe(state, *metric));
        self.law(state).value(base, step)
    }

    /// What makes the law until the next metric.
    pub(in crate::schedule) fn build(self, state: PlateauState) -> Build {
        Arc::new(move |_| Ok((boxed(self.law(state)), None)))
    }

    /// The law until the next metric.
    pub fn law(&self, state: PlateauState) -> Reduced {
        Reduced { share: self.factor.powf(state.reductions as f64), min: self.min }
    }
}

/// What a plateau law remembers; saves and restores exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    /// The best metric so far.
    #[serde(with = "exact::maybe")]
    best: Option<f64>,
    /// Bad ones in a row.
    bad: u64,
    /// Metrics that still do not count.
    resting: u64,
    /// Reductions so far.
    reductions: u64,
}

impl PlateauState {
    /// The best metric so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// Reductions so far.
    pub fn reductions(&self) -> u64 {
        self.reductions
    }
}

/// What [`Plateau::law`] gives: value = max(min, base · share).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduced {
    share: f64,
    min: Level,
}

impl Law for Reduced {
    fn value(&self, base: f64, _step: u64) -> f64 {
        scaled(base, self.share).max(self.min.of(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reductions(law: &Plateau, metrics: &[f64]) -> Vec<u64> {
        let mut state = PlateauState::default();
        let observe = |metric: &f64| {
            state = law.observe(state, *metric);
            state.reductions()
        };
        metrics.iter().map(observe).collect()
    }

    #[test]
    fn reduces_after_more_than_patience() {
        let law = Plateau::new(Better::Lower, 0.5, 1, Level::Ratio(0.2)).unwrap();
        assert_eq!(reductions(&law, &[1.0, 1.0, 1.0, 0.5, 0.5, f64::NAN]), [0, 0, 1, 1, 1, 2]);
        assert_eq!(reductions(&law.cooldown(2), &[1.0; 7]), [0, 0, 1, 1, 1, 1, 2]);
        let metrics: Vec<(u64, f64)> = (0..12).map(|at| (10 * at, 1.0)).collect();
        assert_eq!([0, 19, 20, 40, 119].map(|step| law.value(1.0, step, &metrics)), [1.0, 1.0, 0.5, 0.25, 0.2]);
    }

    #[test]
    fn thresholds_hold_for_a_negative_best() {
        let law = Plateau::new(Better::Lower, 0.5, 0, Level::ZERO).unwrap();
        let relative = law.threshold(Threshold::Relative(0.1)).unwrap();
        assert_eq!(reductions(&relative, &[-1.0, -1.05, -1.2]), [0, 1, 1]);
        let higher = Plateau::new(Better::Higher, 0.5, 0, Level::ZERO).unwrap();
        let absolute = higher.threshold(Threshold::Absolute(0.1)).unwrap();
        assert_eq!(reductions(&absolute, &[1.0, 1.05, 1.2]), [0, 1, 1]);
        assert!(law.threshold(Threshold::Absolute(-1.0)).is_err());
        assert!(Plateau::new(Better::Lower, 1.0, 0, Level::ZERO).is_err());
    }
}
