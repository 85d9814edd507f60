//! What the targets share.

use std::path::PathBuf;

/// A good file with changes: each four bytes of the input are a place, what is done there, and a byte to do it with. So
/// the fuzzer begins with what is almost right, and needs no folder of examples.
pub fn edited(good: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut file = good.to_vec();
    for edit in edits.chunks_exact(4) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % (file.len() + 1);
        match edit[2] % 5 {
            0 if place < file.len() => file[place] = edit[3],
            1 if place < file.len() => drop(file.remove(place)),
            2 => file.truncate(place),
            // A stretch once more.
            3 => {
                let again = file[place..].iter().take(usize::from(edit[3])).copied().collect::<Vec<_>>();
                file.splice(place..place, again);
            }
            _ => file.insert(place, edit[3]),
        }
    }
    file
}

/// A folder of this process.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gradus-fuzz-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
