//! A model's parameters and buffers in other programs' files: names with prefixes, old names, Conv1D's weights, which are
//! `[inputs, outputs]`, and weights of convolutions, which are `[outputs, inputs, height, width]`.

use super::{Model, Network};
use crate::nn::Error;
use crate::params::{Param, Shown};
use safetensors::tensor::{SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};

/// What files put before names, or leave out, one or several.
const PREFIXES: [&str; 11] = [
    "transformer.",
    "bert.",
    "roberta.",
    "distilbert.",
    "vit.",
    "deit.",
    "dinov2.",
    "model.",
    "module.",
    "_orig_mod.",
    "base_model.",
];

/// What files hold that is not a parameter: masks and position numbers.
const BUFFERS: [&str; 4] = [".attn.bias", ".attn.masked_bias", "position_ids", "token_type_ids"];

/// What old files call the parts of a layer norm.
const OLD_NAMES: [(&str, &str); 2] = [(".gamma", ".weight"), (".beta", ".bias")];

/// The tensors of a model's parameters in files.
#[derive(Debug)]
#[non_exhaustive]
pub struct Places {
    /// The tensor of each parameter and buffer, in the model's order, if any.
    pub tensors: Vec<Option<Place>>,
    /// Tensors that are not parameters here, without masks and position numbers.
    pub unused: Vec<String>,
    /// Parameters that several tensors are.
    pub twice: Vec<String>,
}

/// A tensor that is a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Its name in the file.
    pub name: String,
    /// Its shape here, where it may be transposed.
    pub shape: Vec<usize>,
    /// Whether rows are columns in the file, or channels come first there.
    pub is_turned: bool,
}

/// Which way a tensor is turned. For a matrix both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// From a file's order to ours.
    Here,
    /// From ours to a file's.
    There,
}

impl Model {
    /// Finds the parameters among tensors by name. Prefixes such as `bert.` or `model.`, and one that all names share,
    /// are ignored; a layer norm's parts may be `gamma` and `beta`, as in old files.
    pub fn places(&self, tensors: &[Param]) -> Places {
        let params = self.tensors();
        let bare_params: HashMap<String, usize> =
            params.iter().enumerate().map(|(place, param)| (bare(&param.name), place)).collect();
        let shared = shared_prefix(tensors).filter(|shared| !params.iter().any(|param| param.name.starts_with(shared)));
        let turns = self.is_turned_in(tensors);
        let mut places = Places { tensors: vec![None; params.len()], unused: Vec::new(), twice: Vec::new() };
        for tensor in tensors {
            let name = shared.and_then(|shared| tensor.name.strip_prefix(shared)).unwrap_or(&tensor.name);
            let Some(place) = bare_params.get(&self.bare_here(name)).copied() else {
                if !self.is_buffer_or_alias(name) {
                    places.unused.push(tensor.name.clone());
                }
                continue;
            };
            if places.tensors[place].is_some() {
                places.twice.push(params[place].name.clone());
                continue;
            }
            let is_turned = turns && self.is_transposed(&params[place].name);
            let shape = match &tensor.shape[..] {
                // A count is a row of one number here.
                [] => vec![1],
                shape if is_turned => turned_shape(shape, Turn::Here),
                shape => shape.to_vec(),
            };
            places.tensors[place] = Some(Place { name: tensor.name.clone(), shape, is_turned });
        }
        places
    }

    /// A file with this model's parameters, with our names and `[outputs, inputs]`, from a Hugging Face file.
    /// [`places`](Model::places) says which names it may have; the head of pretraining is ignored. Parameters that
    /// start with one of `new` may be missing, like those of a new head; then they are missing in the result too.
    ///
    /// # Errors
    /// [`Error::BadCheckpoint`] listing all tensors that are missing, mis-shaped, duplicate, or not this model's.
    pub fn from_hugging_face(&self, file: &[u8], new: &[&str]) -> Result<Vec<u8>, Error> {
        let file = read(file)?;
        let (params, tensors) = (self.tensors(), shapes(&file));
        let Places { tensors, unused, twice } = self.places(&tensors);
        let mut wrong: Vec<String> = twice.iter().map(|name| format!("{name} occurs twice")).collect();
        let strange = unused.iter().filter(|name| !self.is_of_pretraining(name));
        wrong.extend(strange.map(|name| format!("{} is not a parameter of this model", Shown(name))));
        let mut found = Vec::new();
        for (param, place) in params.iter().zip(tensors) {
            match place {
                Some(place) => match misfit(param, &place) {
                    Some(misfit) => wrong.push(misfit),
                    None => {
                        let turn = place.is_turned.then_some(Turn::Here);
                        found.push((param.name.clone(), view(&file, &place.name)?, turn));
                    }
                },
                None if new.iter().any(|start| param.name.starts_with(start)) => {}
                None => wrong.push(format!("{} is missing", param.name)),
            }
        }
        if wrong.is_empty() {
            return written(&found);
        }
        wrong.sort();
        Err(Error::BadCheckpoint(wrong))
    }

    /// A file as Hugging Face's class for this model reads it, from one with the names and shapes of here.
    ///
    /// # Errors
    /// [`Error::BadCheckpoint`] listing all that is missing or mis-shaped.
    pub fn to_hugging_face(&self, file: &[u8]) -> Result<Vec<u8>, Error> {
        let file = read(file)?;
        let (mut all, mut wrong) = (Vec::new(), Vec::new());
        for param in self.tensors() {
            let Ok(view) = file.tensor(&param.name) else {
                wrong.push(format!("{} is missing", param.name));
                continue;
            };
            let place = Place { name: param.name.clone(), shape: view.shape().to_vec(), is_turned: false };
            match misfit(&param, &place) {
                Some(misfit) => wrong.push(misfit),
                None => {
                    let turn = self.is_transposed(&param.name).then_some(Turn::There);
                    all.push((self.name_in_class(&param.name), view, turn));
                }
            }
        }
        if wrong.is_empty() { written(&all) } else { Err(Error::BadCheckpoint(wrong)) }
    }

    /// A name of a file without prefixes, as it is here.
    fn bare_here(&self, name: &str) -> String {
        let name = bare(name);
        self.name_here(&name).unwrap_or(name)
    }

    /// Whether the weights of Conv1D or of convolutions are in these tensors as other programs write them: those tell whose shape
    /// is another then.
    fn is_turned_in(&self, tensors: &[Param]) -> bool {
        let params: HashMap<String, Param> =
            self.tensors().into_iter().map(|param| (bare(&param.name), param)).collect();
        tensors.iter().any(|tensor| {
            let param = params.get(&self.bare_here(&tensor.name)).filter(|param| self.is_transposed(&param.name));
            let is_turned = |param: &Param| turned_shape(&tensor.shape, Turn::Here) == param.shape;
            param.is_some_and(|param| tensor.shape != param.shape && is_turned(param))
        })
    }

    /// Whether a file may hold this although it is not a parameter here: masks, numbers of positions, a tied layer.
    fn is_buffer_or_alias(&self, name: &str) -> bool {
        let is_alias = |(alias, _): &(String, String)| bare(alias) == bare(name);
        BUFFERS.iter().any(|end| name.ends_with(end)) || self.tied().iter().any(is_alias)
    }

    /// Whether it belongs to what the family was pretrained with.
    fn is_of_pretraining(&self, name: &str) -> bool {
        self.unused().iter().any(|start| bare(name).starts_with(&bare(start)))
    }
}

/// Why a tensor does not fit. Of a table, the vocabulary or the positions are named.
pub(crate) fn misfit(param: &Param, place: &Place) -> Option<String> {
    let (name, expected, found) = (&param.name, &param.shape, &place.shape);
    if found == expected {
        return None;
    }
    let tables = [("wte.", "vocabulary"), ("word_embeddings.", "vocabulary"), ("lm_head.", "vocabulary")];
    let mut tables = tables.into_iter().chain([("wpe.", "context"), ("position_embeddings.", "context")]);
    let named = match (tables.find(|(part, _)| name.contains(part)), &found[..], &expected[..]) {
        (Some((_, what)), &[theirs, found_width], &[ours, width]) if found_width == width => {
            format!(": the file's {what} is {theirs}, the model's {ours}")
        }
        _ => String::new(),
    };
    let (found, expected) = match place.is_turned {
        true => (turned_shape(found, Turn::There), turned_shape(expected, Turn::There)),
        false => (found.clone(), expected.clone()),
    };
    Some(format!("{name} is of shape {found:?}, not {expected:?}{named}"))
}

/// The prefix up to a dot that all names have.
fn shared_prefix(tensors: &[Param]) -> Option<&str> {
    let first = tensors.first()?.name.as_str();
    let dots = first.match_indices('.').map(|(at, _)| &first[..=at]);
    dots.take_while(|prefix| tensors.iter().all(|tensor| tensor.name.starts_with(prefix))).last()
}

/// A name without prefixes, and with today's words for the parts of a norm.
fn bare(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    let old = OLD_NAMES.iter().find_map(|(old, new)| Some(format!("{}{new}", name.strip_suffix(old)?)));
    old.unwrap_or_else(|| name.to_owned())
}

fn read(file: &[u8]) -> Result<SafeTensors<'_>, Error> {
    SafeTensors::deserialize(file).map_err(|error| Error::BadCheckpoint(vec![error.to_string()]))
}

fn view<'a>(file: &SafeTensors<'a>, name: &str) -> Result<TensorView<'a>, Error> {
    file.tensor(name).map_err(|error| Error::BadCheckpoint(vec![error.to_string()]))
}

/// Names and shapes of a file's tensors, by name.
fn shapes(file: &SafeTensors<'_>) -> Vec<Param> {
    let shapes: BTreeMap<String, Vec<usize>> =
        file.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec())).collect();
    shapes.into_iter().map(|(name, shape)| Param::new(name, shape)).collect()
}

/// A file of these tensors by these names, some turned round.
pub(super) fn written(tensors: &[(String, TensorView<'_>, Option<Turn>)]) -> Result<Vec<u8>, Error> {
    let bad = |error: safetensors::SafeTensorError| Error::BadCheckpoint(vec![error.to_string()]);
    let data: Vec<(Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(_, view, turn)| match (turn, view.shape()) {
            (_, []) => (vec![1], view.data().to_vec()),
            (Some(turn), shape) => (turned_shape(shape, *turn), turned(view.data(), shape, *turn)),
            (None, shape) => (shape.to_vec(), view.data().to_vec()),
        })
        .collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, view, _), (shape, data)) in tensors.iter().zip(&data) {
        views.push((name.as_str(), TensorView::new(view.dtype(), shape.clone(), data).map_err(bad)?));
    }
    // Without it transformers refuses a file.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(format)).map_err(bad)
}

/// A tensor's shape turned round: the sides of a matrix, the channels of a window's weights.
fn turned_shape(shape: &[usize], turn: Turn) -> Vec<usize> {
    match *shape {
        [rows, columns] => vec![columns, rows],
        [outputs, inputs, height, width] if turn == Turn::Here => vec![outputs, height, width, inputs],
        [outputs, height, width, inputs] => vec![outputs, inputs, height, width],
        _ => shape.to_vec(),
    }
}

/// A tensor's elements, of any size, turned round.
pub(crate) fn turned<T: Copy>(data: &[T], shape: &[usize], turn: Turn) -> Vec<T> {
    let (blocks, rows, columns) = match *shape {
        [rows, columns] => (1, rows, columns),
        [outputs, inputs, height, width] if turn == Turn::Here => (outputs, inputs, height * width),
        [outputs, height, width, inputs] => (outputs, height * width, inputs),
        _ => return data.to_vec(),
    };
    let size = data.len() / (blocks * rows * columns).max(1);
    let element = |block: usize, row: usize, column: usize| {
        let place = (block * rows + row) * columns + column;
        data[place * size..][..size].iter().copied()
    };
    let columns_of =
        |block: usize| (0..columns).flat_map(move |column| (0..rows).flat_map(move |row| element(block, row, column)));
    (0..blocks).flat_map(columns_of).collect()
}
