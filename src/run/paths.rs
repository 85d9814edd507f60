//! Paths as they are written down.

use std::path::Path;

/// A path that means the same from any folder.
pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
