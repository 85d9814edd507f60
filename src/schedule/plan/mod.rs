//! A schedule resolved for a model and checked, and how a run follows it.
//!
//! The [`Plan`] is constant, its [`Cursor`](cursor::Cursor) moves.

mod advance;
mod check;
pub(super) mod cursor;
pub(super) mod decays;
mod entries;
mod groups;
mod layers;
mod naming;
mod rehearse;
mod resolve;
mod start;
pub(super) mod transition;
pub(super) mod validation;
mod written;

use super::class::Scheduler;
use super::file::checkpoint::CheckpointSpec;
use super::file::class_spec::ClassSpec;
use super::file::decide::Decide;
use super::file::early_stopping::EarlyStopping;
use super::file::evaluate::Evaluate;
use super::file::finetuning::Finetuning;
use super::file::group_spec::GroupSpec;
use super::file::law_spec::LawSpec;
use super::file::length::Run;
use super::file::optimizer_spec::OptimizerSpec;
use super::file::phase_spec::NewScheduler;
use super::file::place::Place;
use super::law::{Better, Law, Plateau};
use crate::params::{Field, Group, Param, Row};
use cursor::{Cursor, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A model's parameters, as a schedule sees them.
#[derive(Clone, Copy, Debug)]
pub struct ModelParams<'a> {
    /// The parameters, in the model's order.
    pub params: &'a [Param],
    /// Further names of parameters that are shared: the other name, and the parameter's own.
    pub tied: &'a [(String, String)],
    /// The names of the parameters in Hugging Face's class, in the same order, if they differ: `bert.embeddings…`.
    /// Empty if they do not.
    pub in_class: &'a [String],
}

impl<'a> From<&'a [Param]> for ModelParams<'a> {
    fn from(params: &'a [Param]) -> ModelParams<'a> {
        ModelParams { params, tied: &[], in_class: &[] }
    }
}

/// How long a run is, in epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Epochs, at most. A last phase with a `max_transition_epoch` may make them more.
    pub epochs: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
}

/// A schedule resolved for the parameters of a model and checked. It does not change; the [`Cursor`] does.
///
/// Any trainer can follow it: [`epoch_start`](Plan::epoch_start) says whether the next phase begins and what to do
/// then, [`rows`](Plan::rows) gives the hyper-parameters of the steps ahead, [`step`](Plan::step) counts, and
/// [`validation`](Plan::validation) takes the metrics that decide.
pub struct Plan {
    place: Place,
    params: Vec<Param>,
    phases: Vec<Phase>,
    /// The last phase that is reached.
    last: usize,
    run: Epochs,
    row: Row,
    no_decay: Vec<String>,
    layer_decay: Option<f64>,
    /// The layer of each parameter.
    layer_of: Vec<usize>,
    /// The entries of `optimizer.groups`.
    entries: Vec<GroupSpec>,
    /// The entry that has each parameter.
    entry_of: Vec<Option<usize>>,
    /// Laws by short name, and perhaps one by class name, which `schedulers` has.
    laws: Vec<LawSpec>,
    /// Schedulers by class name.
    schedulers: BTreeMap<Slot, Scheduled>,
    finetuning: Finetuning,
    early_stopping: Option<EarlyStopping>,
    checkpoint: CheckpointSpec,
    evaluate: Evaluate,
    decide: Decide,
    /// The groups that the caller begins with; without any, those of phase 0.
    given: Vec<Group>,
    /// Whether the schedule has phases at all.
    is_phased: bool,
    /// Laws of the caller's own.
    own_laws: Vec<(Field, Arc<dyn Law>)>,
    warnings: Vec<String>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("phases", &self.phases).field("run", &self.run).finish_non_exhaustive()
    }
}

/// A phase, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The parameters that thaw, by place in the model, in the order in which the schedule names them.
    pub params: Vec<usize>,
    /// The rate that its groups start with.
    pub lr: f64,
    /// It begins no epoch from this one on.
    pub max_transition_epoch: Option<f64>,
    new_lr_scheduler: Option<NewScheduler>,
    new_optimizer: Option<OptimizerSpec>,
}

/// The index of a scheduler: first that of the start, then those of the phases.
type Slot = usize;

/// A scheduler by class name, made.
#[derive(Debug)]
struct Scheduled {
    spec: ClassSpec,
    scheduler: Box<dyn Scheduler>,
}

impl Plan {
    /// With a law of the caller's own on a field of every group, instead of any that the schedule has for it.
    #[must_use]
    pub fn with_law(mut self, field: Field, law: impl Law + 'static) -> Plan {
        self.own_laws.push((field, Arc::new(law)));
        self
    }

    /// The phases that are reached, first to last.
    pub fn phases(&self) -> &[Phase] {
        &self.phases[..=self.last]
    }

    /// Epochs that the run lasts if nothing stops it.
    pub fn epochs(&self) -> u64 {
        self.run.epochs
    }

    /// Steps of an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.run.steps_per_epoch
    }

    /// Steps that the run lasts if nothing stops it.
    pub fn steps(&self) -> u64 {
        self.run.epochs.saturating_mul(self.run.steps_per_epoch)
    }

    /// The run, as laws see it.
    fn law_run(&self) -> Run {
        Run { steps: self.steps().max(1), steps_per_epoch: Some(self.run.steps_per_epoch) }
    }

    /// The row that the groups of a phase start with, but for their lr: that of the optimizer in force then. Parameters of
    /// an entry of its `groups` have [that one's](Plan::row_of_param).
    pub fn row_of(&self, phase: usize) -> Row {
        self.new_row(phase).unwrap_or(self.row)
    }

    /// The row that the group of a parameter, by place in the model, starts a phase with, but for its lr.
    pub fn row_of_param(&self, phase: usize, param: usize) -> Row {
        let of_entry = || self.entry_of.get(param).copied().flatten().map_or(self.row, |entry| self.entries[entry].row);
        self.new_row(phase).unwrap_or_else(of_entry)
    }

    /// The row of a `new_optimizer` that is in force in a phase.
    fn new_row(&self, phase: usize) -> Option<Row> {
        let mut begun = self.phases[..=phase.min(self.last)].iter().rev();
        begun.find_map(|phase| phase.new_optimizer.as_ref()).map(|new| new.row)
    }

    /// The plateau laws by short name.
    fn plateaus(&self) -> impl Iterator<Item = &Plateau> {
        self.laws.iter().filter_map(LawSpec::plateau)
    }

    /// The metrics that decide something, each once.
    pub fn monitors(&self) -> Vec<&str> {
        let of_schedulers = self.schedulers.values().filter(|scheduled| scheduled.spec.needs_metrics());
        let of_schedulers = of_schedulers.map(|scheduled| self.monitor_of(&scheduled.spec));
        let of_laws = self.plateaus().map(|_| self.checkpoint.monitor.as_str());
        let stopping = self.early_stopping.iter().map(|stopping| stopping.monitor.as_str());
        let best = self.restores_best().then_some(self.checkpoint.monitor.as_str());
        let mut monitors: Vec<&str> = Vec::new();
        for monitor in stopping.chain(best).chain(of_schedulers).chain(of_laws) {
            if !monitors.contains(&monitor) {
                monitors.push(monitor);
            }
        }
        monitors
    }

    fn monitor_of<'a>(&'a self, spec: &'a ClassSpec) -> &'a str {
        spec.monitor.as_deref().unwrap_or(&self.checkpoint.monitor)
    }

    /// Whether batch norms that are frozen follow the batches of training. As in finetuning-scheduler, those of later phases do so
    /// after the first transition that restores the best copy, whatever `frozen_bn_track_running_stats` says.
    pub fn frozen_norms_track(&self, cursor: &Cursor) -> bool {
        let Finetuning { frozen_bn_track_running_stats, restore_best, .. } = self.finetuning;
        frozen_bn_track_running_stats || (restore_best && cursor.depth > 0)
    }

    /// Whether transitions restore the best copy, so that you must keep one.
    pub fn restores_best(&self) -> bool {
        self.finetuning.restore_best && self.last > 0
    }

    /// Whether an evaluation comes after the step that has just been made.
    pub fn is_evaluated(&self, cursor: &Cursor) -> bool {
        self.evaluate.is_due(cursor.step, self.run.steps_per_epoch)
    }

    /// Steps that a trainer may take without asking the plan in between: to the end of the epoch, or to the next evaluation
    /// before it. Neither a phase nor an evaluation comes sooner.
    pub fn steps_ahead(&self, cursor: &Cursor) -> u64 {
        self.evaluate.steps_ahead(cursor.step, self.run.steps_per_epoch)
    }

    /// How many evaluations without an improvement end a phase, with early stopping.
    pub fn patience(&self) -> Option<u64> {
        self.early_stopping.as_ref().map(|stopping| stopping.patience)
    }

    /// The metric by which an evaluation is the best.
    pub fn best_by(&self) -> &str {
        &self.checkpoint.monitor
    }

    /// Whether it is the best by more of that metric, rather than by less.
    pub fn best_is_higher(&self) -> bool {
        self.checkpoint.better == Better::Higher
    }

    /// Whether an evaluation decides at the next one, not before the next step.
    pub fn decides_at_a_lag(&self) -> bool {
        self.decide == Decide::Lag
    }

    /// How many checkpoints stay, besides the best one.
    pub fn keep_last(&self) -> u64 {
        self.checkpoint.keep_last
    }

    /// Warnings: what was accepted but is probably a mistake, or has no effect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The place of a source's scheduler.
fn slot(source: Source) -> Slot {
    match source {
        Source::Start => 0,
        Source::Phase(phase) => phase + 1,
    }
}
