//! What a file of weights is that is not a safetensors file.

use std::path::Path;

/// Bytes of its beginning that tell what a file is.
pub(super) const TELLING_BYTES: usize = 512;

const CONVERT: &str = "write it again with safetensors.torch.save_file";

/// The kind of a file by its name and first bytes; `None` if it may be a safetensors file.
pub(super) fn other_than_safetensors(path: &Path, beginning: &[u8]) -> Option<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let starts = |with: &[u8]| beginning.starts_with(with);
    let text = String::from_utf8_lossy(beginning);
    let text = text.trim_start();
    Some(match () {
        () if beginning.is_empty() => "the file is empty".to_owned(),
        () if starts(b"version https://git-lfs") => "it is a Git LFS pointer: git lfs pull fetches the file".to_owned(),
        () if starts(b"GGUF") => "it is a GGUF file, for llama.cpp; gradus reads safetensors".to_owned(),
        () if starts(b"PK\x03\x04") && name.ends_with(".npz") => {
            "it is an archive of NumPy arrays; write it again with safetensors.numpy.save_file".to_owned()
        }
        () if starts(b"PK\x03\x04") => format!("it is a PyTorch file of pickles in a zip archive: {CONVERT}"),
        // The first byte of a pickle, and its protocol. A header of 640 to 1408 bytes begins with 0x80 too, but no file that
        // small has one whose ninth byte is not a brace.
        () if beginning.len() > 1
            && starts(&[0x80])
            && (2..=5).contains(&beginning[1])
            && beginning.get(8) != Some(&b'{') =>
        {
            format!("it is a pickle, as older versions of PyTorch wrote them: {CONVERT}")
        }
        () if starts(b"\x89HDF") => format!("it is an HDF5 file, as Keras writes them: {CONVERT}"),
        () if starts(&[0x1f, 0x8b]) => "it is packed by gzip: unpack it first".to_owned(),
        () if text.starts_with("<!DOCTYPE") || text.starts_with("<html") => {
            "it is a web page, saved in place of the file".to_owned()
        }
        () if text.starts_with('{') => "it is JSON, not safetensors".to_owned(),
        () => return None,
    })
}

/// Which shard of how many a file is by its name, as in `model-00001-of-00002.safetensors`.
pub(super) fn shard(path: &Path) -> Option<(u32, u32)> {
    let stem = path.file_stem()?.to_str()?;
    let (rest, of) = stem.rsplit_once("-of-")?;
    let (_, number) = rest.rsplit_once('-')?;
    Some((number.parse().ok()?, of.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_and_safetensors_are_let_through() {
        let told = |name: &str, bytes: &[u8]| other_than_safetensors(Path::new(name), bytes).unwrap_or_default();
        for (name, bytes, words) in [
            ("a.safetensors", &b""[..], "the file is empty"),
            ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
            ("pytorch_model.bin", b"PK\x03\x04", "it is a PyTorch file of pickles in a zip archive"),
            ("a.npz", b"PK\x03\x04", "it is an archive of NumPy arrays"),
            ("a.pt", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "it is a pickle"),
            ("a.gguf", b"GGUF\x03\0\0\0", "it is a GGUF file"),
            ("a.h5", b"\x89HDF\r\n", "it is an HDF5 file"),
            ("a.json", b"{}", "it is JSON"),
            ("a.safetensors", b"<!DOCTYPE html>", "it is a web page"),
        ] {
            assert!(told(name, bytes).starts_with(words), "{name}: {}", told(name, bytes));
        }
        for length in [64u64, 640, 0x280, 0x380, 0x580, 70_000] {
            let head = [&length.to_le_bytes()[..], b"{\"a\":{\"dtype\":\"F32\""].concat();
            assert_eq!(told("a.safetensors", &head), "", "{length}");
        }
        assert_eq!(shard(Path::new("x/model-00001-of-00002.safetensors")), Some((1, 2)));
        assert_eq!(shard(Path::new("model.safetensors")), None);
    }
}
