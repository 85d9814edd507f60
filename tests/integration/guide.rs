//! The guide, followed: its files are written, its commands run in their order, in one folder.

use crate::support::folder;
use gradus::run::RunFile;
use gradus::schedule::Spec;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A fenced block: the line before it, its language, and its lines.
pub(crate) struct Block<'a> {
    before: &'a str,
    pub(crate) language: &'a str,
    pub(crate) lines: Vec<&'a str>,
}

pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let (mut open, mut before) = (false, "");
    for line in text.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => {
                blocks.push(Block { before, language, lines: Vec::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => blocks.last_mut().expect("a block is open").lines.push(line),
            (None, false) if !line.is_empty() => before = line,
            (None, false) => {}
        }
    }
    blocks
}

/// Runs a command of a page on the CPU engine; what it printed.
pub(crate) fn run(folder: &Path, command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "gradus", "a page runs only gradus: {command}");
    let mut program = Command::new(env!("CARGO_BIN_EXE_gradus"));
    let output = program.current_dir(folder).env("GRADUS_ADAPTER", "cpu").args(&words[1..]).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}\n{told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[test]
fn the_guide_can_be_followed() {
    let desk = folder("guide");
    std::fs::create_dir_all(&desk).expect("a folder");
    let (mut files, mut commands) = (0, 0);
    for Block { before, language, lines } in blocks(include_str!("../../docs/guide.md")) {
        if language == "sh" {
            for command in lines {
                run(&desk, command);
                commands += 1;
            }
            continue;
        }
        let name = before.strip_prefix('`').and_then(|line| line.strip_suffix("`:")).expect("a file's name before it");
        std::fs::write(desk.join(name), lines.join("\n") + "\n").expect("a file");
        files += 1;
    }
    assert!(files >= 8 && commands >= 9, "{files} files, {commands} commands");

    let report = std::fs::read_to_string(desk.join("runs/gradual/report.html")).expect("a report");
    for words in [
        "<h1>gradual</h1>",
        "Learning rate of each group",
        "<svg",
        "the previous phase",
        "layers.1.weight",
        "Memory in the last phase",
        "Check of the kernels",
    ] {
        assert!(report.contains(words), "{words:?} is missing in the report");
    }
    let addresses: Vec<&str> = report.split('"').filter(|word| word.contains("://")).collect();
    assert!(addresses.iter().all(|word| *word == "http://www.w3.org/2000/svg"), "no network: {addresses:?}");
    for file in ["digits.lr-find.svg", "digits.lr-find.csv"] {
        assert!(desk.join("runs").join(file).exists(), "{file}");
    }
    let second = std::fs::read_to_string(desk.join("runs/second/run.yaml")).expect("a run file");
    assert!(second.contains("lr: 0.00002"), "auto, on a frozen trunk:\n{second}");
    std::fs::remove_dir_all(desk).expect("the folder was ours");
}

/// What the first page says in running text is what the command prints.
#[test]
fn the_readme_has_the_numbers_of_its_plan() {
    let page = include_str!("../../README.md");
    let schedule = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/mlp_gradual.yaml");
    let told = run(Path::new("."), &format!("gradus plan {schedule} --model mlp"));
    for bytes in ["18.2 kB", "482.3 kB"] {
        assert!(told.contains(bytes) && page.contains(bytes), "{bytes}\n{told}");
    }
    assert!(page.lines().count() <= 120, "the first page is short");
}

/// The keys that the reader says it knows, where a run file has one that it does not.
fn known(text: &str) -> BTreeSet<String> {
    let told = RunFile::parse("run.yaml", text, (Path::new(""), "run"), &[]).expect_err("zzz is no key").to_string();
    let (_, list) = told.split_once("known are ").expect("a list of them");
    list.split(", ").map(str::to_owned).collect()
}

/// The keys in the first column of a table below a heading.
fn listed(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let table = below.split("\n## ").next().unwrap_or_default();
    let cells = table.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    cells.flat_map(|cell| cell.split(',')).map(|key| key.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn the_page_of_the_run_file_lists_every_key() {
    let page = include_str!("../../docs/run_file.md");
    let mlp = "model: {type: mlp}\n";
    let told = Spec::parse("schedule.yaml", "zzz: 1").expect_err("zzz is no key").to_string();
    let (_, sections) = told.split_once("known are ").expect("a list of them");
    let sections: BTreeSet<String> = sections.split(", ").map(str::to_owned).collect();
    assert_eq!(listed(page, "The run"), RunFile::KEYS.iter().map(|key| (*key).to_owned()).collect());
    for section in sections {
        assert!(page.contains(&format!("`{section}`")), "{section}");
    }
    let of_models = ["mlp", "decoder", "encoder", "resnet", "efficientnet_lite"]
        .map(|kind| known(&format!("model: {{type: {kind}, zzz: 1}}")));
    assert_eq!(listed(page, "`model`"), of_models.into_iter().flatten().collect());
    let of_data = [
        known(&format!("{mlp}data: {{embedded: digits, zzz: 1}}")),
        known(&format!("{mlp}data: {{train: a.csv, zzz: 1}}")),
        known(&format!("{mlp}data: {{train: a, train_labels: b, zzz: 1}}")),
        known("model: {type: decoder}\ndata: {train: a.txt, zzz: 1}"),
        known("model: {type: encoder}\ndata: {train: a.csv, zzz: 1}"),
        known("model: {type: resnet}\ndata: {train: a, zzz: 1}"),
    ];
    assert_eq!(listed(page, "`data`"), of_data.into_iter().flatten().collect());
}

#[test]
fn the_page_of_coverage_names_tests_that_are_there() {
    let page = include_str!("../../docs/coverage.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| `FTS"));
    let mut held = 0;
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        for named in last.split("`, `").map(|cell| cell.trim_matches('`')).filter(|cell| cell.contains("::")) {
            let (file, test) = named.split_once("::").expect("file::test");
            let path = if file.contains('/') { file.to_owned() } else { format!("tests/integration/{file}.rs") };
            let code = std::fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            let (before, _) = code.split_once(&format!("fn {test}(")).unwrap_or_else(|| panic!("{named} is not there"));
            assert!(before.trim_end().ends_with("#[test]") || code.contains("proptest!"), "{named} is no test");
            held += 1;
        }
        let is_told = last.contains("::") || last == "not here yet" || last == "held by" || last.starts_with("--");
        assert!(is_told, "no test holds {row}");
    }
    assert!(held > 80, "{held} rows");
}
