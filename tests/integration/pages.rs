//! The commands of all pages: each is run, or listed with the reason why not. The guide has a test of its own.

use crate::guide::{Block, blocks, run};
use crate::support::folder;
use gradus::run::RunFile;
use gradus::schedule::Spec;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Commands that no test runs, by their beginning, and why.
const NOT_RUN: [(&str, &str); 11] = [
    ("cargo ", "builds or installs everything again"),
    ("make demo", "takes minutes; demo.rs runs smaller ones"),
    ("make test", "runs this test"),
    ("gradus train senses.yaml", "needs MiniLM, 90 MB from a network"),
    ("gradus train run.yaml --adapters", "needs two adapters; ranks_command.rs names the CPU engine twice"),
    ("mpirun ", "needs the feature mpi; tests/mpi.rs calls it"),
    ("sh scripts/mpi.sh", "installs packages"),
    ("gradus check", "takes a minute; check.rs checks fewer kernels"),
    ("python3 scripts/campaign/kill.py", "takes minutes; kill.rs kills fewer runs"),
    ("python3 scripts/campaign/full_disk.py", "takes minutes and a C compiler"),
    ("python3 scripts/mutate.py", "takes an hour"),
];

/// Files that the pages name.
const FILES: [(&str, &str); 7] = [
    ("run.yaml", "model: {type: mlp, hidden: [16]}\ndata: {embedded: digits}\nepochs: 2\nlearning_rate: 1.0e-3\n"),
    ("schedule.yaml", "optimizer: {type: adamw, lr: 1.0e-3}\nlr_scheduler: {type: cosine, warmup_epochs: 1}\n"),
    (
        "reviews.yaml",
        "model: {type: encoder, preset: tiny, context: 16}\ndata: {train: test.csv, test: test.csv, text: text, label: stars}\n\
         epochs: 1\nbatch_size: 4\nlearning_rate: 1.0e-3\n",
    ),
    (
        "test.csv",
        "text,stars\nwarm and clever,good\nslow and empty,bad\na plain film,fair\na joy,good\ndull,bad\nit was so so,fair\n",
    ),
    ("new.csv", "text\na fine film\nan empty one\n"),
    (
        "psalms.yaml",
        "model: {type: decoder, preset: tiny, context: 16}\ndata: {train: psalms.txt}\nepochs: 1\nbatch_size: 4\n",
    ),
    (
        "psalms.txt",
        "And the LORD said. And the heaven and the earth. And the LORD said unto them. And the waters under the heaven. And the \
         LORD saw. And the evening and the morning. And the LORD said. And the earth brought forth grass. And the LORD saw.\n",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn is_not_run(command: &str) -> bool {
    NOT_RUN.iter().any(|(begins, _)| command.starts_with(begins))
}

/// Every page with commands for a reader, but for the guide.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("SECURITY.md")];
    for folder in ["docs", "docs/from"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("pages") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("guide.md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// A folder with the files that the pages name, and a trained run.
fn desk() -> PathBuf {
    let desk = folder("pages");
    std::fs::create_dir_all(desk.join("schedules")).expect("a folder");
    for entry in std::fs::read_dir(root().join("schedules")).expect("schedules") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, desk.join("schedules").join(path.file_name().expect("a name"))).expect("a copy");
    }
    for (name, text) in FILES {
        std::fs::write(desk.join(name), text).expect("a file");
    }
    run(&desk, "gradus train reviews.yaml");
    run(&desk, "gradus train psalms.yaml");
    desk
}

/// Runs a command that reads standard input: `echo 'TEXT' | gradus …`.
fn run_piped(desk: &Path, text: &str, command: &str) {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let mut program = Command::new(env!("CARGO_BIN_EXE_gradus"));
    let program = program.current_dir(desk).env("GRADUS_ADAPTER", "cpu").args(words).stdin(Stdio::piped());
    let mut child = program.stdout(Stdio::null()).spawn().expect("it runs");
    let mut input = child.stdin.take().expect("a pipe");
    writeln!(input, "{text}").expect("a reader");
    drop(input);
    assert!(child.wait().expect("an end").success(), "{command}");
}

#[test]
fn every_command_of_a_page_is_run_or_listed() {
    let desk = desk();
    let (mut ran, mut listed) = (0, 0);
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for Block { language, lines, .. } in blocks(&text) {
            let commands: Vec<&str> = match (language, lines.first().and_then(|line| line.strip_prefix("$ "))) {
                ("sh" | "bash", _) => lines.iter().filter(|line| !line.is_empty()).copied().collect(),
                ("text", Some(command)) => vec![command],
                _ => continue,
            };
            for command in commands {
                let command = command.split("  #").next().unwrap_or_default().trim();
                if is_not_run(command) {
                    listed += 1;
                } else if let Some((text, command)) =
                    command.strip_prefix("echo '").and_then(|rest| rest.split_once("' | "))
                {
                    run_piped(&desk, text, command);
                    ran += 1;
                } else {
                    let told = run(&desk, command);
                    if language == "text" {
                        assert!(
                            told.starts_with(lines[1..].join("\n").trim_end()),
                            "{}: {command}\n{told}",
                            page.display()
                        );
                    }
                    ran += 1;
                }
            }
        }
    }
    assert!(ran >= 15 && listed >= 10, "{ran} commands run, {listed} listed");
    std::fs::remove_dir_all(desk).expect("the folder was ours");
}

#[test]
fn files_of_the_pages_are_read() {
    let pages = ["README.md", "docs/recipes.md", "docs/text_models.md"];
    let mut read = 0;
    for page in pages.map(|page| std::fs::read_to_string(root().join(page)).expect("a page")) {
        for Block { lines, .. } in blocks(&page).into_iter().filter(|block| block.language == "yaml") {
            let text = lines.join("\n");
            if lines[0].starts_with("# ") && lines[0].ends_with(".yaml") {
                // The pretrained folder is not here.
                let settings = [("model.from", "null"), ("model.type", "encoder")];
                let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
                RunFile::parse("run.yaml", &text, (Path::new(""), "run"), &settings).expect("a run file");
            } else {
                Spec::parse("a page", &text).expect("a schedule");
            }
            read += 1;
        }
    }
    assert_eq!(read, 7, "two run files and five schedules");
}
