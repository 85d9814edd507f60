//! A test: the program of one batch, run for every batch of the test set.
//!
//! A submission holds at most [`BATCHES`] of them: systems reset a GPU that is busy with one for too long (Windows after
//! 2 s). Each batch reads its number from its slot of the clock, and the sums continue from one to the next, so no bit depends
//! on how many batches a submission holds.

use super::Error;
use super::ahead::Ahead;
use super::order::Order;
use crate::engine::layout::TableHeader;
use crate::engine::{Buffer, CLOCK_SLOTS, Engine, Prepared, Program, Range, Report, Ring, Submission, Upload};
use crate::optim::{Optimizer, Parameters};

/// Most batches of one submission.
const BATCHES: u32 = 64;

/// Slots of the clock are used from 0 on, in whole submissions.
const _: () = assert!(CLOCK_SLOTS.is_multiple_of(BATCHES));

/// Forward and loss over one batch of the test set.
#[derive(Debug)]
#[non_exhaustive]
pub struct Test {
    /// The dispatches of a batch. Batch k is that of step k.
    pub program: Program,
    /// Batches that hold the whole set; the last one may end in rows that do not count.
    pub batches: u32,
    /// The table that the program reads its first step from; step 0 when it is made.
    pub table: Buffer,
    /// The examples, if a batch's go up ahead of it.
    pub(super) ahead: Option<(Ahead, Order)>,
}

/// A test that is ready to run.
#[derive(Debug)]
pub(super) struct Testing {
    program: Prepared,
    batches: u32,
    table: Buffer,
    ahead: Option<(Ahead, Order)>,
    /// Reports of all submissions but the last: they tell the host how far the device is.
    passed: Ring,
}

impl Testing {
    /// `tested`: the memory of the program's counts.
    pub(super) fn new(engine: &Engine, test: Test, tested: Range) -> Result<Testing, Error> {
        let Test { program, batches, table, ahead } = test;
        Ok(Testing { program: engine.prepare(program)?, batches, table, ahead, passed: engine.ring(vec![tested])? })
    }

    /// Runs over all batches, between two swaps if there is an average, and then these programs; the report goes with
    /// the last. The host sleeps if it is more submissions ahead than a ring has slots.
    pub(super) fn submit(
        &self,
        engine: &Engine,
        beside: (Option<&Prepared>, &[&Prepared]),
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        // Each batch that goes up is a submission of its own.
        let most = if self.ahead.is_some() { 1 } else { BATCHES };
        self.submit_by(most, engine, beside, report)
    }

    /// The same with so many batches in a submission, a number that divides the slots of the clock.
    fn submit_by(
        &self,
        most: u32,
        engine: &Engine,
        (swap, last): (Option<&Prepared>, &[&Prepared]),
        mut report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        for first in (0..self.batches).step_by(most as usize) {
            let end = self.batches.min(first + most);
            let is_last = end == self.batches;
            let report = if is_last { report.take() } else { Some(Report::new(&self.passed, first.into())) };
            let before = swap.filter(|_| first == 0);
            let behind: Vec<&Prepared> = swap.into_iter().chain(last.iter().copied()).filter(|_| is_last).collect();
            let beside = (before, &behind[..]);
            let submitted = self.wait(engine).and_then(|()| self.submit_batches(engine, first..end, beside, report));
            if let (Err(_), true, Some(swap)) = (&submitted, first > 0, swap) {
                // Parameters are swapped back, if the device still works.
                let _ = engine.submit(&Submission { programs: &[swap], ..Submission::default() });
            }
            submitted?;
        }
        Ok(())
    }

    fn submit_batches(
        &self,
        engine: &Engine,
        batches: std::ops::Range<u32>,
        (before, behind): (Option<&Prepared>, &[&Prepared]),
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        let slot = |batch| batch % CLOCK_SLOTS;
        // The clock starts again if it has run out.
        let begins = slot(batches.start) == 0 && self.batches > CLOCK_SLOTS;
        let header = TableHeader { first_step: batches.start, ..TableHeader::default() };
        let data = bytemuck::bytes_of(&header).to_vec();
        let table = begins.then(|| Upload { buffer: self.table.clone(), offset: 0, data });
        let ahead = self.ahead.iter().map(|(ahead, order)| ahead.upload(order, batches.start));
        let uploads = table.into_iter().chain(ahead).collect();
        let tests = batches.map(|batch| (&self.program, slot(batch)));
        let beside = |program| (program, 0);
        let runs = before.map(beside).into_iter().chain(tests).chain(behind.iter().copied().map(beside));
        let (programs, slots): (Vec<&Prepared>, Vec<u32>) = runs.unzip();
        let (programs, slots) = (&programs[..], &slots[..]);
        Ok(engine.submit(&Submission { uploads, programs, slots, report, ..Submission::default() })?)
    }

    fn wait(&self, engine: &Engine) -> Result<(), Error> {
        while !self.passed.has_free_slot() {
            engine.throttle();
            engine.collect(&self.passed, |_| Ok::<(), Error>(()))?;
        }
        Ok(())
    }
}

/// The parameters that tests see, as a safetensors file.
pub(super) fn tested(parameters: &Parameters, optimizer: &mut Optimizer) -> Result<Vec<u8>, Error> {
    if optimizer.swap()?.is_none() {
        return Ok(parameters.read_file()?);
    }
    optimizer.swap_averages()?;
    let saved = parameters.read_file();
    optimizer.swap_averages()?;
    Ok(saved?)
}

#[cfg(test)]
mod tests {
    use super::super::{Classify, Config, Task};
    use super::*;
    use crate::data::DataSet;
    use crate::engine::layout::{Metrics, pcg};
    use crate::nn::Activation;
    use crate::nn::models::Mlp;
    use crate::optim::Settings;

    fn rows() -> DataSet {
        let values = (0..1797 * 64).map(|place| (pcg(place) % 17) as f32 / 16.0).collect();
        let labels = (0..1797).map(|row| pcg(row) % 10).collect();
        DataSet::new(64, 10, values, labels).expect("a set")
    }

    #[test]
    fn how_many_batches_a_submission_has_changes_no_bit() {
        let engine = Engine::cpu();
        let (train, test) = rows().split(20, 3).expect("a split");
        let model = Mlp::new(&[64, 10], Activation::Relu).expect("a model");
        let task = Classify::new(&model, (&train, &test)).expect("a task");
        let parameters = Parameters::new(&engine, &task.params(), None).expect("parameters");
        for (name, values) in task.initial(1) {
            parameters.upload(&name, &values).expect("an upload");
        }
        let optimizer = Optimizer::new(&engine, &parameters, &[], Settings::default()).expect("an optimizer");
        let mut placed = task.place(&engine, &Config { batch_size: 3, ..Config::default() }).expect("a place");
        let test = placed.test(&parameters, &optimizer).expect("a test");
        assert_eq!(test.batches, 120);
        let testing = Testing::new(&engine, test, placed.tested()).expect("a test");
        let metrics = [1, 2, 64, 128].map(|most| {
            let before = engine.counters();
            testing.submit_by(most, &engine, (None, &[]), None).expect("a test");
            assert_eq!((engine.counters() - before).submissions, u64::from(120u32.div_ceil(most)));
            engine.read::<Metrics>(&placed.tested()).expect("metrics")[0]
        });
        assert_eq!(metrics[0].rows, 359);
        assert!(
            metrics.iter().all(|other| bytemuck::bytes_of(other) == bytemuck::bytes_of(&metrics[0])),
            "{metrics:?}"
        );
    }
}
