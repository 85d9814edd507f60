//! Reading and writing of files: regular files only, made anew and never written through a link.

use super::Error;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Opens a regular file to be read.
///
/// # Errors
/// From the system; a pipe, a device or a socket, which may have no end and cannot be read again by a run that continues.
pub fn open(path: &Path) -> io::Result<File> {
    let is_standard_input =
        path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
    if is_standard_input {
        return Err(refused("standard input, which cannot be read again: save it in a file first".to_owned()));
    }
    check(&fs::metadata(path)?)?;
    File::open(path)
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
/// As [`open`]; bytes that are not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(ErrorKind::InvalidData, format!("not UTF-8 from byte {at} on"))
    })
}

/// Makes a new file: an old one is removed, and a link is not written through.
///
/// # Errors
/// From the system.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => OpenOptions::new().write(true).create_new(true).open(path),
    }
}

/// Opens a regular file to add to its end, and makes it if it is not there.
///
/// # Errors
/// From the system; a link, a pipe, a device or a socket.
pub fn append(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => check(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Reading is for Windows, which cannot lock a file that is open only for appending.
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// Replaces a file, whole or not at all: a new one is written beside it, synced and renamed.
///
/// # Errors
/// [`Error::File`]; the old file is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = beside(path);
    let written = write_synced(&beside, bytes).and_then(|()| fs::rename(&beside, path).map_err(Error::file(path)));
    if written.is_err() {
        // What is half written is of no use to anyone; that it cannot be removed adds nothing to the error.
        let _ = fs::remove_file(&beside);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    written.and_then(|()| sync_folder(folder.unwrap_or(Path::new("."))))
}

/// Where a file is written before it replaces the old one.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut beside = path.to_owned();
    beside.as_mut_os_string().push(".new");
    beside
}

/// Writes a file and makes it last.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(Error::file(path))
}

/// Makes names in a folder last; only Unix opens a folder for that.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file(folder))
    } else {
        Ok(())
    }
}

/// Refuses what is not a file of bytes. A folder is refused by the system, in its own words.
fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() || metadata.is_dir() {
        Ok(())
    } else {
        Err(refused(format!("{}; a regular file is needed", kind(metadata))))
    }
}

fn refused(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("this is {what}"))
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () if kind.is_symlink() => "a link",
        () => "no file",
    }
}

#[cfg(not(unix))]
fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_symlink() { "a link" } else { "no file" }
}
