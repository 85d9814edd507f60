//! The model of pictures in the `config.json` of a folder: one of timm's or transformers', or a run's own.

use super::{EfficientNetLite, Head, Model, ResNet, Vit, VitStyle};
use crate::nn::ops::Norm;
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
    /// How many classes it has, if that is said.
    pub classes: Option<usize>,
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
    /// EfficientNet-Lite.
    EfficientNetLite {
        /// From 0 to 4.
        variant: usize,
        /// Whether convolutions have their zeros as in TensorFlow, and batch norms its eps.
        pads_same: bool,
    },
    /// ViT, DeiT or DINOv2.
    Vit(Box<Vit>),
}

/// Settings of transformers' that change what a ResNet computes, each with the value that is computed here.
const FIXED: [(&str, &str); 4] = [
    ("hidden_act", "\"relu\""),
    ("embedding_size", "64"),
    ("downsample_in_first_stage", "false"),
    ("downsample_in_bottleneck", "false"),
];

/// Channels of a ResNet's first stage, in every file of torchvision's and timm's.
const WIDTH: usize = 64;

impl PictureFamily {
    /// The word for it in run files, and in configurations.
    pub fn word(&self) -> &'static str {
        match self {
            PictureFamily::ResNet { .. } => "resnet",
            PictureFamily::EfficientNetLite { .. } => "efficientnet_lite",
            PictureFamily::Vit(_) => "vit",
        }
    }

    /// The share of stochastic depth that its folder has.
    pub fn drop_path_rate(&self) -> f32 {
        if let PictureFamily::Vit(model) = self { model.drop_path_rate } else { 0.0 }
    }

    /// Its model for pictures of this height and width, with this head and stochastic depth.
    ///
    /// # Errors
    /// Errors of the model's own check.
    pub fn model(&self, size: [usize; 2], head: Head, drop_path_rate: f32) -> Result<Model, Error> {
        match self {
            PictureFamily::ResNet { depth, width } => {
                let model = ResNet::new(*depth, size, head.outputs)?.width(*width).head(head);
                let model = model.drop_path_rate(drop_path_rate);
                model.check()?;
                Ok(model.into())
            }
            PictureFamily::EfficientNetLite { variant, pads_same } => {
                let model = EfficientNetLite::new(*variant, size, head.outputs)?.head(head);
                let model = if *pads_same { model } else { model.pads_same(false).norm(Norm::new()) };
                let model = model.drop_path_rate(drop_path_rate);
                model.check()?;
                Ok(model.into())
            }
            PictureFamily::Vit(model) => {
                let model = Vit { picture: size, head, drop_path_rate, ..Vit::clone(model) };
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
        let is_vit = |style: VitStyle| config["model_type"] == style.word();
        if VitStyle::ALL.into_iter().any(is_vit) {
            let (model, labels) = Vit::of_config(json, None, 1)?;
            if model.channels != 3 {
                return Err(bad("num_channels", &config["num_channels"], "3, for red, green and blue"));
            }
            let (size, classes) = (Some(model.picture), classes(&config));
            return Ok(Some(PretrainedPictures { family: PictureFamily::Vit(Box::new(model)), size, labels, classes }));
        }
        let family = match (own(&config)?, config["architecture"].as_str()) {
            (Some(family), _) => family,
            (None, Some(word)) => of_timm(word)?,
            (None, None) if config["model_type"] == "resnet" => of_transformers(&config)?,
            (None, None) => return Ok(None),
        };
        Ok(Some(PretrainedPictures {
            family,
            size: size(&config["pretrained_cfg"]["input_size"]),
            labels: labels(&config),
            classes: classes(&config),
        }))
    }
}

/// A family that this program wrote down.
fn own(config: &Value) -> Result<Option<PictureFamily>, Error> {
    let own = &config["gradus"];
    let number = |family: &str, key: &str| own[family][key].as_u64().map(|number| number as usize);
    if own["resnet"].is_object() {
        let (Some(depth), Some(width)) = (number("resnet", "depth"), number("resnet", "width")) else {
            return Err(bad("gradus.resnet", &own["resnet"], "a depth and a width"));
        };
        return Ok(Some(PictureFamily::ResNet { depth, width }));
    }
    let lite = &own["efficientnet_lite"];
    match (number("efficientnet_lite", "variant"), lite["pads_same"].as_bool()) {
        _ if lite.is_null() => Ok(None),
        (Some(variant), Some(pads_same)) => Ok(Some(PictureFamily::EfficientNetLite { variant, pads_same })),
        _ => Err(bad("gradus.efficientnet_lite", lite, "a variant, and whether it pads_same")),
    }
}

/// A family by timm's name of its model.
fn of_timm(word: &str) -> Result<PictureFamily, Error> {
    let resnets =
        ResNet::depths().map(|depth| (format!("resnet{depth}"), PictureFamily::ResNet { depth, width: WIDTH }));
    let lites = [true, false].into_iter().flat_map(|pads_same| {
        (0..EfficientNetLite::variants()).map(move |variant| {
            let name = format!("{}{variant}", EfficientNetLite::name_in_timm(pads_same));
            (name, PictureFamily::EfficientNetLite { variant, pads_same })
        })
    });
    let all: Vec<(String, PictureFamily)> = resnets.chain(lites).collect();
    // A name may go on with the weights' own: resnet18.a1_in1k.
    let bare = word.split('.').next().unwrap_or(word);
    match all.iter().find(|(name, _)| name == bare) {
        Some((_, family)) => Ok(family.clone()),
        None => {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            Err(bad("architecture", &Value::from(word), &names.join(", ")))
        }
    }
}

/// A ResNet in transformers' words.
fn of_transformers(config: &Value) -> Result<PictureFamily, Error> {
    for (key, value) in FIXED {
        let said = config[key].to_string();
        if !config[key].is_null() && said != value {
            return Err(bad(key, &config[key], &format!("{value}, the only kind that gradus computes")));
        }
    }
    let numbers = |key: &str| -> Vec<usize> {
        config[key].as_array().into_iter().flatten().filter_map(Value::as_u64).map(|number| number as usize).collect()
    };
    let is_bottleneck = config["layer_type"] != "basic";
    let (blocks, widths) = (numbers("depths"), numbers("hidden_sizes"));
    let is_it = |depth: &usize| ResNet::is_of(*depth, &blocks, is_bottleneck);
    let Some(depth) = ResNet::depths().find(is_it) else {
        let allowed = "those of a ResNet of 18, 34, 50 or 101 layers";
        return Err(bad("depths", &config["depths"], allowed));
    };
    let width = WIDTH * if is_bottleneck { 4 } else { 1 };
    if widths != [1, 2, 4, 8].map(|times| times * width) {
        return Err(bad("hidden_sizes", &config["hidden_sizes"], &format!("{width} channels, doubled by each stage")));
    }
    Ok(PictureFamily::ResNet { depth, width: WIDTH })
}

/// How many classes there are.
fn classes(config: &Value) -> Option<usize> {
    let said = [
        &config["gradus"]["classes"],
        &config["num_classes"],
        &config["pretrained_cfg"]["num_classes"],
        &config["num_labels"],
    ];
    let number = said.into_iter().find_map(Value::as_u64).map(|number| number as usize);
    number.or(config["id2label"].as_object().map(serde_json::Map::len))
}

/// The names of the classes: a list, or numbers with names. `LABEL_0` and so on are none.
fn labels(config: &Value) -> Vec<String> {
    let lists = [&config["label_names"], &config["pretrained_cfg"]["label_names"]];
    if let Some(list) = lists.into_iter().find_map(Value::as_array) {
        return list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let Some(ids) = config["id2label"].as_object() else { return Vec::new() };
    let label = |id: usize| ids.get(&id.to_string()).and_then(Value::as_str).map(str::to_owned);
    let labels: Vec<String> = (0..ids.len()).map_while(label).collect();
    let are_own = labels.len() == ids.len() && labels.iter().any(|label| !label.starts_with("LABEL_"));
    if are_own { labels } else { Vec::new() }
}

/// Height and width of `[channels, height, width]`.
fn size(value: &Value) -> Option<[usize; 2]> {
    let [_, height, width] = value.as_array()?.as_slice() else { return None };
    Some([height.as_u64()? as usize, width.as_u64()? as usize])
}

fn bad(setting: &'static str, value: &Value, allowed: &str) -> Error {
    Error::BadSetting { setting, value: value.to_string(), allowed: allowed.to_owned() }
}
