//! Checkpoints of Hugging Face, in and out: their names, and GPT-2's weights the other way round.

use super::{Model, Network};
use crate::nn::Error;
use crate::params::{Param, Shown};
use safetensors::tensor::{SafeTensors, TensorView};
use std::collections::{BTreeMap, HashSet};

/// What files put before names, or leave out.
const PREFIXES: [&str; 2] = ["transformer.", "bert."];

/// What files hold that is no parameter: masks and position numbers.
const BUFFERS: [&str; 3] = [".attn.bias", ".attn.masked_bias", "position_ids"];

/// What old files call the parts of a layer norm.
const OLD_NAMES: [(&str, &str); 2] = [(".gamma", ".weight"), (".beta", ".bias")];

impl Model {
    /// A file with this model's parameters, by their names here and `[outputs, inputs]`, from one of Hugging Face's.
    /// Names may have the prefix `bert.`, or lack `transformer.`; a layer norm's parts may be `gamma` and `beta`, as in old
    /// files, and BERT's pretraining head is left alone. Parameters that start with one of `new` may be missing,
    /// as a new head's are: they are missing in the result too.
    ///
    /// # Errors
    /// [`Error::BadCheckpoint`] listing all that is missing, mis-shaped, there twice, or not this model's.
    pub fn from_hugging_face(&self, file: &[u8], new: &[&str]) -> Result<Vec<u8>, Error> {
        let tensors = SafeTensors::deserialize(file).map_err(|error| Error::BadCheckpoint(vec![error.to_string()]))?;
        let params = self.params();
        let (mut wrong, mut seen) = (Vec::new(), HashSet::new());
        let mut found: BTreeMap<String, (TensorView<'_>, &Param)> = BTreeMap::new();
        for (name, view) in tensors.tensors() {
            match params.iter().find(|param| same_name(&param.name, &name)) {
                Some(param) if !seen.insert(&param.name) => wrong.push(format!("{} is there twice", param.name)),
                Some(param) => match self.misfit(param, self.file_shape(param), &view) {
                    Some(misfit) => wrong.push(misfit),
                    None => _ = found.insert(param.name.clone(), (view, param)),
                },
                None if self.is_known(&name) => {}
                None => wrong.push(format!("{} is no parameter of this model", Shown(&name))),
            }
        }
        let is_new = |param: &Param| new.iter().any(|start| param.name.starts_with(start));
        let missing = params.iter().filter(|param| !seen.contains(&param.name) && !is_new(param));
        wrong.extend(missing.map(|param| format!("{} is missing", param.name)));
        if !wrong.is_empty() {
            wrong.sort();
            return Err(Error::BadCheckpoint(wrong));
        }
        self.turned(
            &found.into_iter().map(|(name, (view, param))| (name, view, param.shape.clone())).collect::<Vec<_>>(),
        )
    }

    /// A file as Hugging Face's classes read it, from one with the names and shapes of here.
    ///
    /// # Errors
    /// [`Error::BadCheckpoint`] listing all that is missing or mis-shaped.
    pub fn to_hugging_face(&self, file: &[u8]) -> Result<Vec<u8>, Error> {
        let tensors = SafeTensors::deserialize(file).map_err(|error| Error::BadCheckpoint(vec![error.to_string()]))?;
        let (mut all, mut wrong) = (Vec::new(), Vec::new());
        for param in self.params() {
            match tensors.tensor(&param.name) {
                Err(_) => wrong.push(format!("{} is missing", param.name)),
                Ok(view) => match self.misfit(&param, param.shape.clone(), &view) {
                    Some(misfit) => wrong.push(misfit),
                    None => all.push((param.name.clone(), view, self.file_shape(&param))),
                },
            }
        }
        if wrong.is_empty() { self.turned(&all) } else { Err(Error::BadCheckpoint(wrong)) }
    }

    /// The shape that Hugging Face's files give a parameter.
    fn file_shape(&self, param: &Param) -> Vec<usize> {
        match self.is_transposed(&param.name) {
            true => param.shape.iter().rev().copied().collect(),
            false => param.shape.clone(),
        }
    }

    /// Why a tensor of a file does not fit. Of a table, the vocabulary or the context is named.
    fn misfit(&self, param: &Param, expected: Vec<usize>, view: &TensorView<'_>) -> Option<String> {
        let (name, found) = (&param.name, view.shape());
        if found == expected {
            return None;
        }
        let tables = [("wte.", "vocabulary"), ("word_embeddings.", "vocabulary"), ("lm_head.", "vocabulary")];
        let mut tables = tables.into_iter().chain([("wpe.", "context"), ("position_embeddings.", "context")]);
        let named = match (tables.find(|(part, _)| name.contains(part)), found, &expected[..]) {
            (Some((_, what)), &[theirs, found_width], &[ours, width]) if found_width == width => {
                format!(": the file's {what} is {theirs}, the model's {ours}")
            }
            _ => String::new(),
        };
        Some(format!("{name} is of shape {found:?}, not {expected:?}{named}"))
    }

    /// Whether a file may hold this although it is no parameter here.
    fn is_known(&self, name: &str) -> bool {
        let of_pretraining = self.unused().iter().any(|start| name.starts_with(start));
        let is_alias = || self.tied().iter().any(|(alias, _)| alias == name);
        of_pretraining || BUFFERS.iter().any(|end| name.ends_with(end)) || is_alias()
    }

    /// Tensors in these shapes, the weights of Conv1D turned round.
    fn turned(&self, tensors: &[(String, TensorView<'_>, Vec<usize>)]) -> Result<Vec<u8>, Error> {
        let bad = |error: safetensors::SafeTensorError| Error::BadCheckpoint(vec![error.to_string()]);
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(name, view, _)| match (self.is_transposed(name), view.shape()) {
                (true, &[rows, columns]) => transposed(view.data(), rows, columns),
                _ => view.data().to_vec(),
            })
            .collect();
        let mut views = Vec::with_capacity(tensors.len());
        for ((name, view, shape), data) in tensors.iter().zip(&data) {
            views.push((name.as_str(), TensorView::new(view.dtype(), shape.clone(), data).map_err(bad)?));
        }
        safetensors::serialize(views, None).map_err(bad)
    }
}

/// A matrix's elements, whatever their size, column by column.
fn transposed(data: &[u8], rows: usize, columns: usize) -> Vec<u8> {
    let size = data.len() / (rows * columns).max(1);
    let element = |row: usize, column: usize| &data[(row * columns + column) * size..][..size];
    (0..columns).flat_map(|column| (0..rows).flat_map(move |row| element(row, column).iter().copied())).collect()
}

/// Whether a file's name is this parameter's, but for a prefix and what a layer norm's parts were called once.
fn same_name(param: &str, file: &str) -> bool {
    let bare = |name: &str| {
        let start = PREFIXES.iter().find(|prefix| name.starts_with(**prefix)).map_or(0, |prefix| prefix.len());
        let name = &name[start..];
        let old = OLD_NAMES.iter().find_map(|(old, new)| Some(format!("{}{new}", name.strip_suffix(old)?)));
        old.unwrap_or_else(|| name.to_owned())
    };
    bare(param) == bare(file)
}
