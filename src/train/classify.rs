//! An MLP on labelled rows.

use super::task::{Placed, Task, gradient_of};
use super::{Config, Error};
use crate::data::DataSet;
use crate::engine::layout::{Gather, Metrics, Position};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Program, Range, kernel, row_of};
use crate::nn::{Batch, Mlp, Workspace};
use crate::optim::{Optimizer, Parameters};
use crate::params::Param;

/// Rows of one evaluation batch.
const TEST_ROWS: usize = 512;

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

impl Classify {
    /// The test set on the device: batches and their rows.
    fn tests(&self, engine: &Engine) -> Result<Vec<(Batch, usize)>, Error> {
        let Classify { model, test, .. } = self;
        let batch = |(number, first): (usize, usize)| {
            let rows = TEST_ROWS.min(test.rows() - first);
            let batch = Batch::new(engine, rows, model.inputs())?;
            engine.write(&batch.x, 0, &test.padded(first, rows))?;
            engine.write(&batch.labels, 0, &test.labels()[first..first + rows])?;
            engine.write(&batch.position, 0, &[Position { batch: number as u32, ..Position::default() }])?;
            Ok((batch, rows))
        };
        (0..test.rows()).step_by(TEST_ROWS).enumerate().map(batch).collect()
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
        let train = &self.train;
        Ok(Box::new(OnDevice {
            values: engine.buffer_with("train values", &train.padded(0, train.rows()))?,
            labels: engine.buffer_with("train labels", train.labels())?,
            batch: Batch::new(engine, config.batch_size, self.model.inputs())?,
            space: self.model.workspace(engine, config.batch_size)?,
            tests: self.tests(engine)?,
            tested: engine.buffer("test metrics", size_of::<Metrics>() as u64)?,
            engine: engine.clone(),
            config: config.clone(),
            task: self.clone(),
        }))
    }
}

/// The train set on the device, and the room for a micro-batch of it.
#[derive(Debug)]
struct OnDevice {
    engine: Engine,
    config: Config,
    task: Classify,
    values: Buffer,
    labels: Buffer,
    batch: Batch,
    space: Workspace,
    /// The test set in batches.
    tests: Vec<(Batch, usize)>,
    tested: Buffer,
}

impl Placed for OnDevice {
    fn step(&mut self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Program, Error> {
        let OnDevice { engine, config, task, batch, space, .. } = &*self;
        let (samples, rows) = (task.train.rows(), config.rows_per_step());
        let parameter = |name: &str| parameters.place(name).map_err(Error::from);
        let gradient = |name: &str| gradient_of(optimizer, name);
        let mut program = Program::new("mlp step");
        for micro in 0..config.micro_batches {
            let shape = Gather {
                samples: samples as u32,
                rows: config.batch_size as u32,
                quads: task.train.inputs().div_ceil(4) as u32,
                steps_per_epoch: (samples / rows) as u32,
                micro_batches: config.micro_batches as u32,
                micro: micro as u32,
                seed: config.seed,
                pad0: 0,
            };
            program.dispatches.push(self.gather(optimizer.table(), shape)?);
            program.dispatches.extend(task.model.forward(engine, parameter, batch, space)?);
            program.dispatches.extend(task.model.loss(engine, batch, space, 1.0 / rows as f32)?);
            program.dispatches.extend(task.model.backward(engine, parameter, gradient, batch, space, micro > 0)?);
        }
        Ok(program)
    }

    fn test(&mut self, parameters: &Parameters, _optimizer: &Optimizer) -> Result<Program, Error> {
        let OnDevice { engine, task: Classify { model, .. }, .. } = self;
        let parameter = |name: &str| parameters.place(name).map_err(Error::from);
        let mut program = Program::new("mlp test");
        let mut spaces: Vec<(usize, Workspace)> = Vec::new();
        for (batch, rows) in &self.tests {
            let known = spaces.iter().position(|(known, _)| known == rows);
            let place = known.unwrap_or(spaces.len());
            if known.is_none() {
                let mut space = model.workspace(engine, *rows)?;
                space.metrics = self.tested.clone();
                spaces.push((*rows, space));
            }
            let space = &spaces[place].1;
            program.dispatches.extend(model.forward(engine, parameter, batch, space)?);
            program.dispatches.extend(model.loss(engine, batch, space, 0.0)?);
        }
        Ok(program)
    }

    fn trained(&self) -> Range {
        self.space.metrics.all()
    }

    fn tested(&self) -> Range {
        self.tested.all()
    }
}

impl OnDevice {
    fn gather(&self, table: &Buffer, shape: Gather) -> Result<Dispatch, Error> {
        let OnDevice { engine, values, labels, batch, .. } = self;
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
}
