//! The trainer.

mod among;
mod evaluations;
mod lag;
mod pace;
mod programs;
mod reports;
mod shared;
mod steps;

pub(super) use among::Among;
pub use among::Exchanged;
pub(super) use programs::step_of;

use super::best_file::BestFile;
use super::checkpoint::{Checkpoints, Unwritten};
use super::event::Event;
use super::judge::Judge;
use super::task::{Placed, Task};
use super::test::{Testing, tested};
use super::{CacheNote, Config, Confusion, Error, Scoring};
use crate::dist::Rank;
use crate::engine::kernels::ValueStorage;
use crate::engine::{Engine, Prepared, Range, Ring};
use crate::optim::{Best, Forecast, LossScale, Optimizer, Parameters, Settings, Shard};
use crate::params::{Param, nearest};
use crate::schedule::{self, Cursor, Epochs, ModelParams, Plan};
use evaluations::{Evaluating, LOSSES};
use pace::Pace;
use programs::rings;
use reports::Taken;
use std::collections::VecDeque;

/// Trains a task's model on its data, on the device, by a plan.
///
/// In a step the host never waits for the device, but for [several ranks](Trainer::join). After an evaluation that decides something (early stopping, the best
/// copy or file, a plateau, a checkpoint) it waits for the metrics, so that decisions depend only on their values. With
/// a plan that [decides at a lag](Plan::decides_at_a_lag) it does not wait there either, except for the bytes of files.
pub struct Trainer {
    pub(super) engine: Engine,
    pub(super) config: Config,
    pub(super) plan: Plan,
    pub(super) cursor: Cursor,
    pub(super) parameters: Parameters,
    pub(super) optimizer: Optimizer,
    pub(super) best: Best,
    /// Finds the best evaluation on the device, if the host does not.
    pub(super) judge: Option<Judge>,
    pub(super) checkpoints: Option<Checkpoints>,
    /// The checkpoint of the best evaluation so far, if it could not be written.
    pub(super) unwritten: Option<Unwritten>,
    pub(super) best_file: Option<BestFile>,
    /// [`Task::settings`].
    pub(super) model: Vec<(String, String)>,
    pub(super) task: Box<dyn Placed>,
    /// The other ranks, if there are any.
    pub(super) among: Option<Among>,
    /// How many steps go into a submission.
    pace: Pace,
    /// The programs of a step and of a test; made when first needed.
    pub(super) step: Option<Prepared>,
    test: Option<Testing>,
    also_tests: Vec<Testing>,
    /// [`Parameters::uploads`] when they were made.
    uploads: u64,
    progress: Ring,
    results: Ring,
    /// Evaluations whose metrics have not arrived.
    evaluating: VecDeque<Evaluating>,
    /// The scores of evaluations.
    pub(super) scoring: Scoring,
    /// The same of further sets, by name.
    also: Vec<(String, Scoring)>,
    /// The matrix of the latest evaluation that has arrived.
    confusion: Option<Confusion>,
    /// Steps that optimizers before this one skipped.
    skipped_before: u64,
    last_reported: u64,
    /// Learning rates of the loaded rows that are still to come, `[steps, groups]`, the next step's last.
    pub(super) coming_lrs: Vec<f64>,
    /// The last step's, a group each.
    lrs: Vec<f64>,
    /// Steps whose reports have not arrived.
    under_way: VecDeque<Taken>,
    optimizer_bytes: u64,
    /// Losses of steps that were not finite.
    lost_losses: u64,
    /// What checkpoints say of how the run was checked.
    pub(super) checked: Option<String>,
}

impl Trainer {
    /// Puts model and data on the device and prepares the programs. `plan` makes the plan from the model's parameters
    /// and the run's length, as [`Plan::new`] does.
    ///
    /// # Errors
    /// Settings out of range, sizes that the device cannot bind, data that does not fit the model, a plan that does not fit the run or goes by a metric that
    /// is not measured here, out of device memory.
    pub fn new(
        engine: &Engine,
        task: &dyn Task,
        config: Config,
        plan: impl FnOnce(ModelParams<'_>, Epochs) -> Result<Plan, schedule::Error>,
    ) -> Result<Trainer, Error> {
        config.check()?;
        task.check(engine, &config)?;
        // Gradients in f16 need a loss scale, and nothing else knows of one.
        let needs_scale = config.values.values == ValueStorage::F16;
        let loss_scale = config.settings.loss_scale.or(needs_scale.then(LossScale::default));
        let shard = Shard { number: config.rank.number, of: config.rank.of };
        let shard = (config.shard_optimizer && !config.rank.is_alone()).then_some(shard);
        let config =
            Config { settings: Settings { seed: config.seed, loss_scale, shard, ..config.settings }, ..config };
        let (params, tied, in_class) = (task.params(), task.tied(), task.names_in_class());
        let steps_per_epoch = task.steps_per_epoch(&config)?;
        let model = ModelParams { params: &params, tied: &tied, in_class: &in_class };
        let plan = plan(model, Epochs { epochs: config.epochs as u64, steps_per_epoch })?;
        config.check_modules(&params)?;
        let (scoring, also) = (task.scoring(), task.also());
        check_metrics(&plan, &scoring)?;
        check_storage(&config, &plan, &params)?;
        check_room_for_best(&config, &plan, &params)?;
        let cursor = plan.start()?;

        let page_bytes = config.settings.page_bytes;
        let parameters = Parameters::stored(engine, &params, |param| config.precision(param), page_bytes)?
            .with_buffers(&task.buffers())?;
        for (name, values) in task.initial(config.seed) {
            parameters.upload(&name, &values)?;
        }
        let optimizer = Optimizer::new(engine, &parameters, &plan.groups(&cursor)?, config.settings)?;
        let model = task.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let task = task.place(engine, &config)?;
        let (progress, results) = rings(engine, &config, &*task, &optimizer)?;
        Ok(Trainer {
            engine: engine.clone(),
            best: Best::new(config.best_device_limit_bytes),
            judge: Judge::of(engine, &plan, &*task)?,
            checkpoints: None,
            unwritten: None,
            best_file: None,
            model,
            plan,
            cursor,
            parameters,
            optimizer,
            pace: Pace::new(config.steps_per_submission),
            step: None,
            test: None,
            also_tests: Vec::new(),
            uploads: 0,
            task,
            among: None,
            progress,
            results,
            evaluating: VecDeque::new(),
            scoring,
            also,
            confusion: None,
            skipped_before: 0,
            last_reported: 0,
            coming_lrs: Vec::new(),
            lrs: Vec::new(),
            under_way: VecDeque::new(),
            optimizer_bytes: 0,
            lost_losses: 0,
            checked: None,
            config,
        })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The optimizer; a phase may begin with another one.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Which rank of how many it is.
    pub fn rank(&self) -> Rank {
        self.config.rank
    }

    /// The position of the run.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Learning rates of the last step, a group each, in the order of [`Optimizer::groups`].
    pub fn lrs(&self) -> &[f64] {
        &self.lrs
    }

    /// The scores of evaluations.
    pub fn scoring(&self) -> &Scoring {
        &self.scoring
    }

    /// The confusion matrix of the latest evaluation, if there are classes.
    pub fn confusion(&self) -> Option<&Confusion> {
        self.confusion.as_ref()
    }

    /// Bytes that the optimizer's programs have moved in the run's steps so far, by their own count.
    pub fn optimizer_bytes(&self) -> u64 {
        self.optimizer_bytes
    }

    /// Bytes of the best copy, on the device and in host memory.
    pub fn best_bytes(&self) -> u64 {
        self.best.bytes()
    }

    /// Bytes that each step uploads: its examples, or what a frozen trunk made of them, where these stay in host memory.
    pub fn step_upload_bytes(&self) -> u64 {
        self.task.upload_bytes()
    }

    /// Bytes of the frozen trunk's cached outputs, kept since the phase began.
    pub fn trunk_bytes(&self) -> u64 {
        self.task.trunk_bytes()
    }

    /// What was done with the folder that keeps trunks for runs to come, for each set of examples since the phase began.
    pub fn trunk_notes(&self) -> Vec<CacheNote> {
        self.task.trunk_notes()
    }

    /// The tested parameters as a safetensors file: their averages, if the optimizer keeps some. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn save_tested(&mut self) -> Result<Vec<u8>, Error> {
        tested(&self.parameters, &mut self.optimizer)
    }

    /// Begins with the optimizer's state of another run, by parameters; steps and rates stay this run's own.
    ///
    /// # Errors
    /// A file that does not fit; from the device.
    pub fn begin_with_state(&mut self, optimizer: &[u8]) -> Result<(), Error> {
        Ok(self.optimizer.load_state(optimizer)?)
    }

    /// What checkpoints record of the check of kernels and gradients.
    pub fn note_checked(&mut self, told: &str) {
        self.checked = Some(told.to_owned());
    }

    /// Whether the run is over: its last epoch is done, or a metric has ended it.
    pub fn is_over(&self) -> bool {
        self.cursor.stop().is_some() || self.cursor.step() >= self.plan.steps()
    }

    /// Trains to the end of the run, and reports events, each kind in order.
    ///
    /// # Errors
    /// From the device, and from writing checkpoints.
    pub fn run(&mut self, mut tell: impl FnMut(&Event)) -> Result<(), Error> {
        while !self.is_over() {
            self.advance(&mut tell)?;
        }
        self.settle(&mut tell)
    }

    /// Takes the steps of one submission, with the phase that begins before them and the evaluation and checkpoint due
    /// after them. [`Config::steps_per_submission`] decides how many steps there are.
    ///
    /// # Errors
    /// As [`run`](Trainer::run). [`Error::Broken`] once a report shows that a parameter is no longer finite; no
    /// checkpoint and no file of it is written. If the schedule has no rates for a step, a checkpoint is written before
    /// the error is returned.
    pub fn advance(&mut self, mut tell: impl FnMut(&Event)) -> Result<(), Error> {
        let advanced = self.go_on(&mut tell);
        if let Err(Error::Schedule(_)) = &advanced {
            // What else goes wrong now is of no use to who must mend the schedule.
            drop(self.checkpoint_now(&mut tell));
        }
        advanced
    }

    fn go_on(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        if let Some(began) = self.begin_phase()? {
            tell(&Event::Phase(began));
        }
        let steps = self.steps_at_once()?;
        // A single step may go without a report. Each of several has one.
        while steps > 1 && !self.progress.has_free_slot() {
            self.engine.throttle();
            self.collect(tell)?;
        }
        self.train_steps(steps)?;
        self.collect(tell)?;
        while self.is_far_ahead() {
            self.engine.throttle();
            self.collect(tell)?;
        }
        if self.plan.is_evaluated(&self.cursor) {
            self.evaluate(tell)?;
        } else if self.is_over() {
            self.test_end(tell)?;
        }
        self.checkpoint_if_due(tell)
    }

    /// The counts of the running epoch's losses.
    pub(super) fn metrics(&self) -> Range {
        self.task.trained()
    }
}

/// Whether every phase's optimizer can step what has thawed by then as it is stored.
fn check_storage(config: &Config, plan: &Plan, params: &[Param]) -> Result<(), Error> {
    for (number, _) in plan.phases().iter().enumerate() {
        for place in plan.phases()[..=number].iter().flat_map(|phase| &phase.params) {
            config.precision(&params[*place]).check(&params[*place].name, &plan.row_of_param(number, *place))?;
        }
    }
    Ok(())
}

/// Whether the whole best copy fits on the device, if the host may hold no part of it.
fn check_room_for_best(config: &Config, plan: &Plan, params: &[Param]) -> Result<(), Error> {
    if !plan.decides_at_a_lag() || !plan.restores_best() {
        return Ok(());
    }
    let of = |place: &usize| {
        let row = plan.row_of_param(plan.phases().len(), *place);
        Forecast::of(&[row], &config.settings)
            .with_precision(config.precision(&params[*place]))
            .best_bytes([&params[*place]])
    };
    let bytes = plan.phases().iter().flat_map(|phase| &phase.params).map(of).sum();
    let limit_bytes = config.best_device_limit_bytes;
    if bytes > limit_bytes { Err(Error::NoRoomForBest { bytes, limit_bytes }) } else { Ok(()) }
}

fn check_metrics(plan: &Plan, scoring: &Scoring) -> Result<(), Error> {
    let known: Vec<&str> = LOSSES.iter().chain(scoring.names()).copied().collect();
    // Which checkpoint is the best is asked of every plan.
    let unknown = plan.monitors().into_iter().chain([plan.best_by()]).find(|monitor| !known.contains(monitor));
    if let Some(monitor) = unknown {
        let nearest = nearest(monitor, known.iter().copied()).map(str::to_owned);
        return Err(Error::UnknownMetric { monitor: monitor.to_owned(), known: known.join(", "), nearest });
    }
    let comparable: Vec<&str> = LOSSES.iter().chain(scoring.comparable()).copied().collect();
    if plan.decides_at_a_lag() && plan.restores_best() && !comparable.contains(&plan.best_by()) {
        let (monitor, comparable) = (plan.best_by().to_owned(), comparable.join(", "));
        return Err(Error::Incomparable { monitor, comparable });
    }
    Ok(())
}
