//! The model of pictures in the `config.json` of a folder: one of timm's, or a run's own.

use super::{Model, ResNet};
use crate::nn::{Error, Network};
use serde_json::Value;

/// A pretrained model of pictures by its `config.json`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PretrainedPictures {
    /// Its family.
    pub family: PictureFamily,
    /// Height and width of the pictures that it was trained on.
    pub size: Option<[usize; 2]>,
    /// Names of the classes, in the order of the outputs; empty if it has none of its own.
    pub labels: Vec<String>,
}

/// A family of models of pictures, with the sizes that do not follow from pictures and classes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PictureFamily {
    /// ResNet.
    ResNet {
        /// Layers: 18, 34, 50 or 101.
        depth: usize,
        /// Channels of the first stage.
        width: usize,
    },
}

/// Channels of a ResNet's first stage, in every file of torchvision's and timm's.
const WIDTH: usize = 64;

impl PictureFamily {
    /// The word for it in run files, and in configurations.
    pub fn word(&self) -> &'static str {
        match self {
            PictureFamily::ResNet { .. } => "resnet",
        }
    }

    /// Its model for pictures of this height and width, and so many classes.
    ///
    /// # Errors
    /// Errors of the model's own check.
    pub fn model(&self, size: [usize; 2], classes: usize) -> Result<Model, Error> {
        match self {
            PictureFamily::ResNet { depth, width } => {
                let model = ResNet::new(*depth, size, classes)?.width(*width);
                model.check()?;
                Ok(model.into())
            }
        }
    }
}

impl PretrainedPictures {
    /// Reads a `config.json`; `None` if it is of no model of pictures.
    ///
    /// # Errors
    /// [`Error::BadSetting`] naming the key, its value and what it may be.
    pub fn parse(json: &str) -> Result<Option<PretrainedPictures>, Error> {
        let Ok(config) = serde_json::from_str::<Value>(json) else { return Ok(None) };
        let own = &config["gradus"];
        let family = match (own["resnet"].as_object(), config["architecture"].as_str()) {
            (Some(_), _) => {
                let number = |key: &str| own["resnet"][key].as_u64().map(|number| number as usize);
                match (number("depth"), number("width")) {
                    (Some(depth), Some(width)) => PictureFamily::ResNet { depth, width },
                    _ => return Err(bad("gradus.resnet", &own["resnet"], "a depth and a width")),
                }
            }
            (None, Some(word)) => {
                let depth = word.strip_prefix("resnet").and_then(|depth| depth.parse().ok());
                let known = depth.filter(|depth| ResNet::depths().any(|known| known == *depth));
                let Some(depth) = known else {
                    let depths: Vec<String> = ResNet::depths().map(|depth| format!("resnet{depth}")).collect();
                    return Err(bad("architecture", &config["architecture"], &depths.join(", ")));
                };
                PictureFamily::ResNet { depth, width: WIDTH }
            }
            (None, None) => return Ok(None),
        };
        let labels = [&config["label_names"], &config["pretrained_cfg"]["label_names"]];
        let labels = labels.into_iter().find_map(Value::as_array).into_iter().flatten();
        Ok(Some(PretrainedPictures {
            family,
            size: size(&config["pretrained_cfg"]["input_size"]),
            labels: labels.filter_map(Value::as_str).map(str::to_owned).collect(),
        }))
    }
}

/// Height and width of `[channels, height, width]`.
fn size(value: &Value) -> Option<[usize; 2]> {
    let [_, height, width] = value.as_array()?.as_slice() else { return None };
    Some([height.as_u64()? as usize, width.as_u64()? as usize])
}

fn bad(setting: &'static str, value: &Value, allowed: &str) -> Error {
    Error::BadSetting { setting, value: value.to_string(), allowed: allowed.to_owned() }
}
