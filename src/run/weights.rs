//! The values that a model begins with: what `model.from` names.

use super::file_kind::{TELLING_BYTES, other_than_safetensors, shard};
use super::inputs::INPUTS;
use super::{Error, Inputs};
use crate::params::{Param, Shown, floats, nearest, shown_path};
use crate::train::files;
use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, SafeTensors};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Values of parameters, by name.
pub(super) type Values = Vec<(String, Vec<f32>)>;

/// A file of weights, and how the run that it comes from made numbers of its data.
pub(super) struct Weights {
    pub(super) path: PathBuf,
    /// `inputs.json` of that run, and what it says; `None` where nothing tells which run that was.
    pub(super) inputs: Option<(PathBuf, Inputs)>,
}

/// What of a file holds for a model: what is not kept begins anew.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    /// What the names of the head's parameters begin with, and whether its classes are the model's.
    pub(super) head: (&'a [String], bool),
    /// Tables with a row for each token, and how many of the model's tokens the file knows, from the first on.
    pub(super) tables: (&'a [&'static str], usize),
}

const MODEL: &str = "model.safetensors";

/// What is wrong with a file is told for so many tensors.
const SHOWN: usize = 5;

impl Weights {
    /// Finds the file: the one named, or that of the folder named. The run that a file comes from has its inputs beside it;
    /// a checkpoint's run is two folders up.
    pub(super) fn find(from: &Path) -> Result<Weights, Error> {
        if !from.exists() {
            return Err(Error::bad_file(from, format!("there is no such file or folder{}", near(from))));
        }
        let (folder, path) = match from.is_dir() {
            true => (from, from.join(MODEL)),
            false => (from.parent().unwrap_or(Path::new("")), from.to_owned()),
        };
        if !path.exists() {
            return Err(Error::bad_file(from, no_model(from)));
        }
        let checkpoints = folder.parent().filter(|folder| folder.ends_with("checkpoints"));
        let run = [Some(folder), checkpoints.and_then(Path::parent)].into_iter().flatten();
        let run = run.into_iter().find(|folder| folder.join(INPUTS).exists());
        let inputs = run.map(|run| Ok::<_, Error>((run.join(INPUTS), Inputs::of_run(run)?))).transpose()?;
        Ok(Weights { path, inputs })
    }

    /// The values of `initial`, and in their place those of the file that are kept. The names of the parameters that
    /// stayed new.
    pub(super) fn values(
        &self,
        params: &[Param],
        mut initial: Values,
        kept: &Kept<'_>,
    ) -> Result<(Values, Vec<String>), Error> {
        let bytes = self.bytes()?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| self.bad(cut_short(&bytes, &error)))?;
        let ((head, keeps_head), (tables, tokens)) = (kept.head, kept.tables);
        let (mut wrong, mut new, mut missing) = (Vec::new(), Vec::new(), 0);
        for ((name, values), param) in initial.iter_mut().zip(params) {
            let is_head = head.iter().any(|start| name.starts_with(start));
            let is_table = tables.contains(&name.as_str());
            if (is_head && !keeps_head) || (is_table && tokens == 0) {
                new.push(name.clone());
                continue;
            }
            let mut expected = param.shape.clone();
            if let (true, Some(rows)) = (is_table, expected.first_mut()) {
                *rows = tokens;
            }
            match file.tensor(name) {
                Ok(tensor) if tensor.shape() == expected => match floats(&tensor) {
                    Some(there) => self.put(name, values, &there)?,
                    None => wrong.push(format!("{name} is {:?}, not a float", tensor.dtype())),
                },
                Err(_) if is_head => new.push(name.clone()),
                Ok(_) if is_head && !is_table => new.push(name.clone()),
                Ok(tensor) => wrong.push(format!("{name} is {:?} there and {expected:?} here", tensor.shape())),
                Err(_) => {
                    missing += 1;
                    wrong.push(format!("{name} is missing"));
                }
            }
        }
        if wrong.is_empty() {
            return Ok((initial, new));
        }
        let names = file.names();
        let reason = self.other_names(params, &names, missing).unwrap_or_else(|| {
            let more = if wrong.len() > SHOWN { format!("; and {} more", wrong.len() - SHOWN) } else { String::new() };
            wrong.truncate(SHOWN);
            format!("it does not fit this model: {}{more}", wrong.join("; "))
        });
        Err(self.bad(reason))
    }

    /// Puts a tensor's numbers, which have to be finite, at the beginning of a parameter's.
    fn put(&self, name: &str, values: &mut [f32], there: &[f32]) -> Result<(), Error> {
        if let Some(number) = there.iter().find(|number| !number.is_finite()) {
            return Err(self.bad(format!("{name} holds {number}: nothing can be learnt from there on")));
        }
        values[..there.len()].copy_from_slice(there);
        Ok(())
    }

    fn bad(&self, reason: impl Into<String>) -> Error {
        Error::bad_file(&self.path, reason)
    }

    /// All of the file, unless its beginning says that it is something else.
    fn bytes(&self) -> Result<Vec<u8>, Error> {
        let unreadable = |error: std::io::Error| Error::unreadable(&self.path, &error);
        let mut file = files::open(&self.path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        (&mut file).take(TELLING_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        if let Some(reason) = other_than_safetensors(&self.path, &bytes) {
            return Err(self.bad(reason));
        }
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    /// What a file is where most of a model's parameters are missing in it, by the names of its tensors.
    fn other_names(&self, params: &[Param], names: &[&str], missing: usize) -> Option<String> {
        if missing == 0 {
            return None;
        }
        if let Some((number, of)) = shard(&self.path) {
            return Some(format!(
                "it is shard {number} of {of} of a model; shards are not read yet: write the model as one file \
                 (max_shard_size of save_pretrained)"
            ));
        }
        let ours: HashSet<&str> = params.iter().map(|param| param.name.as_str()).collect();
        let theirs: HashSet<&str> = names.iter().copied().collect();
        let most = |found: BTreeMap<&str, usize>| -> Option<String> {
            let (prefix, times) = found.into_iter().max_by_key(|(_, times)| *times)?;
            (2 * times > params.len()).then(|| prefix.to_owned())
        };
        let words = "such files are not read yet: rename the tensors";
        if let Some(prefix) = most(prefixes(&theirs, &ours)) {
            return Some(format!(
                "its tensors are called as this model's with {:?} before each; {words}",
                Shown(&prefix)
            ));
        }
        if let Some(prefix) = most(prefixes(&ours, &theirs)) {
            return Some(format!(
                "its tensors are called as this model's without {:?} before each; {words}",
                Shown(&prefix)
            ));
        }
        let is_old = |name: &&str| name.ends_with(".gamma") || name.ends_with(".beta");
        names
            .iter()
            .any(is_old)
            .then(|| format!("its layer norms have gamma and beta, as older files call weight and bias; {words}"))
    }
}

/// What stands before names of the second set in the first, and how often.
fn prefixes<'a>(long: &HashSet<&'a str>, short: &HashSet<&str>) -> BTreeMap<&'a str, usize> {
    let mut found = BTreeMap::new();
    for name in long {
        for (at, _) in name.match_indices('.') {
            if short.contains(&name[at + 1..]) {
                *found.entry(&name[..=at]).or_default() += 1;
            }
        }
    }
    found
}

/// Words for a file that safetensors cannot read.
fn cut_short(bytes: &[u8], error: &SafeTensorError) -> String {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
    let data = length.and_then(|length| usize::try_from(length).ok()?.checked_add(8));
    let header = data.and_then(|data| bytes.get(8..data));
    match (data, header.and_then(|header| serde_json::from_slice::<Metadata>(header).ok())) {
        (Some(data), Some(tensors)) if data + tensors.data_len() > bytes.len() => {
            let (there, needed) = (bytes.len(), data + tensors.data_len());
            format!("it is cut short: it has {there} bytes of {needed}")
        }
        (Some(data), None) if header.is_none() && length.is_some_and(|length| length < 100_000_000) => {
            format!(
                "it is cut short, or no safetensors file: it has {} bytes, and its header would end at {data}",
                bytes.len()
            )
        }
        _ => format!("no safetensors file: {error}"),
    }
}

/// Why a folder cannot be begun from, and what in it can.
fn no_model(folder: &Path) -> String {
    let names = names(folder);
    let shown = |name: &str| shown_path(&folder.join(name));
    let last = |names: &[String]| names.iter().filter(|name| name.starts_with("step-")).max().cloned();
    let steps = self::names(&folder.join("checkpoints"));
    let best = names.iter().any(|name| name == "best.safetensors").then(|| shown("best.safetensors"));
    let checkpoint = last(&steps).map(|step| shown(&format!("checkpoints/{step}/{MODEL}")));
    let ways: Vec<String> = [best, checkpoint].into_iter().flatten().collect();
    if !ways.is_empty() {
        return format!("the run there has not ended, so there is no {MODEL}; begin from {}", ways.join(", or from "));
    }
    if let Some(step) = last(&names) {
        return format!("these are checkpoints; begin from one of them, the last is {}", shown(&step));
    }
    let beginning = |name: &String| {
        let mut bytes = Vec::new();
        let path = folder.join(name);
        files::open(&path).ok()?.take(TELLING_BYTES as u64).read_to_end(&mut bytes).ok()?;
        other_than_safetensors(&path, &bytes).map(|kind| format!("; of {}: {kind}", Shown(name)))
    };
    let weights = [".index.json", ".bin", ".pt", ".pth", ".gguf", ".h5"];
    let mut others = names.iter().filter(|name| weights.iter().any(|end| name.ends_with(end)));
    let other = others.find_map(beginning);
    let one = names
        .iter()
        .find(|name| name.ends_with(".safetensors"))
        .map(|name| format!("; name a file, as {}", shown(name)));
    format!("there is no {MODEL} in it{}", other.or(one).unwrap_or_default())
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

fn near(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = names(path.parent().unwrap_or(Path::new("")));
    let near = nearest(&name, names.iter().map(String::as_str));
    near.map_or_else(String::new, |near| format!(" (did you mean {:?}?)", Shown(near)))
}
