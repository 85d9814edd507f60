//! A schedule, resolved against a model and checked.

use super::class::Scheduler;
use super::class_spec::ClassSpec;
use super::cursor::{Cursor, Members, Moving, Origin, Rates, Source};
use super::early_stopping::{EarlyStopping, Patience};
use super::law::{Plateau, PlateauState};
use super::optimizer_spec::OptimizerSpec;
use super::phase_spec::NewScheduler;
use super::resolve::resolve;
use super::yaml::Place;
use super::{CheckpointSpec, Error, Evaluate, Finetuning, Law, LawSpec, Run, Spec};
use crate::params::{Field, Group, Param, Row, has_word};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// A model's parameters, as a schedule sees them.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The parameters, in the model's order.
    pub params: &'a [Param],
    /// Further names of parameters that are shared: the other name, and the parameter's own.
    pub tied: &'a [(String, String)],
}

impl<'a> From<&'a [Param]> for Model<'a> {
    fn from(params: &'a [Param]) -> Model<'a> {
        Model { params, tied: &[] }
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

/// A schedule that has been resolved against a model's parameters: nothing in it can be wrong any more, and nothing in
/// it moves. What moves is the [`Cursor`].
///
/// Any trainer can follow it: [`epoch_start`](Plan::epoch_start) says whether the next phase begins and what that means,
/// [`rows`](Plan::rows) gives the hyper-parameters of the steps ahead, [`step`](Plan::step) counts, and
/// [`validation`](Plan::validation) takes the metrics that decide.
pub struct Plan {
    pub(super) place: Place,
    pub(super) params: Vec<Param>,
    pub(super) phases: Vec<Phase>,
    /// The last phase that is reached.
    pub(super) last: usize,
    pub(super) run: Epochs,
    pub(super) row: Row,
    pub(super) no_decay: Vec<String>,
    /// Laws by short name, and perhaps one by class name, which `schedulers` has.
    pub(super) laws: Vec<LawSpec>,
    /// Schedulers by class name.
    pub(super) schedulers: BTreeMap<Slot, Scheduled>,
    pub(super) finetuning: Finetuning,
    pub(super) early_stopping: Option<EarlyStopping>,
    pub(super) checkpoint: CheckpointSpec,
    pub(super) evaluate: Evaluate,
    /// The groups that the caller begins with; without any, those of phase 0.
    pub(super) given: Vec<Group>,
    /// Whether the schedule has phases at all.
    pub(super) is_phased: bool,
    /// Laws of the caller's own.
    pub(super) own_laws: Vec<(Field, Arc<dyn Law>)>,
    pub(super) warnings: Vec<String>,
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
    pub(super) new_lr_scheduler: Option<NewScheduler>,
    pub(super) new_optimizer: Option<OptimizerSpec>,
}

/// Where a scheduler is kept: the start's first, then the phases'.
pub(super) type Slot = usize;

/// A scheduler by class name, made.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) spec: ClassSpec,
    pub(super) scheduler: Box<dyn Scheduler>,
}

impl Plan {
    /// Resolves a schedule against a model.
    ///
    /// # Errors
    /// [`Error`] naming file, phase, key, value and the nearest valid one: patterns that match nothing or are none,
    /// parameters in two phases, limits that are missing, a law or scheduler that does not fit the run, or ends before it.
    pub fn new<'a>(spec: &Spec, model: impl Into<Model<'a>>, run: Epochs) -> Result<Plan, Error> {
        let model = model.into();
        let mut plan = resolve(spec, model, run)?;
        plan.schedulers = plan.build_schedulers(spec)?;
        // A plan that can be followed at all can be begun, and has rows to its end.
        plan.rehearse(plan.start()?)?;
        Ok(plan)
    }

    /// Begins with these groups instead of those of phase 0. Where they do not hold exactly the parameters of phase 0,
    /// `enforce_phase0_params` decides: they give way, or they stay and later phases add no group for what is in one.
    ///
    /// # Errors
    /// Names that the model does not have.
    pub fn with_groups(mut self, groups: Vec<Group>) -> Result<Plan, Error> {
        let mut held: Vec<usize> = Vec::new();
        let places = self.places();
        for name in groups.iter().flat_map(|group| &group.params) {
            let known = places.get(name.as_str()).copied();
            held.push(known.ok_or_else(|| self.place.bad("groups", name, "a parameter of the model"))?);
        }
        held.sort_unstable();
        let mut first = self.phases[0].params.clone();
        first.sort_unstable();
        let same = held == first;
        if !same {
            let what = "the optimizer's groups do not hold exactly the parameters of phase 0";
            let done = if self.finetuning.enforce_phase0_params { "they give way" } else { "they stay" };
            self.warnings.push(format!("{}: {what}; {done}", self.place.file()));
        }
        if same || !self.finetuning.enforce_phase0_params {
            self.given = groups;
        }
        Ok(self)
    }

    /// With a law of the caller's own on a field of every group, in the place of any that the schedule has for it.
    #[must_use]
    pub fn with_law(mut self, field: Field, law: impl Law + 'static) -> Plan {
        self.own_laws.push((field, Arc::new(law)));
        self
    }

    fn build_schedulers(&self, spec: &Spec) -> Result<BTreeMap<Slot, Scheduled>, Error> {
        let start = spec.laws.iter().find_map(LawSpec::class).map(|class| (Source::Start, class));
        let of_phases = self.phases.iter().enumerate().filter_map(|(number, phase)| {
            phase.new_lr_scheduler.as_ref().map(|new| (Source::Phase(number), &new.class))
        });
        let mut schedulers = BTreeMap::new();
        for (source, class) in start.into_iter().chain(of_phases) {
            if self.last > 0 && !self.finetuning.allow_untested && !class.takes_late_groups() {
                return Err(class.refuses_late_groups());
            }
            schedulers.insert(slot(source), Scheduled { spec: class.clone(), scheduler: class.build(self.law_run())? });
        }
        Ok(schedulers)
    }

    /// The places of the parameters, by name.
    fn places(&self) -> HashMap<&str, usize> {
        self.params.iter().enumerate().map(|(place, param)| (param.name.as_str(), place)).collect()
    }

    /// Where a run begins: phase 0, step 0.
    ///
    /// # Errors
    /// A scheduler that does not fit the groups.
    pub fn start(&self) -> Result<Cursor, Error> {
        let mut rates = Rates { optimizer: Source::Start, groups: Vec::new(), values: Vec::new(), scheduler: None };
        if self.given.is_empty() {
            self.join_phase_0(&mut rates);
        }
        let places = if self.given.is_empty() { HashMap::new() } else { self.places() };
        for (place, group) in self.given.iter().enumerate() {
            let params = group.params.iter().filter_map(|name| places.get(name.as_str()).copied()).collect();
            rates.groups.push(Members { origin: Origin::Given(place), params });
            rates.values.push(super::class::Group::of_row(&group.row));
        }
        if let Some(scheduled) = self.schedulers.get(&slot(Source::Start)) {
            let started = scheduled.scheduler.start(&mut rates.values);
            let state = started.map_err(|error| scheduled.spec.place.class(error))?;
            rates.scheduler = Some(Moving { source: Source::Start, state });
        }
        Ok(Cursor {
            step: 0,
            depth: 0,
            decided: None,
            patience: Patience::default(),
            stop: None,
            rates,
            best: None,
            plateaus: vec![PlateauState::default(); self.plateaus().count()],
        })
    }

    /// Puts the groups of phase 0 into empty rates, at the rate of the optimizer that is in force.
    pub(super) fn join_phase_0(&self, rates: &mut Rates) {
        for (no_decay, params) in self.by_decay(&self.phases[0].params) {
            let members = Members { origin: Origin::Phase { phase: 0, no_decay }, params };
            let row = self.base_row(rates.optimizer, &members);
            rates.values.push(super::class::Group::of_row(&row).with("initial_lr", row.lr));
            rates.groups.push(members);
        }
    }

    /// Parameters in the model's order; where there are `no_decay` names in two lists, the second without decay.
    pub(super) fn by_decay(&self, params: &[usize]) -> Vec<(bool, Vec<usize>)> {
        let mut params = params.to_vec();
        params.sort_unstable();
        if self.no_decay.is_empty() {
            return vec![(false, params)];
        }
        let exempt = |place: &usize| self.no_decay.iter().any(|word| has_word(&self.params[*place].name, word));
        let (without, with) = params.into_iter().partition(exempt);
        vec![(false, with), (true, without)]
    }

    /// What a group's row is where nothing has moved it.
    pub(super) fn base_row(&self, optimizer: Source, members: &Members) -> Row {
        let row = match (optimizer, members.origin) {
            (Source::Start, Origin::Given(place)) => return self.given[place].row,
            (Source::Start, _) => self.row,
            (Source::Phase(phase), _) => self.phases[phase].new_optimizer.as_ref().map_or(self.row, |new| new.row),
        };
        match members.origin {
            Origin::Phase { no_decay: true, .. } => Row { weight_decay: 0.0, ..row },
            _ => row,
        }
    }

    // ---- what it says ----

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
    pub(super) fn law_run(&self) -> Run {
        Run { steps: self.steps().max(1), steps_per_epoch: Some(self.run.steps_per_epoch) }
    }

    /// The row that the groups of a phase start with, but for their lr: that of the optimizer in force then.
    pub fn row_of(&self, phase: usize) -> Row {
        let of_phases =
            self.phases[..=phase.min(self.last)].iter().rev().find_map(|phase| phase.new_optimizer.as_ref());
        of_phases.map_or(self.row, |new| new.row)
    }

    /// The plateau laws by short name.
    pub(super) fn plateaus(&self) -> impl Iterator<Item = &Plateau> {
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

    pub(super) fn monitor_of<'a>(&'a self, spec: &'a ClassSpec) -> &'a str {
        spec.monitor.as_deref().unwrap_or(&self.checkpoint.monitor)
    }

    /// Whether transitions go back to the best copy, so that one has to be kept.
    pub fn restores_best(&self) -> bool {
        self.finetuning.restore_best && self.last > 0
    }

    /// Whether an evaluation comes after the step that has just been made.
    pub fn is_evaluated(&self, cursor: &Cursor) -> bool {
        self.evaluate.is_due(cursor.step, self.run.steps_per_epoch)
    }

    /// Validations without an improvement that end a phase, where there is early stopping.
    pub fn patience(&self) -> Option<u64> {
        self.early_stopping.as_ref().map(|stopping| stopping.patience)
    }

    /// The metric by which a validation is the best.
    pub fn best_by(&self) -> &str {
        &self.checkpoint.monitor
    }

    /// Checkpoints that stay, beside the best one.
    pub fn keep_last(&self) -> u64 {
        self.checkpoint.keep_last
    }

    /// What was accepted although it is surely not meant, or says nothing.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The place of a source's scheduler.
pub(super) fn slot(source: Source) -> Slot {
    match source {
        Source::Start => 0,
        Source::Phase(phase) => phase + 1,
    }
}
