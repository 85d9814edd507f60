//! A file of JSON lines that grows while a run continues.

use super::appended::Appended;
use anyhow::Context;
use gradus::params::shown_path;
use gradus::train::files;
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The key of a line that counts missing ones.
pub(super) const LOST: &str = "lost_lines";

/// A log. A line that cannot be written is missing; before the next one, a line counts the missing ones.
pub(super) struct Log {
    file: Appended,
    /// Lines that are missing after the last one.
    missing: u64,
}

impl Log {
    /// The file, made if it is not there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Log> {
        Ok(Log { file: Appended::open(path)?, missing: 0 })
    }

    /// Adds a line. Of several failures in a row the first is an error.
    pub(super) fn add(&mut self, line: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line)? + "\n";
        if self.missing > 0 {
            text = format!("{{\"{LOST}\":{}}}\n{text}", self.missing);
        }
        let added = self.file.add(text.as_bytes());
        self.missing = if matches!(added, Ok(true)) { 0 } else { self.missing + 1 };
        added.map(drop)
    }

    /// Makes what has been written last.
    pub(super) fn sync(&self) -> anyhow::Result<()> {
        self.file.sync()
    }
}

/// Drops the lines of steps that a resumed run repeats, which `kept` refuses; returns the others. An unreadable line,
/// or one that `kept` cannot judge, becomes a line that counts it as missing.
pub(super) fn keep_until(file: &Path, kept: impl Fn(&Value) -> Option<bool>) -> anyhow::Result<Vec<Value>> {
    let bytes = match files::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("reading {}", shown_path(file)))?,
    };
    let (mut lines, mut text, mut missing) = (Vec::new(), Vec::new(), 0);
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Value>(line) {
            Ok(value) if value[LOST].is_u64() => missing += value[LOST].as_u64().unwrap_or(0),
            Ok(value) if kept(&value) == Some(true) => {
                if missing > 0 {
                    writeln!(text, "{{\"{LOST}\":{missing}}}")?;
                }
                missing = 0;
                text.extend(line);
                text.push(b'\n');
                lines.push(value);
            }
            Ok(value) if kept(&value) == Some(false) => {}
            _ => missing += 1,
        }
    }
    if text != bytes {
        files::replace(file, &text)?;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_lines_between_good_ones_are_marked_and_the_end_that_comes_again_goes() {
        let file = std::env::temp_dir().join(format!("gradus-log-{}.jsonl", std::process::id()));
        std::fs::write(
            &file,
            b"{\"step\":0}\n{\"st\n{\"step\":\"1\"}\n\xff\n{\"step\":1,\"a\":0}\n{\"step\":2}\n{\"step\":3",
        )
        .unwrap();
        let lines = keep_until(&file, |line| line["step"].as_u64().map(|step| step < 2)).unwrap();
        assert_eq!(lines.len(), 2);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "{\"step\":0}\n{\"lost_lines\":3}\n{\"step\":1,\"a\":0}\n");
        let mut log = Log::open(&file).unwrap();
        log.missing = 3;
        log.add(&serde_json::json!({"step": 2})).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text + "{\"lost_lines\":3}\n{\"step\":2}\n");
        std::fs::remove_file(&file).unwrap();
    }
}
