//! `--kernels`: which tiling kernels take. As asked for; else as it was measured on this adapter and kept in the user's
//! cache; else, on a GPU, measured now and kept there.

use super::asked::refuse;
use super::say::{caution, say};
use anyhow::{Context, anyhow};
use gradus::check::Certificate;
use gradus::engine::{AdapterReport, Choices, Engine};
use gradus::measure;
use gradus::params::{Shown, shown_path};
use gradus::train::files;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For what a run finds no choices: two seconds, and those of compiling.
const BRIEFLY: Duration = Duration::from_secs(2);

/// For `gradus bench`.
const THOROUGHLY: Duration = Duration::from_secs(20);

/// The source of an engine's choices.
pub(super) enum Origin {
    /// The command line or the environment.
    Asked(String),
    /// A file of an earlier measurement.
    Kept(PathBuf),
    /// Nobody has measured.
    Likely,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Asked(text) => write!(f, "asked for: {text}"),
            Origin::Kept(file) => write!(f, "measured on this adapter, in {}", shown_path(file)),
            Origin::Likely => write!(f, "not measured; run `gradus bench`"),
        }
    }
}

/// Choices as a file keeps them, and what they are true for.
#[derive(Serialize, Deserialize, PartialEq)]
struct Kept {
    adapter: String,
    driver: String,
    version: String,
    choices: Choices,
}

impl Kept {
    fn of(adapter: &AdapterReport, choices: Choices) -> Kept {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Kept { adapter: adapter.name.clone(), driver: adapter.driver.clone(), version, choices }
    }

    fn read(file: &Path) -> anyhow::Result<Kept> {
        let text = files::read_text(file).with_context(|| format!("reading {}", shown_path(file)))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", shown_path(file)))
    }
}

/// The engine with what was asked for, or what an earlier measurement found. Measures nothing.
pub(super) fn known(engine: &Engine, asked: Option<&str>) -> anyhow::Result<(Engine, Origin)> {
    let asked = asked.map(str::to_owned).or_else(|| env::var("GRADUS_KERNELS").ok()).filter(|text| !text.is_empty());
    if let Some(text) = asked {
        return Ok((engine.choosing(read_asked(&text)?), Origin::Asked(text)));
    }
    let likely = || (engine.clone(), Origin::Likely);
    let Some(adapter) = engine.adapter() else { return Ok(likely()) };
    let Some(file) = file_of(adapter).filter(|file| file.exists()) else { return Ok(likely()) };
    match Kept::read(&file) {
        Ok(kept) if kept == Kept::of(adapter, kept.choices.clone()) => {
            Ok((engine.choosing(kept.choices), Origin::Kept(file)))
        }
        Ok(_) => Ok(likely()),
        Err(error) => {
            caution!("{error:#}; the file is left alone");
            Ok(likely())
        }
    }
}

/// The same for what trains: a GPU that nobody has measured is measured now.
pub(super) fn chosen(engine: &Engine, asked: Option<&str>) -> anyhow::Result<Engine> {
    match known(engine, asked)? {
        (engine, Origin::Likely) if !engine.is_software() => measured(&engine, BRIEFLY),
        (engine, _) => Ok(engine),
    }
}

/// The same for a measurement: what was asked for, else the adapter is measured again.
pub(super) fn anew(engine: &Engine, asked: Option<&str>) -> anyhow::Result<Engine> {
    match known(engine, asked)? {
        (engine, Origin::Asked(_)) => Ok(engine),
        _ if engine.adapter().is_none() => Ok(engine.clone()),
        _ => measured(engine, THOROUGHLY),
    }
}

/// Measures, and keeps the result if there is a place for it.
fn measured(engine: &Engine, time: Duration) -> anyhow::Result<Engine> {
    let spinner = ProgressBar::new_spinner().with_message("measuring which kernels are fastest");
    spinner.enable_steady_tick(Duration::from_millis(200));
    let choices = measure::choices(engine, time)?;
    spinner.finish_and_clear();
    if let Some(adapter) = engine.adapter() {
        let kept = Kept::of(adapter, choices.clone());
        if let Err(error) = keep(adapter, &kept) {
            caution!("{error:#}; the next run measures again");
        }
    }
    Ok(engine.choosing(choices))
}

/// The kept certificate of an engine's adapter; an empty one if none is valid for it.
pub(super) fn certificate(engine: &Engine) -> Certificate {
    let nothing = Certificate::of(engine);
    let Some(file) = certificate_file(engine).filter(|file| file.exists()) else { return nothing };
    let read = || -> anyhow::Result<Certificate> { Ok(serde_json::from_str(&files::read_text(&file)?)?) };
    match read() {
        Ok(certificate) if certificate.is_of(engine) => certificate,
        Ok(_) => nothing,
        Err(error) => {
            caution!("reading {}: {error:#}; the kernels are checked again", shown_path(&file));
            nothing
        }
    }
}

/// Keeps a certificate, if there is a place for it.
pub(super) fn keep_certificate(engine: &Engine, certificate: &Certificate) -> anyhow::Result<Option<PathBuf>> {
    let Some(file) = certificate_file(engine) else { return Ok(None) };
    make_folder_of(&file)?;
    files::replace(&file, serde_json::to_string_pretty(certificate)?.as_bytes())?;
    Ok(Some(file))
}

/// `gradus/ADAPTER-DRIVER-VERSION.check.json`, beside the choices.
fn certificate_file(engine: &Engine) -> Option<PathBuf> {
    Some(file_of(engine.adapter()?)?.with_extension("check.json"))
}

/// Keeps an engine's choices, unless others were asked for.
pub(super) fn keep_choices(engine: &Engine, asked: Option<&str>) -> anyhow::Result<()> {
    let is_asked = asked.is_some() || env::var_os("GRADUS_KERNELS").is_some_and(|text| !text.is_empty());
    match engine.adapter() {
        Some(adapter) if !is_asked => keep(adapter, &Kept::of(adapter, engine.choices().clone())),
        _ => Ok(()),
    }
}

fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    match file.parent() {
        Some(folder) => fs::create_dir_all(folder).with_context(|| format!("making {}", shown_path(folder))),
        None => Ok(()),
    }
}

fn keep(adapter: &AdapterReport, kept: &Kept) -> anyhow::Result<()> {
    let file = file_of(adapter).ok_or_else(|| anyhow!("no folder for caches is known"))?;
    make_folder_of(&file)?;
    Ok(files::replace(&file, serde_json::to_string_pretty(kept)?.as_bytes())?)
}

/// The name of a tiling, or a file as a measurement leaves it.
fn read_asked(text: &str) -> anyhow::Result<Choices> {
    if let Some(choices) = Choices::parse(text) {
        return Ok(choices);
    }
    if !Path::new(text).exists() {
        refuse!(
            "--kernels {}: registers, tiles, tiles32, tiles64, tiles128, cooperative or a file of `gradus bench`",
            Shown(text)
        );
    }
    Ok(Kept::read(Path::new(text))?.choices)
}

/// `gradus/ADAPTER-DRIVER-VERSION.json` in the user's cache.
pub(super) fn file_of(adapter: &AdapterReport) -> Option<PathBuf> {
    let name = format!("{} {} {}", adapter.name, adapter.driver, env!("CARGO_PKG_VERSION"));
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let words: String = name.chars().map(plain).collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    Some(caches()?.join("gradus").join(words.join("-") + ".json"))
}

/// The user's folder for caches.
pub(super) fn caches() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if cfg!(windows) {
        return folder("LOCALAPPDATA");
    }
    let home = |below: &str| Some(folder("HOME")?.join(below));
    if cfg!(target_os = "macos") { home("Library/Caches") } else { folder("XDG_CACHE_HOME").or_else(|| home(".cache")) }
}

/// What is chosen: for each kernel the sizes that take another tiling than most.
pub(super) fn print(choices: &Choices, origin: &Origin) {
    say!("kernels: {origin}");
    let mut others: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (key, tiling) in choices.chosen.iter().filter(|(_, tiling)| **tiling != choices.otherwise) {
        let (kernel, sizes) = key.split_once(' ').unwrap_or((key, ""));
        others.entry((kernel, tiling.name())).or_default().push(sizes);
    }
    for ((kernel, tiling), sizes) in others {
        say!("  {kernel:30} {tiling:10} {}", sizes.join(", "));
    }
    let measured = choices.chosen.len();
    say!("  {:30} {:10} {measured} classes of sizes measured", "all else", choices.otherwise.name());
    for (kernel, tiling) in &choices.instead {
        say!("  {kernel:30} {:10} instead of one that is wrong here", tiling.name());
    }
}
