//! gradus beside burn, meganeura and PyTorch: the same steps on the same machine, taken in turn, in one table of ratios.
//!
//! Every library runs in a program of its own, which takes a step when it is asked to (`protocol.rs`). Those in Rust are
//! this program once more, started with `serve`; PyTorch's is `pytorch.py`.

mod pairing;
mod partner;
mod programs;
mod protocol;
mod table;
mod turns;
mod workload;

use clap::{Parser, Subcommand, ValueEnum};
use pairing::{Pairing, Peer, pairings};
use partner::Partner;
use programs::Program;
use std::process::{Command, ExitCode};
use table::{HEADER, Row};
use turns::{Extent, measure};
use workload::Workload;

/// An error of any library.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Take training steps of gradus and of other libraries in turn, and print the ratios of their times.
#[derive(Parser)]
#[command(name = "peers")]
struct Arguments {
    /// Fewer pairs.
    #[arg(long)]
    quick: bool,
    /// An array of JSON at the end, instead of the table.
    #[arg(long)]
    json: bool,
    /// Only these workloads, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// Only these libraries, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// The Python that has PyTorch.
    #[arg(long, env = "PEERS_PYTHON", default_value = "python3")]
    python: String,
    #[command(subcommand)]
    serve: Option<Serve>,
}

#[derive(Subcommand)]
enum Serve {
    /// Take steps of one program when asked to, by lines of standard input.
    #[command(hide = true)]
    Serve { program: Program, workload: Workload },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.serve {
        Some(Serve::Serve { program, workload }) => {
            protocol::serve(|| program.open(workload), std::io::stdin().lock(), std::io::stdout())
        }
        None => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The name of a value on the command line.
fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Those that were asked for; all, if none was.
fn chosen<T: ValueEnum + Clone>(asked: &[T]) -> Vec<T> {
    if asked.is_empty() { T::value_variants().to_vec() } else { asked.to_vec() }
}

/// Measures every pairing and prints its row when it is done.
fn compare(arguments: &Arguments) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut add = |row: Row| {
        if !arguments.json {
            println!("{row}");
        }
        rows.push(row);
    };
    if !arguments.json {
        println!("{HEADER}");
    }
    let mut present = Vec::new();
    for peer in chosen(&arguments.peers) {
        match is_there(peer, &arguments.python) {
            Ok(()) => present.push(peer),
            Err(why) => add(Row::absent(&name_of(&peer), why.to_string())),
        }
    }
    let extent = if arguments.quick { Extent::QUICK } else { Extent::FULL };
    for pairing in pairings(&chosen(&arguments.workloads), &present) {
        add(row(&pairing, &arguments.python, extent));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        tell_devices(&rows);
    }
    Ok(())
}

/// Whether a library can be asked at all.
fn is_there(peer: Peer, python: &str) -> Result<(), Failure> {
    let program = match peer {
        Peer::Burn => Program::Burn,
        Peer::Meganeura => Program::Meganeura,
        Peer::Torch => {
            let import = Command::new(python).args(["-c", "import torch"]).output();
            let import = import.map_err(|error| format!("{python} cannot be started: {error}"))?;
            let complaint = String::from_utf8_lossy(&import.stderr).trim().lines().last().map(str::to_owned);
            return if import.status.success() { Ok(()) } else { Err(complaint.unwrap_or_default().into()) };
        }
    };
    if program.is_built() { Ok(()) } else { Err("built without it; see Cargo.toml's features".into()) }
}

fn row(pairing: &Pairing, python: &str, extent: Extent) -> Row {
    let started = || -> Result<[Partner; 2], Failure> {
        // One after the other: the first steps are timed too.
        Ok([Partner::start(&mut pairing.our_command()?)?, Partner::start(&mut pairing.other_command(python)?)?])
    };
    let [mut ours, mut theirs] = match started() {
        Ok(partners) => partners,
        Err(failure) => return Row::new(pairing, "", None, Err(failure)),
    };
    let kind = ours.ready.kind.clone();
    let same_adapter = (pairing.peer() != Peer::Torch).then(|| ours.ready.adapter() == theirs.ready.adapter());
    Row::new(pairing, &kind, same_adapter, measure(&mut ours, &mut theirs, extent))
}

/// What each program ran on, once.
fn tell_devices(rows: &[Row]) {
    let mut told = Vec::new();
    println!();
    for (program, device) in rows.iter().flat_map(Row::devices) {
        if !told.contains(&(program, device)) {
            println!("{program:16} on {device}");
            told.push((program, device));
        }
    }
}
