//! `gradus cache`: what frozen trunks made of examples, and unpacked pictures, kept for runs to come.

use super::asked::refuse;
use super::kernels::caches;
use super::phase_table::aligned;
use super::say::{self, say};
use clap::Args;
use gradus::params::shown_path;
use gradus::train::{self, CacheNote};
use std::path::PathBuf;
use std::time::SystemTime;

/// The most bytes that the folder may hold.
pub(super) const LIMIT_BYTES: u64 = 4_000_000_000;

#[derive(Args)]
#[command(after_help = "Examples:\n  gradus cache\n  gradus cache --clear\n  gradus cache --folder DIR")]
pub(super) struct Cache {
    /// The folder, if it is not the user's: what data.cache names in a run file.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// List its files, those used last first; this is what is done anyway.
    #[arg(long, conflicts_with = "clear")]
    list: bool,
    /// Remove its files.
    #[arg(long)]
    clear: bool,
}

/// The user's folder for what is kept; `None` where the system names no folder for caches.
pub(super) fn usual_folder() -> Option<PathBuf> {
    Some(caches()?.join("gradus").join("kept"))
}

pub(super) fn run(options: &Cache) -> anyhow::Result<()> {
    let Some(folder) = options.folder.clone().or_else(usual_folder) else {
        refuse!("the system names no folder for caches: --folder does");
    };
    let cache = train::Cache::new(&folder, LIMIT_BYTES);
    if options.clear {
        say!("{:.1} MB removed from {}", cache.clear()? as f64 / 1e6, shown_path(&folder));
        return Ok(());
    }
    let files = cache.files()?;
    if files.is_empty() {
        say!("{} holds nothing that was kept", shown_path(&folder));
        return Ok(());
    }
    let mut lines = vec![["file", "megabytes", "holds", "used"].map(str::to_owned).to_vec()];
    for file in &files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        lines.push(vec![name, format!("{:.1}", file.bytes as f64 / 1e6), file.of.clone(), ago(file.used)]);
    }
    say::out(&aligned(&lines));
    let all: u64 = files.iter().map(|file| file.bytes).sum();
    say!("{:.1} of {:.0} MB in {}", all as f64 / 1e6, LIMIT_BYTES as f64 / 1e6, shown_path(&folder));
    Ok(())
}

/// What was done with the folder, for a message.
pub(super) fn noted(note: &CacheNote) -> String {
    match note {
        CacheNote::Read(file) => format!("read from {}", shown_path(file)),
        CacheNote::Kept(file) => format!("kept in {}", shown_path(file)),
        CacheNote::Damaged(file) => format!("{} was damaged and was made anew", shown_path(file)),
        CacheNote::NotKept(reason) => format!("not kept: {reason}"),
        _ => String::new(),
    }
}

/// How long ago something was, in its largest unit.
fn ago(then: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(then).unwrap_or_default().as_secs();
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    match units.into_iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name} ago", seconds / unit),
        None => format!("{seconds} seconds ago"),
    }
}
