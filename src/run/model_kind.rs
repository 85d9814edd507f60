//! What kinds of models there are.

/// What kind of model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelKind {
    /// A multi-layer perceptron on rows of numbers, [`train::Classify`](crate::train::Classify).
    Mlp,
    /// A decoder on text, [`train::Language`](crate::train::Language).
    Decoder,
    /// An encoder on labelled texts, [`train::ClassifySequences`](crate::train::ClassifySequences).
    Encoder,
    /// A ResNet on labelled pictures, [`train::ClassifyPictures`](crate::train::ClassifyPictures).
    ResNet,
    /// An EfficientNet-Lite on labelled pictures, in the same way.
    EfficientNetLite,
    /// A vision transformer on labelled pictures, in the same way.
    Vit,
}

impl std::fmt::Display for ModelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl ModelKind {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        ModelKind::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The kind with this word.
    pub(super) fn called(word: &str) -> Option<ModelKind> {
        ModelKind::ALL.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind)
    }

    /// Whether it reads pictures.
    #[must_use]
    pub fn reads_pictures(self) -> bool {
        matches!(self, ModelKind::ResNet | ModelKind::EfficientNetLite | ModelKind::Vit)
    }

    /// Whether it reads texts.
    pub(super) fn reads_texts(self) -> bool {
        matches!(self, ModelKind::Decoder | ModelKind::Encoder)
    }

    /// Whether `gradus predict` answers with it; else `gradus generate` writes with it.
    #[must_use]
    pub fn answers(self) -> bool {
        self != ModelKind::Decoder
    }

    pub(super) const ALL: [(&'static str, ModelKind); 6] = [
        ("mlp", ModelKind::Mlp),
        ("decoder", ModelKind::Decoder),
        ("encoder", ModelKind::Encoder),
        ("resnet", ModelKind::ResNet),
        ("efficientnet_lite", ModelKind::EfficientNetLite),
        ("vit", ModelKind::Vit),
    ];
}
