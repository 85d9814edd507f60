//! Pictures with a class each, read from disk: a folder for each class, a table of paths, or IDX files.

use super::bad_rows::BadRows;
use super::examples::{Example, Examples, class};
use super::idx::Idx;
use super::table::{Row, Table};
use super::{Error, PictureData, PictureFiles, ReadOptions, Wants};
use crate::data::{Embedded, LabelledPictures, Pictures, on_all_cores};
use crate::params::{Shown, shown_list, shown_path};
use crate::train::files;
use std::path::{Path, PathBuf};

/// A picture in the model's size: `[height, width, 3]` bytes.
pub(super) type Pixels = Vec<u8>;

/// Ends of names that pictures have; of these, PNG and JPEG are read.
const PICTURES: [&str; 12] = ["png", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "webp", "tif", "tiff", "ppm", "avif"];

/// Folders by which other programs split a set.
const SPLITS: [&str; 6] = ["train", "test", "val", "valid", "validation", "eval"];

/// Files that a core unpacks at a time.
const SHARE: usize = 8;

impl PictureData {
    /// The pictures of a train or test set, each with the name of its class. `labels` is the file of the labels of IDX files.
    pub(super) fn examples(
        &self,
        path: &Path,
        labels: Option<&Path>,
        options: ReadOptions<'_>,
    ) -> Result<Examples<Pixels, String>, Error> {
        match (&self.files, labels) {
            // A test set may be of another kind than the train set.
            _ if path.is_dir() => self.of_folder(path, options),
            (_, Some(labels)) => self.of_idx(path, labels),
            (PictureFiles::Table { image, label }, _) => {
                let table = Table::read(path, Some(label))?;
                let place = table.column(label)?;
                self.of_table(table, image, |table, row| class(table, row, place), options)
            }
            (PictureFiles::Embedded(Embedded::Pictures(_, set)), _) if path == self.train => {
                let bad = |reason: String| Error::bad_file(path, reason);
                let LabelledPictures { size, pictures } = set().map_err(bad)?;
                let fitted = |(bytes, class)| (class, self.wants.preparation.of_bytes(size, bytes));
                Ok(self.read(path, pictures.into_iter().map(fitted).collect(), BadRows::default()))
            }
            _ => self.of_folder(path, options),
        }
    }

    /// The pictures that a model is asked about, each with its name in place of a class: a file, a folder of any shape, or a table of
    /// paths.
    pub(super) fn asked(&self, path: &Path, options: ReadOptions<'_>) -> Result<Examples<Pixels, String>, Error> {
        let files = match (path.is_dir(), &self.files) {
            (true, _) => {
                let mut files = Vec::new();
                collect(path, &mut files)?;
                files.retain(|file| is_picture(file));
                files.sort();
                files
            }
            (false, _) if is_picture(path) => vec![path.to_owned()],
            (false, PictureFiles::Table { image, .. }) => {
                let table = Table::read(path, None)?;
                let place = table.column(image)?;
                let name = |table: &Table, row: &Row| Ok(table.cell(row, place).unwrap_or_default().to_owned());
                return self.of_table(table, image, name, options);
            }
            (false, _) => {
                let reason = "neither a picture (PNG, JPEG) nor a folder of pictures";
                return Err(if path.exists() { Error::bad_file(path, reason) } else { gone(path) });
            }
        };
        if files.is_empty() {
            return Err(Error::bad_file(path, "there is no picture in it"));
        }
        let names = files.iter().map(|file| file.strip_prefix(path).ok().filter(|rest| *rest != Path::new("")));
        let names = names.zip(&files).map(|(rest, file)| rest.unwrap_or(file).display().to_string());
        let found = self.unpacked(&files, path, options);
        Ok(self.read(path, names.zip(found).collect(), BadRows::default()))
    }

    /// The set that a model reads, of pictures with their places among the classes.
    pub(super) fn set(&self, rows: &[Example<Pixels, u32>], classes: usize) -> Result<Pictures, Error> {
        let bytes: Vec<u8> = rows.iter().flat_map(|row| row.input.iter().copied()).collect();
        let labels = rows.iter().map(|row| row.label).collect();
        let Wants { mean, deviation, .. } = self.wants;
        Ok(Pictures::new(self.wants.preparation.size, classes, &bytes, labels)?.normalized(mean, deviation))
    }

    /// A folder for each class.
    fn of_folder(&self, path: &Path, options: ReadOptions<'_>) -> Result<Examples<Pixels, String>, Error> {
        let classes = class_folders(path)?;
        let mut found: Vec<(PathBuf, String)> = Vec::new();
        let (mut empty, mut bad) = (Vec::new(), BadRows::default());
        for (name, file) in entries(path)? {
            if !file.is_dir() && is_picture(&file) {
                bad.add(0, format!("{}: it lies in no folder of a class", Shown(&name)));
            }
        }
        for (class, folder) in classes {
            let mut files = Vec::new();
            collect(&folder, &mut files)?;
            files.retain(|file| is_picture(file));
            files.sort();
            if files.is_empty() {
                empty.push(class.clone());
            }
            found.extend(files.into_iter().map(|file| (file, class.clone())));
        }
        if !empty.is_empty() {
            let reason = format!("no picture in the folder of the class {}", shown_list(&empty));
            return Err(Error::bad_file(path, reason));
        }
        let (files, labels): (Vec<PathBuf>, Vec<String>) = found.into_iter().unzip();
        let pixels = self.unpacked(&files, path, options);
        Ok(self.read(path, labels.into_iter().zip(pixels).collect(), bad))
    }

    /// The pictures of a table, each with what `label` makes of its row.
    fn of_table<L>(
        &self,
        table: Table,
        image: &str,
        label: impl Fn(&Table, &Row) -> Result<L, String>,
        options: ReadOptions<'_>,
    ) -> Result<Examples<Pixels, L>, Error> {
        let place = table.column(image)?;
        let folder = table.path.parent().unwrap_or(Path::new("")).to_owned();
        let file = |table: &Table, row: &Row| match table.cell(row, place)? {
            "" => Err(format!("{} is empty", Shown(image))),
            named => Ok(folder.join(named)),
        };
        let Examples { path, rows, mut bad, form } = Examples::of(table, file, label);
        let files: Vec<PathBuf> = rows.iter().map(|row| row.input.clone()).collect();
        let mut good = Vec::with_capacity(rows.len());
        for (row, pixels) in rows.into_iter().zip(self.unpacked(&files, Path::new(""), options)) {
            match pixels {
                Ok(pixels) => good.push(Example { line: row.line, input: pixels, label: row.label }),
                Err(reason) => bad.add(row.line, reason),
            }
        }
        Ok(Examples { path, rows: good, bad, form })
    }

    /// IDX files: grey pictures `[pictures, height, width]`, or `[pictures, height, width, 3]`.
    fn of_idx(&self, path: &Path, labels: &Path) -> Result<Examples<Pixels, String>, Error> {
        let (pictures, of) = (Idx::read(path)?, Idx::read(labels)?);
        let ([count, height, width] | [count, height, width, 3]) = pictures.sizes[..] else {
            let sizes = &pictures.sizes;
            return Err(Error::bad_file(path, format!("its sizes are {sizes:?}; pictures have a height and a width")));
        };
        if of.sizes != [count] {
            let reason = format!("its sizes are {:?}: one label for each of {count} pictures is needed", of.sizes);
            return Err(Error::bad_file(labels, reason));
        }
        let channels = pictures.width() / (height * width);
        let one = |bytes: &[u8]| -> Result<Pixels, String> {
            // Grey is the same in each channel.
            let bytes = bytes.iter().flat_map(|byte| std::iter::repeat_n(*byte, 3 / channels));
            self.wants.preparation.of_bytes([height, width], bytes.collect())
        };
        let rows = pictures.bytes.chunks(pictures.width()).zip(&of.bytes);
        let rows = rows.map(|(bytes, label)| (label.to_string(), one(bytes))).collect();
        Ok(self.read(path, rows, BadRows::default()))
    }

    /// What each file holds, in their order, now or as an earlier run kept it; what is wrong names the file, relative to `folder`.
    fn unpacked(&self, files: &[PathBuf], folder: &Path, options: ReadOptions<'_>) -> Vec<Result<Pixels, String>> {
        // What is said of a single file names it already.
        let named = |file: &Path, reason: String| match file.strip_prefix(folder) {
            Ok(inside) if inside == Path::new("") => reason,
            inside => format!("{}: {reason}", shown_path(inside.unwrap_or(file))),
        };
        let one = |file: &PathBuf| {
            let bytes = files::read(file).map_err(|error| named(file, error.to_string()))?;
            self.wants.preparation.picture(&bytes).map_err(|reason| named(file, reason))
        };
        let Some((cache, noted)) = options.kept else { return on_all_cores(files, SHARE, one, options.told) };
        let (pictures, note) = cache.pictures(&self.wants.preparation, files, one, options.told);
        noted(note);
        pictures
    }

    fn read<L>(&self, path: &Path, rows: Vec<(L, Result<Pixels, String>)>, mut bad: BadRows) -> Examples<Pixels, L> {
        let mut good = Vec::with_capacity(rows.len());
        for (label, pixels) in rows {
            match pixels {
                Ok(input) => good.push(Example { line: 0, input, label }),
                Err(reason) => bad.add(0, reason),
            }
        }
        Examples { path: path.to_owned(), rows: good, bad, form: str::to_owned }
    }
}

/// The folders of the classes, by name.
fn class_folders(path: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    if !path.is_dir() {
        let reason = "not a folder with a folder of pictures for each class; for a table, name its columns by data.image and \
                      data.label, for IDX files the labels by data.train_labels";
        return Err(if path.exists() { Error::bad_file(path, reason) } else { gone(path) });
    }
    let mut folders = Vec::new();
    for (name, entry) in entries(path)? {
        if entry.is_dir() {
            folders.push((name, entry));
        }
    }
    let around = path.canonicalize().ok();
    for (name, folder) in &folders {
        let target = folder.canonicalize().ok();
        if around.iter().zip(&target).any(|(around, target)| around.starts_with(target)) {
            let reason = format!("{} is a link to a folder that holds it", Shown(name));
            return Err(Error::bad_file(path, reason));
        }
    }
    let is_split = |(name, folder): &(String, PathBuf)| {
        let has_folders = || entries(folder).is_ok_and(|inside| inside.iter().any(|(_, entry)| entry.is_dir()));
        SPLITS.contains(&name.to_lowercase().as_str()) && has_folders()
    };
    if folders.is_empty() {
        let reason = "there is no folder in it: pictures lie in a folder for each class, as in cat/1.jpg, dog/1.jpg";
        return Err(Error::bad_file(path, reason));
    }
    if folders.iter().all(is_split) {
        let names: Vec<&String> = folders.iter().map(|(name, _)| name).collect();
        let reason = format!(
            "it holds {}, which are no classes: name the folder of the train set by data.train, that of the test set by data.test",
            shown_list(&names)
        );
        return Err(Error::bad_file(path, reason));
    }
    Ok(folders)
}

/// What a folder holds, by name, without what is hidden.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let unreadable = |error: std::io::Error| Error::unreadable(folder, &error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else {
            let shown = entry.file_name().to_string_lossy().into_owned();
            return Err(Error::bad_file(folder, format!("the name {:?} is not UTF-8", Shown(&shown))));
        };
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// The files below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for (_, entry) in entries(folder)? {
        // A link to a folder may lead in a circle.
        let is_link = entry.symlink_metadata().is_ok_and(|found| found.is_symlink());
        match entry.is_dir() {
            true if is_link => {}
            true => collect(&entry, files)?,
            false => files.push(entry),
        }
    }
    Ok(())
}

fn is_picture(file: &Path) -> bool {
    let end = file.extension().map(|end| end.to_string_lossy().to_lowercase());
    end.is_some_and(|end| PICTURES.contains(&end.as_str()))
}

fn gone(path: &Path) -> Error {
    Error::bad_file(path, "there is no such file or folder")
}
