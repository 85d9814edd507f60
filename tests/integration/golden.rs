//! Reading traces of the reference packages: one JSON a case, arrays in a safetensors file of the same stem.

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A case and its arrays, all as f64.
pub struct Case {
    pub name: String,
    pub json: Value,
    pub arrays: BTreeMap<String, Array>,
}

pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// The folder named by `GRADUS_GOLDEN`, or the project's own.
pub fn folder(own: &str) -> PathBuf {
    std::env::var_os("GRADUS_GOLDEN").map_or_else(|| own_folder(own), PathBuf::from)
}

/// The project's own folder.
pub fn own_folder(own: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(own)
}

/// Whether the traces are the project's own, of which it is known how many there are.
pub fn is_own_folder() -> bool {
    std::env::var_os("GRADUS_GOLDEN").is_none()
}

/// Every case in a folder whose file name starts with one of the prefixes, in order. A file that cannot be read fails.
pub fn cases(folder: &Path, prefixes: &[&str]) -> Vec<Case> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".json") && prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    paths.iter().filter(|path| wanted(path)).map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let at = path.display();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{at}: {error}"));
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{at}: {error}"));
    let arrays_path = path.with_extension("safetensors");
    let mut arrays = BTreeMap::new();
    if arrays_path.exists() {
        let at = arrays_path.display();
        let bytes = std::fs::read(&arrays_path).unwrap_or_else(|error| panic!("{at}: {error}"));
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{at}: {error}"));
        for (name, view) in file.tensors() {
            let values = match view.dtype() {
                Dtype::F32 => view.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
                Dtype::F64 => view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                Dtype::I32 => view.data().as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
                other => panic!("{at}: {name} is {other:?}"),
            };
            arrays.insert(name, Array { shape: view.shape().to_vec(), values });
        }
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Case { name, json, arrays }
}

impl Case {
    pub fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_else(|| panic!("{}: {key:?} is missing", self.name))
    }

    pub fn array(&self, name: &str) -> &Array {
        self.arrays.get(name).unwrap_or_else(|| panic!("{}: array {name:?} is missing", self.name))
    }

    pub fn f32s(&self, name: &str) -> Vec<f32> {
        self.array(name).values.iter().map(|value| *value as f32).collect()
    }

    /// `(name, shape)` of the case's tensors.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let list = self.json["tensors"].as_array().unwrap_or_else(|| panic!("{}: no tensors", self.name));
        list.iter()
            .map(|tensor| (tensor["name"].as_str().expect("a name").to_owned(), shape(&tensor["shape"])))
            .collect()
    }
}

fn shape(value: &Value) -> Vec<usize> {
    value.as_array().expect("a shape").iter().map(|size| size.as_u64().expect("a size") as usize).collect()
}

/// A number, or one of the strings `"nan"`, `"inf"`, `"-inf"`.
pub fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("nan") => Some(f64::NAN),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

/// Each trace says which script made it, so that anyone can make it again.
#[test]
fn every_trace_names_the_script_that_makes_it() {
    let scripts = own_folder("generators");
    for folder in ["laws", "layer_decay", "lr_find", "optim", "phases"].map(own_folder) {
        let mut files: Vec<String> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        for case in cases(&folder, &[""]) {
            let script = case.json["script"].as_str().unwrap_or_else(|| panic!("{} names no script", case.name));
            assert!(scripts.join(script).is_file(), "{}: {script} is not in tests/golden/generators", case.name);
            let arrays = case.json["file"].as_str().unwrap_or_default();
            files.retain(|file| *file != format!("{}.json", case.name) && file != arrays);
        }
        assert!(files.is_empty(), "{}: no trace names {files:?}", folder.display());
    }
}
