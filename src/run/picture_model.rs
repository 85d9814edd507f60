//! The section `model` of a model of pictures.

use super::Error;
use super::head::{HeadSpec, share};
use super::picture_folder::{PictureFolder, Wants, decimal};
use crate::nn::Model;
use crate::nn::models::{EfficientNetLite, Head, PictureFamily, ResNet, VitStyle};
use crate::params::nearest;
use crate::schedule::file::section::Section;

/// A model of pictures, without its classes, which follow from the data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PictureSpec {
    /// Its family.
    pub family: PictureFamily,
    /// How it wants its pictures.
    pub wants: Wants,
    /// Names of its outputs in `from`; empty if they have none.
    pub labels: Vec<String>,
    /// `drop_path_rate`: stochastic depth.
    pub drop_path_rate: f32,
    /// `head`: hidden layers between the trunk and the outputs.
    pub head: HeadSpec,
}

impl PictureSpec {
    const OF_RESNET: [&str; 8] = ["type", "depth", "width", "size", "drop_path_rate", "head", "parameters", "from"];
    const OF_LITE: [&str; 7] = ["type", "variant", "size", "drop_path_rate", "head", "parameters", "from"];
    const OF_VIT: [&str; 6] = ["type", "size", "drop_path_rate", "head", "parameters", "from"];

    /// The keys of the family that is called so.
    pub(super) fn keys(family: &str) -> &'static [&'static str] {
        match family {
            "vit" => &PictureSpec::OF_VIT,
            "efficientnet_lite" => &PictureSpec::OF_LITE,
            _ => &PictureSpec::OF_RESNET,
        }
    }

    /// Reads what its section says of it: its family's word, and the folder that it begins from, if that says what it is.
    pub(super) fn read(
        section: &mut Section,
        (word, found): (&str, Option<&PictureFolder>),
    ) -> Result<PictureSpec, Error> {
        let family = match found.map(|folder| &folder.model.family) {
            Some(PictureFamily::Vit(model)) => PictureFamily::Vit(model.clone()),
            Some(PictureFamily::ResNet { depth, width }) => resnet(section, Some([*depth as u64, *width as u64]))?,
            Some(PictureFamily::EfficientNetLite { variant, pads_same }) => {
                lite(section, Some((*variant, *pads_same)))?
            }
            None if word == "efficientnet_lite" => lite(section, None)?,
            None => resnet(section, None)?,
        };
        let mut wants = found.map_or_else(Wants::default, |folder| folder.wants);
        wants.preparation.size = size(section, wants.preparation.size)?;
        let labels = found.map_or_else(Vec::new, |folder| folder.model.labels.clone());
        let head = HeadSpec::read(section, found.map(|folder| &folder.head))?;
        let rate = share(section, "drop_path_rate", Some(decimal(family.drop_path_rate())))?.unwrap_or(0.0);
        Ok(PictureSpec { family, wants, labels, drop_path_rate: rate, head })
    }

    /// The model for so many classes.
    pub(super) fn model(&self, classes: usize) -> Result<Model, Error> {
        let head = self.head.onto(Head::new(classes)).dropout(self.head.dropout);
        Ok(self.family.model(self.wants.preparation.size, head, self.drop_path_rate)?)
    }

    /// Its family and depth.
    pub(super) fn title(&self) -> String {
        match &self.family {
            PictureFamily::ResNet { depth, .. } => format!("ResNet-{depth}"),
            PictureFamily::EfficientNetLite { variant, .. } => format!("EfficientNet-Lite{variant}"),
            PictureFamily::Vit(model) => match model.style {
                VitStyle::Deit => "DeiT".to_owned(),
                VitStyle::Dinov2 => "DINOv2".to_owned(),
                _ => "ViT".to_owned(),
            },
        }
    }
}

/// Layers and channels of a ResNet for which nothing is said.
const DEPTH: u64 = 18;
const WIDTH: u64 = 64;

/// The largest side of a picture.
const MOST_PIXELS: u64 = 4096;

/// A ResNet's sizes: those of `from`, or those that are given.
fn resnet(section: &mut Section, own: Option<[u64; 2]>) -> Result<PictureFamily, Error> {
    let usual = own.unwrap_or([DEPTH, WIDTH]);
    let [depth, width] = [section.count_or("depth", usual[0])?, section.count_or("width", usual[1])?];
    for (key, given, own) in [("depth", depth, own.map(|own| own[0])), ("width", width, own.map(|own| own[1]))] {
        matches_own(section, (key, given), own)?;
    }
    let depths: Vec<String> = ResNet::depths().map(|depth| depth.to_string()).collect();
    if !depths.contains(&depth.to_string()) {
        let shown = depth.to_string();
        let near = nearest(&shown, depths.iter().map(String::as_str));
        return Err(section.bad("depth", shown.clone(), &format!("one of {}", depths.join(", ")), near).into());
    }
    if !(1..=1024).contains(&width) {
        return Err(section.bad("width", width.to_string(), "from 1 to 1024", None).into());
    }
    Ok(PictureFamily::ResNet { depth: depth as usize, width: width as usize })
}

/// Which EfficientNet-Lite: that of `from`, or the one that is given, with the zeros of TensorFlow, in which its weights were made.
fn lite(section: &mut Section, own: Option<(usize, bool)>) -> Result<PictureFamily, Error> {
    let (usual, pads_same) = own.unwrap_or((0, true));
    let variant = section.count_or("variant", usual as u64)?;
    matches_own(section, ("variant", variant), own.map(|(variant, _)| variant as u64))?;
    let last = EfficientNetLite::variants() as u64 - 1;
    if variant > last {
        return Err(section.bad("variant", variant.to_string(), &format!("from 0 to {last}"), None).into());
    }
    Ok(PictureFamily::EfficientNetLite { variant: variant as usize, pads_same })
}

/// Refuses a size that is not that of `from`.
fn matches_own(section: &Section, (key, given): (&'static str, u64), own: Option<u64>) -> Result<(), Error> {
    match own.filter(|own| *own != given) {
        None => Ok(()),
        Some(own) => {
            let why = format!("does not match model.from: its config.json says {own}; leave it out");
            Err(section.unfit(key, given, why).into())
        }
    }
}

/// Height and width.
fn size(section: &mut Section, usual: [usize; 2]) -> Result<[usize; 2], Error> {
    let sides = section.two_counts("size", usual.map(|side| side as u64))?;
    match sides.iter().all(|side| (1..=MOST_PIXELS).contains(side)) {
        true => Ok(sides.map(|side| side as usize)),
        false => {
            let shown = format!("[{}, {}]", sides[0], sides[1]);
            let allowed = format!("pixels, from 1 to {MOST_PIXELS}: one number, or height and width");
            Err(section.bad("size", shown, &allowed, None).into())
        }
    }
}
