//! What the crate brings with it, by its features.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Most crates that the optimizer alone brings on Linux, ours among them; wgpu alone brings about 75.
const MOST_CRATES: usize = 85;

/// Names of the crates that are linked on Linux with these features.
fn crates(features: &str) -> BTreeSet<String> {
    let target = ["--target", "x86_64-unknown-linux-gnu"];
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--no-default-features", "--features", features])
        .args(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn has(crates: &BTreeSet<String>, name: &str) -> bool {
    crates.iter().any(|one| one.split(' ').next() == Some(name))
}

#[test]
fn the_optimizer_alone_brings_few_crates() {
    let crates = crates("");
    let count = crates.len();
    assert!(
        count <= MOST_CRATES,
        "{count} crates without any feature, at most {MOST_CRATES}: put what is new behind a feature\n{crates:#?}"
    );
    for name in ["rayon", "ndarray", "matrixmultiply", "clap"] {
        assert!(!has(&crates, name), "{name} is linked without any feature");
    }
}

#[test]
fn models_and_data_bring_no_crate_more() {
    assert_eq!(crates("nn,data,demo"), crates(""));
    assert!(has(&crates("cpu"), "rayon"));
}
