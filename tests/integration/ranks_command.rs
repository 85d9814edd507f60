//! `gradus train --adapters`, and `mpirun` on a binary that cannot: as their user sees them.

use crate::train_command::{DIGITS, Desk};
use std::process::{Command, Output};

fn train(desk: &Desk, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(&desk.folder).arg("train").args(arguments).output().expect("the binary runs")
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn two_adapters_train_as_one_that_takes_their_micro_batches() {
    let desk = Desk::new("two-adapters", &[("digits.yaml", DIGITS)]);
    let both = train(&desk, &["digits.yaml", "--adapters", "cpu,cpu", "--set", "name=both"]);
    assert!(both.status.success(), "{}", told(&both));
    desk.done(&["digits.yaml", "--set", "name=one", "--set", "gradient_accumulation_steps=2"]);
    for file in ["model.safetensors", "best.safetensors"] {
        assert!(desk.read(&format!("runs/both/{file}")) == desk.read(&format!("runs/one/{file}")), "{file}");
    }
    let steps = |run: &str| desk.lines(&format!("runs/{run}/steps.jsonl"), "step").len();
    assert_eq!(steps("both"), steps("one"), "one rank writes the log");
    let report = String::from_utf8(desk.read("runs/both/report.html")).expect("text");
    assert!(report.contains(" MB of gradients a step, summed in"), "what they exchanged is reported");

    // On one adapter it goes on as the same run, and on three it cannot.
    let more = desk.done(&["--resume", "runs/both", "--set", "epochs=4"]);
    assert!(more.contains("resuming after 75 steps"), "{more}");
    desk.done(&["--resume", "runs/one", "--set", "epochs=4"]);
    assert!(
        desk.read("runs/both/model.safetensors") == desk.read("runs/one/model.safetensors"),
        "it goes on otherwise"
    );
    let three = train(&desk, &["--resume", "runs/both", "--adapters", "cpu,cpu,cpu"]);
    let words = "gradus: a step of this run has 2 micro-batches, which 3 ranks cannot share evenly: resume it with as many \
                 ranks as divide them\n";
    assert_eq!((three.status.code(), told(&three).as_str()), (Some(2), words));
}

#[test]
fn adapters_that_cannot_be_are_refused_before_anything_is_read() {
    let desk = Desk::new("bad-adapters", &[("digits.yaml", DIGITS)]);
    for (adapters, words) in
        [("0,none-such", "gradus: no adapter matches \"none-such\""), ("cpu,99", "gradus: no adapter matches \"99\"")]
    {
        let refused = train(&desk, &["digits.yaml", "--adapters", adapters]);
        assert!(!refused.status.success());
        assert!(told(&refused).starts_with(words), "{adapters}: {}", told(&refused));
    }
    if crate::support::gpu().is_some() {
        let twice = train(&desk, &["digits.yaml", "--adapters", "0,0"]);
        let words = "gradus: --adapters names 0 twice, or by two names: each rank has an adapter of its own\n";
        assert_eq!((twice.status.code(), told(&twice).as_str()), (Some(2), words));
    }
    let tried = train(&desk, &["digits.yaml", "--adapters", "cpu,cpu", "--set", "batch_size=auto"]);
    let words = "gradus: batch_size: auto tries values on one adapter, and there are 2 ranks: name a value\n";
    assert_eq!((tried.status.code(), told(&tried).as_str()), (Some(2), words));
    let few = train(&desk, &["digits.yaml", "--adapters", "cpu,cpu", "--set", "batch_size=1000"]);
    assert!(told(&few).ends_with("\ngradus: batch_size = 1000: a step takes 2000 rows, the train set has 1617\n"));
    assert!(!desk.folder.join("runs").exists(), "nothing was begun");
}

#[cfg(not(feature = "mpi"))]
#[test]
fn mpirun_without_the_feature_is_refused_once() {
    let desk = Desk::new("no-mpi", &[("digits.yaml", DIGITS)]);
    for (size, number) in [("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK")] {
        let on =
            |rank: &str| desk.command(&["digits.yaml"]).env(size, "4").env(number, rank).output().expect("it runs");
        let (first, other) = (on("0"), on("2"));
        let words = "gradus: mpirun has started 4 processes, and this gradus is built without the feature mpi: cargo install \
                     gradus --features mpi makes one with it\n";
        assert_eq!((first.status.code(), told(&first).as_str()), (Some(2), words));
        assert_eq!((other.status.code(), told(&other).as_str()), (Some(0), ""), "mpirun ends all with one that fails");
    }
    // One process is a run as any other.
    let one =
        desk.command(&["digits.yaml", "--set", "epochs=1"]).env("OMPI_COMM_WORLD_SIZE", "1").output().expect("it runs");
    assert!(one.status.success(), "{}", told(&one));
}

/// Rates by workers, as Ludwig's: the rows of a step are those of all ranks.
#[test]
fn rates_follow_the_rows_of_all_ranks_with_a_hint() {
    let desk = Desk::new("rates-of-ranks", &[("digits.yaml", DIGITS)]);
    let first_rate =
        |run: &str| desk.lines(&format!("runs/{run}/steps.jsonl"), "step")[0]["lrs"][0].as_f64().expect("a rate");
    let words = "from the first step on: learning_rate_scheduler: {warmup_fraction: 0.1} would raise them slowly";
    for (scaling, factor) in [("none", 1.0), ("linear", 3.0), ("sqrt", 3f64.sqrt())] {
        let (name, scaled) = (format!("name={scaling}"), format!("learning_rate_scaling={scaling}"));
        let set = ["digits.yaml", "--adapters", "cpu,cpu,cpu", "--set", "epochs=1", "--set", &name, "--set", &scaled];
        let output = train(&desk, &set);
        assert!(output.status.success(), "{}", told(&output));
        let off = first_rate(scaling) / (0.003 * factor) - 1.0;
        assert!(off.abs() < 1e-6, "{scaling}: {}", first_rate(scaling));
        assert_eq!(told(&output).matches(words).count(), usize::from(factor > 1.0), "{}", told(&output));
    }
    let slow = [
        "--set",
        "learning_rate_scaling=linear",
        "--set",
        "learning_rate_scheduler={decay: none, warmup_fraction: 0.5}",
    ];
    let output = train(&desk, &[&["digits.yaml", "--adapters", "cpu,cpu", "--set", "name=slow"][..], &slow].concat());
    assert!(output.status.success() && !told(&output).contains(words), "{}", told(&output));
}

#[test]
fn a_plan_tells_what_ranks_exchange() {
    let desk = Desk::new("plan-of-ranks", &[("digits.yaml", DIGITS)]);
    let plan = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command
            .current_dir(&desk.folder)
            .args(["plan", "digits.yaml"])
            .args(arguments)
            .output()
            .expect("the binary runs")
    };
    let output = plan(&["--ranks", "4", "--link", "0.001", "--bus", "0.01"]);
    let words = told(&output);
    assert!(output.status.success(), "{words}");
    // 1,210 parameters in f32; a step has the rows of four ranks.
    assert!(words.contains("3 epochs of 12 steps of 128 rows: 36 steps"), "{words}");
    assert!(words.contains("4 ranks, 0.001 GB/s between them, 0.01 GB/s between host and device"), "{words}");
    assert!(
        words.contains("     0       0.00 MB     0.48 ms     7.26 ms     0.00 ms     0.48 ms     8.23 ms"),
        "{words}"
    );
    for (arguments, words) in [
        (vec!["--ranks", "0"], "invalid value '0' for '--ranks <N>'"),
        (vec!["--link", "10"], "required arguments were not provided"),
        (vec!["--ranks", "2", "--link", "0"], "invalid value '0' for '--link <GB/S>': a number above 0"),
        (vec!["--ranks", "2", "--json"], "cannot be used with '--json'"),
    ] {
        let refused = plan(&arguments);
        assert!(
            refused.status.code() == Some(2) && told(&refused).contains(words),
            "{arguments:?}: {}",
            told(&refused)
        );
    }
}
