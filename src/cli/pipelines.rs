//! Pipelines that a driver has compiled, kept in the user's cache from one call to the next.

use super::kernels;
use super::say::caution;
use gradus::engine::Engine;
use gradus::params::shown_path;
use gradus::train::files;
use std::fs;
use std::path::PathBuf;

/// An engine whose pipelines are kept, and where.
pub(super) struct Pipelines {
    engine: Engine,
    file: PathBuf,
    /// As the file had them.
    earlier: Option<Vec<u8>>,
}

impl Pipelines {
    /// Gives the engine the pipelines of an earlier call; a warning says if they cannot be used. `None` without an
    /// adapter or a folder for caches.
    pub(super) fn of(engine: &Engine) -> Option<Pipelines> {
        let file = kernels::file_of(engine.adapter()?)?.with_extension("pipelines");
        let earlier = file.exists().then(|| files::read(&file)).transpose().unwrap_or_else(|error| {
            caution!("reading {}: {error}; kernels are compiled again", shown_path(&file));
            None
        });
        if let Err(error) = engine.keep_pipelines(earlier.as_deref()) {
            caution!("{}: {error}; kernels are compiled again", shown_path(&file));
        }
        Some(Pipelines { engine: engine.clone(), file, earlier })
    }

    /// Writes them down if there are others than the file has.
    pub(super) fn keep(&self) {
        let Some(now) = self.engine.pipelines().filter(|now| Some(now) != self.earlier.as_ref()) else { return };
        let folder = self.file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.map_err(|error| error.to_string());
        let written = written.and_then(|()| files::replace(&self.file, &now).map_err(|error| error.to_string()));
        if let Err(error) = written {
            caution!("writing {}: {error}; the next call compiles its kernels again", shown_path(&self.file));
        }
    }
}
