//! The values that a model begins with: what `model.from` names.

use super::file_kind::{TELLING_BYTES, other_than_safetensors, shard};
use super::inputs::INPUTS;
use super::shards::shards;
use super::{Error, Inputs, shapes};
use crate::nn::models::{Place, Places, Turn, misfit, turned};
use crate::nn::{Model, Network};
use crate::params::{Param, Shown, floats, nearest, shown_path};
use crate::train::files;
use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Values of parameters, by name.
pub(super) type Values = Vec<(String, Vec<f32>)>;

/// Files of weights, and how the run that they come from made numbers of its data.
pub(super) struct Weights {
    /// What is named: a file, the only one or an index of shards.
    pub(super) path: PathBuf,
    /// The files that hold the tensors.
    files: Vec<PathBuf>,
    /// `inputs.json` of that run, and its content; `None` if the run is unknown.
    pub(super) inputs: Option<(PathBuf, Inputs)>,
}

/// What of a file holds for a model: what is not kept starts again.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    /// Whether the outputs are the model's: the last layer is kept then.
    pub(super) outputs: bool,
    /// Tables with a row for each token, and how many of the model's tokens the file knows, from the first on; `None`: all.
    pub(super) tables: (&'a [&'static str], Option<usize>),
}

impl Kept<'_> {
    /// The shape of a parameter's kept tensor; `None` if the parameter always starts with new values.
    fn wanted(&self, param: &Param, is_last: bool, is_table: bool) -> Option<Param> {
        match (is_table, self.tables.1, &param.shape[..]) {
            (true, Some(0), _) => None,
            (true, Some(tokens), [_, width]) => Some(Param::new(param.name.as_str(), [tokens, *width])),
            (false, ..) if is_last && !self.outputs => None,
            _ => Some(param.clone()),
        }
    }
}

/// Where each parameter of a model is: the number of its file and its tensor; `None` if it starts with new values.
struct Fit {
    places: Vec<Option<(usize, Place)>>,
    /// Tensors that no parameter takes.
    unused: Vec<String>,
}

/// What a model begins with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) values: Values,
    /// Names of the parameters that stayed new.
    pub(super) new: Vec<String>,
    /// Names of the tensors that no parameter takes.
    pub(super) unused: Vec<String>,
}

const MODEL: &str = "model.safetensors";

/// What a run writes beside a model that is not a class of transformers.
pub(crate) const HEAD: &str = "head.safetensors";

/// An error about a file names at most so many modules.
const SHOWN: usize = 5;

impl Weights {
    /// Finds the files: the named one, or those of the named folder. A run's inputs are beside its file; a checkpoint's
    /// run is two folders up.
    pub(super) fn find(from: &Path) -> Result<Weights, Error> {
        if !from.exists() {
            return Err(Error::bad_file(from, format!("there is no such file or folder{}", near(from))));
        }
        let folder = if from.is_dir() { from } else { from.parent().unwrap_or(Path::new("")) };
        let (path, mut files) = match from.is_dir() {
            true if folder.join(MODEL).exists() => (from.join(MODEL), vec![from.join(MODEL)]),
            true => shards(from)?.ok_or_else(|| Error::bad_file(from, no_model(from)))?,
            false => shards(from)?.unwrap_or_else(|| (from.to_owned(), vec![from.to_owned()])),
        };
        // A checkpoint and a best file are whole.
        let has_head = path.file_name().is_some_and(|name| name == MODEL) && folder.join(HEAD).exists();
        files.extend(has_head.then(|| folder.join(HEAD)));
        let checkpoints = folder.parent().filter(|folder| folder.ends_with("checkpoints"));
        let run = [Some(folder), checkpoints.and_then(Path::parent)].into_iter().flatten();
        let run = run.into_iter().find(|folder| folder.join(INPUTS).exists());
        let inputs = run.map(|run| Ok::<_, Error>((run.join(INPUTS), Inputs::of_run(run)?))).transpose()?;
        Ok(Weights { path, files, inputs })
    }

    /// Finds the model's parameters in the files, only by their headers, and reports errors in them.
    fn fit(&self, model: &Model, kept: &Kept<'_>) -> Result<Fit, Error> {
        let mut files = HashMap::new();
        let mut tensors = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            for tensor in shapes(file)? {
                files.insert(tensor.name.clone(), number);
                tensors.push(tensor);
            }
        }
        let params = model.tensors();
        let Places { tensors: found, unused, twice } = model.places(&tensors);
        let mut wrong: Vec<String> = twice.iter().map(|name| format!("{name} occurs twice")).collect();
        let (mut missing, mut places) = (Vec::new(), Vec::new());
        let (last, on_top) = (model.last_layer(), model.on_top());
        for (param, place) in params.iter().zip(found) {
            let is_in = |starts: &[String]| starts.iter().any(|start| param.name.starts_with(start.as_str()));
            let (is_last, is_table) = (is_in(&last), kept.tables.0.contains(&param.name.as_str()));
            let may_be_new = is_last || is_in(&on_top);
            let place = match (kept.wanted(param, is_last, is_table), place) {
                (None, _) => None,
                (Some(_), None) if may_be_new => None,
                (Some(_), None) => {
                    missing.push(param.name.as_str());
                    None
                }
                (Some(wanted), Some(place)) => match misfit(&wanted, &place) {
                    None => Some(place),
                    Some(_) if model.fits_other(&param.name, &place.shape) => Some(place),
                    Some(_) if may_be_new && !is_table => None,
                    Some(misfit) => {
                        wrong.push(misfit);
                        None
                    }
                },
            };
            places.push(place.map(|place| (files.get(&place.name).copied().unwrap_or_default(), place)));
        }
        let is_shard = shard(&self.path).is_some();
        if !missing.is_empty() && (is_shard || 2 * missing.len() > params.len()) {
            return Err(self.bad(self.other_model(&params, &tensors)));
        }
        wrong.extend(by_module(&missing).into_iter().map(|module| format!("{module} missing")));
        if wrong.is_empty() {
            return Ok(Fit { places, unused });
        }
        let more = if wrong.len() > SHOWN { format!("; and {} more", wrong.len() - SHOWN) } else { String::new() };
        wrong.truncate(SHOWN);
        Err(self.bad(format!("it does not fit this model: {}{more}", wrong.join("; "))))
    }

    /// The values of `initial`, and in their place those of the files that are kept.
    pub(super) fn values(&self, model: &Model, mut initial: Values, kept: &Kept<'_>) -> Result<Begun, Error> {
        let Fit { places, unused } = self.fit(model, kept)?;
        let mut new = Vec::new();
        for (number, path) in self.files.iter().enumerate() {
            let bytes = bytes(path)?;
            let file =
                SafeTensors::deserialize(&bytes).map_err(|error| Error::bad_file(path, cut_short(&bytes, &error)))?;
            let here = places.iter().zip(&mut initial);
            for (place, (name, values)) in here {
                let Some((_, place)) = place.as_ref().filter(|(of, _)| *of == number) else { continue };
                let tensor = file.tensor(&place.name).map_err(|error| Error::bad_file(path, error.to_string()))?;
                let Some(mut there) = floats(&tensor) else {
                    let reason = format!("{} is {:?}, not a float", Shown(&place.name), tensor.dtype());
                    return Err(Error::bad_file(path, reason));
                };
                if place.is_turned {
                    there = turned(&there, tensor.shape(), Turn::Here);
                }
                if there.len() != values.len() {
                    there = model.fitted(name, &place.shape, &there).unwrap_or(there);
                }
                put(path, name, values, &there)?;
            }
        }
        new.extend(places.iter().zip(&initial).filter(|(place, _)| place.is_none()).map(|(_, (name, _))| name.clone()));
        Ok(Begun { values: initial, new, unused })
    }

    /// What is known of a model without its values: what would stay new, and what no parameter takes.
    pub(super) fn fits(&self, model: &Model, kept: &Kept<'_>) -> Result<Begun, Error> {
        let Fit { places, unused } = self.fit(model, kept)?;
        let params = model.tensors();
        let new = places.iter().zip(params).filter(|(place, _)| place.is_none()).map(|(_, param)| param.name);
        Ok(Begun { values: Vec::new(), new: new.collect(), unused })
    }

    fn bad(&self, reason: impl Into<String>) -> Error {
        Error::bad_file(&self.path, reason)
    }

    /// Words for a file most of whose tensors this model does not have.
    fn other_model(&self, params: &[Param], tensors: &[Param]) -> String {
        if let Some((number, of)) = shard(&self.path) {
            return format!("it is shard {number} of {of} of a model: name its folder, or its index");
        }
        let named = |params: &[Param]| {
            let names: Vec<String> = params.iter().take(2).map(|param| Shown(&param.name).to_string()).collect();
            names.join(", ")
        };
        let (theirs, ours) = (named(tensors), named(params));
        format!("it is another model: its tensors are {theirs}, …; this model's parameters are {ours}, …")
    }
}

/// Puts a tensor's numbers, which must be finite, at the beginning of a parameter's.
fn put(path: &Path, name: &str, values: &mut [f32], there: &[f32]) -> Result<(), Error> {
    if let Some(number) = there.iter().find(|number| !number.is_finite()) {
        return Err(Error::bad_file(path, format!("{name} holds {number}, and a run cannot begin from it")));
    }
    let (values, there) = (values.get_mut(..there.len()), there);
    if let Some(values) = values {
        values.copy_from_slice(there);
    }
    Ok(())
}

/// A whole file, unless its first bytes show another kind.
fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |error: std::io::Error| Error::unreadable(path, &error);
    let mut file = files::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    (&mut file).take(TELLING_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if let Some(reason) = other_than_safetensors(path, &bytes) {
        return Err(Error::bad_file(path, reason));
    }
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Names by the module or the block that they belong to: one by its name, several by their number.
fn by_module(names: &[&str]) -> Vec<String> {
    let mut modules: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        let parts: Vec<&str> = name.split('.').collect();
        // Up to a block's number, or without the parameter's own word.
        let number = parts.iter().position(|part| part.parse::<usize>().is_ok());
        let length = number.map_or(parts.len().saturating_sub(1).max(1), |place| place + 1);
        modules.entry(parts[..length].join(".")).or_default().push(name);
    }
    let told = |(module, names): (String, Vec<&str>)| match names[..] {
        [one] => format!("{one} is"),
        _ => format!("{module} ({} parameters) is", names.len()),
    };
    modules.into_iter().map(told).collect()
}

/// Names by module, for a line that tells of them: `pooler.dense, cls.predictions`.
pub(super) fn modules(names: &[String]) -> String {
    let mut modules: Vec<&str> =
        names.iter().map(|name| name.rsplit_once('.').map_or(&name[..], |(module, _)| module)).collect();
    modules.dedup();
    let more = if modules.len() > SHOWN { format!(" and {} more", modules.len() - SHOWN) } else { String::new() };
    modules.truncate(SHOWN);
    format!("{}{more}", modules.iter().map(|name| Shown(name).to_string()).collect::<Vec<_>>().join(", "))
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
                "it is cut short, or not a safetensors file: it has {} bytes, and its header would end at {data}",
                bytes.len()
            )
        }
        _ => format!("not a safetensors file: {error}"),
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
        .map(|name| format!("; name a file, such as {}", shown(name)));
    format!("there is no {MODEL} in it{}", other.or(one).unwrap_or_default())
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

pub(super) fn near(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = names(path.parent().unwrap_or(Path::new("")));
    let near = nearest(&name, names.iter().map(String::as_str));
    near.map_or_else(String::new, |near| format!(" (did you mean {:?}?)", Shown(near)))
}
