//! Evaluations: when one decides something, the host waits for it.

use super::Trainer;
use crate::engine::Report;
use crate::engine::layout::{Metrics, StatsBlock};
use crate::train::event::{AlsoTested, Evaluation, Event, mean_loss};
use crate::train::{Confusion, Error, Scoring};

/// The metrics of every evaluation; a task's [`Scoring`] has more.
pub(super) const LOSSES: [&str; 2] = ["train_loss", "val_loss"];

/// What an evaluation's report does not say itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evaluating {
    pub(super) steps: u64,
    pub(super) phase: usize,
    pub(super) lr: f64,
}

impl Trainer {
    /// Evaluates the run's current state, without deciding anything. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn evaluate_now(&mut self) -> Result<Evaluation, Error> {
        self.drain()?;
        let steps = self.submit_test(false)?;
        self.engine.wait()?;
        self.collect(&mut |_| ())?.ok_or(Error::NoReport { steps })
    }

    /// Evaluates; if that decides something, waits for the metrics and decides.
    pub(super) fn evaluate(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        if self.plan.decides_at_a_lag() {
            return self.evaluate_at_a_lag(tell);
        }
        let Some(done) = self.tested(tell)? else { return Ok(()) };
        let verdict = self.plan.validation(&mut self.cursor, &done.metrics())?;
        if verdict.is_best && self.plan.restores_best() {
            self.best.keep(&self.optimizer)?;
        }
        if verdict.is_best {
            self.write_best(tell)?;
        }
        if verdict.moves_rates {
            self.forget_rows();
        }
        Ok(())
    }

    /// Tests at the end of the run, if no evaluation is due there. In a run without phases that may be the best; it
    /// decides nothing else.
    pub(super) fn test_end(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        self.decide(tell)?;
        let Some(done) = self.tested(tell)? else { return Ok(()) };
        if self.plan.end(&mut self.cursor, &done.metrics()) { self.write_best(tell) } else { Ok(()) }
    }

    /// Tests; if that decides something, waits for the metrics.
    fn tested(&mut self, tell: &mut impl FnMut(&Event)) -> Result<Option<Evaluation>, Error> {
        self.free_result(tell)?;
        let steps = self.submit_test(false)?;
        if !self.decides() {
            return Ok(None);
        }
        self.engine.wait()?;
        self.collect(tell)?.filter(|done| done.steps == steps).ok_or(Error::NoReport { steps }).map(Some)
    }

    /// An evaluation is never left out: the host sleeps until a slot is free, while the device works.
    pub(super) fn free_result(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        while !self.results.has_free_slot() {
            self.engine.throttle();
            self.collect(tell)?;
        }
        Ok(())
    }

    /// Submits the test; returns the steps done before it. There is a free slot for its report. If it `is_judged`, the
    /// device keeps the best copy by it, if this run does that.
    pub(super) fn submit_test(&mut self, is_judged: bool) -> Result<u64, Error> {
        self.make_test()?;
        self.share_buffers()?;
        let steps = self.cursor.step();
        let mut behind = Vec::new();
        if let Some(judge) = self.judge.as_ref().filter(|_| is_judged) {
            behind = vec![&judge.program, self.best.keep_where(&self.optimizer, &judge.standing)?];
        }
        let report = Some(Report::new(&self.results, steps));
        // Where averages are kept, they are what is tested.
        let swap = self.optimizer.swap()?;
        for also in &self.also_tests {
            also.submit(&self.engine, (swap, &[]), None)?;
        }
        if let Some(test) = &self.test {
            test.submit(&self.engine, (swap, &behind), report)?;
        }
        self.evaluating.push_back(Evaluating {
            steps,
            phase: self.cursor.depth(),
            lr: self.lrs.first().copied().unwrap_or(0.0),
        });
        Ok(steps)
    }

    /// Whether metrics decide anything, be it which checkpoint or which file is the best.
    fn decides(&self) -> bool {
        self.plan.needs_metrics() || self.checkpoints.is_some() || self.best_file.is_some()
    }
}

/// What an evaluation found.
pub(super) struct Found {
    pub(super) evaluation: Evaluation,
    pub(super) confusion: Option<Confusion>,
    pub(super) also: Vec<AlsoTested>,
}

/// Reads the report of an evaluation.
pub(super) struct Reading<'a> {
    pub(super) scoring: &'a Scoring,
    /// Bytes that the test counts for it.
    pub(super) counted: usize,
    /// The same of further sets, by name.
    pub(super) also: Vec<(&'a str, &'a Scoring, usize)>,
    pub(super) steps_per_epoch: u64,
    pub(super) skipped_before: u64,
}

impl Reading<'_> {
    pub(super) fn found(&self, of: Evaluating, report: &[u8]) -> Found {
        let Evaluating { steps, phase, lr } = of;
        let (trained, rest) = report.split_at(size_of::<Metrics>());
        let (tested, rest) = rest.split_at(size_of::<Metrics>());
        let (stats, rest) = rest.split_at(size_of::<StatsBlock>());
        let (counts, mut rest) = rest.split_at(self.counted);
        let stats: StatsBlock = bytemuck::pod_read_unaligned(stats);
        let tested: Metrics = bytemuck::pod_read_unaligned(tested);
        let (train_loss, val_loss) = (mean_loss(&bytemuck::pod_read_unaligned(trained)), mean_loss(&tested));
        let (scores, confusion) = self.scoring.scores(&tested, counts);
        let mut also = Vec::with_capacity(self.also.len());
        for (name, scoring, counted) in &self.also {
            let (tested, behind) = rest.split_at(size_of::<Metrics>());
            let (counts, behind) = behind.split_at(*counted);
            rest = behind;
            let tested: Metrics = bytemuck::pod_read_unaligned(tested);
            let (scores, _) = scoring.scores(&tested, counts);
            also.push(AlsoTested { name: (*name).to_owned(), steps, loss: mean_loss(&tested), scores });
        }
        let epoch = steps.div_ceil(self.steps_per_epoch);
        let skipped_steps = self.skipped_before + u64::from(stats.skipped);
        let evaluation = Evaluation { epoch, steps, phase, train_loss, val_loss, scores, lr, skipped_steps };
        Found { evaluation, confusion, also }
    }
}
