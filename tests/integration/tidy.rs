//! Holds the code against the table of rooms in ARCHITECTURE.md.

use std::path::{Path, PathBuf};

/// Which rooms a room may name, besides itself and the standard library.
pub(crate) const ROOMS: [(&str, &[&str]); 14] = [
    ("params", &[]),
    ("schedule", &["params"]),
    ("twin", &[]),
    ("fast", &["twin"]),
    ("engine", &["twin", "fast"]),
    ("optim", &["params", "engine"]),
    ("nn", &["params", "engine"]),
    ("data", &["params", "twin"]),
    ("dist", &[]),
    ("check", &["params", "engine", "optim", "nn"]),
    ("train", &["params", "schedule", "engine", "optim", "nn", "data", "dist", "check"]),
    ("measure", &["params", "engine", "optim", "nn"]),
    ("run", &["params", "schedule", "nn", "data", "dist", "train"]),
    (
        "cli",
        &["params", "schedule", "twin", "engine", "optim", "nn", "data", "dist", "train", "measure", "run", "check"],
    ),
];

/// What a room may not say, and where else it may be said.
const WORDS: [(&str, &[&str]); 14] = [
    ("wgpu::", &["engine", "optim"]),
    ("serde_yaml::", &["schedule"]),
    ("clap::", &["cli"]),
    ("rayon::", &["fast"]),
    ("use mpi::", &["dist"]),
    ("multiversion", &["fast"]),
    ("ndarray::", &["fast"]),
    ("println!", &[]),
    ("print!", &[]),
    ("stdout()", &["cli"]),
    ("stderr()", &["cli"]),
    ("process::exit", &["cli"]),
    ("std::fs", &["cli", "run", "train"]),
    ("std::time::Instant", &["check", "cli", "measure", "train"]),
];

/// Sources below a folder, without what a project of its own in there has built.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                found.extend(files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Lines of code: comments and doc tests do not count.
fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a source file");
    text.lines().map(str::trim).filter(|line| !line.starts_with("//")).map(str::to_owned).collect()
}

/// Whether a line names a room, on its own or in a list of rooms.
fn named(line: &str, room: &str) -> bool {
    let roots = ["crate", "gradus"];
    let alone = |root: &&str| ["::", ";", " as"].iter().any(|end| line.contains(&format!("{root}::{room}{end}")));
    let listed = |root: &&str| {
        let list = line.split_once(&format!("{root}::{{")).map_or("", |(_, list)| list);
        list.split([',', '{', '}', ';']).any(|item| item.trim().split("::").next() == Some(room))
    };
    roots.iter().any(|root| alone(root) || listed(root))
}

#[test]
fn a_room_is_found_wherever_a_line_names_it() {
    for line in [
        "use crate::optim::Clip;",
        "use crate::{engine, optim};",
        "use crate::{optim::Clip, nn};",
        "use gradus::optim;",
    ] {
        assert!(named(line, "optim"), "{line}");
    }
    for line in ["use crate::engine::optimal;", "use crate::{engine, nn};", "let optim = 1;"] {
        assert!(!named(line, "optim"), "{line}");
    }
}

#[test]
fn rooms_use_only_what_they_may() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut breaches = Vec::new();
    for (room, may) in ROOMS {
        for file in files(&source.join(room)) {
            for line in code(&file) {
                for (other, _) in ROOMS {
                    let named = named(&line, other);
                    if other != room && named && !may.contains(&other) {
                        breaches.push(format!("{}: {room} names {other}: {line}", file.display()));
                    }
                }
                for (word, rooms) in WORDS {
                    if line.contains(word) && !rooms.contains(&room) {
                        breaches.push(format!("{}: {room} says {word}: {line}", file.display()));
                    }
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn one_file_imports_the_yaml_crate() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let importing: Vec<PathBuf> =
        files(&source).into_iter().filter(|file| code(file).iter().any(|line| line.contains("serde_yaml"))).collect();
    assert_eq!(importing, [source.join("schedule/file/yaml.rs")]);
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests", "benches", "examples"] {
        for file in files(&root.join(folder)) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            assert!(text.starts_with("//! "), "{}: a file starts with what it is for", file.display());
        }
    }
}

#[test]
fn no_dependency_asks_for_a_newer_compiler_than_we_state() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let version = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50, "{} packages", packages.len());
    for package in packages {
        if let Some(needed) = package["rust_version"].as_str() {
            assert!(version(needed)[..2] <= stated[..2], "{} needs Rust {needed}", package["name"]);
        }
    }
}

/// What ARCHITECTURE.md says of the code leads to the code.
#[test]
fn files_that_the_architecture_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("a page");
    // Between fences stand drawings.
    let prose: String = text.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2);
    let is_file = |name: &&str| [".rs", ".wgsl", ".md", ".sh", "/"].iter().any(|end| name.ends_with(end));
    let is_plain = |name: &&str| name.chars().all(|letter| letter.is_alphanumeric() || "_./-".contains(letter));
    let named: Vec<&str> = quoted.filter(is_file).filter(is_plain).collect();
    assert!(named.len() > 20, "{named:?}");
    let is_there =
        |name: &str| ["", "src", "tests/integration"].iter().any(|folder| root.join(folder).join(name).exists());
    let lost: Vec<&str> = named.into_iter().filter(|name| !is_there(name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
