//! The folder of a run when something is wrong with it, with its disk, or with what the run came to.

use crate::support::gpu;
use crate::train_command::{DIGITS, Desk};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

fn set<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|setting| ["--set", setting]).collect()
}

/// Exit code and all that was told.
fn told(desk: &Desk, arguments: &[&str]) -> (Option<i32>, String) {
    let output = desk.train(arguments);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code(), text)
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let below = files(&path).into_iter();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.extend(below.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
    found
}

#[test]
fn a_run_that_takes_anothers_place_removes_what_is_ours_and_nothing_else() {
    let desk = Desk::new("takes-place", &[("digits.yaml", DIGITS)]);
    let short = set(&["epochs=1"]);
    desk.done(&[&["digits.yaml"], &short[..]].concat());
    let run = desk.folder.join("runs/digits");
    let theirs =
        ["notes.txt", "checkpoints/notes.txt", "checkpoints/step-7", "events.out.tfevents.1.host", "other.safetensors"];
    for name in theirs {
        std::fs::write(run.join(name), name).expect("a file");
    }
    let before = files(&run);
    // Begun and ended at once: the file that decides is there, and the old run still is.
    std::fs::write(run.join(".next-run.yaml"), &before["run.yaml"]).expect("a file");
    let (code, text) = told(&desk, &["--resume", "runs/digits"]);
    assert!(code == Some(0) && text.contains("has no checkpoint yet: the run starts"), "{text}");
    let after = files(&run);
    for name in theirs {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert!(!after.contains_key(".next-run.yaml"));
    for name in ["metrics.jsonl", "model.safetensors", "best.safetensors", "run.yaml", "inputs.json"] {
        assert!(after[name] == before[name], "{name} is made anew, and the same");
    }
    let ours = |found: &BTreeMap<String, Vec<u8>>| {
        found.keys().filter(|name| name.contains("tfevents") && name.contains(".gradus.")).count()
    };
    assert_eq!((ours(&before), ours(&after)), (1, 1), "the old run's events are gone");
    desk.done(&[&["digits.yaml", "--overwrite", "--set", "learning_rate=0.001"], &short[..]].concat());
    assert!(files(&run)["model.safetensors"] != before["model.safetensors"]);
    if cfg!(unix) {
        let elsewhere = desk.folder.join("elsewhere");
        std::fs::rename(run.join("checkpoints"), &elsewhere).expect("a rename");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&elsewhere, run.join("checkpoints")).expect("a link");
        let (code, text) = told(&desk, &["digits.yaml", "--overwrite"]);
        assert!(code == Some(2) && text.contains("checkpoints is a link: its target is not removed"), "{text}");
        assert!(elsewhere.join("step-000000050").exists() || elsewhere.join("notes.txt").exists());
    }
}

#[test]
fn a_new_folder_says_which_run_it_is_before_anything_else() {
    let desk = Desk::new("run-first", &[("digits.yaml", DIGITS)]);
    desk.done(&[&["digits.yaml"], &set(&["epochs=1"])[..]].concat());
    let run = desk.folder.join("runs/digits");
    let whole = files(&run);
    // As a kill leaves it right after the first file.
    std::fs::remove_dir_all(&run).expect("it was there");
    std::fs::create_dir_all(&run).expect("a folder");
    std::fs::write(run.join("run.yaml"), &whole["run.yaml"]).expect("a file");
    let (code, text) = told(&desk, &["digits.yaml", "--overwrite"]);
    assert!(code == Some(2) && text.contains("runs/digits has a run.yaml that gradus did not write"), "{text}");
    std::fs::write(run.join(".lock"), "").expect("a file");
    let (code, text) = told(&desk, &["digits.yaml"]);
    assert!(code == Some(2) && text.contains("holds a run already"), "{text}");
    desk.done(&["--resume", "runs/digits"]);
    for name in ["model.safetensors", "metrics.jsonl", "run.yaml", "inputs.json"] {
        assert!(files(&run)[name] == whole[name], "{name}");
    }
}

#[test]
fn lines_that_cannot_be_written_are_marked_and_the_log_takes_up_again() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let desk = Desk::new("full-log", &[("digits.yaml", DIGITS)]);
    desk.done(&[&["digits.yaml"], &set(&["epochs=1"])[..]].concat());
    // Damaged from outside: a line that is cut off, one that is not a text, in the middle of good ones.
    let steps = desk.folder.join("runs/digits/steps.jsonl");
    let text = std::fs::read_to_string(&steps).expect("a log");
    let lines: Vec<&str> = text.lines().collect();
    let [before, behind] = [lines[..3].join("\n"), lines[5..].join("\n")];
    let damaged = [before.as_bytes(), b"\n{\"step\":3,\"lo\n\xff\xfe\n", behind.as_bytes(), b"\n"];
    std::fs::write(&steps, damaged.concat()).expect("a log");
    let (code, text) = told(&desk, &["--resume", "runs/digits", "--set", "epochs=2"]);
    assert_eq!(code, Some(0), "{text}");
    let lines = desk.lines("runs/digits/steps.jsonl", "step");
    let steps: Vec<u64> = lines.iter().filter_map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, [&[0, 1, 2][..], &(5..100).collect::<Vec<_>>()].concat());
    assert_eq!(desk.lines("runs/digits/steps.jsonl", "lost_lines")[0]["lost_lines"], 2);
    assert!(desk.folder.join("runs/digits/report.html").exists());
}

#[test]
fn a_run_that_comes_to_nothing_fails_with_the_cause() {
    let desk = Desk::new("nothing", &[("digits.yaml", DIGITS)]);
    desk.done(&[&["digits.yaml"], &set(&["epochs=1"])[..]].concat());
    let high = [&["digits.yaml", "--overwrite"], &set(&["learning_rate=1e30", "epochs=2"])[..]].concat();
    let (code, text) = told(&desk, &high);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("a lower rate, a warm-up or optimizer.clip_norm may help"), "{text}");
    assert!(desk.folder.join("runs/digits/report.html").exists());
    let report = String::from_utf8(desk.read("runs/digits/report.html")).expect("text");
    assert!(report.contains("failed"), "the report says it");
    // A value of the test set that is too large for the model, and none of the train set.
    let rows: String =
        (0..40).map(|n| format!("{0},{0},{0},{1}\n", n % 7, if n % 3 == 0 { "x" } else { "y" })).collect();
    let train = format!("a,b,c,class\n{rows}");
    let run = "model: {type: mlp, hidden: [32]}\ndata: {train: a.csv, test: b.csv, label: class, standardize: false}\n\
               batch_size: 8\nlearning_rate: 1e-3\n";
    let test = "a,b,c,class\n1,1,1,x\n3e38,3e38,3e38,y\n";
    let desk = Desk::new("test-value", &[("a.csv", &train), ("b.csv", test), ("run.yaml", run)]);
    let (code, text) = told(&desk, &["run.yaml"]);
    assert!(code == Some(1) && text.contains("a value of the test set is too large for the model"), "{text}");
}

#[test]
fn more_epochs_are_said_with_what_they_do_to_the_rate() {
    let cosine = format!("{DIGITS}learning_rate_scheduler: {{decay: cosine}}\n");
    let desk = Desk::new("longer", &[("digits.yaml", &cosine)]);
    desk.done(&[&["digits.yaml"], &set(&["epochs=1"])[..]].concat());
    let (code, text) = told(&desk, &["--resume", "runs/digits", "--set", "epochs=2"]);
    assert_eq!(code, Some(0), "{text}");
    let words =
        "epochs was 1 when the run began: its rates are computed again: 2.96e-6 in the last step, 1.50e-3 in the next";
    assert!(text.contains(words), "{text}");
    let report = String::from_utf8(desk.read("runs/digits/report.html")).expect("text");
    assert!(report.contains(words), "the report says it too");
}

#[test]
fn a_run_goes_on_where_it_ran_or_says_that_its_bits_differ() {
    let desk = Desk::new("made-on", &[("digits.yaml", DIGITS)]);
    desk.done(&[&["digits.yaml"], &set(&["epochs=1"])[..]].concat());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(&desk.folder).args(["train", "--resume", "runs/digits", "--set", "epochs=2"]);
    let output = command.env_remove("GRADUS_ADAPTER").stdin(Stdio::null()).output().expect("the binary runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && !text.contains("the adapter was"), "{text}");
    let Some(engine) = gpu() else { return };
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(&desk.folder).args(["--adapter", engine.name(), "train", "--resume", "runs/digits"]);
    let output = command.args(["--set", "epochs=3"]).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains("the adapter was the CPU engine and is "), "{text}");
}
