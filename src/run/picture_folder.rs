//! A folder with a pretrained model of pictures: what the model is, and how it wants its pictures.

use super::Error;
use super::head::HeadSpec;
use super::pretrained_folder::{CONFIG, described};
use crate::data::{Fit, Interpolation, Preparation};
use crate::nn::models::PretrainedPictures;
use crate::train::files;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A model of pictures in a folder, by its `config.json`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PictureFolder {
    /// The folder.
    pub folder: PathBuf,
    /// Its model.
    pub model: PretrainedPictures,
    /// How it wants its pictures.
    pub wants: Wants,
    /// Its head's hidden layers, if a run wrote the folder.
    pub head: HeadSpec,
}

/// How a model wants its pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wants {
    /// In which size, and how they come to it.
    pub preparation: Preparation,
    /// The mean of each channel, from 0 to 1, that is taken from it.
    pub mean: [f32; 3],
    /// The deviation of each channel, by which it is divided.
    pub deviation: [f32; 3],
}

/// The file in which transformers' models say how they want their pictures.
const PREPROCESSOR: &str = "preprocessor_config.json";

/// Pictures of models without a folder: as torchvision's weights of ImageNet want them.
const SIZE: [usize; 2] = [224, 224];
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

impl Default for Wants {
    fn default() -> Wants {
        Wants { preparation: Preparation::new(SIZE), mean: MEAN, deviation: DEVIATION }
    }
}

impl PictureFolder {
    /// The same for a run file in a folder: if the folder of `from` is gone, what the run has kept of it.
    pub(super) fn of_run(from: &Path, run: &Path) -> Result<Option<PictureFolder>, Error> {
        PictureFolder::find(if from.exists() { from } else { run })
    }

    /// Reads the folder of `from`, or the folder of its file; `None` if it has no `config.json` of a model of pictures.
    ///
    /// # Errors
    /// [`Error`] naming the file and the key.
    pub fn find(from: &Path) -> Result<Option<PictureFolder>, Error> {
        let Some(folder) = described(from) else { return Ok(None) };
        let path = folder.join(CONFIG);
        let text = files::read_text(&path).map_err(|error| Error::unreadable(&path, &error))?;
        let model = PretrainedPictures::parse(&text).map_err(|error| Error::bad_file(&path, error.to_string()))?;
        let Some(model) = model else { return Ok(None) };
        let config: Value = serde_json::from_str(&text).unwrap_or_default();
        let head = HeadSpec::of_config(&config);
        let json = |file: &Path, text: &str| -> Result<Value, Error> {
            serde_json::from_str(text).map_err(|error| Error::bad_file(file, error.to_string()))
        };
        let preprocessor = folder.join(PREPROCESSOR);
        let (file, wants) = match preprocessor.exists() {
            true => {
                let text = files::read_text(&preprocessor).map_err(|error| Error::unreadable(&preprocessor, &error))?;
                (&preprocessor, of_transformers(&json(&preprocessor, &text)?))
            }
            false => (&path, of_timm(&config["pretrained_cfg"])),
        };
        let wants = wants.map_err(|reason| Error::bad_file(file, reason))?;
        Ok(Some(PictureFolder { folder: folder.to_owned(), wants: wants.sized(model.size), model, head }))
    }
}

impl Wants {
    /// In the size of the model, if nothing else is said.
    fn sized(self, size: Option<[usize; 2]>) -> Wants {
        let preparation = Preparation { size: size.unwrap_or(self.preparation.size), ..self.preparation };
        Wants { preparation, ..self }
    }
}

impl Wants {
    /// As timm's `pretrained_cfg`.
    pub fn to_timm(&self) -> Value {
        let Preparation { fit, crop_pct, interpolation, .. } = self.preparation;
        let [mean, deviation] = [self.mean, self.deviation].map(|channels| channels.map(decimal));
        serde_json::json!({
            "interpolation": if interpolation == Interpolation::Bicubic { "bicubic" } else { "bilinear" },
            "crop_pct": crop_pct,
            "crop_mode": if fit == Fit::Squash { "squash" } else { "center" },
            "mean": mean,
            "std": deviation,
        })
    }

    /// The same as transformers' `preprocessor_config.json`: ViT's own processor stretches, BiT's crops.
    pub fn to_transformers(&self) -> Value {
        let Preparation { size: [height, width], fit, crop_pct, interpolation, .. } = self.preparation;
        let [mean, deviation] = [self.mean, self.deviation].map(|channels| channels.map(decimal));
        let size = serde_json::json!({"height": height, "width": width});
        let shared = serde_json::json!({
            "do_resize": true, "resample": if interpolation == Interpolation::Bicubic { 3 } else { 2 },
            "do_rescale": true, "rescale_factor": 1.0 / 255.0,
            "do_normalize": true, "image_mean": mean, "image_std": deviation, "do_convert_rgb": true,
        });
        let own = match fit {
            Fit::Squash => serde_json::json!({"image_processor_type": "ViTImageProcessor", "size": size}),
            Fit::Crop => serde_json::json!({
                "image_processor_type": "BitImageProcessor", "do_center_crop": true, "crop_size": size,
                "size": {"shortest_edge": (height.min(width) as f64 / crop_pct).floor()},
            }),
        };
        let parts = [shared, own].into_iter().filter_map(|part| part.as_object().cloned());
        Value::Object(parts.flatten().collect())
    }
}

/// A number of 32 bits in as many digits as it has.
pub(super) fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// By `pretrained_cfg` of timm.
fn of_timm(said: &Value) -> Result<Wants, String> {
    let usual = Wants::default();
    let fit = if said["crop_mode"] == "squash" { Fit::Squash } else { Fit::Crop };
    let interpolation = match said["interpolation"].as_str() {
        Some("bicubic") => Interpolation::Bicubic,
        None | Some("bilinear") => Interpolation::Bilinear,
        Some(other) => return Err(format!("interpolation = {other} is neither bilinear nor bicubic")),
    };
    let crop_pct = said["crop_pct"].as_f64().filter(is_share).unwrap_or(1.0);
    Ok(Wants {
        preparation: Preparation { fit, crop_pct, interpolation, ..usual.preparation },
        mean: three(&said["mean"]).unwrap_or(usual.mean),
        deviation: three(&said["std"]).unwrap_or(usual.deviation),
    })
}

/// By `preprocessor_config.json` of transformers.
fn of_transformers(said: &Value) -> Result<Wants, String> {
    let usual = Wants::default();
    if said["do_resize"] == false {
        return Err("do_resize = false: pictures of any size are brought to the model's here".to_owned());
    }
    // PIL's numbers.
    let interpolation = match said["resample"].as_u64() {
        Some(3) => Interpolation::Bicubic,
        None | Some(2) => Interpolation::Bilinear,
        Some(other) => return Err(format!("resample = {other} is neither 2, bilinear, nor 3, bicubic")),
    };
    // A byte is multiplied by the factor before mean and deviation, and by 1/255 here.
    let factor = match said["do_rescale"] == false {
        true => 1.0,
        false => said["rescale_factor"].as_f64().unwrap_or(1.0 / 255.0),
    };
    let scaled = |channels: [f32; 3]| channels.map(|number| (f64::from(number) / (255.0 * factor)) as f32);
    let [mean, deviation] = match said["do_normalize"] == false {
        true => [[0.0; 3], [1.0; 3]],
        false => {
            [three(&said["image_mean"]).unwrap_or(usual.mean), three(&said["image_std"]).unwrap_or(usual.deviation)]
        }
    };
    let side = |value: &Value| value.as_u64().map(|side| side as usize);
    let sides = |value: &Value| Some([side(&value["height"])?, side(&value["width"])?]).or(side(value).map(|s| [s; 2]));
    let shortest = side(&said["size"]["shortest_edge"]);
    let crop = sides(&said["crop_size"]).filter(|_| said["do_center_crop"] != false);
    let (fit, size) = match (crop, shortest) {
        (Some(crop), _) => (Fit::Crop, Some(crop)),
        (None, Some(shortest)) => (Fit::Crop, Some([shortest; 2])),
        (None, None) => (Fit::Squash, sides(&said["size"])),
    };
    let by_sizes = crop.zip(shortest).map(|(crop, shortest)| crop[0].min(crop[1]) as f64 / shortest as f64);
    let crop_pct = said["crop_pct"].as_f64().or(by_sizes).filter(is_share).unwrap_or(1.0);
    let size = size.unwrap_or(usual.preparation.size);
    Ok(Wants {
        preparation: Preparation { size, fit, crop_pct, interpolation, ..usual.preparation },
        mean: scaled(mean),
        deviation: scaled(deviation),
    })
}

fn is_share(share: &f64) -> bool {
    *share > 0.0 && *share <= 1.0
}

fn three(value: &Value) -> Option<[f32; 3]> {
    let numbers: Option<Vec<f32>> = value.as_array()?.iter().map(|number| Some(number.as_f64()? as f32)).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_wants_is_read_of_either_program() {
        let said = serde_json::json!({"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95, "mean": [0.1, 0.2, 0.3]});
        let Wants { preparation, mean, deviation } = of_timm(&said).expect("a model's wants");
        assert_eq!((preparation.fit, preparation.interpolation), (Fit::Crop, Interpolation::Bicubic));
        assert_eq!((preparation.crop_pct, mean, deviation), (0.95, [0.1, 0.2, 0.3], DEVIATION));

        let vit = serde_json::json!({"do_resize": true, "size": {"height": 96, "width": 64}, "resample": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
        let wants = of_transformers(&vit).expect("a model's wants");
        assert_eq!((wants.preparation.fit, wants.preparation.size), (Fit::Squash, [96, 64]));
        assert_eq!(wants.mean, [0.5; 3]);
        let dino = serde_json::json!({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "resample": 3});
        let wants = of_transformers(&dino).expect("a model's wants");
        assert_eq!((wants.preparation.fit, wants.preparation.size), (Fit::Crop, [224, 224]));
        assert_eq!((wants.preparation.crop_pct, wants.preparation.interpolation), (0.875, Interpolation::Bicubic));
        assert_eq!(of_transformers(&serde_json::json!({"size": 224})).expect("wants").preparation.size, [224, 224]);
    }

    #[test]
    fn what_changes_the_numbers_is_followed_or_refused() {
        let of = |text: &str| of_transformers(&serde_json::from_str(text).expect("json"));
        let plain = of("{\"do_normalize\": false}").expect("wants");
        assert_eq!((plain.mean, plain.deviation), ([0.0; 3], [1.0; 3]));
        // b / 127.5 - 1 is (b / 255 - 0.5) / 0.5.
        let wide = of("{\"rescale_factor\": 0.00784313725490196, \"image_mean\": [1, 1, 1], \"image_std\": [1, 1, 1]}");
        let wide = wide.expect("wants");
        assert!((wide.mean[0] - 0.5).abs() < 1e-6 && (wide.deviation[2] - 0.5).abs() < 1e-6, "{wide:?}");
        for (text, words) in [("{\"resample\": 0}", "resample = 0"), ("{\"do_resize\": false}", "do_resize = false")] {
            assert!(of(text).expect_err("refused").starts_with(words));
        }
        assert!(of_timm(&serde_json::json!({"interpolation": "lanczos"})).is_err());
    }
}
