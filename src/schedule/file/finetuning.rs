//! How a schedule of phases is walked.

use super::optimizer_spec::OptimizerSpec;
use super::phase_spec::NewScheduler;
use super::raw::Raw;
use super::section::Section;
use crate::schedule::Error;

/// The section `finetuning`, with the names and defaults of finetuning-scheduler.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finetuning {
    /// The rate of a phase that names none. `None`: a tenth of the optimizer's.
    pub base_max_lr: Option<f64>,
    /// The last phase that is reached; `None`: the schedule's last.
    pub max_depth: Option<u64>,
    /// A transition goes back to the best copy of parameters and moments.
    pub restore_best: bool,
    /// Transitions come only at their epochs; there is no early stopping.
    pub epoch_transitions_only: bool,
    /// Batch norms that are frozen follow the batches of training: their running statistics move.
    pub frozen_bn_track_running_stats: bool,
    /// A new scheduler for every transition of an implicit schedule.
    pub reinit_lr_cfg: Option<NewScheduler>,
    /// A new optimizer for every transition of an implicit schedule.
    pub reinit_optim_cfg: Option<OptimizerSpec>,
    /// New groups have the lambda's rate in their first interval already.
    pub apply_lambdas_new_pgs: bool,
    /// Groups that do not hold exactly the parameters of phase 0 give way to groups that do.
    pub enforce_phase0_params: bool,
    /// Write the implicit schedule and end.
    pub gen_ft_sched_only: bool,
    /// Schedulers may be of classes that were never tried with groups that join late.
    pub allow_untested: bool,
}

impl Default for Finetuning {
    fn default() -> Finetuning {
        Finetuning {
            base_max_lr: Some(1e-5),
            max_depth: None,
            restore_best: true,
            epoch_transitions_only: false,
            frozen_bn_track_running_stats: true,
            reinit_lr_cfg: None,
            reinit_optim_cfg: None,
            apply_lambdas_new_pgs: false,
            enforce_phase0_params: true,
            gen_ft_sched_only: false,
            allow_untested: false,
        }
    }
}

impl Finetuning {
    pub(in crate::schedule) fn read(mut section: Section) -> Result<Finetuning, Error> {
        section.only(&[
            "base_max_lr",
            "max_depth",
            "restore_best",
            "epoch_transitions_only",
            "frozen_bn_track_running_stats",
            "reinit_lr_cfg",
            "reinit_optim_cfg",
            "apply_lambdas_new_pgs",
            "enforce_phase0_params",
            "gen_ft_sched_only",
            "allow_untested",
        ])?;
        let usual = Finetuning::default();
        let read = Finetuning {
            base_max_lr: base_max_lr(&mut section, usual.base_max_lr)?,
            max_depth: max_depth(&mut section)?,
            restore_best: section.truth("restore_best", usual.restore_best)?,
            epoch_transitions_only: section.truth("epoch_transitions_only", usual.epoch_transitions_only)?,
            frozen_bn_track_running_stats: section
                .truth("frozen_bn_track_running_stats", usual.frozen_bn_track_running_stats)?,
            reinit_lr_cfg: section.maybe_section("reinit_lr_cfg")?.map(NewScheduler::read).transpose()?,
            reinit_optim_cfg: section.maybe_section("reinit_optim_cfg")?.map(OptimizerSpec::read_new).transpose()?,
            apply_lambdas_new_pgs: section.truth("apply_lambdas_new_pgs", usual.apply_lambdas_new_pgs)?,
            enforce_phase0_params: section.truth("enforce_phase0_params", usual.enforce_phase0_params)?,
            gen_ft_sched_only: section.truth("gen_ft_sched_only", usual.gen_ft_sched_only)?,
            allow_untested: section.truth("allow_untested", usual.allow_untested)?,
        };
        if read.reinit_lr_cfg.as_ref().is_some_and(|new| new.init_pg_lrs.is_some()) {
            let why = "each phase has its own group; put it into a phase";
            return Err(section.misplaced("reinit_lr_cfg.init_pg_lrs", why));
        }
        Ok(read)
    }
}

/// As a section. New schedulers and optimizers are in the phases. `gen_ft_sched_only` is not part of what ran.
impl From<&Finetuning> for Raw {
    fn from(finetuning: &Finetuning) -> Raw {
        Raw::default()
            .with_maybe("base_max_lr", finetuning.base_max_lr)
            .with("max_depth", finetuning.max_depth.map_or(-1, |depth| i64::try_from(depth).unwrap_or(-1)))
            .with("restore_best", finetuning.restore_best)
            .with("epoch_transitions_only", finetuning.epoch_transitions_only)
            .with("apply_lambdas_new_pgs", finetuning.apply_lambdas_new_pgs)
            .with("enforce_phase0_params", finetuning.enforce_phase0_params)
            .with("allow_untested", finetuning.allow_untested)
    }
}

fn base_max_lr(section: &mut Section, usual: Option<f64>) -> Result<Option<f64>, Error> {
    if section.is_null("base_max_lr") {
        return Ok(None);
    }
    Ok(section.rate("base_max_lr")?.or(usual))
}

fn max_depth(section: &mut Section) -> Result<Option<u64>, Error> {
    match section.integer("max_depth", -1)? {
        -1 => Ok(None),
        depth => u64::try_from(depth)
            .map(Some)
            .map_err(|_| section.bad("max_depth", depth.to_string(), "-1 (the whole schedule) or a phase", None)),
    }
}
