//! Ranks as processes, on 2 and 3 of them: each test here starts `mpirun`.

use gradus::dist::Collective;
use gradus::dist::mpi::Mpi;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// More ranks than cores, and as root, where it must be: by the names that versions of Open MPI have for it.
const ALLOWED: [(&str, &str); 4] = [
    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
    ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
];

fn mpirun(ranks: usize, folder: &Path, program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("mpirun");
    command.envs(ALLOWED).current_dir(folder).arg("-n").arg(ranks.to_string()).arg(program).args(arguments);
    command.output().expect("mpirun: sh scripts/mpi.sh installs it")
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Runs a test of this program on each rank.
fn on_ranks(ranks: usize, test: &str) -> Output {
    let program = std::env::current_exe().expect("this program");
    mpirun(ranks, Path::new("."), &program, &[test, "--exact", "--nocapture", "--test-threads=1"])
}

/// Whether `mpirun` has started this process.
fn is_a_rank() -> bool {
    ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Starts this test again on each rank.
#[test]
fn processes_sum_in_the_order_of_ranks() {
    if is_a_rank() {
        return sums();
    }
    for ranks in [2, 3] {
        let output = on_ranks(ranks, "processes_sum_in_the_order_of_ranks");
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(told(&output).matches(&format!("of {ranks} ranks")).count(), ranks, "{}", told(&output));
    }
}

fn sums() {
    let mut mpi = Mpi::start().expect("MPI");
    assert!(Mpi::start().is_err(), "it begins once");
    let rank = mpi.rank();
    let numbers = |rank: usize, count: usize| {
        let size = 10f32.powi((rank as i32 * 5) % 7 - 3);
        let number = |place: usize| size / (1 + (place * 7 + rank * 13) % 23) as f32;
        (0..count).map(number).collect::<Vec<f32>>()
    };
    let mut room = Vec::new();
    for count in [0, 1, 1000, 3_000_001] {
        let mut got = numbers(rank.number, count);
        mpi.sum(&mut got, &mut room).expect("sums");
        let mut expected = numbers(0, count);
        for other in 1..rank.of {
            expected.iter_mut().zip(numbers(other, count)).for_each(|(sum, number)| *sum += number);
        }
        assert!(got == expected, "{count} numbers on rank {}", rank.number);
    }
    let said = mpi.each_at_length(&vec![7; rank.number]).expect("words");
    assert!(said.iter().enumerate().all(|(rank, said)| *said == vec![7; rank]), "{said:?}");
    let mut first = [rank.number as u8 + 1; 5];
    mpi.broadcast(&mut first).expect("the first's");
    assert_eq!(first, [1; 5]);
    mpi.barrier().expect("all are here");
    println!("rank {} of {} ranks", rank.number, rank.of);
}

/// A folder that goes when the test ends.
struct Desk(PathBuf);

impl Desk {
    fn new() -> Desk {
        static DESKS: AtomicU32 = AtomicU32::new(0);
        let number = DESKS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gradus-mpi-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let run = "model: {type: mlp, hidden: [16]}\ndata: {embedded: digits}\nlearning_rate: 0.003\nepochs: 2\n";
        std::fs::write(folder.join("digits.yaml"), run).expect("a file");
        Desk(folder)
    }

    fn train(&self, ranks: usize, arguments: &[&str]) -> Output {
        let arguments = [&["--adapter", "cpu", "train"], arguments].concat();
        mpirun(ranks, &self.0, Path::new(env!("CARGO_BIN_EXE_gradus")), &arguments)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_run_of_processes_is_that_of_one_with_all_their_micro_batches() {
    for ranks in [2, 3] {
        let desk = Desk::new();
        let output = desk.train(ranks, &["digits.yaml", "--set", "name=ranks"]);
        assert!(output.status.success(), "{}", told(&output));
        let printed = told(&output);
        assert_eq!(printed.matches("an MLP of 1210 parameters").count(), 1, "one rank prints: {printed}");
        let accumulated = format!("gradient_accumulation_steps={ranks}");
        let alone = Command::new(env!("CARGO_BIN_EXE_gradus"))
            .current_dir(&desk.0)
            .args(["--adapter", "cpu", "train", "digits.yaml", "--set", "name=alone", "--set", &accumulated])
            .output()
            .expect("the binary runs");
        assert!(alone.status.success(), "{}", told(&alone));
        for file in ["model.safetensors", "best.safetensors"] {
            let read = |run: &str| desk.read(&format!("runs/{run}/{file}"));
            assert!(read("ranks") == read("alone"), "{file} of {ranks} ranks");
        }
        let report = String::from_utf8(desk.read("runs/ranks/report.html")).expect("text");
        assert!(report.contains("of gradients a step, summed in"), "what the ranks exchanged is reported");
    }
}

#[test]
fn what_one_rank_refuses_is_told_once_and_ends_all() {
    let desk = Desk::new();
    let output = desk.train(2, &["digits.yaml", "--set", "epoch=2"]);
    assert!(!output.status.success());
    assert_eq!(told(&output).matches("epoch is not a known key").count(), 1, "{}", told(&output));
    let output = desk.train(3, &["digits.yaml", "--set", "batch_size=600"]);
    let printed = told(&output);
    assert_eq!(printed.matches("a step takes 1800 rows, the train set has 1617").count(), 1, "{printed}");
    let output = desk.train(2, &["digits.yaml", "--set", "batch_size=auto"]);
    assert!(told(&output).contains("batch_size: auto tries values on one adapter, and there are 2 ranks"));
    assert!(!desk.0.join("runs").exists(), "nothing was begun");
    let lr_find = mpirun(2, &desk.0, Path::new(env!("CARGO_BIN_EXE_gradus")), &["lr-find", "digits.yaml"]);
    let printed = told(&lr_find);
    assert_eq!(printed.matches("only gradus train works on several").count(), 1, "{printed}");
}

#[test]
fn a_run_goes_on_with_other_ranks() {
    let desk = Desk::new();
    let whole = desk.train(2, &["digits.yaml", "--set", "name=whole", "--set", "epochs=3"]);
    assert!(whole.status.success(), "{}", told(&whole));
    for (ranks, name) in [(2, "two"), (1, "one")] {
        let begun = desk.train(2, &["digits.yaml", "--set", &format!("name={name}"), "-q"]);
        assert!(begun.status.success(), "{}", told(&begun));
        let resumed = desk.train(ranks, &["--resume", &format!("runs/{name}"), "--set", "epochs=3"]);
        assert!(told(&resumed).contains("resuming after 50 steps"), "{}", told(&resumed));
        let read = |run: &str| desk.read(&format!("runs/{run}/model.safetensors"));
        assert!(read(name) == read("whole"), "{ranks} ranks go on otherwise");
    }
    let odd = desk.train(3, &["--resume", "runs/one"]);
    let words = "a step of this run has 2 micro-batches, which 3 ranks cannot share evenly";
    assert_eq!(told(&odd).matches(words).count(), 1, "{}", told(&odd));
}

/// A run of two processes that goes on while a test does something to it.
struct Going {
    mpirun: Child,
}

/// A run file whose run is long enough to be caught in.
const LONG: [&str; 6] = ["digits.yaml", "--set", "epochs=40", "--set", "checkpoint_every_steps=20", "-q"];

impl Going {
    fn new(desk: &Desk, arguments: &[&str]) -> Going {
        let mut command = Command::new("mpirun");
        command.envs(ALLOWED).current_dir(&desk.0).args(["-n", "2", env!("CARGO_BIN_EXE_gradus"), "--adapter", "cpu"]);
        command.arg("train").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        Going { mpirun: command.spawn().expect("mpirun: sh scripts/mpi.sh installs it") }
    }

    /// Sends a signal to a rank, which is a child of mpirun's.
    fn signal(&self, rank: usize, signal: &str) -> bool {
        let parent = format!("PPid:\t{}\n", self.mpirun.id());
        let is_it = |process: &PathBuf| {
            let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            let number = format!("OMPI_COMM_WORLD_RANK={rank}");
            status.contains(&parent) && environment.split(|byte| *byte == 0).any(|word| word == number.as_bytes())
        };
        let processes = std::fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
        let Some(process) = processes.into_iter().find(is_it) else { return false };
        let number = process.file_name().expect("a number").to_string_lossy().into_owned();
        Command::new("kill").args([signal, &number]).status().is_ok_and(|status| status.success())
    }

    fn ended(self) -> Output {
        self.mpirun.wait_with_output().expect("it ends")
    }
}

/// Waits until a run has a checkpoint behind this step.
fn wait_for_checkpoint(desk: &Desk, run: &str, step: u64) {
    let folder = desk.0.join("runs").join(run).join("checkpoints");
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let number = |name: String| name.strip_prefix("step-").and_then(|step| step.parse::<u64>().ok());
    let begun = Instant::now();
    while !std::fs::read_dir(&folder)
        .is_ok_and(|all| all.flatten().any(|it| number(name(it)).is_some_and(|at| at > step)))
    {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint behind step {step}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_rank_that_is_killed_ends_the_run_which_goes_on_to_the_bit() {
    let desk = Desk::new();
    let whole = desk.train(2, &[&LONG[..], &["--set", "name=whole"]].concat());
    assert!(whole.status.success(), "{}", told(&whole));
    let mut killed = 0;
    for (rank, step) in [(1, 0), (0, 300), (1, 500)] {
        let going = match killed {
            0 => Going::new(&desk, &[&LONG[..], &["--set", "name=killed"]].concat()),
            _ => Going::new(&desk, &["--resume", "runs/killed", "-q"]),
        };
        wait_for_checkpoint(&desk, "killed", step);
        killed += usize::from(going.signal(rank, "-KILL"));
        assert!(!going.ended().status.success(), "rank {rank} was killed");
    }
    assert_eq!(killed, 3);
    let resumed = desk.train(2, &["--resume", "runs/killed", "-q"]);
    assert!(resumed.status.success(), "{}", told(&resumed));
    for file in ["model.safetensors", "best.safetensors", "metrics.jsonl"] {
        let read = |run: &str| desk.read(&format!("runs/{run}/{file}"));
        assert!(read("killed") == read("whole"), "{file}");
    }
}

#[test]
fn a_rank_that_is_stuck_is_told_with_the_last_checkpoint() {
    let desk = Desk::new();
    let going = Going::new(&desk, &[&LONG[..], &["--patience", "2"]].concat());
    wait_for_checkpoint(&desk, "digits", 0);
    assert!(going.signal(1, "-STOP"));
    let output = going.ended();
    let words = told(&output);
    assert!(!output.status.success(), "{words}");
    assert!(words.contains("gradus: rank 0 of 2") && words.contains("has waited 2 s for the others"), "{words}");
    assert!(words.contains("the last checkpoint is runs/digits/checkpoints/step-0000"), "{words}");
    assert!(words.contains("resume with gradus train --resume runs/digits"), "{words}");
}
