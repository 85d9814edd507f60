//! `gradus schedule generate`, as its user runs it.

use gradus::params::Param;
use gradus::schedule::{Epochs, Phases, Plan, Spec};
use std::path::PathBuf;
use std::process::{Command, Output};

fn generate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.args(["schedule", "generate", "--model", "mlp"]).args(arguments).output().expect("the binary runs")
}

fn shown(arguments: &[&str]) -> String {
    let output = generate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refused(arguments: &[&str]) -> String {
    let output = generate(arguments);
    assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text").trim_end().to_owned()
}

/// The parameters of the demo's network.
fn params(layers: usize) -> Vec<Param> {
    let names = (0..layers).flat_map(|layer| ["weight", "bias"].map(|name| format!("layers.{layer}.{name}")));
    names.map(|name| Param::new(name, [1])).collect()
}

/// Reads back what was shown and thaws every parameter once; how many phases.
fn check(text: &str, layers: usize) -> usize {
    let spec = Spec::parse("generated.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(spec.warnings.is_empty() && matches!(spec.phases, Phases::Explicit(_)), "{text}");
    let params = params(layers);
    let plan = Plan::new(&spec, &params[..], Epochs { epochs: 3, steps_per_epoch: 2 }).expect("a plan");
    let mut thawed: Vec<usize> = plan.phases().iter().flat_map(|phase| phase.params.clone()).collect();
    assert!(
        plan.phases()[0].params.iter().all(|param| params[*param].name.starts_with(&format!("layers.{}.", layers - 1)))
    );
    thawed.sort_unstable();
    assert!(thawed.into_iter().eq(0..2 * layers), "{text}");
    plan.phases().len()
}

#[test]
fn generate_prints_a_schedule_that_reads_back() {
    for (by, phases) in [("pair", 3), ("layer", 3)] {
        let text = shown(&["--by", by]);
        assert_eq!(check(&text, 3), phases, "{text}");
    }
    let text = shown(&["--hidden", "9"]);
    assert_eq!(
        text,
        "# mlp 64-9-10: two parameters a phase, the head first.\n\
         # Phase 0 has the optimizer's rate. Others take lr (1e-5 without it); any may take max_transition_epoch.\n\
         0:\n  params:\n  - layers.1.bias\n  - layers.1.weight\n1:\n  params:\n  - layers.0.bias\n  - layers.0.weight\n"
    );
    assert_eq!(check(&shown(&["--hidden", "9,8,7,6", "--by", "layer"]), 5), 5);
}

#[test]
fn generate_writes_over_nothing_unless_told_to() {
    let folder = std::env::temp_dir().join(format!("gradus-generate-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    let file = path("phases.yaml");
    assert_eq!(shown(&["--out", &file]), format!("written   {file}\n"));
    let written = std::fs::read_to_string(&file).expect("a schedule");
    assert_eq!(written, shown(&[]));
    std::fs::write(&file, "mine\n").expect("an edit");
    assert_eq!(
        refused(&["--out", &file]),
        format!("gradus: --out {file}: this file exists already; --force overwrites it")
    );
    assert_eq!(std::fs::read_to_string(&file).expect("a schedule"), "mine\n");
    shown(&["--out", &file, "--force"]);
    assert_eq!(std::fs::read_to_string(&file).expect("a schedule"), written);
    let shown = folder.display().to_string();
    assert_eq!(refused(&["--out", &shown]), format!("gradus: --out {shown}: this is a folder, a file is needed"));
    let away = path("away/phases.yaml");
    assert_eq!(refused(&["--out", &away]), format!("gradus: --out {away}: there is no folder {}", path("away")));
    let files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files, [folder.join("phases.yaml")]);
    std::fs::remove_dir_all(&folder).expect("the folder was ours");
}

#[test]
fn a_run_that_is_to_generate_a_schedule_prints_it_and_ends() {
    let file = std::env::temp_dir().join(format!("gradus-gen-only-{}.yaml", std::process::id()));
    std::fs::write(&file, "finetuning: {gen_ft_sched_only: true}\n").expect("a schedule");
    let path = file.to_str().expect("a path");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    let output =
        command.args(["--adapter", "cpu", "demo", "mlp", "--schedule", path]).output().expect("the binary runs");
    std::fs::remove_file(&file).expect("the file was ours");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && shown(&[]).ends_with(&printed), "{printed}");
    assert_eq!(check(&printed, 3), 3);
}

#[test]
fn generate_tells_what_is_wrong() {
    assert_eq!(
        refused(&["--hidden", "0"]),
        "gradus: an MLP of sizes [64, 0, 10]: a layer of size 0 has nothing to learn"
    );
    let told = |arguments: &[&str]| {
        let output = generate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(told(&["--by", "head"]).contains("[possible values: pair, layer]"));
    assert!(told(&["--force"]).contains("--out <FILE>"));
    let mut other = Command::new(env!("CARGO_BIN_EXE_gradus"));
    let output = other.args(["schedule", "generate", "--model", "bert"]).output().expect("the binary runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("[possible values: mlp]"));
}
