//! What vision transformers differ in: the tokens in front of the patches, the names of their parameters, and LayerScale.

/// One of the vision transformers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VitStyle {
    /// ViT (Dosovitskiy et al. 2021).
    #[default]
    Vit,
    /// DeiT (Touvron et al. 2021): a distillation token comes behind the class token. The class token alone is classified.
    Deit,
    /// DINOv2 (Oquab et al. 2023): LayerScale; the class token and the mean of the patches are classified.
    Dinov2,
}

/// Names of parameters, as Hugging Face's files have them.
#[derive(Debug)]
pub(super) struct Names {
    /// `model_type` of its `config.json`, and what the whole class puts before the trunk's names.
    pub(super) base: &'static str,
    /// The class for classification.
    pub(super) class: &'static str,
    /// The class without a head.
    pub(super) trunk: &'static str,
    /// The token behind the class token.
    pub(super) second_token: Option<&'static str>,
    /// The norms before attention and before the feed-forward half.
    pub(super) norms: [&'static str; 2],
    /// The feed-forward half: up and down.
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    /// LayerScales behind attention and behind the feed-forward half.
    pub(super) scales: Option<[&'static str; 2]>,
    /// Tensors in its files that no model here has: those of pretraining, and of other heads.
    pub(super) unused: &'static [&'static str],
}

const VIT: Names = Names {
    base: "vit",
    class: "ViTForImageClassification",
    trunk: "ViTModel",
    second_token: None,
    norms: ["layernorm_before", "layernorm_after"],
    up: "intermediate.dense",
    down: "output.dense",
    scales: None,
    unused: &["pooler.", "embeddings.mask_token", "decoder."],
};

const DEIT: Names = Names {
    base: "deit",
    class: "DeiTForImageClassification",
    trunk: "DeiTModel",
    second_token: Some("embeddings.distillation_token"),
    unused: &["pooler.", "embeddings.mask_token", "decoder.", "cls_classifier.", "distillation_classifier."],
    ..VIT
};

const DINOV2: Names = Names {
    base: "dinov2",
    class: "Dinov2ForImageClassification",
    trunk: "Dinov2Model",
    norms: ["norm1", "norm2"],
    up: "mlp.fc1",
    down: "mlp.fc2",
    scales: Some(["layer_scale1", "layer_scale2"]),
    unused: &["embeddings.mask_token"],
    ..VIT
};

impl VitStyle {
    /// Every one.
    pub const ALL: [VitStyle; 3] = [VitStyle::Vit, VitStyle::Deit, VitStyle::Dinov2];

    /// `model_type` of its `config.json`.
    pub fn word(self) -> &'static str {
        self.names().base
    }

    pub(super) fn names(self) -> &'static Names {
        match self {
            VitStyle::Vit => &VIT,
            VitStyle::Deit => &DEIT,
            VitStyle::Dinov2 => &DINOV2,
        }
    }
}
