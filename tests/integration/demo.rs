//! The binary, as its user runs it.

use crate::support::{folder, gpu};
use std::process::{Command, Output};

fn gradus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gradus"))
        .env("GRADUS_KERNELS", "registers")
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn refused(arguments: &[&str]) -> String {
    let output = gradus(arguments);
    assert!(!output.status.success(), "{arguments:?} was accepted");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    told.lines().find(|line| line.starts_with("gradus: ")).unwrap_or(&told).to_owned()
}

#[test]
fn demo_mlp_reaches_97_percent_and_writes_its_files() {
    let Some(engine) = gpu() else { return };
    let adapter = ["--adapter", engine.name()];
    let out = folder("demo");
    let output = gradus(&[&adapter[..], &["demo", "mlp", "--out", out.to_str().expect("a path")]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().expect("a line")).expect("JSON");
    assert_eq!((metrics.lines().count(), last["epoch"].as_u64()), (31, Some(30)), "a phase, and 30 evaluations");
    assert!(last["val_accuracy"].as_f64().expect("a number") >= 0.97, "{last}");
    let bytes = std::fs::read(out.join("model.safetensors")).expect("parameters");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    assert_eq!(file.tensor("layers.0.weight").expect("a weight").shape(), [128, 64]);
    assert_eq!(file.names().len(), 6);
    for words in ["adapter ", "parameters     17226", "steps/s", "submissions", "bytes uploaded", "blocking waits"] {
        assert!(told.contains(words), "{words:?} is missing in\n{told}");
    }
    std::fs::remove_dir_all(out).expect("the folder was ours");

    // Without a folder there are no checkpoints, and nothing in a step is waited for.
    let output = gradus(&[&adapter[..], &["demo", "mlp", "--epochs", "2"]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("1.02 submissions") && told.contains("(1 in all: "), "{told}");
}

#[test]
fn demo_mlp_follows_a_schedule_and_the_implicit_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/mlp_gradual.yaml");
    for schedule in [&["--schedule", file][..], &["--schedule"]] {
        let output =
            gradus(&[&["--adapter", "cpu", "demo", "mlp", "--epochs", "9", "--hidden", "12,8"], schedule].concat());
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            told.contains("phase 0: the run begins\n  thawed  layers.2.weight, layers.2.bias\n  group   phase 0"),
            "{told}"
        );
        assert!(told.contains("best           val_loss "), "{told}");
    }
}

#[test]
fn demo_mlp_runs_without_any_adapter() {
    let output = gradus(&["--adapter", "cpu", "demo", "mlp", "--epochs", "1", "--hidden", "7,5", "--batch-size", "50"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("cpu (no shader ran)"), "{told}");
}

#[test]
fn demo_mlp_finds_its_batch_size_and_lets_the_rates_follow() {
    let output = gradus(
        &[
            &["--adapter", "cpu", "demo", "mlp", "--epochs", "1", "--hidden", "7,5"],
            &["--batch-size", "auto", "--lr-scaling", "sqrt"][..],
        ]
        .concat(),
    );
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let line = told.lines().find_map(|line| line.strip_prefix("batch size ").filter(|rest| !rest.contains("rows/s")));
    let size: f64 = line.expect("a size").parse().expect("a number");
    let rates = format!("rates are multiplied by {:.3}", (size / 32.0).sqrt());
    assert!(size == 32.0 || told.contains(&rates), "{told}");
}

#[test]
fn bad_arguments_are_told() {
    assert_eq!(
        refused(&["--adapter", "cpu", "demo", "transformer", "--preset", "huge"]),
        "gradus: preset \"huge\" is not known; there are tiny, small and base"
    );
    let cpu = |rest: &[&str]| refused(&[&["--adapter", "cpu", "demo", "mlp"], rest].concat());
    assert_eq!(cpu(&["--lr", "-1"]), "gradus: --lr -1: lr is not a finite number that is 0 or more");
    assert_eq!(cpu(&["--hidden", "0"]), "gradus: an MLP of sizes [64, 0, 10]: a layer of size 0 has nothing to learn");
    assert_eq!(
        cpu(&["--activation", "swish"]),
        "gradus: activation \"swish\" is not known; there are \"relu\", \"gelu\", \"gelu_new\", \"tanh\", \"relu6\" and \"silu\""
    );
    assert_eq!(
        cpu(&["--batch-size", "5000"]),
        "gradus: batch_size = 5000: a step takes 5000 rows, the train set has 1438"
    );
    assert_eq!(cpu(&["--batch-size", "0"]), "gradus: --batch-size 0: at least 1 is needed");
    assert!(
        cpu(&["--batch-size", "auto", "--memory-limit", "0"]).ends_with("the limit is 0"),
        "a limit that nothing fits"
    );
    assert_eq!(cpu(&["--epochs", "0"]), "gradus: epochs = 0: at least 1 is needed");
    let told = cpu(&["--out", "/dev/null/here"]);
    assert!(told.starts_with("gradus: making the folder /dev/null/here: "), "{told}");
}

#[test]
fn info_lists_adapters() {
    let output = gradus(&["info"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("in use: "), "{told}");
    if gpu().is_some() {
        assert!(told.contains("page (storage binding)") && told.contains("timestamps"), "{told}");
    }
}
