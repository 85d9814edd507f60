//! The section `model`.

use super::head::{HeadSpec, share};
use super::model_kind::ModelKind;
use super::paths::absolute;
use super::picture_folder::PictureFolder;
use super::picture_model::PictureSpec;
use super::pretrained_folder::resolved;
use super::weights::near;
use super::{Error, PretrainedFolder};
use crate::nn::models::{Bert, Gpt2, Head, Mlp, Pooling, PretrainedKind, TransformerSizes};
use crate::nn::{self, Activation, Model, Network};
use crate::params::Storage;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use std::path::{Path, PathBuf};

/// The section `model` of a run file, without sizes that follow from the data.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// `type`.
    pub kind: ModelKind,
    /// An MLP's `hidden`: sizes of its hidden layers.
    pub layers: Vec<usize>,
    /// An MLP's `activation`.
    pub activation: Activation,
    /// A transformer's `preset`: tiny, small or base.
    pub preset: String,
    /// A transformer's `context`: tokens of a sequence.
    pub context: usize,
    /// A decoder's `tied`: its output layer is the token table.
    pub tied: bool,
    /// `pooling`: the vector of a sequence.
    pub pooling: Pooling,
    /// A transformer's `dropout`; if it is `None`, that of the pretrained model, and none in another.
    pub dropout: Option<f32>,
    /// `head`: hidden layers between the vector of a sequence and the outputs.
    pub head: HeadSpec,
    /// `parameters`: how they are stored, f32 or bf16; see [`train::Config::parameters`](crate::train::Config::parameters).
    pub parameters: Storage,
    /// `from`: where values come from: a Hugging Face folder or its name in the hub's cache, the folder of an earlier
    /// run, or a file, such as a run's `best.safetensors`.
    pub from: Option<PathBuf>,
    /// The `config.json` of that folder; `None` without one, or if a `preset` gives the sizes.
    pub pretrained: Option<PretrainedFolder>,
    /// What a model of pictures is; `None` for other models.
    pub pictures: Option<PictureSpec>,
    pub(super) raw: Raw,
}

/// An MLP's default hidden layers.
const HIDDEN: [usize; 2] = [128, 64];

/// Default tokens of a sequence: for our own models, and for pretrained ones.
const CONTEXT: u64 = 64;
const PRETRAINED_CONTEXT: u64 = 128;

const ALL_KEYS: [&str; 16] = [
    "type",
    "hidden",
    "activation",
    "preset",
    "context",
    "tied",
    "pooling",
    "dropout",
    "head",
    "depth",
    "width",
    "variant",
    "size",
    "drop_path_rate",
    "parameters",
    "from",
];

impl ModelSpec {
    /// Reads the section; paths are relative to `folder`. `is_labelled`: whether the data has labels, which decides the
    /// task of a pretrained decoder.
    pub(super) fn read(mut section: Section, folder: &Path, is_labelled: bool) -> Result<ModelSpec, Error> {
        let from = match section.maybe_text("from")? {
            Some(named) => Some(resolved(&named, folder)?),
            None => None,
        };
        let pictures = match &from {
            Some(from) => PictureFolder::of_run(from, folder)?,
            None => None,
        };
        let said = section.peek("type").and_then(ModelKind::called);
        if pictures.is_some() || said.is_some_and(ModelKind::reads_pictures) {
            return ModelSpec::of_pictures(section, from, pictures.as_ref());
        }
        let pretrained = match &from {
            Some(from) if !section.has("preset") => PretrainedFolder::of_run(from, folder)?,
            _ => None,
        };
        if let (Some(from), None, false) = (&from, &pretrained, section.has("type")) {
            let reason = match from.exists() {
                true => "it has no config.json, so model.type must say what it is".to_owned(),
                false => format!("there is no such file or folder{}", near(from)),
            };
            return Err(Error::bad_file(from, reason));
        }
        let kind = kind(&mut section, pretrained.as_ref(), is_labelled)?;
        let keys: &[&str] = match kind {
            ModelKind::Decoder => &["type", "preset", "context", "tied", "dropout", "parameters", "from"],
            ModelKind::Encoder => &["type", "preset", "context", "pooling", "dropout", "head", "parameters", "from"],
            _ => &["type", "hidden", "activation", "parameters", "from"],
        };
        section.only(keys)?;
        let dropout = share(&mut section, "dropout", pretrained.is_none().then_some(0.0))?;
        let context = context(&mut section, pretrained.as_ref())?;
        let head = HeadSpec::read(&mut section, pretrained.as_ref().map(|folder| &folder.head))?;
        let own_pooling = pretrained.as_ref().map(|folder| folder.pooling.unwrap_or(folder.model.own_pooling()));
        let mut spec = ModelSpec {
            kind,
            layers: section.counts("hidden")?.unwrap_or_else(|| HIDDEN.to_vec()),
            activation: Activation::parse(
                section.word_or_first("activation", &["gelu", "relu", "gelu_new", "tanh", "relu6", "silu"])?,
            )?,
            preset: section.word_or_first("preset", &["tiny", "small", "base"])?.to_owned(),
            context,
            tied: section.truth("tied", pretrained.as_ref().is_none_or(|folder| folder.model.tied))?,
            pooling: pooling(&mut section, own_pooling.unwrap_or(Pooling::Mean))?,
            dropout,
            head,
            parameters: ModelSpec::storage(&mut section)?,
            from,
            pretrained,
            pictures: None,
            raw: Raw::default(),
        };
        // Keys of other kinds are left out, and so is a preset that does not give the sizes.
        let keys: Vec<&str> =
            keys.iter().copied().filter(|key| spec.pretrained.is_none() || *key != "preset").collect();
        spec.raw = Raw::default().with("hidden", HIDDEN.to_vec()).with_all(section.said()).only(&keys);
        if let Some(from) = &spec.from {
            spec.raw = std::mem::take(&mut spec.raw).with("from", absolute(from));
        }
        Ok(spec)
    }

    /// A model of pictures; `found` is the folder that it begins from, if that says what it is.
    fn of_pictures(
        mut section: Section,
        from: Option<PathBuf>,
        found: Option<&PictureFolder>,
    ) -> Result<ModelSpec, Error> {
        let said = section.peek("type").and_then(ModelKind::called);
        if found.is_none() && said == Some(ModelKind::Vit) {
            let why = "needs a folder of transformers in model.from, whose config.json has its sizes";
            return Err(section.unfit("type", ModelKind::Vit, why).into());
        }
        let own = found.and_then(|folder| ModelKind::called(folder.model.family.word()));
        if let (Some(own), Some(said)) = (own, said)
            && own != said
        {
            let why = format!("does not match model.from: its config.json says {own}; leave it out");
            return Err(section.unfit("type", said, why).into());
        }
        let kind = own.or(said).unwrap_or(ModelKind::ResNet);
        let given = section.word_or_first("type", &[kind.word()])?;
        section.only(PictureSpec::keys(kind.word()))?;
        let pictures = PictureSpec::read(&mut section, (kind.word(), found))?;
        let parameters = ModelSpec::storage(&mut section)?;
        let mut raw = section.said().with("type", given);
        if let Some(from) = &from {
            raw = raw.with("from", absolute(from));
        }
        Ok(ModelSpec {
            kind,
            layers: Vec::new(),
            activation: Activation::Relu,
            preset: String::new(),
            context: 1,
            tied: false,
            pooling: Pooling::Mean,
            dropout: None,
            head: HeadSpec::default(),
            parameters,
            from,
            pretrained: None,
            pictures: Some(pictures),
            raw,
        })
    }

    /// A model of pictures for so many classes.
    pub(super) fn of_classes(&self, classes: usize) -> Result<Model, Error> {
        let pictures = self
            .pictures
            .as_ref()
            .ok_or(nn::Error::NoSetting { setting: "pictures", allowed: "a model of pictures".to_owned() })?;
        pictures.model(classes)
    }

    /// How parameters are stored.
    pub(super) fn storage(section: &mut Section) -> Result<Storage, Error> {
        Ok(match section.word_or_first("parameters", &[Storage::F32, Storage::Bf16].map(Storage::name))? {
            "bf16" => Storage::Bf16,
            _ => Storage::F32,
        })
    }

    /// Names of the outputs that `from` has, in their order; empty without any.
    pub(super) fn own_labels(&self) -> &[String] {
        let of_texts = self.pretrained.as_ref().map(|folder| &folder.model.labels[..]);
        of_texts.or(self.pictures.as_ref().map(|pictures| &pictures.labels[..])).unwrap_or_default()
    }

    /// Prefixes of the head's parameters, which a task adds to a pretrained trunk.
    pub(super) fn head_names(&self) -> Result<Vec<String>, Error> {
        let model: Model = match self.kind {
            ModelKind::Mlp => self.mlp(1, 1)?.into(),
            ModelKind::Decoder => self.decoder(1)?,
            ModelKind::Encoder => self.labelled(1, Head::new(1))?,
            ModelKind::ResNet | ModelKind::EfficientNetLite | ModelKind::Vit => self.of_classes(1)?,
        };
        Ok(model.last_layer().into_iter().chain(model.on_top()).collect())
    }

    /// Patterns of what trains on a frozen trunk: the head, and a decoder's last norm.
    pub(super) fn patterns_above_trunk(&self) -> Result<Vec<String>, Error> {
        let norm = (self.kind == ModelKind::Decoder).then(|| "transformer.ln_f.".to_owned());
        Ok(self.head_names()?.into_iter().chain(norm).map(|start| start.replace('.', "\\.")).collect())
    }

    /// An MLP for rows of so many numbers and so many classes.
    pub(super) fn mlp(&self, inputs: usize, classes: usize) -> Result<Mlp, Error> {
        let sizes: Vec<usize> = [inputs].into_iter().chain(self.layers.iter().copied()).chain([classes]).collect();
        Ok(Mlp::new(&sizes, self.activation)?)
    }

    /// A decoder over so many tokens; a pretrained one has its own.
    pub(super) fn decoder(&self, vocabulary: usize) -> Result<Model, Error> {
        let mut model = match &self.pretrained {
            Some(folder) => folder.model.decoder(self.context, None)?,
            None => Gpt2::preset(&self.preset, vocabulary, self.context)?,
        };
        model.sizes = self.with_dropout(model.sizes);
        model.tied = self.tied;
        model.check()?;
        Ok(model.into())
    }

    /// A transformer over so many tokens, of which a pretrained one has its own, with this head.
    pub(super) fn labelled(&self, vocabulary: usize, head: Head) -> Result<Model, Error> {
        let head = self.head.onto(head);
        let Some(folder) = &self.pretrained else {
            let model = Bert::preset(&self.preset, vocabulary, self.context, 1)?;
            let sizes = self.with_dropout(model.sizes.clone());
            let head = head.dropout(self.head.dropout);
            let model = model.sizes(sizes).types(0).pooling(self.pooling).head(head);
            model.check()?;
            return Ok(model.into());
        };
        let head = head.dropout(Some(self.head.dropout.or(self.dropout).unwrap_or(folder.model.head_dropout)));
        Ok(match folder.model.kind {
            PretrainedKind::Encoder(style) => {
                let model = folder.model.encoder(style, self.context, self.pooling, head)?;
                let sizes = self.with_dropout(model.sizes.clone());
                model.sizes(sizes).into()
            }
            _ => {
                let mut model = folder.model.decoder(self.context, Some((self.pooling, head)))?;
                model.sizes = self.with_dropout(model.sizes);
                model.into()
            }
        })
    }

    /// Sizes with the run's dropout: its own, or that of the pretrained model.
    fn with_dropout(&self, sizes: TransformerSizes) -> TransformerSizes {
        match self.dropout {
            Some(dropout) => sizes.dropout(dropout),
            None => sizes,
        }
    }

    /// Whether only a decoder's last norm trains on a frozen trunk.
    pub(super) fn has_no_head(&self) -> bool {
        self.kind == ModelKind::Decoder && self.tied
    }

    /// Tables with a row for each token: they fit only their own vocabulary.
    pub(super) fn token_tables(&self) -> &'static [&'static str] {
        let is_gpt2 = self.pretrained.as_ref().is_some_and(|folder| folder.model.kind == PretrainedKind::Decoder);
        match (self.kind, self.tied) {
            (ModelKind::Decoder, false) => &["transformer.wte.weight", "lm_head.weight"],
            (ModelKind::Decoder, true) => &["transformer.wte.weight"],
            (ModelKind::Encoder, _) if is_gpt2 => &["transformer.wte.weight"],
            (ModelKind::Encoder, _) => &["embeddings.word_embeddings.weight"],
            _ => &[],
        }
    }
}

/// `type`; by default a pretrained model's family.
fn kind(section: &mut Section, pretrained: Option<&PretrainedFolder>, is_labelled: bool) -> Result<ModelKind, Error> {
    let types = ModelKind::ALL.map(|(name, _)| name);
    let own = pretrained.map(|folder| match folder.model.kind {
        PretrainedKind::Encoder(_) => ModelKind::Encoder,
        _ if is_labelled => ModelKind::Encoder,
        _ => ModelKind::Decoder,
    });
    if !section.has("type")
        && let Some(own) = own
    {
        return Ok(own);
    }
    if !section.peek("type").is_some_and(|kind| types.contains(&kind)) {
        section.only_among(&ALL_KEYS, "type, from and the keys of that model")?;
    }
    let name = section.word("type", &types)?;
    let kind = ModelKind::called(name).unwrap_or(ModelKind::Mlp);
    match (own, pretrained) {
        (Some(own), Some(folder)) if own != kind => {
            let family = folder.model.kind.word();
            let why = format!("does not match model.from: its config.json says {family}; leave it out");
            Err(section.unfit("type", kind, why).into())
        }
        _ => Ok(kind),
    }
}

fn context(section: &mut Section, pretrained: Option<&PretrainedFolder>) -> Result<usize, Error> {
    let most = pretrained.map_or(1 << 24, |folder| folder.model.sizes.context as u64);
    let usual = if pretrained.is_some() { PRETRAINED_CONTEXT.min(most) } else { CONTEXT };
    let tokens = section.count_or("context", usual)?;
    if (1..=most).contains(&tokens) {
        return Ok(tokens as usize);
    }
    let allowed = match pretrained {
        Some(_) => format!("from 1 to {most}, the positions of model.from"),
        None => "from 1 to 2^24".to_owned(),
    };
    Err(section.bad("context", tokens.to_string(), &allowed, None).into())
}

fn pooling(section: &mut Section, usual: Pooling) -> Result<Pooling, Error> {
    let mut words = Pooling::ALL.map(|(word, _)| word);
    // The first is the default.
    words.sort_by_key(|word| *word != usual.word());
    let word = section.word_or_first("pooling", &words)?;
    Ok(Pooling::ALL.iter().find(|(known, _)| *known == word).map_or(usual, |(_, pooling)| *pooling))
}
