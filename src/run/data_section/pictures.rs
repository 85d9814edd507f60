//! The section `data` for a model of pictures.

use super::Reading;
use crate::data::{Augmentation, Fit, Interpolation, Preparation};
use crate::run::picture_folder::{Wants, decimal};
use crate::run::{DataSpec, Error, ModelKind, ModelSpec, PictureData, PictureFiles, Source};
use std::path::PathBuf;

const AUGMENTATION: &str = "augmentation";

/// Below it numbers overflow in the first layers.
const LEAST_DEVIATION: f32 = 1e-3;

impl Reading<'_> {
    pub(super) fn pictures(mut self, model: &ModelSpec) -> Result<DataSpec, Error> {
        self.section.only(&[
            "embedded",
            "train",
            "test",
            "test_percent",
            "also",
            "split",
            "image",
            "label",
            "classes",
            "train_labels",
            "test_labels",
            "fit",
            "crop_pct",
            "interpolation",
            "mean",
            "std",
            AUGMENTATION,
            "device_megabytes",
            "skip_bad_rows",
            "cache",
        ])?;
        let wants = model.pictures.as_ref().map_or_else(Wants::default, |pictures| pictures.wants);
        let (train, files) = match self.section.has("embedded") {
            true => self.embedded_pictures(model.kind)?,
            false => (self.file("train")?, self.picture_files()?),
        };
        let classes = self.names("classes")?;
        let preparation = self.preparation(wants.preparation)?;
        let (mean, deviation) = (self.channels("mean", wants.mean)?, self.channels("std", wants.deviation)?);
        if let Some(mean) = mean.iter().find(|mean| !(0.0..=1.0).contains(*mean)) {
            let allowed = "from 0 to 1, as bytes are: 124 of 255 is 0.486";
            return Err(self.section.bad("mean", mean.to_string(), allowed, None).into());
        }
        if let Some(deviation) = deviation.iter().find(|deviation| **deviation < LEAST_DEVIATION) {
            return Err(self.section.bad("std", deviation.to_string(), "three numbers from 0.001 on", None).into());
        }
        let augmentation = self.augmentation(preparation.size)?;
        let wants = Wants { preparation, mean, deviation };
        let device_limit_bytes = self.device_limit_bytes()?;
        let pictures = PictureData { train, files, classes, wants, augmentation, device_limit_bytes };
        self.done(Source::Pictures(pictures), model.kind)
    }

    fn embedded_pictures(&mut self, kind: ModelKind) -> Result<(PathBuf, PictureFiles), Error> {
        for key in ["train", "image", "label", "train_labels", "test_labels", "also"] {
            if self.section.has(key) {
                return Err(self.section.beside(key, self.section.shown_at(key), "embedded").into());
            }
        }
        let set = self.embedded_set(kind)?;
        Ok((PathBuf::from(set.name()), PictureFiles::Embedded(set)))
    }

    /// What `train` is: the keys tell.
    fn picture_files(&mut self) -> Result<PictureFiles, Error> {
        let is_table = self.section.has("image") || self.section.has("label");
        match (is_table, self.section.has("train_labels")) {
            (true, true) => {
                let label = if self.section.has("image") { "image" } else { "label" };
                Err(self.section.beside(label, self.section.shown_at(label), "train_labels").into())
            }
            (true, false) => {
                Ok(PictureFiles::Table { image: self.section.text("image")?, label: self.section.text("label")? })
            }
            (false, true) if self.section.has("also") => {
                Err(self.section.beside("also", self.section.shown_at("also"), "train_labels").into())
            }
            (false, true) => Ok(PictureFiles::Idx(self.file("train_labels")?)),
            (false, false) => Ok(PictureFiles::Folders),
        }
    }

    /// How a picture becomes one of the model's; the first word is what the model wants.
    fn preparation(&mut self, wants: Preparation) -> Result<Preparation, Error> {
        let fits = if wants.fit == Fit::Crop { ["crop", "squash"] } else { ["squash", "crop"] };
        let fit = if self.section.word_or_first("fit", &fits)? == "crop" { Fit::Crop } else { Fit::Squash };
        let kinds = match wants.interpolation {
            Interpolation::Bilinear => ["bilinear", "bicubic"],
            Interpolation::Bicubic => ["bicubic", "bilinear"],
        };
        let interpolation = match self.section.word_or_first("interpolation", &kinds)? {
            "bicubic" => Interpolation::Bicubic,
            _ => Interpolation::Bilinear,
        };
        let crop_pct = self.section.number("crop_pct", wants.crop_pct)?;
        if !(0.1..=1.0).contains(&crop_pct) {
            let allowed = "a part of the picture's side: from 0.1 to 1";
            return Err(self.section.bad("crop_pct", crop_pct.to_string(), allowed, None).into());
        }
        // What a run writes down has both.
        if fit == Fit::Squash && crop_pct != wants.crop_pct {
            return Err(self
                .section
                .unfit("crop_pct", crop_pct, "goes with fit: crop, and this is fit: squash")
                .into());
        }
        Ok(Preparation { fit, interpolation, crop_pct, ..wants })
    }

    /// A number for each of three channels.
    fn channels(&mut self, key: &'static str, usual: [f32; 3]) -> Result<[f32; 3], Error> {
        let numbers = self.section.list_of(key, &usual.map(decimal))?;
        let finite: Vec<f32> =
            numbers.iter().map(|number| *number as f32).filter(|number| number.is_finite()).collect();
        let allowed = "three finite numbers, for red, green and blue";
        finite.try_into().map_err(|_| self.section.bad(key, format!("{numbers:?}"), allowed, None).into())
    }

    fn device_limit_bytes(&mut self) -> Result<Option<u64>, Error> {
        const KEY: &str = "device_megabytes";
        self.section.forget_nulls(&[KEY]);
        match self.section.has(KEY) {
            true => Ok(Some(self.section.count_or(KEY, 0)?.saturating_mul(1_000_000))),
            false => Ok(None),
        }
    }

    fn augmentation(&mut self, size: [usize; 2]) -> Result<Augmentation, Error> {
        let shown = self.section.shown_at(AUGMENTATION);
        let Some(mut said) = self.section.maybe_section(AUGMENTATION)? else { return Ok(Augmentation::new()) };
        said.only(&["flip", "padding", "least_area"])?;
        let augmentation = Augmentation::new()
            .flip(said.truth("flip", false)?)
            .padding(said.count_or("padding", 0)?.min(u64::from(u32::MAX)) as u32)
            .least_area(said.number("least_area", 0.0)? as f32);
        match augmentation.wrong(size) {
            Some(reason) => Err(self.section.unfit(AUGMENTATION, shown, format!("cannot be: {reason}")).into()),
            None => Ok(augmentation),
        }
    }
}
