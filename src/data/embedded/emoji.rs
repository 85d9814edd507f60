//! Emoji: 480 pictures of 32 × 32 pixels in six classes (Google's Noto Emoji; see `data/emoji/README.md`).

use super::LabelledPictures;
use crate::data::picture_file::pixels;

const SIDE: usize = 32;
const EACH: usize = 80;
const SHEET: &[u8] = include_bytes!("../../../data/emoji/emoji.png");
const CLASSES: &str = include_str!("../../../data/emoji/classes.txt");

/// The emoji, class after class.
///
/// # Errors
/// None in practice: the data is part of the program.
pub fn emoji() -> Result<LabelledPictures, String> {
    let classes: Vec<String> = CLASSES.lines().map(str::to_owned).collect();
    let (size, sheet) = pixels(SHEET)?;
    if size != [SIDE * classes.len(), SIDE * EACH] {
        return Err(format!("the sheet is of {size:?} pixels"));
    }
    let line =
        |row: usize, column: usize, y: usize| &sheet[((row * SIDE + y) * EACH + column) * SIDE * 3..][..SIDE * 3];
    let tile = |row, column| (0..SIDE).flat_map(|y| line(row, column, y).iter().copied()).collect::<Vec<u8>>();
    let tiles = (0..classes.len()).flat_map(|row| (0..EACH).map(move |column| (row, column)));
    let pictures = tiles.map(|(row, column)| (tile(row, column), classes[row].clone())).collect();
    Ok(LabelledPictures { size: [SIDE, SIDE], pictures })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_emoji_are_there_and_whole() {
        let LabelledPictures { size, pictures } = emoji().expect("emoji");
        assert_eq!((size, pictures.len()), ([32, 32], 480));
        assert!(pictures.iter().all(|(bytes, _)| bytes.len() == 32 * 32 * 3));
        assert_eq!((pictures[0].1.as_str(), pictures[479].1.as_str()), ("Flags", "Objects"));
        // The first is the chequered flag, on white.
        assert_eq!(pictures[0].0[..3], [255; 3]);
        let different: std::collections::BTreeSet<&[u8]> = pictures.iter().map(|(bytes, _)| &bytes[..]).collect();
        assert!(different.len() > 470, "{}", different.len());
    }
}
