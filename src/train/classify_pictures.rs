//! Classification of pictures.

use super::ahead::Ahead;
use super::examples::{Examples, Sizes};
use super::supervised::{Set, Supervised, size};
use super::{Config, Error, Scoring};
use crate::data::{BatchSize, Pictures};
use crate::engine::layout::GatherPictures;
use crate::engine::{self, Buffer, Engine};
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

    fn to_train(&self, engine: &Engine, config: &Config) -> Result<Examples, Error> {
        let sizes = self.training(size(config), config.seed)?;
        let names = ["train pictures", "train labels"];
        let (memory, ahead) = placed(engine, names, self, (&sizes, config.examples_device_limit_bytes))?;
        Ok(Examples::shuffled(memory, Sizes::Pictures(sizes)).sent_ahead(ahead))
    }

    fn to_test(&self, engine: &Engine, rows: usize, limit_bytes: u64) -> Result<Examples, Error> {
        let sizes = self.evaluation(rows)?;
        let names = ["test pictures", "test labels"];
        let (memory, ahead) = placed(engine, names, self, (&sizes, limit_bytes))?;
        Ok(Examples::in_turn(memory, Sizes::Pictures(sizes)).sent_ahead(ahead))
    }
}

/// The pictures of a set on the device, as bytes, and their labels. If they are more than the limit, or than the device has room for, they
/// stay in host memory, and the device has room for those of a step.
fn placed(
    engine: &Engine,
    [pictures, labels]: [&str; 2],
    set: &Pictures,
    (sizes, limit_bytes): (&GatherPictures, u64),
) -> Result<(Vec<Buffer>, Option<Ahead>), Error> {
    let labels = engine.buffer_with(labels, set.labels())?;
    if size_of_val(set.pixels()) as u64 <= limit_bytes.min(engine.page_bytes()) {
        match engine.buffer_with(pictures, set.pixels()) {
            Err(engine::Error::OutOfMemory { .. }) => {}
            all => return Ok((vec![all?, labels], None)),
        }
    }
    let words = (set.shared_pixels(), sizes.pixels() as usize);
    let ahead = Ahead::new(engine, pictures, words, sizes.rows * sizes.micro_batches)?;
    Ok((vec![ahead.window().clone(), labels], Some(ahead)))
}
