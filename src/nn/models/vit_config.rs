//! A vision transformer's `config.json`, as transformers writes and reads it.

use super::folder::{named_classes, share, word, write_head};
use super::head::Head;
use super::pretrained::{Config, bad};
use super::vit::Vit;
use super::vit_style::VitStyle;
use crate::nn::{Error, Network};
use serde_json::{Map, Value, json};

/// Shares of what training drops at random; here nothing is.
const DROPPED: [&str; 2] = ["hidden_dropout_prob", "attention_probs_dropout_prob"];

impl Vit {
    /// The model of a `config.json` for pictures of this height and width (those of the file if it is `None`) and so many
    /// classes, and the names of the file's own classes, none if it has none.
    ///
    /// The file's weights have the positions of the file's pictures: [`interpolated`](super::interpolated) makes those of others.
    ///
    /// # Errors
    /// [`Error::BadSetting`] or [`Error::NoSetting`] naming the key, its value and what it may be; errors of the model's own check.
    pub fn of_config(json: &str, picture: Option<[usize; 2]>, classes: usize) -> Result<(Vit, Vec<String>), Error> {
        let value = Config::parse(json)?;
        let config = Config::object(&value)?;
        let style = config.family(&VitStyle::ALL.map(|style| (style.names().base, style)))?;
        config.check_vision()?;
        let hidden = config.count("hidden_size")?;
        let (intermediate, norm_eps, patch) = match style {
            VitStyle::Dinov2 => (config.times("mlp_ratio", 4.0, hidden)?, 1e-6, 14),
            _ => (config.count_or("intermediate_size", 3072)?, 1e-12, 16),
        };
        let model = Vit {
            style,
            picture: picture.map_or_else(|| config.sides("image_size", 224), Ok)?,
            channels: config.count_or("num_channels", 3)?,
            patch: config.side("patch_size", patch)?,
            layers: config.count("num_hidden_layers")?,
            heads: config.count("num_attention_heads")?,
            hidden,
            intermediate,
            activation: config.activation("hidden_act", "gelu")?,
            norm_eps: config.number("layer_norm_eps", norm_eps)? as f32,
            qkv_bias: config.is("qkv_bias", true)?,
            layer_scale: config.number("layerscale_value", 1.0)? as f32,
            drop_path_rate: if style == VitStyle::Dinov2 { config.share("drop_path_rate", 0.0)? } else { 0.0 },
            head: Head::new(classes),
        };
        model.check()?;
        config.check_head_width(&model)?;
        Ok((model, config.labels()))
    }

    /// The `config.json` of transformers' class for it, with these names of the classes; `LABEL_0` and so on for those without
    /// a name.
    pub fn config(&self, labels: &[String]) -> Map<String, Value> {
        let names = self.style.names();
        let [height, width] = self.picture;
        let mut config = object(json!({
            "architectures": [if self.head.is_plain() { names.class } else { names.trunk }], "model_type": names.base,
            "image_size": if height == width { json!(height) } else { json!([height, width]) },
            "num_channels": self.channels, "patch_size": self.patch, "hidden_size": self.hidden,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads, "hidden_act": word(self.activation),
            "layer_norm_eps": share(self.norm_eps), "qkv_bias": self.qkv_bias,
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        }));
        config.append(&mut object(match self.style {
            VitStyle::Dinov2 => json!({
                "mlp_ratio": self.intermediate.checked_div(self.hidden), "use_swiglu_ffn": false,
                "drop_path_rate": share(self.drop_path_rate).as_f64(), "use_mask_token": false,
                // The class wants a float: 1.0, not 1.
                "layerscale_value": share(self.layer_scale).as_f64(),
            }),
            _ => json!({"intermediate_size": self.intermediate}),
        }));
        let named = |class: usize| labels.get(class).cloned().unwrap_or_else(|| format!("LABEL_{class}"));
        let labels: Vec<String> = (0..self.head.outputs).map(named).collect();
        config.append(&mut named_classes(&labels));
        config.append(&mut object(json!({"dtype": "float32", "problem_type": "single_label_classification"})));
        if !self.head.is_plain() {
            let mut own = json!({});
            write_head(&mut own, &self.head);
            config.insert("gradus".to_owned(), own);
        }
        config
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl Config<'_> {
    /// What changes a vision transformer's numbers and is not computed here.
    fn check_vision(&self) -> Result<(), Error> {
        for key in DROPPED {
            if self.number(key, 0.0)? != 0.0 {
                return Err(bad(key, self.number(key, 0.0)?, "0, the only kind that gradus computes"));
            }
        }
        if self.is("use_swiglu_ffn", false)? {
            return Err(bad("use_swiglu_ffn", true, "false, the only kind that gradus computes"));
        }
        Ok(())
    }

    /// Some files have the width of a head; here it follows from the others.
    fn check_head_width(&self, model: &Vit) -> Result<(), Error> {
        let usual = model.hidden / model.heads;
        match self.count_or("head_dim", usual)? {
            width if width != usual => {
                Err(bad("head_dim", width, format!("{usual}: hidden_size by num_attention_heads")))
            }
            _ => Ok(()),
        }
    }

    /// So many times as much, in whole numbers as Python's `int` makes them.
    fn times(&self, key: &'static str, usual: f64, count: usize) -> Result<usize, Error> {
        let ratio = self.number(key, usual)?;
        let times = ratio * count as f64;
        if (0.0..=f64::from(1 << 24)).contains(&times) { Ok(times as usize) } else { Err(bad(key, ratio, "a ratio")) }
    }

    /// Down and across: a number for both, or one for each.
    fn sides(&self, key: &'static str, usual: usize) -> Result<[usize; 2], Error> {
        let Some(value) = self.there(key) else { return Ok([usual; 2]) };
        let side = |value: &Value| value.as_u64().and_then(|side| usize::try_from(side).ok());
        let both = match value.as_array().map(Vec::as_slice) {
            Some([down, across]) => side(down).zip(side(across)),
            Some(_) => None,
            None => side(value).map(|side| (side, side)),
        };
        both.map(|(down, across)| [down, across]).ok_or_else(|| bad(key, value, "a whole number, or two"))
    }

    /// The same, where both are to be equal.
    fn side(&self, key: &'static str, usual: usize) -> Result<usize, Error> {
        match self.sides(key, usual)? {
            [down, across] if down != across => Err(bad(key, format!("[{down}, {across}]"), "as wide as it is high")),
            [side, _] => Ok(side),
        }
    }
}
