//! A run before its first step: what it names is read, checked and refused, and its folder is made its own. Among ranks the first
//! one alone does what is done to the folder, and all go on from one point to the next together.

use super::asked::Asked;
use super::asks::Asks;
use super::checking::{Checked, Outcome, checked};
use super::ranks::{self, Ranks};
use super::ready::Ready;
use super::run_folder::{
    self, RUN, RunFolder, has_checkpoints, holds_a_run, made_on, micro_batches, overwrite, take_place, write_run,
};
use super::run_lock::LockedFolder;
use super::say::{caution, say};
use super::says::Says;
use anyhow::{Context, anyhow};
use gradus::engine::Engine;
use gradus::params::shown_path;
use gradus::run::RunFile;
use gradus::schedule::{implicit, to_yaml};
use gradus::train::{MadeOn, Trainer, files};
use std::path::{Path, PathBuf};

/// A run with nothing left to refuse, in a folder that is its own.
pub(super) struct SetUp {
    pub(super) engine: Engine,
    pub(super) ready: Ready,
    pub(super) trainer: Trainer,
    pub(super) checked: Outcome,
    /// None for a rank that writes none.
    pub(super) out: Option<RunFolder>,
    pub(super) folder: PathBuf,
}

/// A new run, or none if only its schedule was asked for. A refusal leaves the folder unchanged, and what cannot be
/// written is reported before training.
pub(super) fn beginning(
    (asks, ranks): (&Asks, &mut Ranks),
    run: RunFile,
    overwrites: bool,
    says: Says,
) -> anyhow::Result<Option<SetUp>> {
    let is_first = ranks.rank().is_first();
    let (folder, every_steps) = (run.folder(), run.checkpoint_every_steps);
    ranks.names_checkpoints_of(&folder);
    let held = if is_first { held(&run, &folder, overwrites) } else { Ok(None) };
    let held = ranks.agree(held)?;
    let mut made = made((asks, ranks), run, None, says);
    if let Ok(Made { ready, trainer, .. }) = &mut made
        && let Some(continues) = &ready.run.continues
    {
        let state = continues.optimizer_state().map_err(|error| Asked::error(error.into()));
        made = state.and_then(|state| Ok(trainer.begin_with_state(&state)?)).and(made);
    }
    let Made { engine, ready, mut trainer, checked } = ranks.agree(made)?;
    if ready.run.schedule.finetuning.gen_ft_sched_only {
        return if is_first { generate(&ready, &folder).map(|()| None) } else { Ok(None) };
    }
    let out = if is_first {
        let hinted = hint_at_a_warm_up(&ready, &trainer);
        hinted.and_then(|()| written(&ready, &mut trainer, held, &folder)).map(Some)
    } else {
        run_folder::follow(&folder, &mut trainer, (every_steps, false)).map(|()| None)
    };
    let out = ranks.agree(out)?;
    ranks.join(&mut trainer)?;
    Ok(Some(SetUp { engine, ready, trainer, checked, out, folder }))
}

/// Refuses what cannot be written into a run's folder, and holds it if there is a run in it to be overwritten.
fn held(run: &RunFile, folder: &Path, overwrites: bool) -> anyhow::Result<Option<LockedFolder>> {
    let (shown, holds) = (shown_path(folder), holds_a_run(folder));
    if holds && !overwrites {
        let ways = format!("resume it with --resume {shown}, start again with --overwrite, or --set name=…");
        return Err(Asked::error(anyhow!("{shown} holds a run already: {ways}")));
    }
    if !holds && folder.join(RUN).exists() {
        return Err(Asked::error(anyhow!(
            "{shown} has a {RUN} that gradus did not write: --set name=… or output=… chooses another folder"
        )));
    }
    let is_own = run.model.from.as_deref().is_some_and(|from| lies_in(from, folder));
    if holds && is_own {
        let from = run.model.from.as_deref().map(shown_path).unwrap_or_default();
        return Err(Asked::error(anyhow!(
            "--overwrite would remove {from}, which model.from names: --set name=… chooses another folder"
        )));
    }
    // A folder with a run in it is held before anything else; a new one is made once nothing is refused any more.
    if holds { LockedFolder::take(folder).map(Some) } else { Ok(None) }
}

/// A run in memory, with the kernels that it trains with.
struct Made {
    engine: Engine,
    ready: Ready,
    trainer: Trainer,
    checked: Outcome,
}

/// Reads all that a run needs, and makes and checks its trainer. The kernels of the first rank are those of all.
fn made(
    (asks, ranks): (&Asks, &mut Ranks),
    mut run: RunFile,
    resumes: Option<(&Path, Option<&MadeOn>)>,
    says: Says,
) -> anyhow::Result<Made> {
    run.rank = ranks.rank();
    ranks::refuse_trials(&run)?;
    let opened = |asks: &Asks| match resumes {
        Some((_, made_on)) => asks.engine_of(made_on, says),
        None => asks.engine(says),
    };
    let engine = ranks.engine(asks, opened)?;
    let goes_on_in = resumes.map(|(folder, _)| folder).filter(|folder| has_checkpoints(folder));
    let mut ready = Ready::read(&engine, run, goes_on_in, says).map_err(Asked::error)?;
    let trainer = ready.trainer(&engine).map_err(Asked::error)?;
    if ready.run.schedule.finetuning.gen_ft_sched_only {
        return Ok(Made { engine, ready, trainer, checked: Outcome::default() });
    }
    let Checked { engine, trainer, outcome: checked } =
        checked(&mut ready, (engine, trainer), asks.kernels.as_deref(), says)?;
    Ok(Made { engine, ready, trainer, checked })
}

/// Says so if the rates of many ranks begin at their height: the rows of a step are what raised them.
fn hint_at_a_warm_up(ready: &Ready, trainer: &Trainer) -> anyhow::Result<()> {
    let ranks = ready.run.rank.of;
    let factor = ready.run.lr_scaling.factor(ready.rows_per_step(), ready.run.base_batch_size)?;
    let plan = trainer.plan();
    let Some(row) = plan.rows(&plan.start()?, 1)?.first().copied() else { return Ok(()) };
    let scaled = ready.run.scaled(ready.batch_rows)?.row.lr;
    if ranks > 1 && factor > 1.0 && row.lr >= scaled {
        caution!(
            "learning_rate_scaling multiplies the rates by {factor:.2} for the rows of {ranks} ranks, from the first step on: \
             learning_rate_scheduler: {{warmup_fraction: 0.1}} would raise them slowly"
        );
    }
    Ok(())
}

/// Writes which run is in a folder, which is nobody else's.
fn written(
    ready: &Ready,
    trainer: &mut Trainer,
    held: Option<LockedFolder>,
    folder: &Path,
) -> anyhow::Result<RunFolder> {
    let holds = held.is_some();
    let locked = held.map_or_else(|| LockedFolder::take(folder), Ok)?;
    let resolved = ready.resolved(trainer)?;
    if holds {
        overwrite(folder, &resolved)?;
    }
    write_run(folder, &resolved, (&ready.run, &ready.material))?;
    RunFolder::begin(locked, (trainer, &ready.material.model), ready.run.checkpoint_every_steps)
}

/// Whether a file or folder lies in another folder.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(path).zip(whole(folder)).is_some_and(|(path, folder)| path.starts_with(folder))
}

/// Writes the implicit schedule of the run's model, by the name that finetuning-scheduler gives it.
fn generate(ready: &Ready, folder: &Path) -> anyhow::Result<()> {
    let mut model = ready.run.model.kind.to_string();
    model[..1].make_ascii_uppercase();
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    let path = folder.join(format!("{model}_ft_schedule.yaml"));
    files::replace(&path, to_yaml(&implicit(&ready.material.task.params())).as_bytes())?;
    say!("written        {}", path.display());
    Ok(())
}

/// A run that resumes, as it began; on as many ranks as there are now.
pub(super) fn going_on(
    (asks, ranks): (&Asks, &mut Ranks),
    folder: &Path,
    settings: &[(String, String)],
    says: Says,
) -> anyhow::Result<SetUp> {
    let is_first = ranks.rank().is_first();
    ranks.names_checkpoints_of(folder);
    let locked = if is_first { locked_run(folder).map(Some) } else { Ok(None) };
    let locked = ranks.agree(locked)?;
    let run = RunFile::of_run(&folder.join(RUN), folder, settings).map_err(anyhow::Error::from);
    let mut run = ranks.agree(run)?;
    let share = micro_batches(folder).map_or(Ok(run.micro_batches), |all| ranks.share_of(all));
    run.micro_batches = ranks.agree(share)?;
    let every_steps = run.checkpoint_every_steps;
    let made_on = made_on(folder);
    let made = made((asks, ranks), run, Some((folder, made_on.as_ref())), says);
    let Made { engine, ready, mut trainer, checked } = ranks.agree(made)?;
    let out = match locked {
        Some(locked) => RunFolder::resume(locked, (&mut trainer, &ready.material.model), every_steps, says).map(Some),
        None => run_folder::follow(folder, &mut trainer, (every_steps, true)).map(|()| None),
    };
    let mut out = ranks.agree(out)?;
    if let Some([what, there, here]) = made_on.and_then(|there| MadeOn::of(&engine).differs(&there)) {
        let remark =
            format!("{what} was {there} and is {here}: the rest will not be bit-for-bit the uninterrupted run");
        caution!("{remark}");
        out.iter_mut().for_each(|out| out.remarks.push(remark.clone()));
    }
    let resolved = ready.resolved(&trainer);
    let written = match is_first {
        true => resolved.and_then(|resolved| write_run(folder, &resolved, (&ready.run, &ready.material))),
        false => Ok(()),
    };
    ranks.agree(written)?;
    ranks.join(&mut trainer)?;
    Ok(SetUp { engine, ready, trainer, checked, out, folder: folder.to_owned() })
}

/// Holds a folder with a run in it.
fn locked_run(folder: &Path) -> anyhow::Result<LockedFolder> {
    if !holds_a_run(folder) {
        return Err(Asked::error(anyhow!("{} holds no run to resume", shown_path(folder))));
    }
    let locked = LockedFolder::take(folder)?;
    take_place(folder)?;
    Ok(locked)
}
