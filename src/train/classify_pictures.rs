//! Classification of pictures.

use super::examples::{Examples, Sizes};
use super::supervised::{Set, Supervised};
use super::{Error, Scoring};
use crate::data::{BatchSize, Pictures};
use crate::engine::{Buffer, Engine};
use crate::nn::{Model, Network};

/// Classification of pictures: a model of pictures, its train set and its test set.
pub type ClassifyPictures = Supervised<Pictures>;

impl ClassifyPictures {
    /// A task.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for pictures or classes that do not fit the model.
    pub fn new(model: impl Into<Model>, (train, test): (&Pictures, &Pictures)) -> Result<ClassifyPictures, Error> {
        let model = model.into();
        for (which, set) in [("train", train), ("test", test)] {
            let (inputs, classes) = (set.size()[0] * set.size()[1], set.classes());
            let (model_inputs, model_classes) = (model.context(), model.outputs());
            if inputs != model_inputs || classes != model_classes {
                return Err(Error::Mismatch { which, inputs, classes, model_inputs, model_classes });
            }
        }
        Ok(Supervised { model, train: train.clone(), test: test.clone(), also: Vec::new(), start: None })
    }
}

impl Set for Pictures {
    fn context(&self) -> usize {
        self.size()[0] * self.size()[1]
    }

    fn tested(&self) -> usize {
        self.count()
    }

    fn scoring(&self, _model: &Model) -> Scoring {
        Scoring::of_classes(self.classes())
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        match self.augmentation() {
            augmentation if augmentation.is_any() => vec![("augmentation", format!("{augmentation:?}"))],
            _ => Vec::new(),
        }
    }

    fn steps_per_epoch(&self, size: BatchSize, seed: u32) -> Result<u64, Error> {
        Ok(self.training(size, seed)?.steps_per_epoch.into())
    }

    fn to_train(&self, engine: &Engine, size: BatchSize, seed: u32) -> Result<Examples, Error> {
        let sizes = Sizes::Pictures(self.training(size, seed)?);
        Ok(Examples::shuffled(resident(engine, ["train pictures", "train labels"], self)?, sizes))
    }

    fn to_test(&self, engine: &Engine, rows: usize) -> Result<Examples, Error> {
        let sizes = Sizes::Pictures(self.evaluation(rows)?);
        Ok(Examples::in_turn(resident(engine, ["test pictures", "test labels"], self)?, sizes))
    }
}

/// The pictures of a set on the device, as bytes.
fn resident(engine: &Engine, names: [&str; 2], set: &Pictures) -> Result<Vec<Buffer>, Error> {
    Ok(vec![engine.buffer_with(names[0], set.pixels())?, engine.buffer_with(names[1], set.labels())?])
}
