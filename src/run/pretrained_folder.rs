//! A Hugging Face folder that a model begins from, by its `config.json`; and the cache in which names of the hub are found.

use super::Error;
use super::head::HeadSpec;
use crate::nn::models::{Pooling, Pretrained};
use crate::params::{Shown, shown_path};
use crate::train::files;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The file that describes a folder's model.
pub(super) const CONFIG: &str = "config.json";

/// The model of such a folder.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PretrainedFolder {
    /// The folder.
    pub folder: PathBuf,
    /// Its `config.json`.
    pub model: Pretrained,
    /// The pooling in the folder, if any: sentence-transformers' `1_Pooling`, or that of a run.
    pub pooling: Option<Pooling>,
    /// Its head's hidden layers, if a run wrote the folder.
    pub head: HeadSpec,
}

/// Poolings of sentence-transformers, by key.
const POOLINGS: [(&str, Pooling); 3] = [
    ("pooling_mode_mean_tokens", Pooling::Mean),
    ("pooling_mode_cls_token", Pooling::First),
    ("pooling_mode_lasttoken", Pooling::Last),
];

impl PretrainedFolder {
    /// The same for a run file in a folder: if the folder of `from` is gone, what the run has kept of it.
    pub(super) fn of_run(from: &Path, run: &Path) -> Result<Option<PretrainedFolder>, Error> {
        let kept = || PretrainedFolder::find(run);
        if from.exists() { PretrainedFolder::find(from) } else { kept() }
    }

    /// Reads the folder of `from`, or the folder of its file; `None` without a `config.json`.
    ///
    /// # Errors
    /// [`Error`] naming the file and the key.
    pub fn find(from: &Path) -> Result<Option<PretrainedFolder>, Error> {
        let Some(folder) = described(from) else { return Ok(None) };
        let path = folder.join(CONFIG);
        let text = files::read_text(&path).map_err(|error| Error::unreadable(&path, &error))?;
        let mut model = Pretrained::parse(&text).map_err(|error| Error::bad_file(&path, error.to_string()))?;
        let config: Value = serde_json::from_str(&text).unwrap_or_default();
        let (own, head) = (&config["gradus"], HeadSpec::of_config(&config));
        if let Some(types) = own["types"].as_u64() {
            model.types = types as usize;
        }
        let by_own_word =
            own["pooling"].as_str().and_then(|word| Pooling::ALL.iter().find(|(known, _)| *known == word));
        let pooling = match by_own_word {
            Some((_, pooling)) => Some(*pooling),
            None => sentence_pooling(folder)?,
        };
        Ok(Some(PretrainedFolder { folder: folder.to_owned(), model, pooling, head }))
    }
}

/// The folder that says what a model in `from` is: this one, that of the file, or the run of a checkpoint, which is two folders up.
pub(super) fn described(from: &Path) -> Option<&Path> {
    let folder = if from.is_dir() { from } else { from.parent().unwrap_or(Path::new("")) };
    let of_checkpoint = folder.parent().filter(|parent| parent.ends_with("checkpoints")).and_then(Path::parent);
    [Some(folder), of_checkpoint].into_iter().flatten().find(|folder| folder.join(CONFIG).exists())
}

/// The pooling of a sentence-transformers folder, if it is one.
fn sentence_pooling(folder: &Path) -> Result<Option<Pooling>, Error> {
    let path = folder.join("1_Pooling").join(CONFIG);
    if !path.exists() {
        return Ok(None);
    }
    let text = files::read_text(&path).map_err(|error| Error::unreadable(&path, &error))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| Error::bad_file(&path, error.to_string()))?;
    // Versions before 5 have a key for each, later ones a word.
    let by_word = config["pooling_mode"].as_str().or_else(|| config["pooling_mode"][0].as_str());
    let of_word = by_word.and_then(|word| match word {
        "mean" => Some(Pooling::Mean),
        "cls" => Some(Pooling::First),
        "lasttoken" => Some(Pooling::Last),
        _ => None,
    });
    let on: Vec<&str> = config
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| key.starts_with("pooling_mode_") && **value == Value::Bool(true))
        .map(|(key, _)| key.as_str())
        .collect();
    let of_key = match on[..] {
        [one] => POOLINGS.iter().find(|(key, _)| *key == one).map(|(_, pooling)| *pooling),
        _ => None,
    };
    match of_word.or(of_key) {
        Some(pooling) => Ok(Some(pooling)),
        None => {
            let known = POOLINGS.map(|(key, _)| key).join(", ");
            let what = if on.is_empty() { "nothing".to_owned() } else { on.join(", ") };
            Err(Error::bad_file(&path, format!("it pools by {what}; gradus reads one of {known}")))
        }
    }
}

/// The place of a model in a run file: a path relative to it, or a hub name in the local cache.
pub(super) fn resolved(named: &str, folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join(named);
    if path.exists() || !is_hub_name(named) {
        return Ok(path);
    }
    let Some(cache) = cache() else { return Ok(path) };
    let of_model = cache.join(format!("models--{}", named.replace('/', "--")));
    let main = std::fs::read_to_string(of_model.join("refs/main")).ok();
    if let Some(revision) = main {
        let snapshot = of_model.join("snapshots").join(revision.trim());
        if snapshot.is_dir() {
            return Ok(snapshot);
        }
    }
    // One model is a path that is mistyped, or a name that nobody has fetched yet.
    match named.contains('/') && !folder.join(named.split('/').next().unwrap_or_default()).is_dir() {
        true => Err(Error::bad_file(
            &path,
            format!(
                "there is no such file or folder, and {} holds no model {:?} of the hub: hf download {} fetches it",
                shown_path(&cache),
                Shown(named),
                Shown(named)
            ),
        )),
        false => Ok(path),
    }
}

/// The folder in which Hugging Face's programs keep what they fetched.
fn cache() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || named("HOME").or_else(|| named("USERPROFILE")).map(|home| home.join(".cache"));
    let in_home = || named("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("huggingface/hub"));
    named("HF_HUB_CACHE").or_else(|| named("HF_HOME").map(|home| home.join("hub"))).or_else(in_home)
}

/// Whether it may be `name` or `owner/name`.
pub(super) fn is_hub_name(named: &str) -> bool {
    let is_word = |word: &str| {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&letter);
        !word.is_empty() && !word.starts_with('.') && word.chars().all(fits)
    };
    named.split('/').count() <= 2 && named.split('/').all(is_word)
}
