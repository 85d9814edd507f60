//! Pictures with classes, as bytes.

use super::batches::BatchSize;
use super::{Error, stratified};
use crate::setters::setters;
use crate::twin::shared::GatherPictures;
use std::sync::Arc;

/// Pictures of one size in red, green and blue, each with a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    size: [usize; 2],
    classes: usize,
    /// A word for each pixel: red, green and blue from the lowest byte on.
    pixels: Arc<[u32]>,
    labels: Vec<u32>,
    /// What a byte is multiplied by, and what is added, for each channel.
    normal: [[f32; 3]; 2],
    augmentation: Augmentation,
}

/// How pictures are augmented: changed for training, anew in every epoch. What is drawn follows from seed, epoch and picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Augmentation {
    /// Left and right are exchanged in half of the pictures.
    pub flip: bool,
    /// Pictures are moved by up to so many pixels; what comes in is black.
    pub padding: u32,
    /// A part of at least this share of the area is shown in full size; 0 for the whole picture.
    pub least_area: f32,
}

impl Augmentation {
    /// None at all.
    pub fn new() -> Augmentation {
        Augmentation::default()
    }

    setters! {
        flip: bool,
        padding: u32,
        least_area: f32,
    }

    /// Whether it does anything.
    pub fn is_any(&self) -> bool {
        *self != Augmentation::default()
    }

    /// What is wrong with it for pictures of this size.
    pub(crate) fn wrong(&self, size: [usize; 2]) -> Option<&'static str> {
        let least = size[0].min(size[1]);
        if self.padding as usize >= least {
            return Some("pictures would be moved out of sight");
        }
        if !(0.0..=1.0).contains(&self.least_area) {
            return Some("a share of the area is from 0 to 1");
        }
        (self.padding > 0 && self.least_area > 0.0).then_some("pictures are moved or cut, not both")
    }
}

impl Pictures {
    /// Pictures of this height and width, `[pictures, height, width, 3]` bytes, and a label for each. A byte becomes a number
    /// from 0 to 1.
    ///
    /// # Errors
    /// [`Error::BadSize`], [`Error::BadLabel`].
    pub fn new(size: [usize; 2], classes: usize, bytes: &[u8], labels: Vec<u32>) -> Result<Pictures, Error> {
        let inputs = size[0].saturating_mul(size[1]).saturating_mul(3);
        if inputs == 0 || classes == 0 || labels.is_empty() || bytes.len() != inputs.saturating_mul(labels.len()) {
            return Err(Error::BadSize { values: bytes.len(), labels: labels.len(), inputs });
        }
        if let Some(row) = labels.iter().position(|label| *label as usize >= classes) {
            return Err(Error::BadLabel { row, label: labels[row], classes });
        }
        let word = |pixel: &[u8; 3]| u32::from_le_bytes([pixel[0], pixel[1], pixel[2], 0]);
        let pixels = bytes.as_chunks().0.iter().map(word).collect();
        Ok(Pictures {
            size,
            classes,
            pixels,
            labels,
            normal: [[1.0 / 255.0; 3], [0.0; 3]],
            augmentation: Augmentation::new(),
        })
    }

    /// The same, with the numbers from 0 to 1 less the mean and divided by the deviation of each channel.
    #[must_use]
    pub fn normalized(self, mean: [f32; 3], deviation: [f32; 3]) -> Pictures {
        let scale = deviation.map(|deviation| 1.0 / (255.0 * deviation));
        let shift = [0, 1, 2].map(|channel: usize| -mean[channel] / deviation[channel]);
        Pictures { normal: [scale, shift], ..self }
    }

    /// The same, augmented in this way when they are trained on. They are tested as they are.
    ///
    /// # Errors
    /// [`Error::BadAugmentation`] for one that cannot be.
    pub fn augmented(self, augmentation: Augmentation) -> Result<Pictures, Error> {
        match augmentation.wrong(self.size) {
            Some(reason) => Err(Error::BadAugmentation { reason }),
            None => Ok(Pictures { augmentation, ..self }),
        }
    }

    /// How they are augmented when they are trained on.
    pub fn augmentation(&self) -> Augmentation {
        self.augmentation
    }

    /// Height and width of each.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// How many pictures.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The labels.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// A word for each pixel: red, green and blue from the lowest byte on.
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// The same, to be held by several.
    pub(crate) fn shared_pixels(&self) -> Arc<[u32]> {
        Arc::clone(&self.pixels)
    }

    /// A train and a test set: `test_percent` of each class, drawn by a seed, are the test set. A class too rare for one picture
    /// is in the train set only.
    ///
    /// # Errors
    /// [`Error::BadSplit`] if either would be empty.
    pub fn split(&self, test_percent: usize, seed: u32) -> Result<(Pictures, Pictures), Error> {
        let (train, test) = stratified(&self.labels, test_percent, seed)?;
        Ok((self.picked(&train), self.picked(&test)))
    }

    /// These pictures, in this order.
    fn picked(&self, rows: &[usize]) -> Pictures {
        let pixels = self.size[0] * self.size[1];
        Pictures {
            pixels: rows.iter().flat_map(|row| &self.pixels[row * pixels..][..pixels]).copied().collect(),
            labels: rows.iter().map(|row| self.labels[*row]).collect(),
            ..*self
        }
    }

    /// The sizes of a gather in steps of this size, in an order by this seed.
    ///
    /// # Errors
    /// [`Error::BadBatch`].
    pub(crate) fn training(&self, size: BatchSize, seed: u32) -> Result<GatherPictures, Error> {
        let steps_per_epoch = size.steps_per_epoch(self.count())?;
        let (rows, micro_batches) = (size.rows as u32, size.micro_batches as u32);
        let Augmentation { flip, padding, least_area } = self.augmentation;
        let shape = GatherPictures { flip: u32::from(flip), padding, least_area, ..self.shape() };
        Ok(GatherPictures { rows, steps_per_epoch, micro_batches, seed, ..shape })
    }

    /// The sizes of a gather of all, in their order.
    ///
    /// # Errors
    /// [`Error::BadBatch`].
    pub(crate) fn evaluation(&self, rows: usize) -> Result<GatherPictures, Error> {
        let steps_per_epoch = BatchSize::covering(self.count(), rows, self.size[0] * self.size[1])?;
        Ok(GatherPictures { rows: rows as u32, steps_per_epoch, micro_batches: 1, ..self.shape() })
    }

    fn shape(&self) -> GatherPictures {
        let [scale, shift] = self.normal.map(|[red, green, blue]| [red, green, blue, 0.0]);
        let [height, width] = self.size.map(|side| side as u32);
        GatherPictures { samples: self.count() as u32, height, width, scale, shift, ..GatherPictures::default() }
    }
}
