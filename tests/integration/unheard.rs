//! The binary when nobody reads what it prints, and when signals end it.
#![cfg(unix)]

use crate::support::folder;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const GRADUS: &str = env!("CARGO_BIN_EXE_gradus");

/// Three epochs in a moment.
const SHORT: &str =
    "model: {type: mlp, hidden: [8]}\ndata: {embedded: digits}\nlearning_rate: 0.003\nepochs: 3\nname: run\n";

/// Longer than any test waits.
const LONG: &str = "model: {type: mlp, hidden: [8]}\ndata: {embedded: digits}\nlearning_rate: 0.003\nepochs: 1000000\n\
                    evaluate_every_epochs: 100000\nbatch_size: 8\nname: run\n";

struct Desk(PathBuf);

impl Desk {
    fn new(name: &str, run: &str) -> Desk {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("run.yaml"), run).expect("a file");
        Desk(folder)
    }

    /// A shell's command, in which `$GRADUS` is the binary.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.current_dir(&self.0).env("GRADUS", GRADUS).args(["-c", script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn ran(&self, script: &str) -> Output {
        self.shell(script).output().expect("a shell")
    }

    /// A process that trains, once it has noted a step.
    fn training(&self, script: &str) -> Child {
        let mut child = self.shell(script).spawn().expect("a shell");
        let from = Instant::now();
        while self.steps().is_empty() {
            assert!(child.try_wait().expect("a state").is_none(), "it ended before its first step");
            assert!(from.elapsed() < Duration::from_secs(60), "no step was noted");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    /// The steps of `steps.jsonl`, of which every line is whole.
    fn steps(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.0.join("runs/run/steps.jsonl")).unwrap_or_default();
        let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a whole line")["step"].as_u64();
        text.lines().map(|line| step(line).expect("a step")).collect()
    }

    fn has(&self, file: &str) -> bool {
        self.0.join("runs/run").join(file).exists()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// The exit code, and what was written to standard error.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("an end");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_ends_no_training() {
    let desk = Desk::new("full-stdout", SHORT);
    let output = desk.ran("\"$GRADUS\" --adapter cpu train run.yaml > /dev/full");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.lines().count(), 1, "said once: {told}");
    assert!(told.starts_with("gradus: warning: standard output cannot be written; the run continues: "), "{told}");
    assert!(desk.has("model.safetensors") && desk.has("report.html"));
    // Standard error too.
    let output = desk.ran("\"$GRADUS\" --adapter cpu train run.yaml --overwrite > /dev/full 2> /dev/full");
    assert_eq!(output.status.code(), Some(0));
    // What does nothing but print has failed.
    let output = desk.ran("\"$GRADUS\" completions bash > /dev/full");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("gradus: standard output cannot be written: No space left"), "{told}");
}

#[test]
fn a_closed_pipe_ends_no_training_and_anything_else_in_silence() {
    let desk = Desk::new("closed-pipe", SHORT);
    let mut child = desk.shell("exec \"$GRADUS\" --adapter cpu train run.yaml").spawn().expect("a shell");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    assert!(first.starts_with("an MLP of "), "{first}");
    let (code, told) = ended(child);
    assert_eq!(code, Some(0), "{told}");
    assert!(desk.has("model.safetensors"));
    let output =
        desk.ran("(sleep 0.2; \"$GRADUS\" --help; echo $? >&2; \"$GRADUS\" completions bash; echo $? >&2) | true");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "141\n141\n");
}

#[test]
fn each_signal_ends_a_run_with_a_checkpoint_and_its_own_code() {
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let desk = Desk::new(&format!("signal-{signal}"), LONG);
        // Tests may themselves be run by nohup, and what a shell ignores when it begins it cannot trap.
        if signal == "HUP" && desk.ran("trap 'exit 7' HUP; kill -HUP $$; exit 0").status.code() == Some(0) {
            continue;
        }
        let child = desk.training("exec \"$GRADUS\" --adapter cpu train run.yaml");
        send(&child, signal);
        let (ended, told) = ended(child);
        assert_eq!(ended, Some(code), "{signal}: {told}");
        let step = desk.steps().last().expect("a step") + 1;
        assert!(told.contains(&format!("interrupted after {step} steps; runs/run/checkpoints/step-")), "{told}");
        assert!(told.contains("resume with: gradus train --resume runs/run"), "{told}");
        let output =
            desk.ran(&format!("\"$GRADUS\" --adapter cpu train --resume runs/run --set epochs={}", step / 202 + 1));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_hangup_that_was_ignored_stays_ignored() {
    let desk = Desk::new("nohup", LONG);
    let mut child = desk.training("trap '' HUP; exec \"$GRADUS\" --adapter cpu train run.yaml");
    send(&child, "HUP");
    let before = desk.steps().len();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().expect("a state").is_none(), "it goes on");
    assert!(desk.steps().len() > before);
    send(&child, "TERM");
    assert_eq!(ended(child).0, Some(143));
}

#[test]
fn a_second_signal_ends_at_once_and_loses_no_line() {
    // A step of half a second or more.
    let slow = "model: {type: mlp, hidden: [2048, 2048]}\ndata: {embedded: digits}\nlearning_rate: 0.003\nepochs: 1000\n\
                batch_size: 800\nname: run\n";
    let desk = Desk::new("second-signal", slow);
    let child = desk.training("exec \"$GRADUS\" --adapter cpu train run.yaml");
    let noted = desk.steps();
    send(&child, "TERM");
    std::thread::sleep(Duration::from_millis(50));
    send(&child, "INT");
    let (code, told) = ended(child);
    assert_eq!((code, told.as_str()), (Some(130), ""), "the second one's, and no checkpoint");
    assert!(desk.steps().starts_with(&noted));
}
