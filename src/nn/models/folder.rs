//! A model as a Hugging Face folder: `config.json`, and tensors with the names of its class.
//!
//! If transformers has a class for trunk and head, the folder is that class's. If not (the mean over tokens, hidden
//! layers, numbers beside the text), the folder is only the trunk's, as in sentence-transformers, and the head is
//! beside it: transformers would silently put a random head on such a trunk.

use super::files::written;
use super::{
    Bert, EfficientNetLite, Gpt2, Head, Marks, Model, Network, Pooling, PretrainedKind, ResNet, Style, TransformerSizes,
};
use crate::nn::{Activation, Error, Objective};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Map, Value, json};

/// A file of a folder: its path there, and its bytes.
pub type FolderFile = (&'static str, Vec<u8>);

/// What a folder records of a model apart from its sizes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FolderWords {
    /// Names of the outputs, in order.
    pub labels: Vec<String>,
    /// Special tokens.
    pub marks: Marks,
    /// How a model of pictures wants them, as timm's `pretrained_cfg`.
    pub pictures: Option<Value>,
    /// The same as transformers' `preprocessor_config.json`.
    pub preprocessor: Option<Value>,
}

impl FolderWords {
    /// Names of the outputs, and special tokens.
    pub fn new(labels: &[String], marks: Marks) -> FolderWords {
        FolderWords { labels: labels.to_vec(), marks, pictures: None, preprocessor: None }
    }

    /// With how a model of pictures wants them: timm's `pretrained_cfg`, and transformers' `preprocessor_config.json`.
    #[must_use]
    pub fn pictures(self, [pictures, preprocessor]: [Value; 2]) -> FolderWords {
        FolderWords { pictures: Some(pictures), preprocessor: Some(preprocessor), ..self }
    }
}

const CONFIG: &str = "config.json";
const MODEL: &str = "model.safetensors";
const HEAD: &str = "head.safetensors";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// The table of types that every BERT has, and its pooler.
const TYPES: &str = "embeddings.token_type_embeddings.weight";
const POOLER: [(&str, bool); 2] = [("pooler.dense.weight", true), ("pooler.dense.bias", false)];

impl Model {
    /// The files that say what the model is; none for an MLP, which no other program has. A ResNet's and an
    /// EfficientNet's are timm's.
    pub fn folder_files(&self, words: &FolderWords) -> Vec<FolderFile> {
        let (config, pooling) = match self {
            Model::Bert(model) => (model.config(words), Some((model.pooling, model.has_own_head()))),
            Model::Gpt2(model) => {
                (model.config(words), model.head.as_ref().map(|(pooling, _)| (*pooling, model.has_own_head())))
            }
            Model::ResNet(model) => (model.config(words), None),
            Model::EfficientNetLite(model) => (model.config(words), None),
            Model::Vit(model) => {
                let config = (CONFIG, text(&Value::Object(model.config(&words.labels))));
                let preprocessor = words.preprocessor.iter().map(|said| (PREPROCESSOR, text(said)));
                return [config].into_iter().chain(preprocessor).collect();
            }
            Model::Mlp(_) => return Vec::new(),
        };
        let mut files = vec![(CONFIG, text(&Value::Object(config)))];
        if let (Some((pooling, false)), Some(sizes)) = (pooling, self.sizes()) {
            files.extend(sentence_files(pooling, sizes));
        }
        files
    }

    /// The files that hold its tensors, from one with the names and shapes of here.
    ///
    /// # Errors
    /// [`Error::BadCheckpoint`] listing all that is missing or mis-shaped.
    pub fn folder_tensors(&self, file: &[u8]) -> Result<Vec<FolderFile>, Error> {
        let is_whole = match self {
            Model::Bert(model) => model.has_own_head(),
            Model::Gpt2(model) => model.has_own_head(),
            Model::Mlp(_) => return Ok(vec![(MODEL, file.to_vec())]),
            Model::EfficientNetLite(model) => model.head.is_plain(),
            Model::ResNet(model) => model.head.is_plain(),
            Model::Vit(model) => model.head.is_plain(),
        };
        let on_top: Vec<String> = self.last_layer().into_iter().chain(self.on_top()).collect();
        let is_on_top = |name: &str| on_top.iter().any(|start| name.starts_with(start.as_str()));
        let file = self.to_hugging_face(file)?;
        let bad = |error: safetensors::SafeTensorError| Error::BadCheckpoint(vec![error.to_string()]);
        let tensors = SafeTensors::deserialize(&file).map_err(bad)?.tensors();
        let base = match self {
            Model::Bert(model) => format!("{}.", model.style.names().base),
            Model::Vit(model) => format!("{}.", model.style.names().base),
            Model::Gpt2(_) => "transformer.".to_owned(),
            // timm puts nothing before its names.
            _ => String::new(),
        };
        let prefix = if is_whole { base.as_str() } else { "" };
        let (mut trunk, mut head) = (Vec::new(), Vec::new());
        for (name, view) in tensors {
            let bare = name.strip_prefix(&base).unwrap_or(&name).to_owned();
            match (is_whole, is_on_top(&bare) && !bare.starts_with("pooler.")) {
                (true, _) => trunk.push((name, view, None)),
                (false, true) => head.push((bare, view, None)),
                (false, false) => trunk.push((bare, view, None)),
            }
        }
        let zeros = self.zeros(is_whole);
        for (name, shape, data) in &zeros {
            let view = TensorView::new(Dtype::F32, shape.clone(), data).map_err(bad)?;
            trunk.push((format!("{prefix}{name}"), view, None));
        }
        let mut files = vec![(MODEL, written(&trunk)?)];
        if !head.is_empty() {
            files.push((HEAD, written(&head)?));
        }
        Ok(files)
    }

    /// Tensors that the class has and the model has not, and that add nothing: a table of types, and a pooler that nothing
    /// reads.
    fn zeros(&self, is_whole: bool) -> Vec<(&'static str, Vec<usize>, Vec<u8>)> {
        let Model::Bert(model) = self else { return Vec::new() };
        let hidden = model.sizes.hidden;
        let zeros = |shape: Vec<usize>| (shape.clone(), vec![0; 4 * shape.iter().product::<usize>()]);
        let mut all = Vec::new();
        if model.types == 0 && model.style != Style::DistilBert {
            let (shape, data) = zeros(vec![1, hidden]);
            all.push((TYPES, shape, data));
        }
        if !is_whole && model.pooling != Pooling::Pooler && model.style != Style::DistilBert {
            for (name, is_matrix) in POOLER {
                let (shape, data) = zeros(if is_matrix { vec![hidden, hidden] } else { vec![hidden] });
                all.push((name, shape, data));
            }
        }
        all
    }
}

impl Bert {
    fn config(&self, words: &FolderWords) -> Map<String, Value> {
        let TransformerSizes { layers, heads, hidden, intermediate, vocab, positions, .. } = self.sizes;
        let TransformerSizes { activation, norm_eps, dropout, attention_dropout, .. } = self.sizes;
        let head_dropout = self.head.dropout.unwrap_or(dropout);
        let classes = match self.style {
            Style::Bert => ["BertForSequenceClassification", "BertModel"],
            Style::Roberta => ["RobertaForSequenceClassification", "RobertaModel"],
            Style::DistilBert => ["DistilBertForSequenceClassification", "DistilBertModel"],
        };
        let sizes = match self.style {
            Style::DistilBert => json!({
                "dim": hidden, "n_layers": layers, "n_heads": heads, "hidden_dim": intermediate, "vocab_size": vocab,
                "max_position_embeddings": positions, "activation": word(activation), "dropout": share(dropout),
                "attention_dropout": share(attention_dropout), "seq_classif_dropout": share(head_dropout),
            }),
            _ => json!({
                "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                "intermediate_size": intermediate, "vocab_size": vocab, "max_position_embeddings": positions,
                "type_vocab_size": self.types.max(1), "hidden_act": word(activation), "layer_norm_eps": share(norm_eps),
                "hidden_dropout_prob": share(dropout), "attention_probs_dropout_prob": share(attention_dropout),
                "classifier_dropout": share(head_dropout),
            }),
        };
        let kind = PretrainedKind::Encoder(self.style);
        let pad = match self.style {
            // Its positions are counted from after the padding's.
            Style::Roberta => self.first_position.checked_sub(1).map(|pad| pad as u32),
            _ => words.marks.pad,
        };
        let words = FolderWords { marks: Marks { pad, ..words.marks }, ..words.clone() };
        let mut own = self.head.to_config();
        own["types"] = json!(self.types);
        own["pooling"] = json!(self.pooling.word());
        config(kind, classes[usize::from(!self.has_own_head())], sizes, Some((&self.head, own)), &words)
    }
}

impl Gpt2 {
    fn config(&self, words: &FolderWords) -> Map<String, Value> {
        let TransformerSizes { layers, heads, hidden, intermediate, vocab, positions, .. } = self.sizes;
        let TransformerSizes { activation, norm_eps, dropout, attention_dropout, .. } = self.sizes;
        let class = match &self.head {
            None => "GPT2LMHeadModel",
            Some(_) if self.has_own_head() => "GPT2ForSequenceClassification",
            Some(_) => "GPT2Model",
        };
        let sizes = json!({
            "n_embd": hidden, "n_layer": layers, "n_head": heads, "n_inner": intermediate, "n_positions": positions,
            "vocab_size": vocab, "activation_function": word(activation), "layer_norm_epsilon": share(norm_eps),
            "resid_pdrop": share(dropout), "embd_pdrop": share(dropout), "attn_pdrop": share(attention_dropout),
            "tie_word_embeddings": self.tied,
        });
        let own = self.head.as_ref().map(|(pooling, head)| {
            let mut own = head.to_config();
            own["pooling"] = json!(pooling.word());
            (head, own)
        });
        config(PretrainedKind::Decoder, class, sizes, own, words)
    }
}

impl ResNet {
    /// As timm writes it, if timm has this model.
    fn config(&self, words: &FolderWords) -> Map<String, Value> {
        let Some(depth) = self.depth() else { return Map::new() };
        let name = self.is_usual().then(|| format!("resnet{depth}"));
        let own = json!({"resnet": {"depth": depth, "width": self.width}});
        let size = [self.channels, self.picture[0], self.picture[1]];
        of_timm(name, size, ["conv1", "fc"], (&self.head, own), words)
    }
}

impl EfficientNetLite {
    /// As timm writes it, if timm has this model.
    fn config(&self, words: &FolderWords) -> Map<String, Value> {
        let Some(variant) = self.variant() else { return Map::new() };
        let name = format!("{}{variant}", EfficientNetLite::name_in_timm(self.pads_same));
        let own = json!({"efficientnet_lite": {"variant": variant, "pads_same": self.pads_same}});
        let size = [3, self.picture[0], self.picture[1]];
        of_timm(Some(name), size, ["conv_stem", "classifier"], (&self.head, own), words)
    }
}

/// A `config.json` of timm's: the model's name there, channels, height and width of a picture, first and last layer, the head, and what
/// else we read. A head that timm has not is beside a model without one.
fn of_timm(
    name: Option<String>,
    size: [usize; 3],
    [first, last]: [&str; 2],
    (head, mut own): (&Head, Value),
    words: &FolderWords,
) -> Map<String, Value> {
    let mut config = Map::new();
    let classes = if head.is_plain() { head.outputs } else { 0 };
    write_head(&mut own, head);
    if let Some(name) = name {
        config.insert("architecture".to_owned(), json!(name));
    }
    config.insert("num_classes".to_owned(), json!(classes));
    config.insert("label_names".to_owned(), json!(words.labels));
    let mut wants = words.pictures.clone().unwrap_or_else(|| json!({}));
    wants["input_size"] = json!(size);
    wants["num_classes"] = json!(classes);
    wants["first_conv"] = json!(first);
    wants["classifier"] = json!(last);
    config.insert("pretrained_cfg".to_owned(), wants);
    config.insert("gradus".to_owned(), own);
    config
}

/// A head that the other program's class has not, among what we read.
pub(super) fn write_head(own: &mut Value, head: &Head) {
    if !head.is_plain() {
        let written = head.to_config();
        written.as_object().into_iter().flatten().for_each(|(key, value)| own[key] = value.clone());
        own["classes"] = json!(head.outputs);
    }
}

fn config(
    kind: PretrainedKind,
    class: &str,
    sizes: Value,
    head: Option<(&Head, Value)>,
    words: &FolderWords,
) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("architectures".to_owned(), json!([class]));
    config.insert("model_type".to_owned(), json!(kind.word()));
    config.extend(sizes.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    config.insert("dtype".to_owned(), json!("float32"));
    let Marks { pad, begin, end } = words.marks;
    config.insert("pad_token_id".to_owned(), json!(pad));
    config.insert("bos_token_id".to_owned(), json!(begin));
    config.insert("eos_token_id".to_owned(), json!(end));
    if let Some((head, own)) = head {
        let problem = match head.objective {
            Objective::Classes => "single_label_classification",
            Objective::Labels => "multi_label_classification",
            Objective::Numbers => "regression",
        };
        config.extend(named_classes(&words.labels));
        config.insert("problem_type".to_owned(), json!(problem));
        config.insert("gradus".to_owned(), own);
    }
    config
}

/// The names of the classes in either direction, as transformers has them.
pub(super) fn named_classes(labels: &[String]) -> Map<String, Value> {
    let labels = labels.iter().enumerate();
    let ids: Map<String, Value> = labels.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
    let back: Map<String, Value> = labels.map(|(id, label)| (label.clone(), json!(id))).collect();
    [("id2label", ids), ("label2id", back)]
        .map(|(key, names)| (key.to_owned(), Value::Object(names)))
        .into_iter()
        .collect()
}

/// What makes a folder one of sentence-transformers', if it has this pooling.
fn sentence_files(pooling: Pooling, sizes: &TransformerSizes) -> Vec<FolderFile> {
    if pooling == Pooling::Pooler {
        return Vec::new();
    }
    let module = |idx: u32, name: &str, path: &str, kind: &str| json!({"idx": idx, "name": name, "path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules = json!([module(0, "0", "", "Transformer"), module(1, "1", "1_Pooling", "Pooling")]);
    let pooled = json!({
        "word_embedding_dimension": sizes.hidden,
        "pooling_mode_cls_token": pooling == Pooling::First,
        "pooling_mode_mean_tokens": pooling == Pooling::Mean,
        "pooling_mode_max_tokens": false,
        "pooling_mode_mean_sqrt_len_tokens": false,
        "pooling_mode_weightedmean_tokens": false,
        "pooling_mode_lasttoken": pooling == Pooling::Last,
    });
    let length = json!({"max_seq_length": sizes.context, "do_lower_case": false});
    vec![
        ("modules.json", text(&modules)),
        ("1_Pooling/config.json", text(&pooled)),
        ("sentence_bert_config.json", text(&length)),
    ]
}

/// An activation as configurations call it.
pub(super) fn word(activation: Activation) -> &'static str {
    match activation {
        Activation::Gelu => "gelu",
        Activation::GeluNew => "gelu_new",
        Activation::Relu => "relu",
        Activation::Relu6 => "relu6",
        Activation::Silu => "silu",
        Activation::Tanh => "tanh",
    }
}

/// A number of 32 bits in as many digits as it has.
pub(super) fn share(number: f32) -> Value {
    serde_json::from_str(&number.to_string()).unwrap_or_else(|_| json!(number))
}

fn text(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text.into_bytes()
}
