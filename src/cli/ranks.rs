//! The ranks of a run: processes that `mpirun` has started, or threads of this one for several adapters.
//!
//! Each rank runs the same command. The first prints and writes; the others print nothing but their own end.

#[cfg(feature = "mpi")]
use super::asked::code_of;
use super::asked::{Asked, refuse};
use super::asks::Asks;
use super::watchdog::{Waits, Watched};
use super::{say, signals};
use anyhow::{anyhow, bail};
use clap::Args;
use gradus::dist::{Alone, Collective, Error, Rank, Threads};
use gradus::engine::{AdapterChoice, Engine};
use gradus::params::Shown;
use gradus::run::{BatchRows, RunFile};
use gradus::train::{Exchanged, Trainer};
use std::env;
use std::path::Path;
use std::process::{ExitCode, exit};
use std::str::FromStr;
use std::time::Duration;

/// How many processes `mpirun` has started, by what Open MPI or MPICH leaves in the environment.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// The exit code of a run whose ranks wait for one that is stuck.
const STUCK: i32 = 1;

/// Which of them this is, and which on this machine.
const NUMBERS: [&str; 2] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"];
#[cfg(feature = "mpi")]
const LOCAL_NUMBERS: [&str; 2] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"];

fn of_env<T: FromStr>(names: [&str; 2]) -> Option<T> {
    names.iter().find_map(|name| env::var(name).ok()?.trim().parse().ok())
}

/// The processes that `mpirun` has started with this one, if they are several.
fn processes() -> Option<usize> {
    of_env(SIZES).filter(|size| *size > 1)
}

/// Refuses several processes for what is done by one, on the first of them; the others end without a word, and well, since mpirun
/// ends all with the first that does not.
pub(super) fn refuse_processes(what: &str) -> anyhow::Result<()> {
    let Some(processes) = processes() else { return Ok(()) };
    if of_env(NUMBERS).is_some_and(|number: usize| number > 0) {
        exit(0);
    }
    refuse!("mpirun has started {processes} processes, and {what}")
}

/// One rank of a command.
pub(super) struct Ranks {
    rank: Rank,
    /// Until the trainer takes it.
    collective: Option<Box<dyn Collective>>,
    /// What all ranks have been told, so that none waits for another.
    ended_together: bool,
    /// Whether each rank is a process.
    are_processes: bool,
    waits: Waits,
}

/// How ranks are asked for on the command line.
#[derive(Args)]
pub(super) struct HowRanks {
    /// Train on several adapters at once, a rank each: numbers of `gradus info` from 0 on, or names, as in 0,1.
    ///
    /// A step has the rows of all ranks. Under mpirun each process takes one, in turn on each machine.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = super::WHERE)]
    adapters: Vec<String>,
    /// Seconds that a rank waits for the others before it takes one for stuck and ends the run.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, help_heading = super::WHERE)]
    patience: u64,
}

impl Ranks {
    fn new(collective: impl Collective + 'static, are_processes: bool, how: &HowRanks) -> Ranks {
        let rank = collective.rank();
        if !rank.is_first() {
            say::hush();
        }
        let end = |verdict: &str| {
            say::tell!("{verdict}");
            exit(STUCK);
        };
        let (watched, waits) = Watched::new(collective, Duration::from_secs(how.patience), end);
        Ranks { rank, collective: Some(Box::new(watched)), ended_together: false, are_processes, waits }
    }

    /// The only one.
    pub(super) fn alone() -> Ranks {
        let (rank, collective) = (Rank::default(), Some(Box::new(Alone) as Box<dyn Collective>));
        Ranks { rank, collective, ended_together: false, are_processes: false, waits: Waits::default() }
    }

    /// Where the checkpoints are, for a message.
    pub(super) fn names_checkpoints_of(&self, folder: &Path) {
        self.waits.names_checkpoints_of(folder);
    }

    /// Which one this is.
    pub(super) fn rank(&self) -> Rank {
        self.rank
    }

    /// Goes on if every rank does; else all end here, by what the first of them says.
    pub(super) fn agree<T>(&mut self, own: anyhow::Result<T>) -> anyhow::Result<T> {
        let Some(collective) = self.collective.as_mut().filter(|_| !self.rank.is_alone()) else { return own };
        let said = own.as_ref().err().map_or_else(String::new, |error| format!("{error:#}"));
        let all = collective.each_at_length(said.as_bytes())?;
        let Some((rank, why)) = all.iter().enumerate().find(|(_, said)| !said.is_empty()) else { return own };
        self.ended_together = true;
        let why = String::from_utf8_lossy(why).into_owned();
        own.and_then(|_| Err(Asked::error(anyhow!("rank {rank}: {why}"))))
    }

    /// This rank's engine, with the kernels that the first one has chosen: where nobody has measured, it measures for all.
    pub(super) fn engine(
        &mut self,
        asks: &Asks,
        open: impl Fn(&Asks) -> anyhow::Result<Engine>,
    ) -> anyhow::Result<Engine> {
        let Some(collective) = self.collective.as_mut().filter(|_| !self.rank.is_alone()) else { return open(asks) };
        let opened = if self.rank.is_first() { Some(open(asks)) } else { None };
        let choices = opened.as_ref().and_then(|opened| serde_json::to_vec(opened.as_ref().ok()?.choices()).ok());
        let all = collective.each_at_length(&choices.unwrap_or_default())?;
        match (opened, all.first().and_then(|choices| serde_json::from_slice(choices).ok())) {
            (Some(opened), _) => opened,
            (None, Some(choices)) => open(&asks.choosing(choices)),
            (None, None) => bail!("rank 0 has no engine"),
        }
    }

    /// A rank's share of the micro-batches of a run that goes on.
    pub(super) fn share_of(&self, micro_batches: usize) -> anyhow::Result<usize> {
        let ranks = self.rank.of;
        if !micro_batches.is_multiple_of(ranks) {
            refuse!(
                "a step of this run has {micro_batches} micro-batches, which {ranks} ranks cannot share evenly: resume it with as many \
                 ranks as divide them"
            );
        }
        Ok(micro_batches / ranks)
    }

    /// Trains as the first rank does, and prints nothing.
    pub(super) fn follow(&self, trainer: &mut Trainer) -> anyhow::Result<ExitCode> {
        if self.are_processes {
            signals::listen()?;
        }
        let mut stops = false;
        while !trainer.is_over() && !stops {
            trainer.advance(|_| ())?;
            stops = trainer.agreed(self.are_processes && signals::ended().is_some())?;
        }
        trainer.settle(|_| ())?;
        if stops && !trainer.is_over() {
            // Which is the first one's to write; of moments that are shared out each rank brings its part.
            trainer.checkpoint_now(|_| ())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Has a trainer join the others. All ranks are told what is wrong.
    pub(super) fn join(&mut self, trainer: &mut Trainer) -> anyhow::Result<()> {
        let Some(collective) = self.collective.take() else { return Ok(()) };
        trainer.join(collective).map_err(|error| {
            self.ended_together = true;
            Asked::error(error.into())
        })
    }
}

/// Runs a command on every rank, as the environment and `--adapters` say; what the first came to.
pub(super) fn each(
    asks: &Asks,
    how: &HowRanks,
    run: impl Fn(&Asks, &mut Ranks) -> anyhow::Result<ExitCode> + Sync,
) -> anyhow::Result<ExitCode> {
    if processes().is_some() {
        return on_processes(asks, how, run);
    }
    match &choices(&how.adapters)?[..] {
        [] => run(asks, &mut Ranks::alone()),
        [one] => {
            let asks = asks.on(Some(one));
            let ended = run(&asks, &mut Ranks::alone());
            asks.keep_pipelines();
            ended
        }
        several => on_threads(asks, (several, how), run),
    }
}

/// The adapters that were asked for: none twice, but the CPU engine.
fn choices(adapters: &[String]) -> anyhow::Result<Vec<AdapterChoice>> {
    let mut choices: Vec<AdapterChoice> = Vec::with_capacity(adapters.len());
    for text in adapters {
        let choice = match text.trim().parse() {
            Ok(number) => AdapterChoice::Number(number),
            Err(_) => AdapterChoice::parse(text),
        };
        // By their numbers: two words may name the same one.
        let number = choice.number()?;
        let choice = number.map_or(AdapterChoice::Cpu, AdapterChoice::Number);
        if number.is_some() && choices.contains(&choice) {
            refuse!("--adapters names {} twice, or by two names: each rank has an adapter of its own", Shown(text));
        }
        choices.push(choice);
    }
    Ok(choices)
}

/// A rank for each adapter, each on a thread; the first on this one.
fn on_threads(
    asks: &Asks,
    (choices, how): (&[AdapterChoice], &HowRanks),
    run: impl Fn(&Asks, &mut Ranks) -> anyhow::Result<ExitCode> + Sync,
) -> anyhow::Result<ExitCode> {
    let each = choices.iter().map(|choice| asks.on(Some(choice)));
    let mut ends = Threads::of(choices.len()).into_iter().zip(each);
    let Some((first, asks)) = ends.next() else { bail!("no adapter is named") };
    std::thread::scope(|scope| {
        let run = &run;
        let others: Vec<_> = ends
            .map(|(end, asks)| {
                scope.spawn(move || {
                    let mut ranks = Ranks::new(end, false, how);
                    run(&asks, &mut ranks).err().filter(|error| !ranks.ended_together && !is_gone(error))
                })
            })
            .collect();
        let ended = run(&asks, &mut Ranks::new(first, false, how));
        asks.keep_pipelines();
        let mut failed = None;
        for (thread, rank) in others.into_iter().zip(1..) {
            let error = thread.join().unwrap_or_else(|_| Some(anyhow!("it has panicked")));
            failed = failed.or(error.map(|error| anyhow!("rank {rank}: {error:#}")));
        }
        match (ended, failed) {
            // What went wrong elsewhere comes before what followed from it here.
            (Err(error), Some(failed)) if is_gone(&error) => Err(failed),
            (Ok(_), Some(failed)) => Err(failed),
            (ended, _) => ended,
        }
    })
}

/// Whether an error says only that another rank has ended.
fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(gradus::train::Error::Dist(Error::Gone { .. })))
        || matches!(error.downcast_ref(), Some(Error::Gone { .. }))
}

/// This process's rank. On each machine its processes take the adapters in turn.
#[cfg(feature = "mpi")]
fn on_processes(
    asks: &Asks,
    how: &HowRanks,
    run: impl Fn(&Asks, &mut Ranks) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let mpi = gradus::dist::mpi::Mpi::start()?;
    let mut ranks = Ranks::new(mpi.clone(), true, how);
    let local: usize = of_env(LOCAL_NUMBERS).unwrap_or(0);
    let asks = choices(&how.adapters).and_then(|choices| match (&choices[..], choices.get(local)) {
        ([], _) => Ok(asks.on(None)),
        (_, choice @ Some(_)) => Ok(asks.on(choice)),
        (_, None) => {
            refuse!("--adapters names {}, and this is process {local} of this machine, counted from 0", choices.len())
        }
    });
    let asks = ranks.agree(asks);
    let ended = asks.and_then(|asks| {
        let ended = run(&asks, &mut ranks);
        if ranks.rank.is_first() {
            asks.keep_pipelines();
        }
        ended
    });
    let code = ended.unwrap_or_else(|error| {
        if ranks.ended_together {
            say::err(&format!("gradus: {error:#}\n"));
        } else {
            say::speak();
            say::err(&format!("gradus: rank {}: {error:#}\n", ranks.rank.number));
            mpi.end_all(1);
        }
        code_of(&error)
    });
    // Nobody leaves while the first writes: mpirun ends all when one process ends badly.
    mpi.clone().barrier()?;
    Ok(code)
}

#[cfg(not(feature = "mpi"))]
fn on_processes(
    _asks: &Asks,
    _how: &HowRanks,
    _run: impl Fn(&Asks, &mut Ranks) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    refuse_processes(
        "this gradus is built without the feature mpi: cargo install gradus --features mpi makes one with it",
    )?;
    bail!("there are no other processes")
}

/// Refuses settings that are found by trying: each rank would find its own.
pub(super) fn refuse_trials(run: &RunFile) -> anyhow::Result<()> {
    if run.rank.is_alone() {
        return Ok(());
    }
    let tried =
        [("batch_size", run.batch_rows == BatchRows::Auto), ("use_mixed_precision", run.mixed_precision.is_none())];
    if let Some((key, _)) = tried.into_iter().find(|(_, is_auto)| *is_auto) {
        refuse!("{key}: auto tries values on one adapter, and there are {} ranks: name a value", run.rank.of);
    }
    Ok(())
}

/// What ranks have exchanged, for the report.
pub(super) fn told(rank: Rank, exchanged: &Exchanged) -> String {
    let Exchanged { steps, bytes, seconds, waited_seconds, .. } = *exchanged;
    let each = |seconds: f64| seconds / steps.max(1) as f64 * 1e3;
    format!(
        "{}; {:.3} MB of gradients a step, summed in {:.2} ms after {:.2} ms of waiting for the device; {steps} waits",
        rank.of,
        bytes as f64 / steps.max(1) as f64 / 1e6,
        each(seconds),
        each(waited_seconds)
    )
}
