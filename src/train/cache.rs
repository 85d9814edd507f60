//! A folder that keeps for runs to come what takes long to make: what frozen trunks make of examples, and unpacked pictures.
//!
//! A file holds the values of one set of examples. Its name is a checksum of all that they follow from: of a trunk, its operations and
//! parameters, the examples, the storage, the engine with its kernels, and the version. What is read back is equal to the bit; a file
//! whose checksum is wrong is made anew. Files that were used longest ago go when there are too many bytes.

use super::{Error, files};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const ENDING: &str = "kept";
const CRC32: &str = "crc32";
const OF: &str = "of";

/// A folder that keeps for runs to come what takes long to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    limit_bytes: u64,
}

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds, in words.
    pub of: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
}

/// What was done with the folder for a set of examples.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheNote {
    /// The values were read from this file.
    Read(PathBuf),
    /// They were made and are kept in this file.
    Kept(PathBuf),
    /// This file was damaged; they were made anew.
    Damaged(PathBuf),
    /// They were made, and could not be kept.
    NotKept(String),
}

/// Of what values follow from: two checksums of 64 bits that begin differently, as nobody picks inputs that collide.
pub(super) struct Key([DefaultHasher; 2]);

impl Key {
    /// Of values of this kind.
    pub(super) fn new(kind: &str) -> Key {
        let mut key = Key([DefaultHasher::new(), DefaultHasher::new()]);
        key.0[1].write_u8(1);
        key.add(kind, env!("CARGO_PKG_VERSION").as_bytes());
        key
    }

    /// Adds something by its name, so that nothing runs into what comes next.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) {
        for hasher in &mut self.0 {
            for part in [name.as_bytes(), bytes] {
                hasher.write_usize(part.len());
                hasher.write(part);
            }
        }
    }

    /// The checksum.
    pub(super) fn sum(self) -> [u64; 2] {
        self.0.map(|hasher| hasher.finish())
    }

    /// The same in letters.
    pub(super) fn name(self) -> String {
        self.sum().map(|sum| format!("{sum:016x}")).concat()
    }
}

/// Values by label.
pub(super) type Values = Vec<(String, Vec<u8>)>;

impl Cache {
    /// A folder that holds at most so many bytes. It is made when something is kept.
    pub fn new(folder: impl Into<PathBuf>, limit_bytes: u64) -> Cache {
        Cache { folder: folder.into(), limit_bytes }
    }

    /// Its files, those used last first. Reads each.
    ///
    /// # Errors
    /// [`Error::File`]; a folder that is not there has none.
    pub fn files(&self) -> Result<Vec<CacheFile>, Error> {
        Ok(self.unread()?.into_iter().map(|file| CacheFile { of: told(&file.path), ..file }).collect())
    }

    /// The same without what they hold.
    fn unread(&self) -> Result<Vec<CacheFile>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::file(&self.folder))?,
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let (path, metadata) = (entry.path(), entry.metadata());
            let Ok(metadata) = metadata else { continue };
            if path.extension().is_some_and(|ending| ending == ENDING) && metadata.is_file() {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push(CacheFile { of: String::new(), bytes: metadata.len(), used, path });
            }
        }
        found.sort_by_key(|file| std::cmp::Reverse(file.used));
        Ok(found)
    }

    /// Removes its files, and says how many bytes they had.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn clear(&self) -> Result<u64, Error> {
        self.unread()?.into_iter().try_fold(0, |sum, file| {
            fs::remove_file(&file.path).map_err(Error::file(&file.path))?;
            Ok(sum + file.bytes)
        })
    }

    /// The values of this key: from its file, else made now and kept. `wanted` has their labels and bytes, `of` says what they are.
    pub(super) fn or_made<E>(
        &self,
        key: Key,
        wanted: &[(String, u64)],
        of: &str,
        make: impl FnOnce() -> Result<Values, E>,
    ) -> Result<(Values, CacheNote), E> {
        let path = self.path(key);
        let damaged = match self.read(&path, wanted) {
            Ok(Some(values)) => return Ok((values, CacheNote::Read(path))),
            found => found.is_err(),
        };
        let values = make()?;
        let note = match self.write(&path, &values, of) {
            Ok(()) if damaged => CacheNote::Damaged(path),
            Ok(()) => CacheNote::Kept(path),
            Err(error) => CacheNote::NotKept(error.to_string()),
        };
        Ok((values, note))
    }

    fn path(&self, key: Key) -> PathBuf {
        self.folder.join(key.name()).with_extension(ENDING)
    }

    /// The values of a file, each of so many bytes; `None` if it is not there, and an error if it is damaged.
    fn read(&self, path: &Path, wanted: &[(String, u64)]) -> Result<Option<Values>, ()> {
        let bytes = match files::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|_| ())?,
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|_| ())?;
        let file = SafeTensors::deserialize(&bytes).map_err(|_| ())?;
        let mut values = Vec::with_capacity(wanted.len());
        for (label, bytes) in wanted {
            let tensor = file.tensor(label).map_err(|_| ())?;
            if tensor.data().len() as u64 != *bytes {
                return Err(());
            }
            values.push((label.clone(), tensor.data().to_vec()));
        }
        let said = metadata.metadata().as_ref().and_then(|said| said.get(CRC32)).cloned();
        if said != Some(crc32(&values)) {
            return Err(());
        }
        // What was used just now goes last; that it cannot be noted is no reason to make it anew.
        let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(Some(values))
    }

    /// Keeps values, and removes what was used longest ago where there are too many bytes.
    fn write(&self, path: &Path, values: &Values, of: &str) -> Result<(), Error> {
        let bytes: u64 = values.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        if bytes > self.limit_bytes {
            let reason = format!("{bytes} bytes are more than the limit of {}", self.limit_bytes);
            return Err(Error::File { path: path.to_owned(), reason });
        }
        fs::create_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        let mut room = self.limit_bytes - bytes;
        for file in self.unread()? {
            match room.checked_sub(file.bytes) {
                Some(rest) => room = rest,
                None => fs::remove_file(&file.path).map_err(Error::file(&file.path))?,
            }
        }
        let bad = |error: safetensors::SafeTensorError| Error::bad_file(path, &error.to_string());
        let mut views = Vec::with_capacity(values.len());
        for (label, bytes) in values {
            views.push((label.as_str(), TensorView::new(Dtype::U8, vec![bytes.len()], bytes).map_err(bad)?));
        }
        let said = HashMap::from([(CRC32.to_owned(), crc32(values)), (OF.to_owned(), of.to_owned())]);
        files::replace(path, &safetensors::serialize(views, Some(said)).map_err(bad)?)
    }
}

/// What a file says that it holds; nothing if it cannot be read.
fn told(path: &Path) -> String {
    let said = || {
        let bytes = files::read(path).ok()?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
        metadata.metadata().as_ref()?.get(OF).cloned()
    };
    said().unwrap_or_else(|| "damaged".to_owned())
}

fn crc32(values: &Values) -> String {
    let mut crc32 = crc32fast::Hasher::new();
    values.iter().for_each(|(_, bytes)| crc32.update(bytes));
    format!("{:08x}", crc32.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str, limit_bytes: u64) -> Cache {
        let folder = std::env::temp_dir().join(format!("gradus-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Cache::new(folder, limit_bytes)
    }

    fn path(cache: &Cache, name: &str) -> PathBuf {
        let mut key = Key::new("test");
        key.add("name", name.as_bytes());
        cache.path(key)
    }

    #[test]
    fn values_come_back_and_damage_is_seen() {
        let cache = cache("damage", 1 << 20);
        let path = path(&cache, "one");
        let values: Values = vec![("a".to_owned(), vec![1, 2, 3]), ("b".to_owned(), vec![4; 100])];
        let wanted = [("a".to_owned(), 3), ("b".to_owned(), 100)];
        assert_eq!(cache.read(&path, &wanted), Ok(None));
        cache.write(&path, &values, "a test").expect("written");
        assert_eq!(cache.read(&path, &wanted), Ok(Some(values)));
        assert_eq!(cache.files().expect("files")[0].of, "a test");
        // Another size, a bit, a file that was cut off.
        assert_eq!(cache.read(&path, &[("a".to_owned(), 4)]), Err(()));
        let mut bytes = fs::read(&path).expect("a file");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).expect("a file");
        assert_eq!(cache.read(&path, &wanted), Err(()));
        fs::write(&path, &bytes[..last / 2]).expect("a file");
        assert_eq!(cache.read(&path, &wanted), Err(()));
        assert!(cache.clear().expect("cleared") > 0 && cache.files().expect("none").is_empty());
    }

    #[test]
    fn what_was_used_longest_ago_goes() {
        let cache = cache("bound", 2500);
        let values = |byte: u8| -> Values { vec![("a".to_owned(), vec![byte; 900])] };
        let wanted = [("a".to_owned(), 900)];
        let [one, two, three] = ["one", "two", "three"].map(|name| path(&cache, name));
        for (place, path) in [&one, &two].into_iter().enumerate() {
            cache.write(path, &values(place as u8), "").expect("written");
            let old = SystemTime::now() - std::time::Duration::from_secs(100 - 10 * place as u64);
            File::options().append(true).open(path).and_then(|file| file.set_modified(old)).expect("a time");
        }
        // The first was written first and used last.
        assert!(cache.read(&one, &wanted).expect("whole").is_some());
        cache.write(&three, &values(3), "").expect("written");
        let there = [&one, &two, &three].map(|path| path.exists());
        assert_eq!(there, [true, false, true]);
        let told = cache.write(&two, &vec![("a".to_owned(), vec![0; 3000])], "").expect_err("too much").to_string();
        assert!(told.contains("3000 bytes are more than the limit of 2500"), "{told}");
        cache.clear().expect("cleared");
    }
}
