//! The programs of a step and of a test, made for what is trainable.

use super::Trainer;
use crate::dist::Rank;
use crate::engine::layout::StatsBlock;
use crate::engine::{Engine, Prepared, Program, Range, Ring};
use crate::nn::ops::write_squares;
use crate::optim::{Optimizer, Parameters};
use crate::train::task::{Placed, gradient_of};
use crate::train::test::Testing;
use crate::train::{Config, Error};

/// Replaces a program that has not been made.
static NOTHING: Program = Program { label: String::new(), dispatches: Vec::new() };

impl Trainer {
    /// The programs of a step, in order: the model's, then the optimizer's.
    ///
    /// # Errors
    /// From the device, if the optimizer's must be made first.
    pub fn programs(&mut self) -> Result<[&Program; 2], Error> {
        self.make_step()?;
        let step = self.step.as_ref().map_or(&NOTHING, Prepared::program);
        Ok([step, self.optimizer.program()?])
    }

    /// The trainable set changes: programs and loaded rows are no longer valid.
    pub(crate) fn forget_programs(&mut self) {
        (self.step, self.test) = (None, None);
        self.also_tests.clear();
        self.task.forget();
        self.forget_rows();
    }

    pub(crate) fn make_step(&mut self) -> Result<(), Error> {
        self.forget_old_values();
        if self.step.is_none() {
            self.task.frozen_norms_track(self.plan.frozen_norms_track(&self.cursor));
            self.step = Some(step_of(
                (&self.engine, self.config.rank),
                &mut *self.task,
                &self.parameters,
                &mut self.optimizer,
            )?);
            self.pace.forget(self.optimizer.next_step());
        }
        Ok(())
    }

    pub(super) fn make_test(&mut self) -> Result<(), Error> {
        self.forget_old_values();
        if self.test.is_none() {
            let test = self.task.test(&self.parameters, &self.optimizer)?;
            self.test = Some(Testing::new(&self.engine, test, self.task.tested())?);
            let also = self.task.also(&self.parameters, &self.optimizer)?.into_iter().zip(self.task.also_counted());
            let also = also.map(|(test, (counted, _))| Testing::new(&self.engine, test, counted));
            self.also_tests = also.collect::<Result<_, Error>>()?;
        }
        Ok(())
    }

    /// What a frozen trunk made of the examples holds for the values that it had then.
    fn forget_old_values(&mut self) {
        if self.uploads != self.parameters.uploads() {
            self.uploads = self.parameters.uploads();
            (self.step, self.test) = (None, None);
            self.also_tests.clear();
            self.task.forget();
        }
    }

    /// Another optimizer over the same parameters takes over, with moments and counts at zero. Reports of the old one
    /// have been collected.
    pub(crate) fn take_over(&mut self, mut optimizer: Optimizer) -> Result<(), Error> {
        self.skipped_before = self.skipped_steps()?;
        if let Some(state) = self.optimizer.read_loss_scale()? {
            optimizer.set_loss_scale(state)?;
        }
        optimizer.go_to_step(self.cursor.step())?;
        (self.progress, self.results) = rings(&self.engine, &self.config, &*self.task, &optimizer)?;
        self.optimizer = optimizer;
        Ok(())
    }

    /// Steps skipped so far, as the device counts them. Waits for it.
    pub(crate) fn skipped_steps(&self) -> Result<u64, Error> {
        let stats: Vec<StatsBlock> = self.engine.read(&self.optimizer.stats_range())?;
        Ok(self.skipped_before + stats.first().map_or(0, |stats| u64::from(stats.skipped)))
    }

    /// Steps skipped before this process.
    pub(crate) fn set_skipped_before(&mut self, steps: u64) {
        self.skipped_before = steps;
    }
}

/// The step for what is trainable now; its kernels write the squares that the optimizer's norm goes by. Among ranks the norm is that
/// of their sum, which no kernel has made.
pub(crate) fn step_of(
    (engine, rank): (&Engine, Rank),
    task: &mut dyn Placed,
    parameters: &Parameters,
    optimizer: &mut Optimizer,
) -> Result<Prepared, Error> {
    let mut program = task.step(parameters, optimizer)?;
    if optimizer.uses_squares() && rank.is_alone() {
        let names = parameters.params().iter().map(|param| &param.name);
        let gradient = |name: &String| Some((name.clone(), gradient_of(optimizer, name).ok()??));
        let gradients: Vec<(String, Range)> = names.filter_map(gradient).collect();
        let squares = write_squares(engine, &mut program.dispatches, &gradients)?;
        optimizer.take_squares(&squares)?;
    }
    Ok(engine.prepare(program)?)
}

/// What comes back from steps, and from evaluations.
pub(super) fn rings(
    engine: &Engine,
    config: &Config,
    task: &dyn Placed,
    optimizer: &Optimizer,
) -> Result<(Ring, Ring), Error> {
    let (trained, stats, most) = (task.trained(), optimizer.stats_range(), config.steps_per_submission.most());
    let progress = engine.ring_with_room(vec![trained.clone(), stats.clone()], most as usize)?;
    let also = task.also_counted().into_iter().flat_map(|(losses, counts)| [Some(losses), counts]).flatten();
    let tested = [trained, task.tested(), stats].into_iter().chain(task.counts()).chain(also);
    Ok((progress, engine.ring(tested.collect())?))
}
