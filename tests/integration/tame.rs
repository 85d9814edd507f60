//! What comes from outside, in what is printed and in files: names with what a terminal obeys, links, pipes, damaged logs.
#![cfg(unix)]

use crate::support::folder;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A name that paints a terminal red, turns a line round and begins a new one.
const WILD: &str = "we\u{1b}[31mird\u{202e}\u{9b}2J\r\nnext";

/// The same as it is shown.
const SHOWN: &str = r"we\u{1b}[31mird\u{202e}\u{9b}2J\r\nnext";

struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Desk {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Desk(folder)
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Desk {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, bytes).expect("a file");
        self
    }

    fn pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.0.join(name)).status().expect("mkfifo runs").success());
    }

    /// The exit code, standard output and standard error.
    fn ran(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.current_dir(&self.0).args(["--adapter", "cpu"]).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What a refusal says: one line, tame.
    fn refused(&self, arguments: &[&str]) -> String {
        let (code, _, told) = self.ran(arguments);
        assert_ne!(code, Some(0), "{told}");
        assert!(is_tame(&told), "{told:?}");
        told
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_tame(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}')
}

/// A table of numbers whose columns and classes are these.
fn table(columns: [&str; 2], classes: [&str; 2]) -> String {
    let rows: String = (0..40).map(|n| format!("{},{n},\"{}\"\n", n % 7, classes[n % 2])).collect();
    format!("\"{}\",\"{}\",class\n{rows}", columns[0], columns[1])
}

const RUN: &str =
    "model: {type: mlp, hidden: [4]}\ndata: {train: a.csv, label: class}\nbatch_size: 8\nepochs: 2\nname: run\n";

#[test]
fn names_of_columns_and_classes_are_shown_tame() {
    let desk = Desk::new("tame-names").with("a.csv", table([WILD, "n"], [WILD, "b"])).with("run.yaml", RUN);
    let told = desk.refused(&["train", "run.yaml", "--set", "data.label=clas"]);
    assert!(told.contains(SHOWN) && told.lines().count() == 1, "{told}");
    let told = desk.refused(&["train", "run.yaml", "--set", "data.classes=[a, b]"]);
    assert!(told.lines().all(|line| is_tame(line) && line.chars().count() < 200), "{told}");
    // They train all the same.
    let (code, said, told) = desk.ran(&["train", "run.yaml"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(is_tame(&said) && is_tame(&told), "{said:?}{told:?}");
}

#[test]
fn what_stands_on_the_command_line_is_shown_tame() {
    let desk = Desk::new("tame-line").with("a.csv", table(["m", "n"], ["a", "b"])).with("run.yaml", RUN);
    for arguments in [
        vec![WILD],
        vec!["train", WILD],
        vec!["train", "run.yaml", "--set", &format!("{WILD}=1")],
        vec!["train", "run.yaml", "--set", &format!("epochs={WILD}")],
        vec!["train", "run.yaml", "--set", &format!("data.train={WILD}.csv")],
        vec!["train", "run.yaml", "--set", &format!("model.from={WILD}")],
        vec!["train", "--resume", WILD],
        vec!["plan", WILD, "--steps", "10"],
        vec!["--kernels", WILD, "train", "run.yaml"],
        vec!["--adapter", WILD, "info"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        let output = command.current_dir(&desk.0).args(&arguments).output().expect("the binary runs");
        let told = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && is_tame(&told), "{arguments:?}: {told:?}");
        assert!(!told.contains("\nnext"), "no line begins within a name: {told:?}");
    }
    // A run's folder may be called anything.
    let escaped: String = WILD.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
    let desk = desk.with("wild.yaml", format!("{RUN}output: \"{escaped}\"\n"));
    let (code, said, told) = desk.ran(&["train", "wild.yaml"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(is_tame(&said) && said.contains(&format!("report         {SHOWN}/run/")), "{said:?}");
}

#[test]
fn a_value_longer_than_a_line_is_cut() {
    let long = "z".repeat(100_000);
    let desk = Desk::new("tame-long").with("a.csv", table(["m", "n"], [&long, "b"])).with("run.yaml", RUN);
    for setting in
        [format!("epochs={long}"), format!("{long}=1"), "data.classes=[b]".to_owned(), format!("data.label={long}")]
    {
        let told = desk.refused(&["train", "run.yaml", "--set", &setting]);
        assert!(told.len() < 2000, "{} bytes: {}", told.len(), &told[..300]);
    }
}

#[test]
fn tensors_names_are_shown_tame_in_a_plan() {
    let header = serde_json::json!({WILD: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend([0; 8]);
    let schedule = "optimizer: {type: adamw}\nlr_scheduler: {type: constant}\nphases: {0: {params: ['.*']}}\n";
    let desk = Desk::new("tame-tensors").with("m.safetensors", file).with("s.yaml", schedule);
    let (code, said, told) = desk.ran(&["plan", "s.yaml", "--shapes", "m.safetensors", "--steps-per-epoch", "4"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(is_tame(&said) && said.contains(SHOWN), "{said:?}");
}

#[test]
fn a_pipe_a_device_and_a_socket_are_no_files_to_read() {
    let desk = Desk::new("tame-pipes").with("a.csv", table(["m", "n"], ["a", "b"])).with("run.yaml", RUN);
    let desk = desk.with("s.yaml", "optimizer: {type: adamw}\nphases: {0: {params: ['.*']}}\n");
    desk.pipe("pipe.csv");
    desk.pipe("pipe");
    let _socket = std::os::unix::net::UnixListener::bind(desk.0.join("socket.csv")).expect("a socket");
    for (arguments, words) in [
        (
            vec!["train", "run.yaml", "--set", "data.train=pipe.csv"],
            "pipe.csv: this is a pipe; a regular file is needed",
        ),
        (vec!["train", "run.yaml", "--set", "data.train=socket.csv"], "socket.csv: this is a socket"),
        (vec!["train", "run.yaml", "--set", "model.from=pipe"], "pipe: this is a pipe"),
        (vec!["train", "run.yaml", "--set", "schedule=pipe"], "pipe: this is a pipe"),
        (vec!["train", "pipe"], "pipe: this is a pipe"),
        (
            vec!["train", "run.yaml", "--set", "data.train=/dev/stdin"],
            "/dev/stdin: this is standard input, which cannot be read again",
        ),
        (vec!["train", "run.yaml", "--set", "data.train=/dev/zero"], "/dev/zero: this is a device"),
        (vec!["plan", "pipe", "--steps", "10"], "this is a pipe"),
        (vec!["plan", "s.yaml", "--shapes", "pipe", "--steps-per-epoch", "4"], "pipe: this is a pipe"),
    ] {
        let told = desk.refused(&arguments);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    std::fs::create_dir_all(desk.0.join("runs/run")).expect("a folder");
    desk.pipe("runs/run/steps.jsonl");
    assert!(desk.refused(&["train", "run.yaml"]).contains("steps.jsonl"), "a log neither");
}

#[test]
fn files_are_made_and_not_written_through_links() {
    let desk = Desk::new("tame-links").with("a.csv", table(["m", "n"], ["a", "b"])).with("run.yaml", RUN);
    let desk = desk.with("precious", "mine").with("runs/run/nothing", "");
    let run = desk.0.join("runs/run");
    let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, run.join(name)).expect("a link");
    for name in ["run.yaml", "inputs.json", "schedule.yaml", "model.safetensors", "best.safetensors", "report.html"] {
        link(&format!("{name}.new"), &desk.0.join("precious"));
    }
    let (code, _, told) = desk.ran(&["train", "run.yaml"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(desk.read("precious"), "mine");
    for name in ["run.yaml", "model.safetensors", "best.safetensors", "report.html"] {
        assert!(run.join(name).symlink_metadata().expect("a file").is_file(), "{name}");
    }
    // A log that leads elsewhere is none.
    std::fs::remove_dir_all(&run).expect("ours");
    std::fs::create_dir_all(&run).expect("a folder");
    link("metrics.jsonl", &desk.0.join("elsewhere"));
    assert!(desk.refused(&["train", "run.yaml"]).contains("metrics.jsonl"));
    assert!(!desk.0.join("elsewhere").exists());
}

#[test]
fn damaged_lines_of_the_logs_are_holes_in_the_report() {
    let desk = Desk::new("tame-logs").with("a.csv", table(["m", "n"], ["a", "b"])).with("run.yaml", RUN);
    assert_eq!(desk.ran(&["train", "run.yaml"]).0, Some(0));
    assert!(!desk.read("runs/run/report.html").contains("gaps:"));
    for log in ["metrics.jsonl", "steps.jsonl"] {
        let path = desk.0.join("runs/run").join(log);
        let text = std::fs::read(&path).expect("a log");
        let cut = text.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        let mut damaged = text[..cut].to_vec();
        damaged.extend(b"{\"epoch\":1,\xff\n{\"steps\":NaN}\nnot JSON <b>at all</b>\n");
        damaged.extend(&text[cut..]);
        std::fs::write(&path, damaged).expect("a log");
    }
    let (code, _, told) = desk.ran(&["train", "--resume", "runs/run"]);
    assert_eq!(code, Some(0), "{told}");
    let page = desk.read("runs/run/report.html");
    assert!(page.contains("gaps: 3 lines of metrics.jsonl are damaged or missing, 3 lines of steps.jsonl"), "{page}");
    assert!(!page.contains("<b>at all"));
}

#[test]
fn what_stands_in_a_report_is_a_number_or_escaped() {
    let wild = "<script>alert(1)</script>";
    let desk = Desk::new("tame-report").with("a.csv", table(["m", "n"], ["a", "b"])).with("run.yaml", RUN);
    let (code, _, told) = desk.ran(&["train", "run.yaml", "--set", "name=a <b> & \"c\""]);
    assert_eq!(code, Some(0), "{told}");
    let folder = "runs/a <b> & \"c\"";
    assert!(desk.read(&format!("{folder}/report.html")).contains("<h1>a &lt;b&gt; &amp; &quot;c&quot;</h1>"));
    // Lines of steps that are over stay as they are when a run continues.
    let path = desk.0.join(folder).join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).expect("a log");
    let numbers: String = ["epoch", "phase", "val_loss", "skipped_steps"]
        .map(|key| {
            let line = text.lines().find(|line| line.contains("val_loss")).expect("an evaluation");
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line[key] = wild.into();
            format!("{line}\n")
        })
        .concat();
    let phase = serde_json::json!({"began": 0, "steps": 0, "reason": wild, "restored": null, "thawed": [wild, "a\u{1b}b"],
        "groups": [[wild, 4, 0.1]]});
    std::fs::write(&path, format!("{phase}\n{numbers}{text}")).expect("a log");
    let (code, _, told) = desk.ran(&["train", "--resume", folder]);
    assert_eq!(code, Some(0), "{told}");
    let page = desk.read(&format!("{folder}/report.html"));
    assert!(!page.contains("<script") && is_tame(&page) && page.contains("gaps: 4 lines of metrics.jsonl"), "{page}");
}
