//! What the metrics of a validation decide.

use super::cursor::{Best, Cursor};
use super::{Plan, slot};
use crate::schedule::Error;
use crate::schedule::file::early_stopping::Stop;
use crate::schedule::law::{Better, PlateauState};

/// What a validation decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It is the best so far: where the plan [restores the best](Plan::restores_best), keep a copy now.
    pub is_best: bool,
    /// The rates of the steps ahead are others than before.
    pub moves_rates: bool,
    /// The run ends here.
    pub stop: Option<Stop>,
}

impl Plan {
    /// Takes the metrics of a validation in, by name, after the step that it came after. What it decides depends on
    /// their values alone.
    ///
    /// # Errors
    /// [`Error::NoMetric`] where one that the plan [asks for](Plan::monitors) is not there.
    pub fn validation(&self, cursor: &mut Cursor, metrics: &[(&str, f64)]) -> Result<Verdict, Error> {
        let value = |name: &str| {
            let found = metrics.iter().find(|(known, _)| *known == name);
            // As the reference, which logs in f32.
            found.map(|(_, value)| f64::from(*value as f32)).ok_or_else(|| Error::NoMetric {
                monitor: name.to_owned(),
                known: metrics.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
            })
        };
        for monitor in self.monitors() {
            value(monitor)?;
        }
        let is_last = cursor.depth >= self.last;
        if let Some(stopping) = &self.early_stopping {
            let stop = stopping.check(&mut cursor.patience, value(&stopping.monitor)?, is_last);
            cursor.stop = cursor.stop.or(stop);
        }
        let score = value(&self.checkpoint.monitor).ok();
        let is_best = score.is_some_and(|score| self.beats(score, cursor.best.as_ref()));
        if let Some(score) = score.filter(|_| is_best) {
            let (step, depth, rates) = (cursor.step, cursor.depth, cursor.rates.clone());
            cursor.best = Some(Best { step, depth, score, rates });
        }
        let before = (cursor.rates.values.clone(), cursor.plateaus.clone());
        if let Some(moving) = &mut cursor.rates.scheduler {
            let scheduled = &self.schedulers[&slot(moving.source)];
            let is_due = scheduled.spec.is_due(cursor.step.saturating_sub(1), self.run.steps_per_epoch);
            if scheduled.spec.needs_metrics() && is_due {
                let metric = value(self.monitor_of(&scheduled.spec))?;
                scheduled.step(&mut moving.state, &mut cursor.rates.values, Some(metric))?;
            }
        }
        for (plateau, state) in self.plateaus().zip(&mut cursor.plateaus) {
            *state = plateau.observe(*state, value(&self.checkpoint.monitor)?);
        }
        let reductions = |states: &[PlateauState]| states.iter().map(PlateauState::reductions).collect::<Vec<_>>();
        let moves_rates = before.0 != cursor.rates.values || reductions(&before.1) != reductions(&cursor.plateaus);
        Ok(Verdict { is_best, moves_rates, stop: cursor.stop })
    }

    /// Takes in the metrics of a test behind the run's last step, at which no evaluation is due. In a run without phases it
    /// may be the best: whether it is. Patience, schedulers and all else stay as they are.
    pub fn end(&self, cursor: &mut Cursor, metrics: &[(&str, f64)]) -> bool {
        let score = metrics.iter().find(|(name, _)| *name == self.checkpoint.monitor);
        let score = score.map(|(_, value)| f64::from(*value as f32));
        let score = score.filter(|score| self.last == 0 && self.beats(*score, cursor.best.as_ref()));
        if let Some(score) = score {
            cursor.best = Some(Best { step: cursor.step, depth: cursor.depth, score, rates: cursor.rates.clone() });
        }
        score.is_some()
    }

    fn beats(&self, score: f64, best: Option<&Best>) -> bool {
        !score.is_nan()
            && best.is_none_or(|best| match self.checkpoint.better {
                Better::Lower => score < best.score,
                Better::Higher => score > best.score,
            })
    }

    /// Whether a run may be over before its last epoch, or change its course, by a metric: then each validation's has to
    /// be known before the next step.
    pub fn needs_metrics(&self) -> bool {
        !self.monitors().is_empty()
    }
}
