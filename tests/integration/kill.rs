//! Real processes, killed: a run that continues ends with the bytes of one that was never stopped.

use crate::support::{folder, gpu};
use gradus::engine::Engine;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Gradual unfreezing with phases at known epochs, clipping and a law.
const SCHEDULE: &str = "
optimizer: {type: adamw, lr: 5.0e-3, weight_decay: 0.05, clip_norm: 1.0, no_decay: [bias]}
lr_scheduler: {type: cosine, warmup_fraction: 0.1}
early_stopping: {monitor: val_loss, patience: 4}
phases:
  0: {params: ['layers.2.*'], max_transition_epoch: 2}
  1: {params: ['layers.1.*'], lr: 2.0e-3, max_transition_epoch: 4}
  2: {params: ['layers.0.*'], lr: 1.0e-3}
";

struct Run {
    folder: PathBuf,
    hidden: &'static str,
    every: &'static str,
}

impl Run {
    fn new(name: &str, hidden: &'static str, every: &'static str) -> Run {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("schedule.yaml"), SCHEDULE).expect("a schedule");
        Run { folder, hidden, every }
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn start(&self, resume: bool) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.env("GRADUS_KERNELS", "registers");
        let engine = gpu();
        command.args(["--adapter", engine.as_ref().map_or("cpu", Engine::name)]);
        command.args(["demo", "mlp", "--epochs", "7", "--hidden", self.hidden, "--checkpoint-every", self.every]);
        command.arg("--schedule").arg(self.folder.join("schedule.yaml")).arg("--out").arg(self.out());
        command.args(resume.then_some("--resume")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary runs")
    }

    /// Runs to the end; what it printed.
    fn finish(&self, resume: bool) -> String {
        let output = self.start(resume).wait_with_output().expect("an end");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        told
    }

    fn left(&self) -> (Vec<u8>, String) {
        let read = |name: &str| std::fs::read(self.out().join(name)).expect("a file");
        (read("model.safetensors"), String::from_utf8(read("metrics.jsonl")).expect("text"))
    }

    /// Hidden folders of checkpoints that were being written.
    fn half_written(&self) -> usize {
        let entries = std::fs::read_dir(self.out().join("checkpoints")).into_iter().flatten();
        entries.filter(|entry| entry.as_ref().is_ok_and(|entry| is_half(&entry.path()))).count()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn is_half(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".step-"))
}

/// Kills a run once it has printed a line that starts like this, after a delay; whether it was still alive.
fn kill_after_line(mut child: Child, start: &str, delay: Duration) -> bool {
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let seen = lines.map_while(Result::ok).any(|line| line.starts_with(start));
    std::thread::sleep(delay);
    child.kill().expect("a kill");
    child.wait().expect("an end");
    seen
}

#[test]
fn a_run_killed_anywhere_ends_with_the_same_bytes() {
    let whole = Run::new("whole", "24,16", "7");
    let told = whole.finish(false);
    let expected = whole.left();
    assert!(told.contains("phase 1: ") && told.contains("phase 2: "), "{told}");

    let killed = Run::new("killed", "24,16", "7");
    // Before the first checkpoint; in the middle of phase 0; when the epoch before a transition has just been told; right
    // behind the transition; in the middle of a later phase; near the end.
    let places =
        [("phase 0", 0), ("    1", 3), ("    2", 0), ("phase 1", 0), ("    3", 11), ("    4", 0), ("    6", 7)];
    for (place, (line, milliseconds)) in places.into_iter().enumerate() {
        let seen = kill_after_line(killed.start(place > 0), line, Duration::from_millis(milliseconds));
        assert!(seen || place > 0, "the run never came to {line:?}");
    }
    let told = killed.finish(true);
    assert!(told.contains("resuming after "), "{told}");
    let left = killed.left();
    assert_eq!(left.1, expected.1, "every evaluation once, with the same numbers");
    assert!(left.0 == expected.0, "the parameters differ");
}

#[test]
fn a_run_killed_while_it_writes_goes_on_from_a_whole_checkpoint() {
    let whole = Run::new("whole", "512,256", "5");
    whole.finish(false);
    let killed = Run::new("written", "512,256", "5");
    let mut caught = 0;
    for attempt in 0..30 {
        let mut child = killed.start(attempt > 0);
        let until = Instant::now() + Duration::from_secs(20);
        while killed.half_written() == 0 && Instant::now() < until && child.try_wait().expect("a child").is_none() {}
        child.kill().expect("a kill");
        child.wait().expect("an end");
        caught += killed.half_written();
        if caught >= 3 || killed.out().join("model.safetensors").exists() {
            break;
        }
    }
    assert!(caught > 0, "no process was caught while it wrote");
    killed.finish(true);
    assert_eq!(killed.half_written(), 0, "what was half written is gone");
    assert!(killed.left() == whole.left(), "another run");
}

#[test]
fn a_folder_with_a_run_in_it_is_not_overwritten() {
    let run = Run::new("twice", "8,8", "50");
    run.finish(false);
    let output = run.start(false).wait_with_output().expect("an end");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("resume it with --resume"), "{told}");
    // Going on with a run that is over changes nothing.
    let left = run.left();
    let told = run.finish(true);
    assert!(told.contains("the run had ended"), "{told}");
    assert!(run.left() == left);
}
