//! What the metrics of an evaluation decide.

use super::cursor::{Best, Cursor, Metrics, Pending};
use super::{Plan, slot};
use crate::schedule::Error;
use crate::schedule::file::early_stopping::{Patience, Stop};
use crate::schedule::law::{Better, PlateauState};

/// What an evaluation decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// It is the best so far: keep a copy now if the plan [restores the best](Plan::restores_best).
    pub is_best: bool,
    /// The rates of the steps ahead are others than before.
    pub moves_rates: bool,
    /// The run ends here.
    pub stop: Option<Stop>,
}

impl Plan {
    /// Takes the metrics of an evaluation, by name, after its step. The decision depends only on their values. If the
    /// plan [decides at a lag](Plan::decides_at_a_lag), this decides by the previous evaluation, and whether this one
    /// is the best; call [`decide`](Plan::decide) at the end of the run.
    ///
    /// # Errors
    /// [`Error::NoMetric`] if one that the plan [needs](Plan::monitors) is missing.
    pub fn validation(&self, cursor: &mut Cursor, metrics: &[(&str, f64)]) -> Result<Verdict, Error> {
        self.check_metrics(metrics)?;
        let before = if self.decides_at_a_lag() { self.decide(cursor)? } else { None };
        self.evaluated(cursor);
        let is_best = self.measured(cursor, metrics)?;
        let now = if self.decides_at_a_lag() { before } else { self.decide(cursor)? };
        let moves_rates = now.is_some_and(|verdict| verdict.moves_rates);
        Ok(Verdict { is_best, moves_rates, stop: cursor.stop })
    }

    /// Notes an evaluation at the cursor. [`measured`](Plan::measured) takes its metrics, and [`decide`](Plan::decide)
    /// decides by them. The previous evaluation must have decided.
    pub fn evaluated(&self, cursor: &mut Cursor) {
        let (step, depth, rates) = (cursor.step, cursor.depth, cursor.rates.clone());
        cursor.pending = Some(Pending { step, depth, rates, metrics: None });
    }

    /// Takes the metrics of the noted evaluation, and returns whether it is the best so far. They decide nothing else
    /// yet, so it does not matter when they come.
    ///
    /// # Errors
    /// [`Error::NoMetric`] if one that the plan [needs](Plan::monitors) is missing.
    pub fn measured(&self, cursor: &mut Cursor, metrics: &[(&str, f64)]) -> Result<bool, Error> {
        self.check_metrics(metrics)?;
        let Some(mut pending) = cursor.pending.take_if(|pending| pending.metrics.is_none()) else { return Ok(false) };
        // As the reference, which logs in f32.
        let values = metrics.iter().map(|(name, value)| ((*name).to_owned(), f64::from(*value as f32)));
        let mut metrics = Metrics { values: values.collect(), is_best: false };
        let score = metrics.values.get(&self.checkpoint.monitor).copied();
        if let Some(score) = score.filter(|score| self.beats(*score, cursor.best.as_ref())) {
            metrics.is_best = true;
            let Pending { step, depth, rates, .. } = &pending;
            cursor.best = Some(Best { step: *step, depth: *depth, score, rates: rates.clone() });
        }
        let is_best = metrics.is_best;
        pending.metrics = Some(metrics);
        cursor.pending = Some(pending);
        Ok(is_best)
    }

    /// Decides by the evaluation whose metrics have come and that has not decided yet; `None` without one. If its phase
    /// has ended since, it does not count for patience and moves no scheduler that began since.
    ///
    /// # Errors
    /// A scheduler by class name that has no next value.
    pub fn decide(&self, cursor: &mut Cursor) -> Result<Option<Verdict>, Error> {
        let Some(pending) = cursor.pending.take_if(|pending| pending.metrics.is_some()) else { return Ok(None) };
        let Pending { step, depth, rates, metrics: Some(Metrics { values, is_best }) } = pending else {
            return Ok(None);
        };
        let value = |name: &str| values.get(name).copied().ok_or_else(|| self.no_metric(name, values.keys()));
        if let Some(stopping) = &self.early_stopping {
            let mut patience = cursor.patience;
            let stop = stopping.check(&mut patience, value(&stopping.monitor)?, depth >= self.last);
            // A phase resets patience, not the best score.
            let is_of_phase = depth == cursor.depth;
            cursor.patience = if is_of_phase { patience } else { Patience { best: patience.best, ..cursor.patience } };
            cursor.stop = cursor.stop.or(stop);
        }
        let before = (cursor.rates.values.clone(), cursor.plateaus.clone());
        let source_then = rates.scheduler.as_ref().map(|moving| moving.source);
        if let Some(moving) = cursor.rates.scheduler.as_mut().filter(|moving| Some(moving.source) == source_then) {
            let scheduled = &self.schedulers[&slot(moving.source)];
            let is_due = scheduled.spec.is_due(step.saturating_sub(1), self.run.steps_per_epoch);
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
        Ok(Some(Verdict { is_best, moves_rates, stop: cursor.stop }))
    }

    fn check_metrics(&self, metrics: &[(&str, f64)]) -> Result<(), Error> {
        let known = || metrics.iter().map(|(known, _)| *known);
        let missing = self.monitors().into_iter().find(|monitor| !known().any(|name| name == *monitor));
        missing.map_or(Ok(()), |monitor| Err(self.no_metric(monitor, known())))
    }

    fn no_metric(&self, monitor: &str, known: impl Iterator<Item = impl AsRef<str>>) -> Error {
        let known: Vec<String> = known.map(|name| name.as_ref().to_owned()).collect();
        Error::NoMetric { monitor: monitor.to_owned(), known: known.join(", ") }
    }

    /// Takes the metrics of a test after the run's last step, if no evaluation is due there. Returns whether it is the
    /// best, which it may be in a run without phases. Patience, schedulers and everything else are unchanged.
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

    /// Whether a metric may end the run early or change it: then the metrics of each evaluation must be known before
    /// the next step.
    pub fn needs_metrics(&self) -> bool {
        !self.monitors().is_empty()
    }
}
