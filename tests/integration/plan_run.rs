//! What is known of a run file before its first step, and what a run does at its end.

use crate::support::folder;
use std::path::PathBuf;
use std::process::Command;

/// A folder with run.yaml.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str, run: &str) -> Desk {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("run.yaml"), run).expect("a file");
        Desk(folder)
    }

    /// The exit code, what it prints, and what it warns of or complains about.
    fn told(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        let output = command.current_dir(&self.0).args(["--adapter", "cpu"]).args(arguments).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// What one that ends well prints.
    fn done(&self, arguments: &[&str]) -> String {
        let (code, told, wrong) = self.told(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {told}{wrong}");
        told
    }

    fn lines(&self, key: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.0.join("runs/run/metrics.jsonl")).expect("metrics");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.filter(|line: &serde_json::Value| !line[key].is_null()).collect()
    }

    fn holds(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const DIGITS: &str = "model: {type: mlp, hidden: [8]}\ndata: {embedded: digits}\nlearning_rate: 0.003\n";

const PHASES: &str = "model: {type: mlp, hidden: [8]}
data: {embedded: digits}
epochs: 3
optimizer: {type: adamw, lr: 0.003}
lr_scheduler: {class_path: StepLR, init_args: {step_size: 1, gamma: 0.5}, interval: epoch}
phases:
  0: {params: [layers.1.*], max_transition_epoch: 1}
  1: {params: [layers.0.*], lr: 0.001}
";

#[test]
fn any_run_file_is_planned() {
    let desk = Desk::new("plan-run", DIGITS);
    let told = desk.done(&["plan", "run.yaml", "--csv", "rates.csv"]);
    assert!(told.contains("3 epochs of 50 steps of 32 rows: 150 steps"), "{told}");
    assert!(told.contains("lr of decay") && told.contains("all "), "{told}");
    let csv = std::fs::read_to_string(desk.0.join("rates.csv")).expect("a table");
    assert_eq!(csv.lines().count(), 1 + 150);
    let told = desk.done(&["plan", "run.yaml", "--set", "epochs=5"]);
    assert!(told.contains("250 steps"), "{told}");
    let (code, _, wrong) = desk.told(&["plan", "run.yaml", "--epochs", "5"]);
    assert_eq!(code, Some(2));
    assert!(wrong.contains("--epochs: the run file has it"), "{wrong}");

    let desk = Desk::new("plan-phases", PHASES);
    let told = desk.done(&["plan", "run.yaml"]);
    assert!(told.contains("phase 1 begins at step 50\n"), "{told}");
    assert!(told.contains("StepLR steps after every epoch (interval: epoch)"), "{told}");
    assert!(told.contains("lr of phase 1"), "{told}");
    let told = desk.done(&["plan", "run.yaml", "--set", "phases.0.max_transition_epoch=-1"]);
    assert!(told.contains("phase 1 begins only if a metric ends the one before it"), "{told}");
    let (_, _, wrong) = desk.told(&["plan", "run.yaml", "--set", "finetuning.max_depth=0"]);
    assert!(
        wrong.contains("finetuning.max_depth = 0: phase 1 never begins, and its 2 parameters stay frozen"),
        "{wrong}"
    );
}

#[test]
fn no_flag_is_ignored() {
    let desk = Desk::new("plan-flags", "optimizer: {type: adamw, no_decay: [biass]}\nlr_scheduler: {type: cosine}\n");
    for flag in
        [["--epochs", "3"], ["--hidden", "3"], ["--batch-size", "3"], ["--set", "a=b"], ["--parameters", "bf16"]]
    {
        let (code, _, wrong) = desk.told(&["plan", "run.yaml", "--steps", "20", flag[0], flag[1]]);
        assert!(code == Some(2) && wrong.contains(flag[0]), "{flag:?}: {wrong}");
    }
    let (code, told, wrong) = desk.told(&["plan", "run.yaml", "--model", "mlp", "--steps", "20"]);
    assert!(code == Some(0) && told.contains("lr of") && told.contains("trainable"), "{told}{wrong}");
    assert!(wrong.contains("no parameter has \"biass\" in its name (did you mean \"bias\"?)"), "{wrong}");
}

#[test]
fn schedules_are_made_for_any_run_file() {
    let desk = Desk::new("generate", DIGITS);
    let told = desk.done(&["schedule", "generate", "run.yaml"]);
    let phases = "0:\n  params:\n  - layers.1.bias\n  - layers.1.weight\n1:\n  params:\n  - layers.0.bias\n  - layers.0.weight\n";
    assert!(told.starts_with("# mlp: two parameters a phase") && told.ends_with(phases), "{told}");
    let told = desk.done(&["train", "run.yaml", "--set", "finetuning.gen_ft_sched_only=true"]);
    assert!(told.ends_with("Mlp_ft_schedule.yaml\n"), "{told}");
    let written = std::fs::read_to_string(desk.0.join("runs/run/Mlp_ft_schedule.yaml")).expect("a schedule");
    assert_eq!(written, phases);
    assert!(!desk.holds("runs/run/metrics.jsonl"), "nothing was trained");
    desk.done(&["train", "run.yaml", "-q", "--set", "epochs=1", "--set", "schedule=runs/run/Mlp_ft_schedule.yaml"]);
}

/// `--set key=null` takes away any key or section that need not be there, and no other.
#[test]
fn null_takes_a_key_away() {
    let desk = Desk::new(
        "null",
        "model: {type: mlp, hidden: [8], activation: relu}
data: {embedded: digits, test_percent: 20}
epochs: 1
optimizer: {type: adamw, lr: 0.001, clip_norm: 1.0, no_decay: [bias]}
lr_scheduler: {type: cosine, warmup_steps: 5}
early_stopping: {monitor: val_loss, patience: 2}
evaluate_every_epochs: 1
",
    );
    for keys in [
        &["optimizer.clip_norm", "optimizer.ema_decay", "optimizer.no_decay", "optimizer.lr", "data.test_percent"][..],
        &["model.activation", "model.hidden", "model.from", "epochs", "lr_scheduler.warmup_steps"][..],
        &["early_stopping.patience", "evaluate_every_epochs", "checkpoint", "checkpoint.keep_last"][..],
        &["optimizer", "lr_scheduler", "early_stopping", "finetuning.base_max_lr"][..],
    ] {
        let settings: Vec<String> = keys.iter().map(|key| format!("{key}=null")).collect();
        let settings = settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        desk.done(&["plan", "run.yaml"].into_iter().chain(settings).collect::<Vec<_>>());
    }
    for (setting, expected) in [
        ("optimizer.clip_nrom=null", "optimizer.clip_nrom is not a known key"),
        ("model.type=null", "model.type is missing"),
        ("data=null", "the section data is missing"),
        ("checkpoint.monitor=null", "checkpoint.monitor = nothing is not a text"),
    ] {
        let (code, _, wrong) = desk.told(&["plan", "run.yaml", "--set", setting]);
        assert!(code == Some(2) && wrong.contains(expected), "{setting}: {wrong}");
    }
    let desk = Desk::new("null-phases", PHASES);
    let (code, _, wrong) = desk.told(&["plan", "run.yaml", "--set", "phases.1.lr=null"]);
    assert!(code == Some(2) && wrong.contains("phases.1.lr = nothing is not a number"), "{wrong}");
    desk.done(&["plan", "run.yaml", "--set", "phases.0.max_transition_epoch=null"]);
}

#[test]
fn the_end_of_a_run_is_tested_and_decides_nothing() {
    let desk = Desk::new("end", DIGITS);
    let told = desk.done(&["train", "run.yaml", "--set", "evaluate_every_epochs=100"]);
    assert!(told.contains("of epoch 3, after step 150, in best.safetensors"), "{told}");
    let steps = |desk: &Desk| desk.lines("val_loss").iter().map(|line| line["steps"].as_u64()).collect::<Vec<_>>();
    assert_eq!(steps(&desk), [Some(150)]);
    let read = |name: &str| std::fs::read(desk.0.join("runs/run").join(name)).expect("a file");
    assert!(read("best.safetensors") == read("model.safetensors"));
    let every_other = ["train", "run.yaml", "-q", "--overwrite", "--set", "evaluate_every_epochs=2"];
    desk.done(&every_other);
    assert_eq!(steps(&desk), [Some(100), Some(150)]);
    // In a run of phases it is not even the best.
    let desk = Desk::new("end-phases", PHASES);
    desk.done(&every_other);
    assert_eq!(steps(&desk), [Some(100), Some(150)]);
    assert!(desk.holds("runs/run/checkpoints/step-000000100"), "the best is that of the plan");
}

/// A scheduler that ends before the run is refused; where it cannot be known, nothing is lost, and the run can be finished.
#[test]
fn a_run_whose_scheduler_ends_can_be_gone_on_with() {
    let desk = Desk::new("one-cycle", DIGITS);
    let law = "lr_scheduler={class_path: OneCycleLR, init_args: {max_lr: 0.01, total_steps: 100}}";
    let (code, _, wrong) = desk.told(&["train", "run.yaml", "--set", law]);
    assert_eq!(code, Some(2), "{wrong}");
    assert!(wrong.contains("the cycle has 100 steps; this run needs 150"), "{wrong}");
    assert!(!desk.holds("runs"), "nothing was begun");
    desk.done(&["train", "run.yaml", "-q", "--set", &law.replace("100", "run.steps")]);

    let desk = Desk::new(
        "one-cycle-phase",
        "model: {type: mlp, hidden: [8]}
data: {embedded: digits}
epochs: 5
optimizer: {type: adamw, lr: 0.0}
early_stopping: {patience: 1}
finetuning: {allow_untested: true, restore_best: false}
phases:
  0: {params: [layers.1.*]}
  1:
    params: [layers.0.*]
    new_lr_scheduler:
      lr_scheduler_init: {class_path: torch.optim.lr_scheduler.OneCycleLR, init_args: {max_lr: 0.01, total_steps: 20}}
      pl_lrs_cfg: {interval: step}
",
    );
    // A rate of 0 gets no better: the second phase begins after two epochs, at step 100.
    let (code, _, wrong) = desk.told(&["train", "run.yaml", "-q"]);
    assert!(code == Some(1) && wrong.contains("OneCycleLR has no value at step 21"), "{wrong}");
    assert!(wrong.contains("resume with: gradus train --resume runs/run --set"), "{wrong}");
    assert!(desk.holds("runs/run/checkpoints/step-000000120"), "{wrong}");
    let key = "phases.1.new_lr_scheduler.lr_scheduler_init.init_args";
    let (code, _, wrong) = desk.told(&["train", "--resume", "runs/run", "--set", "early_stopping.patience=2"]);
    assert!(code != Some(0), "another run: {wrong}");
    desk.done(&["train", "--resume", "runs/run", "-q", "--set", &format!("{key}.total_steps=200")]);
    let last = desk.lines("val_loss").pop().expect("an evaluation");
    assert!(last["steps"].as_u64() > Some(120), "{last}");
    assert!(desk.told(&["train", "--resume", "runs/run", "--set", &format!("{key}.max_lr=1")]).0 != Some(0));
}

/// Checkpoints before and after each decay stay, by name, and a run begins a stable phase from either.
#[test]
fn a_stable_phase_goes_on_from_before_and_after_a_decay() {
    let law = "lr_scheduler: {type: wsd, warmup_steps: 10, decay_fraction: 0.25, checkpoints: 2}\n";
    let desk = Desk::new("wsd", &format!("{DIGITS}{law}epochs: 4\ncheckpoint: {{keep_last: 1}}\n"));
    desk.done(&["train", "run.yaml", "-q"]);
    for (step, name) in
        [(75, "before decay 1"), (100, "after decay 1"), (175, "before decay 2"), (200, "after decay 2")]
    {
        let run = desk.0.join(format!("runs/run/checkpoints/step-{step:09}/run.json"));
        let text = std::fs::read_to_string(&run).unwrap_or_else(|error| panic!("{}: {error}", run.display()));
        assert!(text.contains(&format!("\"name\": \"{name}\"")), "{step}");
    }
    let began = desk.lines("began");
    assert_eq!((&began[0]["depth_remaining"], &began[0]["wsd"]["start"]), (&0.into(), &75.into()), "{}", began[0]);
    for from in ["before_decay", "after_decay"] {
        let go_on = format!("continue={{run: runs/run, from: {from}}}");
        let name = format!("name={from}");
        desk.done(&["train", "run.yaml", "-q", "--set", &go_on, "--set", &name, "--set", "epochs=1"]);
        let steps = std::fs::read_to_string(desk.0.join(format!("runs/{from}/steps.jsonl"))).expect("steps");
        let first: serde_json::Value = serde_json::from_str(steps.lines().next().expect("a step")).expect("JSON");
        assert_eq!(first["lrs"][0], 0.003, "no warm-up");
        let loss = first["loss"].as_f64().expect("a loss");
        assert!(loss < 1.0, "{from}: it begins where the other run stood: {loss}");
        desk.done(&["train", "--resume", &format!("runs/{from}"), "-q"]);
    }
    let (code, _, wrong) = desk.told(&["train", "run.yaml", "--set", "continue={run: nowhere}", "--set", "name=other"]);
    assert!(code != Some(0) && wrong.contains("nowhere"), "{wrong}");
    let (code, _, wrong) =
        desk.told(&["plan", "run.yaml", "--set", "continue={run: runs/run}", "--set", "lr_scheduler={type: cosine}"]);
    assert!(code == Some(2) && wrong.contains("have decays"), "{wrong}");
}

/// A scheduler that takes a metric steps where interval and frequency say so and there is an evaluation.
#[test]
fn interval_and_frequency_hold_for_metrics_too() {
    let law = |rest: &str| {
        format!(
            "lr_scheduler={{class_path: ReduceLROnPlateau, init_args: {{factor: 0.5, patience: 0, threshold: 0.9}}{rest}}}"
        )
    };
    let rates = |settings: &[&str]| {
        let desk = Desk::new("interval", DIGITS);
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        desk.done(&["train", "run.yaml", "-q"].into_iter().chain(settings).collect::<Vec<_>>());
        let lines = desk.lines("val_loss");
        lines.iter().map(|line| 0.003 / line["lr"].as_f64().expect("a rate")).collect::<Vec<_>>()
    };
    // The rate told is that of the last step: a reduction shows at the next evaluation.
    let every = rates(&["epochs=4", &law("")]);
    assert_eq!(every, [1.0, 1.0, 2.0, 4.0]);
    assert_eq!(rates(&["epochs=6", &law(", frequency: 2")]), [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]);
    let within = rates(&["epochs=3", "evaluate_every_steps=25", &law(", monitor: val_loss")]);
    assert_eq!(within, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]);
    let by_step = rates(&["epochs=2", "evaluate_every_steps=25", &law(", interval: step")]);
    assert_eq!(by_step, [1.0, 1.0, 2.0, 4.0]);
}
