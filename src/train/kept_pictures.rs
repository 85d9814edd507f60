//! Unpacked pictures, kept for runs to come.

use super::cache::{Cache, CacheNote, Key};
use super::files;
use crate::data::{Preparation, Told, on_all_cores};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

/// Files that a core reads at a time.
const SHARE: usize = 8;

/// The pixels of all pictures, one after another; black where a picture cannot be used.
const PIXELS: &str = "pixels";
/// A byte for each picture: 1 where it can be used.
const USABLE: &str = "usable";

/// A picture's bytes, or what is wrong with its file.
type Unpacked = Result<Vec<u8>, String>;

impl Cache {
    /// The picture of each file, prepared in this way: from a file that an earlier run has kept, else by `unpack`, and kept then. What
    /// is kept follows from what the files hold, not from their names; what cannot be used is unpacked again, which says why.
    pub fn pictures(
        &self,
        preparation: &Preparation,
        files: &[PathBuf],
        unpack: impl Fn(&PathBuf) -> Unpacked + Sync,
        told: Told<'_>,
    ) -> (Vec<Unpacked>, CacheNote) {
        let mut key = Key::new("pictures");
        key.add("preparation", format!("{preparation:?}").as_bytes());
        for sum in on_all_cores(files, SHARE, |file| sum(file), &|_, _| {}) {
            key.add("file", bytemuck::cast_slice(&sum));
        }
        let each = preparation.size[0] * preparation.size[1] * 3;
        let bytes = (files.len() * each) as u64;
        let wanted = [(PIXELS.to_owned(), bytes), (USABLE.to_owned(), files.len() as u64)];
        let of = format!("{} pictures, {:.1} MB", files.len(), bytes as f64 / 1e6);
        let mut unpacked = None;
        let made = self.or_made(key, &wanted, &of, || {
            let pictures = unpacked.insert(on_all_cores(files, SHARE, &unpack, told));
            let black = vec![0; each];
            let pixels = pictures.iter().flat_map(|picture| picture.as_ref().unwrap_or(&black)).copied().collect();
            let usable = pictures.iter().map(|picture| u8::from(picture.is_ok())).collect();
            Ok::<_, Infallible>(vec![(PIXELS.to_owned(), pixels), (USABLE.to_owned(), usable)])
        });
        let Ok((values, note)) = made;
        if let Some(unpacked) = unpacked {
            return (unpacked, note);
        }
        let [(_, pixels), (_, usable)] = &values[..] else { return (Vec::new(), note) };
        let kept = pixels.chunks(each).zip(usable).zip(files);
        let picture = |((pixels, usable), file): ((&[u8], &u8), _)| match usable {
            1 => Ok(pixels.to_vec()),
            _ => unpack(file),
        };
        (kept.map(picture).collect(), note)
    }
}

/// The checksum of what a file holds; of nothing if it cannot be read.
fn sum(file: &Path) -> [u64; 2] {
    let mut key = Key::new("a picture");
    if let Ok(bytes) = files::read(file) {
        key.add("bytes", &bytes);
    }
    key.sum()
}
