//! Everything that moves while a plan is followed.

use crate::schedule::class::{Group, State};
use crate::schedule::exact;
use crate::schedule::file::early_stopping::{Patience, Stop};
use crate::schedule::law::PlateauState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The position of a run: phase, step, patience, best, and each group's rates with the scheduler that moves them.
///
/// A checkpoint holds it; with the same schedule a [`Plan`](super::Plan) resumes from it exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    pub(super) step: u64,
    pub(super) depth: usize,
    /// The step at whose start a transition was last decided on.
    pub(super) decided: Option<u64>,
    pub(super) patience: Patience,
    pub(super) stop: Option<Stop>,
    pub(super) rates: Rates,
    pub(super) best: Option<Best>,
    /// The latest evaluation, if it has not decided yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) pending: Option<Pending>,
    /// The states of the plateau laws by short name, in the laws' order.
    pub(super) plateaus: Vec<PlateauState>,
}

/// An evaluation that has not decided yet, and the position of the run then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) step: u64,
    pub(super) depth: usize,
    pub(super) rates: Rates,
    /// Its metrics by name, once they are known.
    pub(super) metrics: Option<Metrics>,
}

/// Metrics of an evaluation, and what they say at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    #[serde(with = "exact::map")]
    pub(super) values: BTreeMap<String, f64>,
    /// Whether it was the best so far.
    pub(super) is_best: bool,
}

/// The source of a scheduler or optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Source {
    /// The sections `lr_scheduler` and `optimizer`.
    Start,
    /// A phase's `new_lr_scheduler` or `new_optimizer`, or in an implicit schedule `reinit_lr_cfg` or `reinit_optim_cfg`.
    Phase(usize),
}

/// The groups, in the order in which they joined, and what moves them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rates {
    pub(super) optimizer: Source,
    pub(super) groups: Vec<Members>,
    /// Each group's hyper-parameters by name.
    pub(super) values: Vec<Group>,
    pub(super) scheduler: Option<Moving>,
}

/// A group's parameters, and whose defaults it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Members {
    pub(super) origin: Origin,
    /// By place in the model.
    pub(super) params: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Origin {
    /// One of the groups that the caller began with.
    Given(usize),
    /// A phase's group, of the parameters of an entry of `optimizer.groups` or of those of none.
    Phase {
        phase: usize,
        no_decay: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        entry: Option<usize>,
        /// The layer, where layers have rates of their own.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        layer: Option<usize>,
    },
}

/// A scheduler by class name, and its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moving {
    pub(super) source: Source,
    pub(super) state: State,
}

/// The best evaluation so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Best {
    pub(super) step: u64,
    pub(super) depth: usize,
    #[serde(with = "exact::number")]
    pub(super) score: f64,
    pub(super) rates: Rates,
}

/// The best evaluation so far.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BestAt {
    /// Steps done then.
    pub step: u64,
    /// The phase then.
    pub depth: usize,
    /// The metric.
    pub score: f64,
}

/// What early stopping counts.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PatienceAt {
    /// Evaluations since the best.
    pub wait: u64,
    /// The best metric over all phases.
    pub best: Option<f64>,
    /// Whether the phase has run out of patience, so that the next one begins.
    pub is_complete: bool,
}

impl Cursor {
    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The phase.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Why the run ended before its last epoch, if so.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// The best evaluation so far.
    pub fn best(&self) -> Option<BestAt> {
        self.best.as_ref().map(|best| BestAt { step: best.step, depth: best.depth, score: best.score })
    }

    /// Whether an evaluation has been made whose metrics have not come yet.
    pub fn awaits_metrics(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.metrics.is_none())
    }

    /// The step of the evaluation that has not decided yet, if any.
    pub fn undecided(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.step)
    }

    /// Takes over the best evaluation of another cursor, for a run whose own best is lost.
    pub(crate) fn take_best_of(&mut self, other: Option<&Cursor>) {
        self.best = other.and_then(|other| other.best.clone());
    }

    /// What early stopping counts.
    pub fn patience(&self) -> PatienceAt {
        let Patience { wait, best, is_complete } = self.patience;
        PatienceAt { wait, best, is_complete }
    }

    /// Each group's parameters, by place in the model, and its hyper-parameters by name; groups may be empty.
    pub fn groups(&self) -> impl Iterator<Item = (&[usize], &Group)> {
        self.rates.groups.iter().map(|members| members.params.as_slice()).zip(&self.rates.values)
    }
}
