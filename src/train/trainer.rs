//! The trainer of a classifier.

use super::metrics::means;
use super::{Epoch, Error, Progress};
use crate::data::DataSet;
use crate::engine::layout::{Gather, Metrics, Position, Stats};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Prepared, Program, Report, Ring, Submission, kernel, row_of};
use crate::nn::{Batch, Mlp, Workspace};
use crate::optim::{Next, Optimizer, Parameters, Settings};
use crate::params::{Group, Row};
use crate::schedule::{self, FieldLaw, Run};

/// Rows of one evaluation batch.
const TEST_ROWS: usize = 512;

/// Steps that the host may be ahead of the last report before it sleeps: enough never to starve the device, few enough
/// that queued command buffers stay small.
const STEPS_AHEAD: u64 = 512;

/// How to train.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of a step; their gradients add up.
    pub micro_batches: usize,
    /// Times through the train set. The rows left over by the last whole step of an epoch sit it out; every epoch has
    /// an order of its own.
    pub epochs: usize,
    /// Seed of initial values and orders.
    pub seed: u32,
    /// The row that groups start with.
    pub row: Row,
    /// Parameters whose name contains one of these have no weight decay.
    pub no_decay: Vec<String>,
    /// Clip, guard and pages.
    pub settings: Settings,
}

/// Trains an MLP on a labelled data set that lies on the device.
pub struct Trainer {
    engine: Engine,
    config: Config,
    laws: Vec<FieldLaw>,
    base: Vec<Row>,
    parameters: Parameters,
    optimizer: Optimizer,
    step: Prepared,
    test: Prepared,
    progress: Ring,
    results: Ring,
    steps_per_epoch: u64,
    last_reported: u64,
    rows_end: u64,
}

impl Trainer {
    /// Puts model and data on the device and prepares the programs. `laws` makes the laws of the run from the groups'
    /// rows and the run's length, as [`Spec::laws`](schedule::Spec::laws) does.
    ///
    /// # Errors
    /// Settings out of range, data that does not fit the model, laws that do not fit the run, out of device memory.
    pub fn new(
        engine: &Engine,
        model: &Mlp,
        (train, test): (&DataSet, &DataSet),
        config: Config,
        laws: impl FnOnce(&[Row], Run) -> Result<Vec<FieldLaw>, schedule::Error>,
    ) -> Result<Trainer, Error> {
        check(model, train, test, &config)?;
        let steps_per_epoch = (train.rows() / (config.batch_size * config.micro_batches)) as u64;

        let parameters = Parameters::new(engine, &model.params(), config.settings.page_bytes)?;
        for (name, values) in model.initial(config.seed) {
            parameters.upload(&name, &values)?;
        }
        let no_decay: Vec<&str> = config.no_decay.iter().map(String::as_str).collect();
        let groups = Group::by_decay(config.row, &model.params(), &no_decay);
        let optimizer = Optimizer::new(engine, &parameters, &groups, config.settings)?;

        let batch = Batch::new(engine, config.batch_size, model.inputs())?;
        let space = model.workspace(engine, config.batch_size)?;
        let step =
            engine.prepare(step_program(engine, model, train, &config, &parameters, &optimizer, &batch, &space)?)?;
        let (test, tested) = test_program(engine, model, test, &parameters)?;
        let base: Vec<Row> = groups.iter().map(|group| group.row).collect();
        let run = Run { steps: steps_per_epoch * config.epochs as u64, steps_per_epoch: Some(steps_per_epoch) };
        let stats = optimizer.stats_range();
        let progress = engine.ring(vec![space.metrics.all(), stats.clone()])?;
        let results = engine.ring(vec![space.metrics.all(), tested.all(), stats])?;
        Ok(Trainer {
            engine: engine.clone(),
            laws: laws(&base, run)?,
            base,
            parameters,
            optimizer,
            step,
            test: engine.prepare(test)?,
            progress,
            results,
            steps_per_epoch,
            last_reported: 0,
            rows_end: 0,
            config,
        })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    fn total_steps(&self) -> u64 {
        self.steps_per_epoch * self.config.epochs as u64
    }

    /// The programs of a step, in order: the model's, then the optimizer's.
    ///
    /// # Errors
    /// From the device, where the optimizer's has to be made first.
    pub fn programs(&mut self) -> Result<[&Program; 2], Error> {
        let step = self.step.program();
        Ok([step, self.optimizer.program()?])
    }

    /// Trains from where it stands to the end. `on_step` gets the steps' reports that arrive, `on_epoch` every epoch's, in order.
    ///
    /// # Errors
    /// From the device.
    pub fn run(&mut self, mut on_step: impl FnMut(&Progress), mut on_epoch: impl FnMut(&Epoch)) -> Result<(), Error> {
        while self.optimizer.next_step() < self.total_steps() {
            self.take_step()?;
            self.collect(&mut on_step, &mut on_epoch)?;
            while self.is_far_ahead() {
                self.engine.throttle();
                self.collect(&mut on_step, &mut on_epoch)?;
            }
            let done = self.optimizer.next_step();
            if !done.is_multiple_of(self.steps_per_epoch) {
                continue;
            }
            // An evaluation is never left out: the host sleeps until a slot is free, while the device works.
            while !self.results.has_free_slot() {
                self.engine.throttle();
                self.collect(&mut on_step, &mut on_epoch)?;
            }
            self.evaluate(done / self.steps_per_epoch)?;
        }
        self.engine.wait()?;
        self.collect(&mut on_step, &mut on_epoch)
    }

    /// One step, in one submission.
    ///
    /// # Errors
    /// From the device.
    pub fn take_step(&mut self) -> Result<(), Error> {
        let step = self.optimizer.next_step();
        if step >= self.rows_end {
            // No more rows than the run has steps left; steps beyond it go on one by one.
            let left = self.total_steps().saturating_sub(step).max(1);
            let steps = u64::from(self.optimizer.horizon_steps()).min(left);
            self.optimizer.load_rows(step, &schedule::rows(&self.base, &self.laws, step, steps))?;
            self.rows_end = step + steps;
        }
        let Next { uploads, program, slot, step, lost } = self.optimizer.next(None)?;
        let report = Some(Report { ring: &self.progress, tag: step });
        let programs = vec![&self.step, program];
        Ok(self.engine.submit(&Submission {
            uploads,
            programs,
            slot,
            report,
            lost: Some(lost),
            ..Submission::default()
        })?)
    }

    /// Whether the host has run too far ahead of the device's reports.
    fn is_far_ahead(&self) -> bool {
        self.optimizer.next_step() > self.last_reported + STEPS_AHEAD && !self.progress.has_free_slot()
    }

    fn evaluate(&self, epochs_done: u64) -> Result<(), Error> {
        let report = Some(Report { ring: &self.results, tag: epochs_done });
        Ok(self.engine.submit(&Submission { programs: vec![&self.test], report, ..Submission::default() })?)
    }

    fn collect(&mut self, on_step: &mut impl FnMut(&Progress), on_epoch: &mut impl FnMut(&Epoch)) -> Result<(), Error> {
        for delivery in self.engine.collect(&self.progress)? {
            let (metrics, stats) = delivery.bytes.split_at(size_of::<Metrics>());
            let metrics: Metrics = bytemuck::pod_read_unaligned(metrics);
            let stats = self.optimizer.absorb(stats, delivery.device_seconds)?;
            self.last_reported = self.last_reported.max(delivery.tag + 1);
            on_step(&Progress { step: delivery.tag, loss: metrics.loss, stats });
        }
        for delivery in self.engine.collect(&self.results)? {
            let (trained, rest) = delivery.bytes.split_at(size_of::<Metrics>());
            let (tested, stats) = rest.split_at(size_of::<Metrics>());
            let stats: Stats = bytemuck::pod_read_unaligned(stats);
            let (train_loss, _) = means(&bytemuck::pod_read_unaligned(trained));
            let (test_loss, test_accuracy) = means(&bytemuck::pod_read_unaligned(tested));
            let steps = delivery.tag * self.steps_per_epoch;
            on_epoch(&Epoch {
                epoch: delivery.tag as usize,
                steps,
                train_loss,
                test_loss,
                test_accuracy,
                lr: schedule::rows(&self.base, &self.laws, steps - 1, 1)[0].lr,
                skipped_steps: u64::from(stats.skipped),
            });
        }
        Ok(())
    }
}

fn check(model: &Mlp, train: &DataSet, test: &DataSet, config: &Config) -> Result<(), Error> {
    for (which, set) in [("train", train), ("test", test)] {
        let (inputs, classes) = (set.inputs(), set.classes());
        if inputs != model.inputs() || classes != model.classes() {
            let (model_inputs, model_classes) = (model.inputs(), model.classes());
            return Err(Error::Mismatch { which, inputs, classes, model_inputs, model_classes });
        }
    }
    let positive =
        [("batch_size", config.batch_size), ("micro_batches", config.micro_batches), ("epochs", config.epochs)];
    if let Some((setting, value)) = positive.into_iter().find(|(_, value)| *value == 0) {
        return Err(Error::BadSetting { setting, value, reason: "at least 1 is needed".to_owned() });
    }
    let rows = config.batch_size.saturating_mul(config.micro_batches);
    if rows > train.rows() {
        let reason = format!("a step takes {rows} rows, the train set has {}", train.rows());
        return Err(Error::BadSetting { setting: "batch_size", value: config.batch_size, reason });
    }
    Ok(())
}

/// Gather, forward, loss and backward of every micro-batch of a step.
#[allow(clippy::too_many_arguments, reason = "everything that a step is made of, once")]
fn step_program(
    engine: &Engine,
    model: &Mlp,
    train: &DataSet,
    config: &Config,
    parameters: &Parameters,
    optimizer: &Optimizer,
    batch: &Batch,
    space: &Workspace,
) -> Result<Program, Error> {
    let values = engine.buffer_with("train values", &train.padded(0, train.rows()))?;
    let labels = engine.buffer_with("train labels", train.labels())?;
    let rows = config.batch_size * config.micro_batches;
    let parameter = |name: &str| parameters.range(name).map_err(Error::from);
    let gradient = |name: &str| -> Result<_, Error> {
        Ok(if optimizer.is_trainable(name)? { Some(optimizer.gradient(name)?) } else { None })
    };
    let mut program = Program::new("mlp step");
    for micro in 0..config.micro_batches {
        let shape = Gather {
            samples: train.rows() as u32,
            rows: config.batch_size as u32,
            quads: train.inputs().div_ceil(4) as u32,
            steps_per_epoch: (train.rows() / rows) as u32,
            micro_batches: config.micro_batches as u32,
            micro: micro as u32,
            seed: config.seed,
            pad0: 0,
        };
        program.dispatches.push(gather(engine, &values, &labels, batch, optimizer.table(), shape)?);
        program.dispatches.extend(model.forward(engine, parameter, batch, space)?);
        program.dispatches.push(model.loss(engine, batch, space, 1.0 / rows as f32)?);
        program.dispatches.extend(model.backward(engine, parameter, gradient, batch, space, micro > 0)?);
    }
    Ok(program)
}

fn gather(
    engine: &Engine,
    values: &Buffer,
    labels: &Buffer,
    batch: &Batch,
    table: &Buffer,
    shape: Gather,
) -> Result<Dispatch, Error> {
    let workgroup = if engine.is_software() { 8 } else { 64 };
    let shape_buffer = engine.buffer_with("gather shape", &[shape])?;
    let kernel = kernel("gather")?;
    Ok(Dispatch {
        kernel,
        bindings: vec![
            values.into(),
            labels.into(),
            (&batch.x).into(),
            (&batch.labels).into(),
            (&batch.position).into(),
            table.into(),
            (&shape_buffer).into(),
            Binding::Clock,
        ],
        constants: vec![("WORKGROUP", f64::from(workgroup))],
        grid: row_of((shape.rows * shape.quads).div_ceil(workgroup)),
        bytes: u64::from(shape.rows * shape.quads) * 32,
    })
}

/// Forward and loss over the test set, which lies on the device in batches, and the counts that they leave.
fn test_program(
    engine: &Engine,
    model: &Mlp,
    test: &DataSet,
    parameters: &Parameters,
) -> Result<(Program, Buffer), Error> {
    let parameter = |name: &str| parameters.range(name).map_err(Error::from);
    let mut program = Program::new("mlp test");
    let mut spaces: Vec<(usize, Workspace)> = Vec::new();
    let metrics = engine.buffer("test metrics", size_of::<Metrics>() as u64)?;
    for (number, first) in (0..test.rows()).step_by(TEST_ROWS).enumerate() {
        let rows = TEST_ROWS.min(test.rows() - first);
        let batch = Batch::new(engine, rows, model.inputs())?;
        engine.write(&batch.x, 0, &test.padded(first, rows))?;
        engine.write(&batch.labels, 0, &test.labels()[first..first + rows])?;
        engine.write(&batch.position, 0, &[Position { batch: number as u32, ..Position::default() }])?;
        let known = spaces.iter().position(|(known, _)| *known == rows);
        let place = known.unwrap_or(spaces.len());
        if known.is_none() {
            let mut space = model.workspace(engine, rows)?;
            space.metrics = metrics.clone();
            spaces.push((rows, space));
        }
        let space = &spaces[place].1;
        program.dispatches.extend(model.forward(engine, parameter, &batch, space)?);
        program.dispatches.push(model.loss(engine, &batch, space, 0.0)?);
    }
    Ok((program, metrics))
}
