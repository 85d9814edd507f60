//! What a step and an evaluation of an MLP are made of.

use super::{Config, Error};
use crate::data::DataSet;
use crate::engine::layout::{Gather, Metrics, Position};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Program, kernel, row_of};
use crate::nn::{Batch, Mlp, Workspace};
use crate::optim::{Optimizer, Parameters};

/// Rows of one evaluation batch.
const TEST_ROWS: usize = 512;

/// The train set on the device, and the room for a micro-batch of it.
#[derive(Debug)]
pub(super) struct TrainSet {
    values: Buffer,
    labels: Buffer,
    samples: usize,
    inputs: usize,
    batch: Batch,
    pub(super) space: Workspace,
}

impl TrainSet {
    pub(super) fn new(engine: &Engine, model: &Mlp, train: &DataSet, batch_size: usize) -> Result<TrainSet, Error> {
        Ok(TrainSet {
            values: engine.buffer_with("train values", &train.padded(0, train.rows()))?,
            labels: engine.buffer_with("train labels", train.labels())?,
            samples: train.rows(),
            inputs: train.inputs(),
            batch: Batch::new(engine, batch_size, model.inputs())?,
            space: model.workspace(engine, batch_size)?,
        })
    }
}

/// Gather, forward, loss and backward of every micro-batch of a step.
/// Frozen parameters get no gradient.
pub(super) fn step_program(
    engine: &Engine,
    model: &Mlp,
    train: &TrainSet,
    config: &Config,
    parameters: &Parameters,
    optimizer: &Optimizer,
) -> Result<Program, Error> {
    let TrainSet { batch, space, .. } = train;
    let rows = config.batch_size * config.micro_batches;
    let parameter = |name: &str| parameters.range(name).map_err(Error::from);
    let gradient = |name: &str| -> Result<_, Error> {
        Ok(if optimizer.is_trainable(name)? { Some(optimizer.gradient(name)?) } else { None })
    };
    let mut program = Program::new("mlp step");
    for micro in 0..config.micro_batches {
        let shape = Gather {
            samples: train.samples as u32,
            rows: config.batch_size as u32,
            quads: train.inputs.div_ceil(4) as u32,
            steps_per_epoch: (train.samples / rows) as u32,
            micro_batches: config.micro_batches as u32,
            micro: micro as u32,
            seed: config.seed,
            pad0: 0,
        };
        program.dispatches.push(gather(engine, train, optimizer.table(), shape)?);
        program.dispatches.extend(model.forward(engine, parameter, batch, space)?);
        program.dispatches.extend(model.loss(engine, batch, space, 1.0 / rows as f32)?);
        program.dispatches.extend(model.backward(engine, parameter, gradient, batch, space, micro > 0)?);
    }
    Ok(program)
}

fn gather(engine: &Engine, train: &TrainSet, table: &Buffer, shape: Gather) -> Result<Dispatch, Error> {
    let TrainSet { values, labels, batch, .. } = train;
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
pub(super) fn test_program(
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
        program.dispatches.extend(model.loss(engine, &batch, space, 0.0)?);
    }
    Ok((program, metrics))
}
