//! A model of pictures on labelled pictures.

use super::{Material, Reader, summary};
use crate::data::Pictures;
use crate::run::known::Known;
use crate::run::labelled;
use crate::run::picture_model::PictureSpec;
use crate::run::sets::Sets;
use crate::run::{Error, Inputs, PictureData, PictureFiles, TestSet};
use crate::train::ClassifyPictures;
use std::path::Path;

impl Reader<'_> {
    pub(super) fn pictures(mut self, data: &PictureData) -> Result<Material, Error> {
        let labels = |path: &Path| match (&data.files, &self.run.data.test) {
            (PictureFiles::Idx(_), TestSet::File(test, labels)) if path == test => labels.as_deref(),
            (PictureFiles::Idx(labels), _) => Some(labels.as_path()),
            _ => None,
        };
        let read = |path: &Path| data.examples(path, labels(path), self.options);
        let (Sets { train, test, warnings }, classes) = Sets::of_classes(self.run, &data.classes, &data.train, read)?;
        let known = Known::new(classes.clone());
        let mut also = Vec::new();
        for (name, path) in &self.run.data.also {
            let examples = labelled::pictures((path, None), data, &known, self.options)?;
            let (rows, warning) = examples.judged(self.run.data.skip_bad_rows)?;
            self.warnings.extend(warning);
            also.push((name, data.set(&rows, classes.len())?));
        }
        self.warnings.extend(warnings);
        let train = data.set(&train, classes.len())?.augmented(data.augmentation)?;
        let test = data.set(&test, classes.len())?;
        let model = self.run.model.of_classes(classes.len())?;
        let count = classes.len();
        let inputs = Inputs { classes, ..Inputs::default() }.checked(&bytes_of(&train), &bytes_of(&test));
        let values = self.values(&model, &inputs)?;
        let mut task = ClassifyPictures::new(model.clone(), (&train, &test))?;
        for (name, set) in &also {
            task = task.also(name, ClassifyPictures::new(model.clone(), (set, set))?)?;
        }
        let [height, width] = data.wants.preparation.size;
        let what = format!(
            "{} pictures of {height} x {width} to train on, {} to test, {count} classes",
            train.count(),
            test.count()
        );
        let title = self.run.model.pictures.as_ref().map_or_else(String::new, PictureSpec::title);
        let article = if title.starts_with('E') { "an" } else { "a" };
        let kind = format!("{article} {title}");
        Ok(Material {
            summary: summary(&kind, &model, &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            units: ("pictures", 1),
            model,
            inputs,
            tokenizer: None,
            pictures: Some(test),
            warnings: self.warnings,
        })
    }
}

fn bytes_of(set: &Pictures) -> [&[u8]; 2] {
    [bytemuck::cast_slice(set.pixels()), bytemuck::cast_slice(set.labels())]
}
