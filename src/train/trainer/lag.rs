//! Decisions at a lag: an evaluation decides at the next one, so that the device is never idle for it.

use super::Trainer;
use crate::engine::layout::Standing;
use crate::train::Error;
use crate::train::event::Event;

impl Trainer {
    /// The score of the best evaluation so far, as the device found it; `None` if the device does not judge, or has
    /// found none. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn judged_best(&self) -> Result<Option<f32>, Error> {
        let Some(judge) = &self.judge else { return Ok(None) };
        let standing: Vec<Standing> = self.engine.read(&judge.standing.all())?;
        Ok(standing.first().filter(|standing| standing.known == 1).map(|standing| standing.score))
    }

    /// Decides by the evaluation before, and evaluates.
    pub(super) fn evaluate_at_a_lag(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        self.decide(tell)?;
        self.free_result(tell)?;
        let steps = self.submit_test(true)?;
        self.plan.evaluated(&mut self.cursor);
        if self.checkpoints.is_some() || self.best_file.is_some() {
            // Their bytes are waited for in any case. Nothing is decided by it.
            self.engine.wait()?;
            self.collect(tell)?;
            if self.cursor.best().is_some_and(|best| best.step == steps) {
                self.write_best(tell)?;
            }
        }
        if self.is_over() { self.decide(tell) } else { Ok(()) }
    }

    /// Decides by the evaluation that has not decided yet, if any. If its metrics have not arrived, the host sleeps
    /// until they have; the device is busy with the steps since then.
    pub(super) fn decide(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        while self.cursor.awaits_metrics() {
            self.collect(tell)?;
            if self.cursor.awaits_metrics() {
                if self.evaluating.is_empty() {
                    return Err(Error::NoReport { steps: self.cursor.step() });
                }
                self.engine.throttle();
            }
        }
        if self.plan.decide(&mut self.cursor)?.is_some_and(|verdict| verdict.moves_rates) {
            self.forget_rows();
        }
        Ok(())
    }
}
