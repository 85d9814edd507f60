//! The trainer.

use super::best_file::BestFile;
use super::checkpoint::{Checkpoints, Unwritten};
use super::event::{Began, Evaluation, Event, Progress, means};
use super::finite::check_finite;
use super::task::{Placed, Task, gradient_of};
use super::test::Testing;
use super::{Config, Error};
use crate::engine::layout::{Metrics, Stats};
use crate::engine::{Delivery, Engine, Prepared, Program, Range, Report, Ring, Submission};
use crate::nn::ops::write_squares;
use crate::optim::{Best, Next, Optimizer, Parameters, STEPS_AHEAD, Settings};
use crate::params::{Param, nearest};
use crate::schedule::{self, Cursor, Epochs, Model, Plan};
use std::collections::VecDeque;
use std::path::Path;

/// Bytes that steps not yet reported may have uploaded, where each step uploads rows.
const BYTES_AHEAD: u64 = 64 << 20;

/// The metrics of an evaluation, which a schedule may go by.
pub(super) const METRICS: [&str; 3] = ["train_loss", "val_loss", "val_accuracy"];

/// Trains a task's model on its data, which lies on the device, by a plan.
///
/// In a step the host never waits for the device. After an evaluation that decides something (early stopping, the best
/// copy or file, a plateau, a checkpoint) it waits for the metrics, so that what it decides depends on their values alone.
pub struct Trainer {
    pub(super) engine: Engine,
    pub(super) config: Config,
    pub(super) plan: Plan,
    pub(super) cursor: Cursor,
    pub(super) parameters: Parameters,
    pub(super) optimizer: Optimizer,
    pub(super) best: Best,
    pub(super) checkpoints: Option<Checkpoints>,
    /// The checkpoint of the best evaluation so far, where it could not be written.
    pub(super) unwritten: Option<Unwritten>,
    pub(super) best_file: Option<BestFile>,
    /// [`Task::settings`].
    pub(super) model: Vec<(String, String)>,
    task: Box<dyn Placed>,
    /// The programs of a step and of a test; made when first needed.
    step: Option<Prepared>,
    test: Option<Testing>,
    /// [`Parameters::uploads`] when they were made.
    uploads: u64,
    progress: Ring,
    results: Ring,
    /// Evaluations whose metrics have not arrived.
    evaluating: VecDeque<Evaluating>,
    /// Steps that optimizers before this one skipped.
    skipped_before: u64,
    last_reported: u64,
    /// Learning rates of the loaded rows that are still to come, `[steps, groups]`, the next step's last.
    coming_lrs: Vec<f64>,
    /// The last step's, a group each.
    lrs: Vec<f64>,
    /// Steps whose reports have not arrived.
    under_way: VecDeque<Taken>,
    optimizer_bytes: u64,
    /// Losses of steps that were not finite.
    lost_losses: u64,
}

/// Stands where a program has not been made.
static NOTHING: Program = Program { label: String::new(), dispatches: Vec::new() };

/// What a step's report does not say itself.
#[derive(Clone, Debug)]
struct Taken {
    step: u64,
    phase: usize,
    lrs: Vec<f64>,
}

/// What an evaluation's report does not say itself.
#[derive(Clone, Copy, Debug)]
struct Evaluating {
    steps: u64,
    phase: usize,
    lr: f64,
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
        plan: impl FnOnce(Model<'_>, Epochs) -> Result<Plan, schedule::Error>,
    ) -> Result<Trainer, Error> {
        config.check()?;
        task.check(engine, &config)?;
        let config = Config { settings: Settings { seed: config.seed, ..config.settings }, ..config };
        let (params, tied) = (task.params(), task.tied());
        let steps_per_epoch = task.steps_per_epoch(&config)?;
        let model = Model { params: &params, tied: &tied };
        let plan = plan(model, Epochs { epochs: config.epochs as u64, steps_per_epoch })?;
        check_metrics(&plan)?;
        check_storage(&config, &plan, &params)?;
        let cursor = plan.start()?;

        let page_bytes = config.settings.page_bytes;
        let parameters = Parameters::stored(engine, &params, |param| config.precision(param), page_bytes)?;
        for (name, values) in task.initial(config.seed) {
            parameters.upload(&name, &values)?;
        }
        let optimizer = Optimizer::new(engine, &parameters, &plan.groups(&cursor)?, config.settings)?;
        let model = task.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let task = task.place(engine, &config)?;
        let (progress, results) = rings(engine, &*task, &optimizer)?;
        Ok(Trainer {
            engine: engine.clone(),
            best: Best::new(config.best_device_limit_bytes),
            checkpoints: None,
            unwritten: None,
            best_file: None,
            model,
            plan,
            cursor,
            parameters,
            optimizer,
            step: None,
            test: None,
            uploads: 0,
            task,
            progress,
            results,
            evaluating: VecDeque::new(),
            skipped_before: 0,
            last_reported: 0,
            coming_lrs: Vec::new(),
            lrs: Vec::new(),
            under_way: VecDeque::new(),
            optimizer_bytes: 0,
            lost_losses: 0,
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

    /// Where the run stands.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The programs of a step, in order: the model's, then the optimizer's.
    ///
    /// # Errors
    /// From the device, where the optimizer's has to be made first.
    pub fn programs(&mut self) -> Result<[&Program; 2], Error> {
        self.make_step()?;
        let step = self.step.as_ref().map_or(&NOTHING, Prepared::program);
        Ok([step, self.optimizer.program()?])
    }

    /// Learning rates of the last step, a group each, in the order of [`Optimizer::groups`].
    pub fn lrs(&self) -> &[f64] {
        &self.lrs
    }

    /// Bytes that the optimizer's programs have moved in the run's steps so far, by their own count.
    pub fn optimizer_bytes(&self) -> u64 {
        self.optimizer_bytes
    }

    /// Bytes of what a frozen trunk made of the examples, kept since the phase began.
    pub fn trunk_bytes(&self) -> u64 {
        self.task.trunk_bytes()
    }

    /// The parameters that tests see, as a safetensors file: their averages, where the optimizer keeps some. Waits for the
    /// device.
    ///
    /// # Errors
    /// From the device.
    pub fn save_tested(&mut self) -> Result<Vec<u8>, Error> {
        tested(&self.parameters, &mut self.optimizer)
    }

    /// Evaluates where the run stands, without deciding anything by it. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn evaluate_now(&mut self) -> Result<Evaluation, Error> {
        self.drain()?;
        let steps = self.submit_test()?;
        self.engine.wait()?;
        self.collect(&mut |_| ())?.ok_or(Error::NoReport { steps })
    }

    /// Begins with the optimizer's state of another run, by parameters; steps and rates stay this run's own.
    ///
    /// # Errors
    /// A file that does not fit; from the device.
    pub fn begin_with_state(&mut self, optimizer: &[u8]) -> Result<(), Error> {
        Ok(self.optimizer.load_state(optimizer)?)
    }

    /// Whether the run is over: its last epoch is done, or a metric has ended it.
    pub fn is_over(&self) -> bool {
        self.cursor.stop().is_some() || self.cursor.step() >= self.plan.steps()
    }

    /// Trains from where it stands to the end, and tells what happens, each kind of event in order.
    ///
    /// # Errors
    /// From the device, and from writing checkpoints.
    pub fn run(&mut self, mut tell: impl FnMut(&Event)) -> Result<(), Error> {
        while !self.is_over() {
            self.advance(&mut tell)?;
        }
        self.settle(&mut tell)
    }

    /// Waits for what the device still has to do, and tells all of it.
    ///
    /// # Errors
    /// From the device; [`Error::Broken`].
    pub fn settle(&mut self, mut tell: impl FnMut(&Event)) -> Result<(), Error> {
        self.engine.wait()?;
        self.collect(&mut tell)?;
        Ok(())
    }

    /// One step and what belongs to it: the phase that begins before it, and the evaluation and the checkpoint behind it
    /// where they are due.
    ///
    /// # Errors
    /// As [`run`](Trainer::run). [`Error::Broken`] once a report shows that a parameter is not finite any more; no
    /// checkpoint and no file of it is written.
    /// Where the schedule has no rates for a step, what was trained so far is in a checkpoint before the error is given.
    pub fn advance(&mut self, mut tell: impl FnMut(&Event)) -> Result<(), Error> {
        let advanced = self.advance_by_one(&mut tell);
        if let Err(Error::Schedule(_)) = &advanced {
            // What else goes wrong now is of no use to who has to mend the schedule.
            drop(self.checkpoint_now(&mut tell));
        }
        advanced
    }

    fn advance_by_one(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        if let Some(began) = self.begin_phase()? {
            tell(&Event::Phase(began));
        }
        self.train_step()?;
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

    /// One step, in one submission; at the start of an epoch the next phase may begin before it.
    ///
    /// # Errors
    /// From the device.
    pub fn take_step(&mut self) -> Result<Option<Began>, Error> {
        let began = self.begin_phase()?;
        self.train_step()?;
        Ok(began)
    }

    fn train_step(&mut self) -> Result<(), Error> {
        if self.coming_lrs.is_empty() {
            self.load_rows()?;
        }
        let (step, phase) = (self.optimizer.next_step(), self.cursor.depth());
        self.submit_step(None)?;
        self.optimizer_bytes += self.optimizer.program()?.bytes();
        self.plan.step(&mut self.cursor)?;
        let groups = self.optimizer.groups().count();
        self.lrs = self.coming_lrs.split_off(self.coming_lrs.len() - groups);
        self.under_way.push_back(Taken { step, phase, lrs: self.lrs.clone() });
        Ok(())
    }

    /// The step whose row the optimizer has next, reported to this ring, or to that of the run.
    pub(super) fn submit_step(&mut self, ring: Option<&Ring>) -> Result<(), Error> {
        self.make_step()?;
        let Next { mut uploads, program, slot, step, lost } = self.optimizer.next(None)?;
        uploads.extend(self.task.uploads(step));
        let report = Some(Report { ring: ring.unwrap_or(&self.progress), tag: step });
        let programs: &[&Prepared] = match &self.step {
            Some(step) => &[step, program],
            None => &[program],
        };
        let lost = Some(lost);
        let submission = Submission { uploads, programs, slot, report, lost, ..Submission::default() };
        let submitted = self.engine.submit(&submission);
        if submitted.is_err() {
            // A step that was not taken does not count.
            self.optimizer.go_to_step(step)?;
        }
        Ok(submitted?)
    }

    /// Loads the plan's rows of the steps to come.
    pub(super) fn load_rows(&mut self) -> Result<(), Error> {
        let step = self.cursor.step();
        // No more rows than the run has steps left; steps beyond it go on one by one.
        let left = self.plan.steps().saturating_sub(step).max(1);
        let steps = u64::from(self.optimizer.horizon_steps()).min(left);
        let rows = self.plan.rows(&self.cursor, steps)?;
        self.optimizer.load_rows(step, &rows)?;
        let groups = self.optimizer.groups().count();
        self.coming_lrs = rows.rchunks(groups).flatten().map(|row| row.lr).collect();
        Ok(())
    }

    /// Whether the host has run too far ahead of the device's reports.
    fn is_far_ahead(&self) -> bool {
        let fit = BYTES_AHEAD.checked_div(self.task.upload_bytes()).unwrap_or(STEPS_AHEAD);
        let most = fit.clamp(1, STEPS_AHEAD);
        self.cursor.step() > self.last_reported + most && !self.progress.has_free_slot()
    }

    /// The rows that are loaded are no longer true.
    pub(super) fn forget_rows(&mut self) {
        self.coming_lrs.clear();
    }

    // ---- evaluations ----

    /// Evaluates, and where that decides something, waits for the metrics and decides.
    fn evaluate(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let Some(metrics) = self.tested(tell)? else { return Ok(()) };
        let verdict = self.plan.validation(&mut self.cursor, &metrics)?;
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

    /// Tests what the run ends with, where the plan evaluates at other steps. In a run without phases that may be the best;
    /// it decides nothing else.
    fn test_end(&mut self, tell: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let Some(metrics) = self.tested(tell)? else { return Ok(()) };
        if self.plan.end(&mut self.cursor, &metrics) { self.write_best(tell) } else { Ok(()) }
    }

    /// Tests, and where that decides something, waits for the metrics.
    fn tested(&mut self, tell: &mut impl FnMut(&Event)) -> Result<Option<[(&'static str, f64); 3]>, Error> {
        // An evaluation is never left out: the host sleeps until a slot is free, while the device works.
        while !self.results.has_free_slot() {
            self.engine.throttle();
            self.collect(tell)?;
        }
        let steps = self.submit_test()?;
        if !self.decides() {
            return Ok(None);
        }
        self.engine.wait()?;
        let done = self.collect(tell)?.filter(|done| done.steps == steps).ok_or(Error::NoReport { steps })?;
        let [train_loss, val_loss, val_accuracy] = METRICS;
        Ok(Some([(train_loss, done.train_loss), (val_loss, done.val_loss), (val_accuracy, done.val_accuracy)]))
    }

    /// Submits the test; steps done before it. There is a free slot for its report.
    fn submit_test(&mut self) -> Result<u64, Error> {
        self.make_test()?;
        let steps = self.cursor.step();
        let report = Some(Report { ring: &self.results, tag: steps });
        // Where averages are kept, they are what is tested.
        let swap = self.optimizer.swap()?;
        if let Some(test) = &self.test {
            test.submit(&self.engine, swap, report)?;
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

    /// Tells what has arrived; the last evaluation among it.
    fn collect(&mut self, tell: &mut impl FnMut(&Event)) -> Result<Option<Evaluation>, Error> {
        let Trainer { engine, optimizer, progress, under_way, last_reported, .. } = self;
        let (steps_per_epoch, skipped_before) = (self.plan.steps_per_epoch(), self.skipped_before);
        let mut lost_losses = 0;
        engine.collect(progress, |Delivery { tag, bytes, device_seconds }| {
            let (metrics, stats) = bytes.split_at(size_of::<Metrics>());
            let metrics: Metrics = bytemuck::pod_read_unaligned(metrics);
            let stats = optimizer.absorb(stats, device_seconds)?;
            *last_reported = tag + 1;
            lost_losses += u64::from(!metrics.loss.is_finite());
            // Steps without a report of their own are passed over.
            while under_way.front().is_some_and(|taken| taken.step < tag) {
                under_way.pop_front();
            }
            if let Some(Taken { phase, lrs, .. }) = under_way.pop_front() {
                tell(&Event::Step(Progress { step: tag, phase, lrs, loss: metrics.loss, stats }));
            }
            Ok::<(), Error>(())
        })?;
        self.look_over(lost_losses)?;
        let Trainer { engine, results, evaluating, .. } = self;
        let mut last = None;
        engine.collect(results, |delivery| {
            if let Some(evaluating) = evaluating.pop_front() {
                let evaluation = evaluation(evaluating, delivery.bytes, steps_per_epoch, skipped_before);
                tell(&Event::Evaluation(evaluation));
                last = Some(evaluation);
            }
            Ok::<(), Error>(())
        })?;
        Ok(last)
    }

    /// A loss that is not finite may be a batch's fault, and the guard leaves such a step out; or a parameter is not finite,
    /// and no step will be any better. To tell is a download: it is done for the first such loss, the second, the fourth.
    fn look_over(&mut self, lost_losses: u64) -> Result<(), Error> {
        let before = self.lost_losses;
        self.lost_losses += lost_losses;
        if (before + 1..=self.lost_losses).any(u64::is_power_of_two) { self.check_parameters() } else { Ok(()) }
    }

    /// Whether every parameter is finite. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Broken`]; from the device.
    pub fn check_parameters(&self) -> Result<(), Error> {
        match check_finite(Path::new(""), &self.parameters.save()?) {
            Err(Error::NotFinite { tensor, .. }) => Err(Error::Broken { step: self.cursor.step(), parameter: tensor }),
            other => other,
        }
    }

    // ---- what a phase changes ----

    /// Others are trainable now: the programs and rows that are there are no longer true.
    pub(super) fn forget_programs(&mut self) {
        (self.step, self.test) = (None, None);
        self.task.forget();
        self.forget_rows();
    }

    fn make_step(&mut self) -> Result<(), Error> {
        self.forget_old_values();
        if self.step.is_none() {
            self.step = Some(step_of(&self.engine, &mut *self.task, &self.parameters, &mut self.optimizer)?);
        }
        Ok(())
    }

    fn make_test(&mut self) -> Result<(), Error> {
        self.forget_old_values();
        if self.test.is_none() {
            let test = self.task.test(&self.parameters, &self.optimizer)?;
            self.test = Some(Testing::new(&self.engine, test, self.task.tested())?);
        }
        Ok(())
    }

    /// What a frozen trunk made of the examples holds for the values that it had then.
    fn forget_old_values(&mut self) {
        if self.uploads != self.parameters.uploads() {
            self.uploads = self.parameters.uploads();
            (self.step, self.test) = (None, None);
            self.task.forget();
        }
    }

    /// Another optimizer over the same parameters takes over, with moments and counts at zero. Reports of the old one
    /// have been collected.
    pub(super) fn take_over(&mut self, mut optimizer: Optimizer) -> Result<(), Error> {
        self.skipped_before = self.skipped_steps()?;
        optimizer.go_to_step(self.cursor.step())?;
        (self.progress, self.results) = rings(&self.engine, &*self.task, &optimizer)?;
        self.optimizer = optimizer;
        Ok(())
    }

    /// Steps skipped so far, as the device counts them. Waits for it.
    pub(super) fn skipped_steps(&self) -> Result<u64, Error> {
        let stats: Vec<Stats> = self.engine.read(&self.optimizer.stats_range())?;
        Ok(self.skipped_before + stats.first().map_or(0, |stats| u64::from(stats.skipped)))
    }

    /// Steps skipped before this process.
    pub(super) fn set_skipped_before(&mut self, steps: u64) {
        self.skipped_before = steps;
    }

    /// The counts of the running epoch's losses.
    pub(super) fn metrics(&self) -> Range {
        self.task.trained()
    }

    /// Waits until every report of a step has arrived, and drops them.
    pub(super) fn drain(&mut self) -> Result<(), Error> {
        self.engine.wait()?;
        self.collect(&mut |_| ())?;
        self.under_way.clear();
        Ok(())
    }
}

/// The parameters that tests see, as a safetensors file.
pub(super) fn tested(parameters: &Parameters, optimizer: &mut Optimizer) -> Result<Vec<u8>, Error> {
    if optimizer.swap()?.is_none() {
        return Ok(parameters.save()?);
    }
    optimizer.swap_averages()?;
    let saved = parameters.save();
    optimizer.swap_averages()?;
    Ok(saved?)
}

/// What a test found, from its report.
fn evaluation(of: Evaluating, report: &[u8], steps_per_epoch: u64, skipped_before: u64) -> Evaluation {
    let Evaluating { steps, phase, lr } = of;
    let (trained, rest) = report.split_at(size_of::<Metrics>());
    let (tested, stats) = rest.split_at(size_of::<Metrics>());
    let stats: Stats = bytemuck::pod_read_unaligned(stats);
    let (train_loss, _) = means(&bytemuck::pod_read_unaligned(trained));
    let (val_loss, val_accuracy) = means(&bytemuck::pod_read_unaligned(tested));
    let epoch = steps.div_ceil(steps_per_epoch);
    let skipped_steps = skipped_before + u64::from(stats.skipped);
    Evaluation { epoch, steps, phase, train_loss, val_loss, val_accuracy, lr, skipped_steps }
}

/// The step for what is trainable now; its kernels write the squares that the optimizer's norm goes by.
pub(super) fn step_of(
    engine: &Engine,
    task: &mut dyn Placed,
    parameters: &Parameters,
    optimizer: &mut Optimizer,
) -> Result<Prepared, Error> {
    let mut program = task.step(parameters, optimizer)?;
    if optimizer.uses_squares() {
        let names = parameters.params().iter().map(|param| &param.name);
        let gradient = |name: &String| Some((name.clone(), gradient_of(optimizer, name).ok()??));
        let gradients: Vec<(String, Range)> = names.filter_map(gradient).collect();
        let squares = write_squares(engine, &mut program.dispatches, &gradients)?;
        optimizer.take_squares(&squares)?;
    }
    Ok(engine.prepare(program)?)
}

/// What comes back from steps, and from evaluations.
fn rings(engine: &Engine, task: &dyn Placed, optimizer: &Optimizer) -> Result<(Ring, Ring), Error> {
    let (trained, stats) = (task.trained(), optimizer.stats_range());
    Ok((engine.ring(vec![trained.clone(), stats.clone()])?, engine.ring(vec![trained, task.tested(), stats])?))
}

/// Whether every phase's optimizer can step what has thawed by then as it is stored.
fn check_storage(config: &Config, plan: &Plan, params: &[Param]) -> Result<(), Error> {
    for (number, _) in plan.phases().iter().enumerate() {
        for place in plan.phases()[..=number].iter().flat_map(|phase| &phase.params) {
            config.precision(&params[*place]).check(&params[*place].name, &plan.row_of(number))?;
        }
    }
    Ok(())
}

fn check_metrics(plan: &Plan) -> Result<(), Error> {
    // Which checkpoint is the best is asked of every plan.
    let unknown = plan.monitors().into_iter().chain([plan.best_by()]).find(|monitor| !METRICS.contains(monitor));
    unknown.map_or(Ok(()), |monitor| {
        let nearest = nearest(monitor, METRICS).map(str::to_owned);
        Err(Error::UnknownMetric { monitor: monitor.to_owned(), known: METRICS.join(", "), nearest })
    })
}
