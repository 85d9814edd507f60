//! A model in several files, by their index.

use super::Error;
use crate::params::Shown;
use crate::train::files;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const INDEX: &str = "model.safetensors.index.json";

/// The index and the files of a model in shards: the index that is named, or that of the folder that is named. `None` where
/// there is none.
pub(super) fn shards(from: &Path) -> Result<Option<(PathBuf, Vec<PathBuf>)>, Error> {
    let index = if from.is_dir() { from.join(INDEX) } else { from.to_owned() };
    if !index.exists() || !index.to_string_lossy().ends_with(".index.json") {
        return Ok(None);
    }
    let text = files::read_text(&index).map_err(|error| Error::unreadable(&index, &error))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| Error::bad_file(&index, error.to_string()))?;
    let Some(map) = value["weight_map"].as_object() else {
        return Err(Error::bad_file(&index, "it has no weight_map, which says in which file each tensor is"));
    };
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let folder = index.parent().unwrap_or(Path::new(""));
    if let Some(name) = names.iter().find(|name| name.contains(['/', '\\']) || !folder.join(name).exists()) {
        return Err(Error::bad_file(&index, format!("there is no {:?} beside it", Shown(name))));
    }
    if names.is_empty() {
        return Err(Error::bad_file(&index, "it names no file"));
    }
    let files = names.into_iter().map(|name| folder.join(name)).collect();
    Ok(Some((index, files)))
}
