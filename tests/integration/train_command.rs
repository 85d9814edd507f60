//! `gradus train`, as its user runs it: from a file to a folder, stopped and gone on with.

use crate::support::folder;
use gradus::engine::Engine;
use gradus::run::{Material, RunFile};
use gradus::schedule::Plan;
use gradus::train::{Checkpoints, Event, StepsPerSubmission, Trainer};
use safetensors::tensor::Dtype;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder to work in.
pub struct Desk {
    pub folder: PathBuf,
}

impl Desk {
    pub fn new(name: &str, files: &[(&str, &str)]) -> Desk {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("a file");
        }
        Desk { folder }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.current_dir(&self.folder).args(["--adapter", "cpu", "train"]).args(arguments);
        command
    }

    pub fn train(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// What a run that ends well prints.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.train(arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        told
    }

    /// The exit code and the words of one that does not.
    pub fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.train(arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The lines of a file of JSON lines that have this key.
    pub fn lines(&self, path: &str, key: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.read(path)).expect("text");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.filter(|line: &serde_json::Value| !line[key].is_null()).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub const DIGITS: &str = "model: {type: mlp, hidden: [16]}\ndata: {embedded: digits}\nlearning_rate: 0.003\n";

#[test]
fn one_file_is_one_run() {
    let desk = Desk::new("one-file", &[("digits.yaml", DIGITS)]);
    let told = desk.done(&["digits.yaml", "--set", "epochs=2"]);
    assert!(told.starts_with("an MLP of 1210 parameters; 1617 rows to train on, 180 to test, 10 classes\n"), "{told}");
    let epochs: Vec<u64> =
        desk.lines("runs/digits/metrics.jsonl", "epoch").iter().filter_map(|line| line["epoch"].as_u64()).collect();
    assert_eq!(epochs, [1, 2]);
    assert_eq!(desk.lines("runs/digits/metrics.jsonl", "began").len(), 1);
    let steps = desk.lines("runs/digits/steps.jsonl", "step");
    assert_eq!(steps.len(), 100, "the CPU engine reports every step");
    assert!(steps.iter().all(|step| step["lrs"][0] == 0.003 && step["loss"].as_f64().is_some()), "{:?}", steps[0]);
    assert!(steps[99]["loss"].as_f64() < steps[0]["loss"].as_f64());

    // What is there is not trained over by mistake.
    let (code, words) = desk.refused(&["digits.yaml"]);
    assert_eq!(code, Some(2));
    assert!(words.contains("runs/digits holds a run already: resume it with --resume runs/digits"), "{words}");
    assert_eq!(desk.done(&["digits.yaml", "--overwrite", "-q", "--set", "epochs=1"]), "");
    assert_eq!(desk.lines("runs/digits/metrics.jsonl", "epoch").len(), 1);
    let told = desk.done(&["--resume", "runs/digits", "-v"]);
    assert!(told.contains("nothing is left to train") && told.contains(" dispatches, "), "{told}");
}

#[test]
fn what_cannot_be_ends_with_2_and_leaves_nothing() {
    let desk = Desk::new("cannot-be", &[("digits.yaml", DIGITS), ("file", "")]);
    for (arguments, words) in [
        (vec!["no.yaml"], "gradus: no.yaml: No such file"),
        (
            vec!["digits.yaml", "--set", "epoch=2"],
            "gradus: --set epoch=2: epoch is not a known key (did you mean \"epochs\"?)",
        ),
        (vec!["digits.yaml", "--set", "epochs"], "error: invalid value 'epochs' for '--set <KEY=VALUE>'"),
        (vec![], "error: the following required arguments were not provided"),
        (vec!["--resume", "runs/none"], "gradus: runs/none holds no run to resume"),
    ] {
        let (code, told) = desk.refused(&arguments);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.starts_with(words), "{arguments:?}: {told}");
    }
    let (code, told) = desk.refused(&["digits.yaml", "--set", "output=file"]);
    assert_eq!(code, Some(1));
    assert!(
        told.starts_with("gradus: making the folder ") && told.contains("file/digits: "),
        "said before anything is trained: {told}"
    );
    assert!(!desk.folder.join("runs").exists());
}

#[test]
fn what_is_refused_leaves_the_folder_as_it_was() {
    let rows: String = (0..40).map(|n| format!("{n},{}\n", if n % 3 == 0 { "x" } else { "y" })).collect();
    let csv = format!("n,class\n{rows}");
    let run = "model: {type: mlp, hidden: [4]}\ndata: {train: a.csv, label: class}\nbatch_size: 8\n";
    let desk = Desk::new("as-it-was", &[("a.csv", &csv), ("run.yaml", run)]);
    desk.done(&["run.yaml"]);
    let kept = |name: &str| (name.to_owned(), desk.read(&format!("runs/run/{name}")));
    let before = ["run.yaml", "inputs.json", "metrics.jsonl", "model.safetensors"].map(kept);
    let unchanged = || ["run.yaml", "inputs.json", "metrics.jsonl", "model.safetensors"].map(kept) == before;
    for (arguments, words) in [
        (
            vec!["--resume", "runs/run", "--set", "batch_size=4"],
            "runs/run/run.yaml resumes as it began (batch_size: 8); ",
        ),
        (vec!["run.yaml", "--overwrite", "--set", "batch_size=400"], "a step takes 400 rows, the train set has 36"),
        (vec!["run.yaml"], "holds a run already"),
        (vec!["--resume", "."], ". holds no run to resume"),
    ] {
        let (code, told) = desk.refused(&arguments);
        assert!(code.is_some_and(|code| code > 0) && told.contains(words), "{arguments:?}: {told}");
        assert!(unchanged(), "{arguments:?}");
    }
    // Other data is another run.
    for (changed, words) in [
        (
            csv.replace('x', "z"),
            "runs/run: the data is not what the run began with: the classes were x, y, and are y, z now",
        ),
        (csv.replace("39,", "38,"), "a.csv holds other examples"),
    ] {
        std::fs::write(desk.folder.join("a.csv"), changed).expect("a file");
        let (code, told) = desk.refused(&["--resume", "runs/run"]);
        assert!(code == Some(2) && told.ends_with(words), "{told}");
        assert!(unchanged());
    }
}

#[test]
fn averages_are_what_is_tested_and_what_is_kept() {
    let desk = Desk::new("averages", &[("digits.yaml", DIGITS)]);
    desk.done(&["digits.yaml", "--set", "name=raw", "--set", "epochs=1"]);
    desk.done(&["digits.yaml", "--set", "name=averaged", "--set", "epochs=1", "--set", "optimizer.ema_decay=0.9"]);
    let (raw, averaged) = (desk.read("runs/raw/model.safetensors"), desk.read("runs/averaged/model.safetensors"));
    let (raw, averaged) = (tensors(&raw), tensors(&averaged));
    let name = "layers.0.weight";
    assert_ne!(raw.tensor(name).expect("a tensor").data(), averaged.tensor(name).expect("a tensor").data());
    let loss = |run: &str| desk.lines(&format!("runs/{run}/metrics.jsonl"), "epoch")[0]["val_loss"].clone();
    assert_ne!(loss("raw"), loss("averaged"));
}

#[test]
fn ctrl_c_writes_a_checkpoint_and_the_run_goes_on_to_the_same_bytes() {
    if cfg!(not(unix)) {
        return;
    }
    let desk = Desk::new("ctrl-c", &[("digits.yaml", DIGITS)]);
    let long = ["--set", "epochs=40", "--set", "checkpoint_every_steps=1000"];
    desk.done(&[&["digits.yaml", "--set", "name=whole"], &long[..]].concat());
    let mut child = desk
        .command(&[&["digits.yaml", "--set", "name=cut"], &long[..]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let metrics = desk.folder.join("runs/cut/metrics.jsonl");
    let started = Instant::now();
    while std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 3 {
        assert!(started.elapsed() < Duration::from_secs(120), "no evaluation came");
        assert!(child.try_wait().expect("a child").is_none(), "the run was over before it could be interrupted");
        std::thread::sleep(Duration::from_millis(2));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let output = child.wait_with_output().expect("an end");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("gradus: interrupted after ") && told.contains("gradus train --resume runs/cut"), "{told}");

    let told = desk.done(&["--resume", "runs/cut"]);
    assert!(told.contains("resuming after "), "{told}");
    for file in ["model.safetensors", "metrics.jsonl"] {
        assert_eq!(desk.read(&format!("runs/cut/{file}")), desk.read(&format!("runs/whole/{file}")), "{file}");
    }
    let steps = |name: &str| desk.lines(&format!("runs/{name}/steps.jsonl"), "step").len();
    assert_eq!(steps("cut"), steps("whole"));
}

#[test]
fn a_folder_that_a_run_writes_is_refused_until_that_run_is_gone() {
    if cfg!(not(unix)) {
        return;
    }
    let desk = Desk::new("locked", &[("digits.yaml", DIGITS)]);
    let long = ["digits.yaml", "--set", "epochs=40"];
    desk.done(&[&long[..], &["--set", "name=whole"]].concat());
    let mut first = desk
        .command(&[&long[..], &["--set", "name=cut"]].concat())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let evaluations = || {
        let text = std::fs::read_to_string(desk.folder.join("runs/cut/metrics.jsonl")).unwrap_or_default();
        text.lines().filter(|line| line.contains("val_loss")).count()
    };
    let started = Instant::now();
    while evaluations() < 2 {
        assert!(started.elapsed() < Duration::from_secs(120), "no evaluation came");
        std::thread::sleep(Duration::from_millis(2));
    }
    // It lives, and does not come to its end while others try.
    let stopped = Command::new("kill").args(["-STOP", &first.id().to_string()]).status().expect("kill runs");
    assert!(stopped.success() && first.try_wait().expect("a child").is_none());
    let words = "gradus: runs/cut is being written by another run: wait for its end or stop it, or give this run another \
                 folder";
    for arguments in [vec!["--resume", "runs/cut"], vec!["digits.yaml", "--overwrite", "--set", "name=cut"]] {
        let (code, told) = desk.refused(&arguments);
        assert_eq!((code, told.as_str()), (Some(2), words), "{arguments:?}");
        assert!(evaluations() >= 2, "nothing was removed");
    }
    // As kill -9.
    first.kill().expect("a kill");
    first.wait().expect("an end");
    assert!(evaluations() < 40, "the first run was over before it was killed");
    let told = desk.done(&["--resume", "runs/cut"]);
    assert!(told.contains("resuming after "), "{told}");
    for file in ["model.safetensors", "metrics.jsonl"] {
        assert!(desk.read(&format!("runs/cut/{file}")) == desk.read(&format!("runs/whole/{file}")), "{file}");
    }
}

#[test]
fn a_new_folder_that_is_held_gets_nothing_written() {
    let desk = Desk::new("held", &[("digits.yaml", DIGITS)]);
    let held = desk.folder.join("runs/new");
    std::fs::create_dir_all(&held).expect("a folder");
    let lock = std::fs::File::create(held.join(".lock")).expect("a file");
    fs4::FileExt::try_lock(&lock).expect("a lock");
    let demo = |out: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.args(["--adapter", "cpu", "demo", "mlp", "--epochs", "1", "--hidden", "8", "--out"]).arg(out);
        let output = command.output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (code, told) in [desk.refused(&["digits.yaml", "--set", "name=new"]), demo(&held)] {
        assert!(code == Some(2) && told.contains("runs/new is being written by another run"), "{told}");
        let there: Vec<_> =
            std::fs::read_dir(&held).expect("a folder").flatten().map(|file| file.file_name()).collect();
        assert_eq!(there, [".lock"]);
    }
    drop(lock);
    assert_eq!(demo(&held).0, Some(0));
}

/// Five epochs that get better, and a rate that undoes them.
const UNDONE: &str = "model: {type: mlp, hidden: [16]}
data: {embedded: digits}
optimizer: {type: adamw, lr: 0.003}
lr_scheduler: {class_path: torch.optim.lr_scheduler.MultiStepLR, init_args: {milestones: [250], gamma: 200}}
";

#[test]
fn the_best_parameters_have_a_file_of_their_own() {
    let desk = Desk::new("best", &[("run.yaml", UNDONE)]);
    let train = |name: &str, epochs: usize, more: &[&str]| {
        let (name, epochs) = (format!("name={name}"), format!("epochs={epochs}"));
        let settings = [name.as_str(), &epochs].into_iter().chain(more.iter().copied());
        let settings: Vec<&str> = settings.flat_map(|setting| ["--set", setting]).collect();
        desk.done(&[&["run.yaml"], &settings[..]].concat())
    };
    let by_loss: &[&str] = &[];
    let by_accuracy = &["checkpoint={monitor: val_accuracy, mode: max}", "optimizer.ema_decay=0.5"][..];
    for (name, metric, settings) in [("loss", "val_loss", by_loss), ("accuracy", "val_accuracy", by_accuracy)] {
        let told = train(name, 8, settings);
        let lines = desk.lines(&format!("runs/{name}/metrics.jsonl"), "epoch");
        let scores: Vec<f64> = lines.iter().filter_map(|line| line[metric].as_f64()).collect();
        let score = |epoch: &usize| if metric == "val_loss" { -scores[*epoch] } else { scores[*epoch] };
        // The first of the best.
        let best = (0..8).rev().max_by(|one, other| score(one).total_cmp(&score(other))).expect("an epoch");
        assert!((1..7).contains(&best), "the best is neither the first nor the last: {scores:?}");
        let kept = desk.read(&format!("runs/{name}/best.safetensors"));
        assert!(kept != desk.read(&format!("runs/{name}/model.safetensors")), "the last is another one");

        // The same run, ended with that epoch, and gone on with from there.
        let short = format!("{name}-short");
        train(&short, best + 1, settings);
        for file in ["model.safetensors", "best.safetensors"] {
            assert!(kept == desk.read(&format!("runs/{short}/{file}")), "{file} of epoch {}", best + 1);
        }
        let folder = format!("runs/{short}");
        let resume = |epochs: usize| desk.done(&["--resume", &folder, "--set", &format!("epochs={epochs}")]);
        let goes_on = resume(7);
        assert!(kept == desk.read(&format!("{folder}/best.safetensors")), "nothing better came:\n{goes_on}");
        // What is not the best's, or is gone, is made again from its checkpoint.
        std::fs::write(desk.folder.join(&folder).join("best.safetensors"), "worse").expect("a file");
        let goes_on = resume(8);
        assert!(kept == desk.read(&format!("{folder}/best.safetensors")), "\n{goes_on}");
        std::fs::remove_file(desk.folder.join(&folder).join("best.safetensors")).expect("it is there");
        resume(8);
        assert!(kept == desk.read(&format!("{folder}/best.safetensors")));
        assert!(
            desk.read(&format!("{folder}/model.safetensors")) == desk.read(&format!("runs/{name}/model.safetensors"))
        );

        let (epoch, steps) = (best + 1, lines[best]["steps"].as_u64().expect("steps"));
        let words = format!("{metric} {:.4} of epoch {epoch}, after step {steps}, in best.safetensors", scores[best]);
        for told in [&told, &goes_on] {
            assert!(told.contains(&format!("best           {words}\n")), "{words}\n{told}");
        }
        assert!(told.contains(&format!("next           gradus predict runs/{name} FILE\n")), "{told}");
        let report = String::from_utf8(desk.read(&format!("runs/{name}/report.html"))).expect("text");
        assert!(report.contains(&format!("best: {words}<")), "{words}");
    }
    // A run begins from either file.
    let begun = |name: &str, from: &str| {
        train(name, 1, &["optimizer.lr=0", &format!("model.from=runs/loss{from}")]);
        desk.read(&format!("runs/{name}/model.safetensors"))
    };
    assert!(begun("from-best", "/best.safetensors") == desk.read("runs/loss/best.safetensors"));
    assert!(begun("from-last", "") == desk.read("runs/loss/model.safetensors"));
}

/// A run that was killed before its first checkpoint has no best evaluation, whatever file it left; its end is one.
#[test]
fn what_no_evaluation_stands_behind_is_no_best() {
    let desk = Desk::new("stale", &[("digits.yaml", DIGITS)]);
    std::fs::create_dir_all(desk.folder.join("runs/digits/checkpoints")).expect("a folder");
    for file in ["best.safetensors", "metrics.jsonl"] {
        std::fs::write(desk.folder.join("runs/digits").join(file), "").expect("a file");
    }
    std::fs::write(
        desk.folder.join("runs/digits/run.yaml"),
        format!("{DIGITS}evaluate_every_epochs: 2\nname: digits\noutput: ..\n"),
    )
    .expect("a file");
    desk.done(&["--resume", "runs/digits", "--set", "epochs=1"]);
    assert!(desk.read("runs/digits/best.safetensors") == desk.read("runs/digits/model.safetensors"));
}

#[test]
fn parameters_in_bf16_are_trained_and_begun_from() {
    let desk = Desk::new("bf16", &[("digits.yaml", DIGITS)]);
    let train = |name: &str, settings: &[&str]| {
        let name = format!("name={name}");
        let settings: Vec<&str> =
            [name.as_str()].iter().chain(settings).flat_map(|setting| ["--set", setting]).collect();
        desk.done(&[&["digits.yaml"], &settings[..]].concat())
    };
    train("small", &["epochs=4", "model.parameters=bf16", "optimizer.moments=bf16"]);
    let small = desk.read("runs/small/model.safetensors");
    let of = |bytes: &[u8], name: &str| tensors(bytes).tensor(name).map(|tensor| tensor.dtype()).expect("it is there");
    assert_eq!(of(&small, "layers.0.weight"), Dtype::BF16);
    assert_eq!(of(&small, "layers.1.weight"), Dtype::BF16);
    assert_eq!(of(&small, "layers.0.bias"), Dtype::F32);
    let loss = |name: &str| {
        desk.lines(&format!("runs/{name}/metrics.jsonl"), "epoch").last().expect("a line")["val_loss"].clone()
    };
    // Neither has moved: the head is taken over too, and what is computed with f32 of the same values is the same.
    let begun = ["epochs=1", "learning_rate=0", "model.from=runs/small"];
    for (name, stored) in [("again", "bf16"), ("wide", "f32")] {
        let stored = format!("model.parameters={stored}");
        let told = train(name, &[&begun[..], &[&stored]].concat());
        assert!(!told.contains("new"), "{told}");
        assert_eq!(loss(name), loss("small"), "{name}");
    }
    assert!(desk.read("runs/again/model.safetensors") == small);
    let (code, words) = desk.refused(&["--resume", "runs/small", "--set", "model.parameters=f32"]);
    assert_eq!(code, Some(2));
    assert!(words.contains("resumes as it began (model.parameters: bf16)"), "{words}");
}

#[test]
fn a_best_file_that_cannot_be_written_is_a_warning() {
    let desk = Desk::new("no-best", &[("digits.yaml", DIGITS)]);
    // As on a full disk: a folder stands where the file is written first.
    std::fs::create_dir_all(desk.folder.join("runs/digits/best.safetensors.new")).expect("a folder");
    let output = desk.train(&["digits.yaml", "--set", "epochs=2"]);
    let (told, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{warned}");
    let words = "gradus: warning: the best parameters so far were not written: runs/digits/best.safetensors.new: ";
    assert_eq!(warned.matches(words).count(), 2, "{warned}");
    assert!(!told.contains("best.safetensors"), "what is not there is not named\n{told}");
    assert!(desk.folder.join("runs/digits/model.safetensors").exists());
    // The file is made again where the run continues, if it can be.
    let output = desk.train(&["--resume", "runs/digits", "--set", "epochs=3"]);
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && warned.contains("best parameters so far are not in best.safetensors: "),
        "{warned}"
    );
    std::fs::remove_dir(desk.folder.join("runs/digits/best.safetensors.new")).expect("a folder");
    assert!(desk.done(&["--resume", "runs/digits"]).contains("nothing is left to train"));
    assert!(desk.read("runs/digits/best.safetensors") == desk.read("runs/digits/model.safetensors"));
}

#[test]
fn passes_add_up_to_a_step_and_the_run_goes_on_to_the_same_bytes() {
    let desk = Desk::new("accumulated", &[("digits.yaml", DIGITS)]);
    let train = |name: &str, settings: &[&str]| {
        let name = format!("name={name}");
        let settings = settings.iter().copied().chain([name.as_str()]).flat_map(|setting| ["--set", setting]);
        desk.done(&[&["digits.yaml"][..], &settings.collect::<Vec<_>>()[..]].concat())
    };
    let four = ["batch_size=8", "gradient_accumulation_steps=4"];
    train("one", &["epochs=2", "batch_size=32"]);
    train("four", &[&["epochs=2"][..], &four[..]].concat());
    let numbers = |name: &str, key: &str| -> Vec<f64> {
        let lines = desk.lines(&format!("runs/{name}/metrics.jsonl"), "epoch");
        lines.iter().filter_map(|line| line[key].as_f64()).collect()
    };
    assert_eq!(numbers("four", "steps"), [50.0, 100.0], "a step is an update, of 32 rows");
    assert_eq!(numbers("four", "steps"), numbers("one", "steps"));
    for (one, four) in numbers("one", "val_loss").into_iter().zip(numbers("four", "val_loss")) {
        // The same rows in the same steps; sums of gradients round in another order.
        assert!((one - four).abs() < 1e-4 * one, "{one} in one pass, {four} in four");
    }
    let resolved = String::from_utf8(desk.read("runs/four/run.yaml")).expect("text");
    assert!(resolved.contains("batch_size: 8\ngradient_accumulation_steps: 4\n"), "{resolved}");

    train("cut", &[&["epochs=1"][..], &four[..]].concat());
    let (code, told) = desk.refused(&["--resume", "runs/cut", "--set", "gradient_accumulation_steps=2"]);
    let words = "(gradient_accumulation_steps: 4); --set may change epochs, ";
    assert!(code == Some(2) && told.contains(words), "{told}");
    desk.done(&["--resume", "runs/cut", "--set", "epochs=2"]);
    for file in ["model.safetensors", "metrics.jsonl"] {
        assert!(desk.read(&format!("runs/cut/{file}")) == desk.read(&format!("runs/four/{file}")), "{file}");
    }

    let (code, told) = desk.refused(&["digits.yaml", "--set", "gradient_accumulation_steps=4000000000"]);
    assert!(code == Some(2) && told.contains("a step takes 128000000000 rows, the train set has 1617"), "{told}");
    // A pass that is found by trying leaves room for all of a step's rows.
    let told = train("sized", &["epochs=1", "batch_size=auto", "gradient_accumulation_steps=16"]);
    let size: usize = told.lines().find_map(|line| line.strip_prefix("batch size ")?.parse().ok()).expect("a size");
    assert!(16 * size <= 1617, "{told}");
}

#[test]
fn a_decoder_is_pretrained_and_a_later_run_begins_from_it() {
    let text: String = gradus::data::kjv().as_str().lines().take(60).map(|line| format!("{line}\n")).collect();
    let model = "model: {type: decoder, tied: false, context: 16}";
    let first = format!("{model}\ndata: {{train: a.txt}}\nepochs: 1\nbatch_size: 16\nlearning_rate: 2e-3\n");
    let second = format!(
        "{}\ndata: {{train: b.txt}}\nepochs: 3\nbatch_size: 16\nlearning_rate: auto\ntrainable: false\n\
         cache_encoder_embeddings: true\n",
        model.replace('}', ", from: runs/first}")
    );
    let foreign = second.replace("b.txt", "c.txt");
    let files = [
        ("a.txt", text.as_str()),
        ("b.txt", &text[..2000]),
        ("c.txt", "déjà vu"),
        ("first.yaml", &first),
        ("second.yaml", &second),
        ("third.yaml", &foreign),
    ];
    let desk = Desk::new("decoder", &files);
    desk.done(&["first.yaml"]);
    let told = desk.done(&["second.yaml"]);
    assert!(told.contains("thawed") || told.contains("frozen trunk"), "{told}");
    let (before, after) = (desk.read("runs/first/model.safetensors"), desk.read("runs/second/model.safetensors"));
    let (before, after) = (tensors(&before), tensors(&after));
    for name in before.names() {
        let same = before.tensor(name).expect("a tensor").data() == after.tensor(name).expect("a tensor").data();
        assert_eq!(same, !name.starts_with("lm_head") && !name.starts_with("transformer.ln_f"), "{name}");
    }
    // What a run began from need not be there when it continues.
    std::fs::rename(desk.folder.join("runs/first"), desk.folder.join("runs/moved")).expect("a folder");
    assert!(desk.done(&["--resume", "runs/second"]).contains("nothing is left to train"));
    std::fs::rename(desk.folder.join("runs/moved"), desk.folder.join("runs/first")).expect("a folder");
    let (code, told) = desk.refused(&["third.yaml"]);
    assert_eq!(code, Some(2));
    assert!(
        told.contains("c.txt: not in the vocabulary: 'à' (once, on line 1), 'é' (once, on line 1) (data.unknown"),
        "{told}"
    );
}

fn tensors(bytes: &[u8]) -> safetensors::SafeTensors<'_> {
    safetensors::SafeTensors::deserialize(bytes).expect("a safetensors file")
}

#[test]
fn an_encoder_learns_labels_from_a_table() {
    let text = gradus::data::kjv();
    let verses: Vec<&str> = text.as_str().lines().collect();
    let row = |(label, verse): (&str, &&str)| format!("\"{}\",{label}\n", verse.replace('"', ""));
    let rows =
        verses[..60].iter().map(|verse| ("psalm", verse)).chain(verses[4000..4060].iter().map(|v| ("gospel", v)));
    let csv: String = ["verse,book\n".to_owned()].into_iter().chain(rows.map(row)).collect();
    let run = "model: {type: encoder, context: 24}\ndata: {train: verses.csv, text: verse, label: book}\n\
               epochs: 2\nbatch_size: 12\nlearning_rate: 1e-3\n";
    let desk = Desk::new("encoder", &[("verses.csv", &csv), ("run.yaml", run)]);
    let output = desk.train(&["run.yaml"]);
    let (told, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{warned}");
    assert!(warned.contains("of 120 texts are longer than 24 characters and were cut (model.context)"), "{warned}");
    assert!(told.contains("108 texts to train on, 12 to test, 2 classes"), "{told}");
    let told = desk.done(&[
        "run.yaml",
        "--set",
        "name=sized",
        "--set",
        "batch_size=auto",
        "--set",
        "memory_limit_megabytes=8",
    ]);
    let size: usize = told.lines().find_map(|line| line.strip_prefix("batch size ")?.parse().ok()).expect("a size");
    assert!((1..=108).contains(&size), "{told}");
    let inputs: serde_json::Value = serde_json::from_slice(&desk.read("runs/run/inputs.json")).expect("JSON");
    assert_eq!(inputs["classes"], serde_json::json!(["gospel", "psalm"]));
    let losses: Vec<f64> =
        desk.lines("runs/run/metrics.jsonl", "epoch").iter().filter_map(|line| line["train_loss"].as_f64()).collect();
    assert!(losses.len() == 2 && losses[1] < losses[0], "{losses:?}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_old_one_and_the_run_goes_on() {
    let desk = Desk::new("no-checkpoint", &[]);
    let file = RunFile::parse("run.yaml", DIGITS, (Path::new(""), "run"), &[]).expect("a run file");
    let material = Material::read(&file).expect("a material");
    let plan = |params: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&file.schedule, params, epochs);
    let config = file.config(32).steps_per_submission(StepsPerSubmission::AtMost(1));
    let mut trainer = Trainer::new(&Engine::cpu(), &*material.task, config, plan).expect("a trainer");
    let checkpoints = Checkpoints::new(&desk.folder.join("checkpoints"), 2, Some(20)).expect("a folder");
    trainer.checkpoint_to(checkpoints.clone());
    let (mut written, mut failed) = (Vec::new(), Vec::new());
    for step in 0..60 {
        // A file stands where the second checkpoint's own folder would be made: as on a full disk, it cannot be.
        let blocked = desk.folder.join("checkpoints/.step-000000040.new");
        if step == 30 {
            std::fs::write(&blocked, "in the way").expect("a file");
        }
        trainer
            .advance(|event| match event {
                Event::Checkpoint(path) => written.push(path.clone()),
                Event::NoCheckpoint(error) => failed.push(error.to_string()),
                _ => {}
            })
            .expect("the run goes on");
        if step == 45 {
            std::fs::remove_file(&blocked).expect("the file is there");
            assert!(desk.folder.join("checkpoints/step-000000020/run.json").exists(), "the old one survives");
        }
    }
    // After 20, 50 (the end of the epoch, and the best) and 60 steps; not after 40.
    assert_eq!((written.len(), failed.len()), (3, 1), "{written:?} {failed:?}");
    assert!(failed[0].contains(".step-000000040.new"), "{}", failed[0]);
}

#[test]
fn lr_find_names_rates_and_leaves_the_run_alone() {
    let desk = Desk::new("lr-find", &[("digits.yaml", DIGITS)]);
    let find = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.current_dir(&desk.folder).args(["--adapter", "cpu", "lr-find", "digits.yaml"]).args(arguments);
        command.output().expect("the binary runs")
    };
    let output = find(&["--start", "1e-4", "--steps", "60"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for words in ["smoothed loss over the learning rate (", "steepest descent ", "tenth of the minimum ", "valley "] {
        assert!(told.contains(words), "{words:?} is missing in\n{told}");
    }
    let table = String::from_utf8(desk.read("runs/digits.lr-find.csv")).expect("text");
    assert!(table.starts_with("lr,loss,smoothed\n1e-4,") && table.lines().count() > 30, "{table}");
    assert!(!desk.folder.join("runs/digits").exists());

    assert!(told.contains("gradus train digits.yaml --set learning_rate="), "{told}");
    let told = find(&[
        "--start",
        "1e-4",
        "--steps",
        "60",
        "--set",
        "seed=2",
        "--set",
        "learning_rate=null",
        "--set",
        "optimizer.lr=1",
    ]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains("gradus train digits.yaml --set 'seed=2' --set 'learning_rate=null' --set optimizer.lr="),
        "{told}"
    );
    let output = find(&["--json", "--start", "1e-4", "--steps", "60"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let steepest = json["suggestions"]["steepest_descent"].as_f64().expect("a rate");
    assert!((1e-4..1.0).contains(&steepest), "{steepest}");
    // Rates that are all too high, and all too low.
    for (start, end, why) in [("1e30", "1e35", "every rate tried is too high"), ("1e-30", "1e-25", "is too low")] {
        let output = find(&["--start", start, "--end", end, "--steps", "20"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains("no suggestion: ") && told.contains(why), "{told}");
        assert!(!told.contains("--set learning_rate="), "{told}");
        let output = find(&["--json", "--start", start, "--end", end, "--steps", "20"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
        assert_eq!(json["suggestions"]["valley"], serde_json::Value::Null);
    }
    let output = find(&["--start", "1", "--end", "0.1"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("end = 0.1 is not above start, which is 1"), "{told}");
}

#[test]
fn the_shell_is_spoken_to_in_its_manners() {
    let gradus = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gradus")).args(arguments).output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for shell in ["bash", "zsh", "fish"] {
        let (code, told) = gradus(&["completions", shell]);
        assert!(code == Some(0) && told.contains("lr-find"), "{shell}: {told}");
    }
    let (code, told) = gradus(&["--adapter", "cpu", "info", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&told).expect("JSON and nothing else");
    assert!(code == Some(0) && json["in_use"] == "cpu" && json["adapters"].is_array(), "{told}");
    for command in ["train", "lr-find"] {
        let (code, told) = gradus(&[command, "--help"]);
        assert!(code == Some(0) && told.contains("Examples:\n  gradus "), "{told}");
    }
    if cfg!(unix) {
        // A reader that has seen enough ends the program without a word.
        let piped = format!("{} completions bash | head -n 1", env!("CARGO_BIN_EXE_gradus"));
        let output = Command::new("sh").args(["-c", &piped]).output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn a_plan_is_made_for_a_model_that_is_not_loaded() {
    let schedule = "0: {params: ['b.*'], max_transition_epoch: 1}\n1: {params: ['a.*']}\n";
    let desk = Desk::new("shapes", &[("fts.yaml", schedule), ("none.safetensors", "short")]);
    // A header alone, of tensors that would take 40 GB.
    let header = r#"{"a.weight":{"dtype":"F32","shape":[100000,100000],"data_offsets":[0,40000000000]},"b.weight":{"dtype":"F32","shape":[10],"data_offsets":[40000000000,40000000040]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    std::fs::write(desk.folder.join("large.safetensors"), bytes).expect("a file");
    let plan = |file: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.current_dir(&desk.folder).args(["--adapter", "cpu", "plan", "fts.yaml", "--shapes", file]).args(more);
        let output = command.output().expect("the binary runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let told = plan("large.safetensors", &["--steps-per-epoch", "10", "--time"]);
    assert!(
        told.contains("10000000010 (100.0 %)") && told.contains("phase 0  lr ") && told.contains("b.weight"),
        "{told}"
    );
    assert!(told.contains("optimizer, at least") && told.contains(" ms"), "{told}");
    let json: serde_json::Value =
        serde_json::from_str(&plan("large.safetensors", &["--steps-per-epoch", "10", "--json"])).expect("JSON");
    let trained: Vec<u64> =
        json.as_array().expect("a list").iter().filter_map(|cost| cost["trainable_elements"].as_u64()).collect();
    assert_eq!(trained, [10, 10_000_000_010, 10_000_000_010], "two phases, and everything");
    let told = plan("large.safetensors", &["--steps-per-epoch", "10", "--json", "--parameters", "bf16"]);
    let json: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(json[1]["step_bytes"], 24 * 10_000_000_000u64 + 28 * 10, "a matrix in bf16, a vector in f32");
    assert_eq!(plan("large.safetensors", &[]), "gradus: --shapes needs --steps-per-epoch\n");
    let told = plan("none.safetensors", &["--steps-per-epoch", "10"]);
    assert_eq!(told, "gradus: none.safetensors: not a safetensors file: it is shorter than 8 bytes\n");
}
