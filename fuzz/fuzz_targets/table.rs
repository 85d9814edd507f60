//! A table as CSV, TSV or JSON lines, of numbers or of texts.
#![no_main]

use gradus::run::{Material, RunFile};
use gradus_fuzz::folder;
use libfuzzer_sys::fuzz_target;
use std::cell::LazyCell;
use std::path::PathBuf;

thread_local!(static FOLDER: LazyCell<PathBuf> = LazyCell::new(|| folder("table")));

fuzz_target!(|input: &[u8]| {
    let Some((kind, table)) = input.split_first() else { return };
    let name = ["table.csv", "table.tsv", "table.jsonl"][usize::from(kind % 3)];
    let skips = if kind & 0x40 == 0 { "false" } else { "true" };
    let unknown = ["error", "skip", "token"][usize::from(kind / 3 % 3)];
    let (model, data) = match kind & 0x80 {
        0 => ("{type: mlp, hidden: [3]}", "label: b".to_owned()),
        _ => ("{type: encoder, preset: tiny}", format!("text: a, label: b, unknown: {unknown}")),
    };
    let text = format!("model: {model}\ndata: {{train: {name}, {data}, skip_bad_rows: {skips}}}\n");
    FOLDER.with(|folder| {
        std::fs::write(folder.join(name), table).expect("a file");
        let run = RunFile::parse("run.yaml", &text, (folder, "run"), &[]).expect("a run file");
        let _ = Material::read(&run).map_err(|error| error.to_string());
    });
});
