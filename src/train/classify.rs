//! An MLP on labelled rows.

use super::examples::{Examples, Sizes};
use super::supervised::{Set, Supervised, size};
use super::{Config, Error, Scoring};
use crate::data::{BatchSize, DataSet};
use crate::engine::layout::Gather;
use crate::engine::{Buffer, Engine, count};
use crate::nn::Model;
use crate::nn::models::Mlp;

/// Classification of rows: an MLP, its train set and its test set.
pub type Classify = Supervised<DataSet>;

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
        Ok(Supervised {
            model: model.clone().into(),
            train: train.clone(),
            test: test.clone(),
            also: Vec::new(),
            start: None,
        })
    }
}

impl Set for DataSet {
    fn context(&self) -> usize {
        1
    }

    fn tested(&self) -> usize {
        self.rows()
    }

    fn scoring(&self, _model: &Model) -> Scoring {
        Scoring::of_classes(self.classes())
    }

    fn steps_per_epoch(&self, BatchSize { rows, micro_batches }: BatchSize, _seed: u32) -> Result<u64, Error> {
        let (step, there) = (rows * micro_batches, self.rows());
        if step > there {
            let reason = format!("a step takes {step} rows, the train set has {there}");
            return Err(Error::BadSetting { setting: "batch_size", value: rows, reason });
        }
        Ok((there / step) as u64)
    }

    fn to_train(&self, engine: &Engine, config: &Config) -> Result<Examples, Error> {
        let resident = resident(engine, ["train values", "train labels"], self)?;
        let (size, seed) = (size(config), config.seed);
        let steps = self.steps_per_epoch(size, seed)?;
        let sizes = Gather { seed, ..gather(self, size, steps)? };
        Ok(Examples::shuffled(resident, Sizes::Rows(sizes)))
    }

    fn to_test(&self, engine: &Engine, rows: usize, _limit_bytes: u64) -> Result<Examples, Error> {
        let resident = resident(engine, ["test values", "test labels"], self)?;
        let batches = self.rows().div_ceil(rows);
        let sizes = gather(self, BatchSize { rows, micro_batches: 1 }, batches as u64)?;
        Ok(Examples::in_turn(resident, Sizes::Rows(sizes)))
    }
}

fn gather(set: &DataSet, size: BatchSize, steps: u64) -> Result<Gather, Error> {
    Ok(Gather {
        samples: count("rows", set.rows())?,
        rows: count("rows", size.rows)?,
        quads: count("inputs", set.inputs().div_ceil(4))?,
        steps_per_epoch: count("steps", steps)?,
        micro_batches: count("micro-batches", size.micro_batches)?,
        ..Gather::default()
    })
}

/// The rows of a set on the device.
fn resident(engine: &Engine, names: [&str; 2], set: &DataSet) -> Result<Vec<Buffer>, Error> {
    let values = set.padded(0, set.rows());
    Ok(vec![engine.buffer_with(names[0], &values)?, engine.buffer_with(names[1], set.labels())?])
}
