//! An MLP on labelled rows.

use super::task::{Placed, Task, gradient_of};
use super::{Config, Error, Test};
use crate::data::DataSet;
use crate::engine::kernels::GATHER;
use crate::engine::layout::{Gather, IGNORED, LEAST_TABLE_BYTES, Metrics};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Program, Range, count, row_of};
use crate::nn::{Batch, Mlp, Workspace};
use crate::optim::{Optimizer, Parameters};
use crate::params::Param;

/// Tells classes apart: an MLP, what it is trained on, and what it is tested on.
#[derive(Clone, Debug)]
pub struct Classify {
    model: Mlp,
    train: DataSet,
    test: DataSet,
    /// Values to begin with; without any, the model's own.
    start: Option<Vec<(String, Vec<f32>)>>,
}

impl Classify {
    /// A task.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for data that does not fit the model.
    pub fn new(model: &Mlp, (train, test): (&DataSet, &DataSet)) -> Result<Classify, Error> {
        for (which, set) in [("train", train), ("test", test)] {
            let (inputs, classes) = (set.inputs(), set.classes());
            if inputs != model.inputs() || classes != model.classes() {
                let (model_inputs, model_classes) = (model.inputs(), model.classes());
                return Err(Error::Mismatch { which, inputs, classes, model_inputs, model_classes });
            }
        }
        Ok(Classify { model: model.clone(), train: train.clone(), test: test.clone(), start: None })
    }

    /// Begins with these values instead of random ones.
    #[must_use]
    pub fn starting_from(self, values: Vec<(String, Vec<f32>)>) -> Classify {
        Classify { start: Some(values), ..self }
    }
}

impl Task for Classify {
    fn params(&self) -> Vec<Param> {
        self.model.params()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("activation", format!("{:?}", self.model.activation()))]
    }

    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        self.start.clone().unwrap_or_else(|| self.model.initial(seed))
    }

    fn steps_per_epoch(&self, config: &Config) -> Result<u64, Error> {
        let (rows, there) = (config.rows_per_step(), self.train.rows());
        if rows > there {
            let reason = format!("a step takes {rows} rows, the train set has {there}");
            return Err(Error::BadSetting { setting: "batch_size", value: config.batch_size, reason });
        }
        Ok((there / rows) as u64)
    }

    fn check(&self, engine: &Engine, config: &Config) -> Result<(), Error> {
        Ok(self.model.check(engine, config.batch_size)?)
    }

    /// What is frozen has room here too.
    fn activation_bytes(&self, config: &Config, _trainable: &dyn Fn(&str) -> bool) -> Result<Option<u64>, Error> {
        Ok(Some(self.model.workspace_bytes(config.batch_size)))
    }

    fn place(&self, engine: &Engine, config: &Config) -> Result<Box<dyn Placed>, Error> {
        let space = self.model.workspace(engine, config.batch_size)?;
        let mut tests = space.clone();
        tests.metrics = engine.buffer("test metrics", size_of::<Metrics>() as u64)?;
        Ok(Box::new(OnDevice {
            train: Resident::new(engine, ["train values", "train labels"], &self.train, 1)?,
            test: Resident::new(engine, ["test values", "test labels"], &self.test, test_rows(config, &self.test))?,
            batch: Batch::new(engine, config.batch_size, self.model.inputs())?,
            space,
            tests,
            engine: engine.clone(),
            config: config.clone(),
            task: self.clone(),
        }))
    }
}

/// Rows of a batch of the test: as many as are trained on at once, if there are so many.
fn test_rows(config: &Config, test: &DataSet) -> usize {
    config.batch_size.min(test.rows())
}

/// A set on the device.
#[derive(Debug)]
struct Resident {
    values: Buffer,
    labels: Buffer,
}

impl Resident {
    /// The rows of a set in whole batches of so many: those behind its last one do not count.
    fn new(engine: &Engine, names: [&str; 2], set: &DataSet, batch: usize) -> Result<Resident, Error> {
        let rows = set.rows().next_multiple_of(batch);
        let (mut values, mut labels) = (set.padded(0, set.rows()), set.labels().to_vec());
        values.resize(values.len() / set.rows() * rows, 0.0);
        labels.resize(rows, IGNORED);
        Ok(Resident { values: engine.buffer_with(names[0], &values)?, labels: engine.buffer_with(names[1], &labels)? })
    }
}

/// Both sets on the device, and the room for a micro-batch.
#[derive(Debug)]
struct OnDevice {
    engine: Engine,
    config: Config,
    task: Classify,
    train: Resident,
    test: Resident,
    batch: Batch,
    space: Workspace,
    /// The same room, with the counts of a test.
    tests: Workspace,
}

impl Placed for OnDevice {
    fn step(&mut self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Program, Error> {
        let OnDevice { engine, config, task, train, batch, space, .. } = &*self;
        let (samples, rows) = (task.train.rows(), config.rows_per_step());
        let parameter = |name: &str| parameters.place(name).map_err(Error::from);
        let gradient = |name: &str| gradient_of(optimizer, name);
        let mut program = Program::new("mlp step");
        for micro in 0..config.micro_batches {
            let shape = Gather {
                samples: count("rows", samples)?,
                rows: count("rows", config.batch_size)?,
                quads: count("inputs", task.train.inputs().div_ceil(4))?,
                steps_per_epoch: count("steps", samples / rows)?,
                micro_batches: count("micro-batches", config.micro_batches)?,
                micro: count("micro-batches", micro)?,
                seed: config.seed,
                pad0: 0,
            };
            program.dispatches.push(gather(engine, train, batch, optimizer.table(), shape, true)?);
            program.dispatches.extend(task.model.forward(engine, parameter, batch, space)?);
            program.dispatches.extend(task.model.loss(engine, batch, space, 1.0 / rows as f32)?);
            program.dispatches.extend(task.model.backward(engine, parameter, gradient, batch, space, micro > 0)?);
        }
        Ok(program)
    }

    fn test(&mut self, parameters: &Parameters, _optimizer: &Optimizer) -> Result<Test, Error> {
        let OnDevice { engine, config, task: Classify { model, test: set, .. }, test, batch, tests, .. } = &*self;
        let rows = test_rows(config, set);
        let batches = set.rows().div_ceil(rows);
        let shape = Gather {
            samples: count("rows", batches * rows)?,
            rows: count("rows", rows)?,
            quads: count("inputs", set.inputs().div_ceil(4))?,
            steps_per_epoch: count("batches", batches)?,
            micro_batches: 1,
            ..Gather::default()
        };
        let batch = &Batch { rows, ..batch.clone() };
        let table = engine.buffer("test table", LEAST_TABLE_BYTES)?;
        let parameter = |name: &str| parameters.place(name).map_err(Error::from);
        let mut program = Program::new("mlp test");
        program.dispatches.push(gather(engine, test, batch, &table, shape, false)?);
        program.dispatches.extend(model.forward(engine, parameter, batch, tests)?);
        program.dispatches.extend(model.loss(engine, batch, tests, 0.0)?);
        Ok(Test { program, batches: shape.steps_per_epoch, table })
    }

    fn trained(&self) -> Range {
        self.space.metrics.all()
    }

    fn tested(&self) -> Range {
        self.tests.metrics.all()
    }
}

/// Draws a batch of a set, in a new order every epoch, or in its own.
fn gather(
    engine: &Engine,
    set: &Resident,
    batch: &Batch,
    table: &Buffer,
    shape: Gather,
    shuffle: bool,
) -> Result<Dispatch, Error> {
    let workgroup = engine.sizes().gather;
    let shape_buffer = engine.buffer_with("gather shape", &[shape])?;
    let quads = u64::from(shape.rows) * u64::from(shape.quads);
    Ok(Dispatch {
        kernel: GATHER.plain(),
        bindings: vec![
            (&set.values).into(),
            (&set.labels).into(),
            (&batch.x).into(),
            (&batch.labels).into(),
            (&batch.position).into(),
            table.into(),
            (&shape_buffer).into(),
            Binding::Clock,
        ],
        constants: vec![("WORKGROUP", f64::from(workgroup)), ("SHUFFLE", f64::from(u8::from(shuffle)))],
        grid: row_of(count("vec4s of a batch", quads)?.div_ceil(workgroup)),
        bytes: quads * 32,
    })
}
