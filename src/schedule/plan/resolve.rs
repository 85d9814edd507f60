//! From a file to a plan: patterns become names, defaults become numbers, and everything is checked.

use super::cursor::Source;
use super::layers::layers;
use super::{Epochs, ModelParams, Phase, Plan, Scheduled, Slot, entries, naming, slot};
use crate::params::{self, Field, Pattern, Shown, has_word, nearest};
use crate::schedule::Error;
use crate::schedule::file::decide::Decide;
use crate::schedule::file::finetuning::Finetuning;
use crate::schedule::file::generate::implicit;
use crate::schedule::file::law_spec::LawSpec;
use crate::schedule::file::phase_spec::PhaseSpec;
use crate::schedule::file::place::Place;
use crate::schedule::file::spec::{Phases, Spec};
use std::collections::BTreeMap;

impl Plan {
    /// Resolves a schedule against a model.
    ///
    /// # Errors
    /// [`Error`] naming file, phase, key, value and the nearest valid one: patterns that match nothing or are none,
    /// parameters in two phases, limits that are missing, a law or scheduler that does not fit the run, or ends before it.
    pub fn new<'a>(spec: &Spec, model: impl Into<ModelParams<'a>>, run: Epochs) -> Result<Plan, Error> {
        let model = model.into();
        let mut plan = resolve(spec, model, run)?;
        plan.check_params()?;
        plan.schedulers = plan.build_schedulers(spec)?;
        // A plan that can be followed at all can be begun, and has rows to its end.
        plan.rehearse(plan.start()?)?;
        Ok(plan)
    }

    /// Refuses parameters that their rules are not for.
    fn check_params(&self) -> Result<(), Error> {
        let mut new = None;
        for (number, phase) in self.phases[..=self.last].iter().enumerate() {
            let begun = phase.new_optimizer.as_ref().map(|optimizer| optimizer.row.rule);
            new = begun.or(new);
            // A new optimizer takes over what has thawed before.
            let first = if begun.is_some() { 0 } else { number };
            for param in self.phases[first..=number].iter().flat_map(|phase| &phase.params) {
                let rule = new.unwrap_or_else(|| self.row_of_param(0, *param).rule);
                let refused =
                    |error: params::Error| self.place.unfit("optimizer", rule, format!("does not fit: {error}"));
                rule.check_param(&self.params[*param]).map_err(refused)?;
            }
        }
        Ok(())
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
}

fn resolve(spec: &Spec, model: ModelParams, run: Epochs) -> Result<Plan, Error> {
    let mut warnings = spec.warnings.clone();
    check_run(&spec.place, run)?;
    check_model(&spec.place, model)?;
    check_reinit(spec)?;
    let phases = match &spec.phases {
        Phases::Everything => vec![PhaseSpec::of(vec![], &spec.place)],
        Phases::Implicit => {
            implicit(model.params).into_iter().map(|params| PhaseSpec::of(params, &spec.place)).collect()
        }
        Phases::Explicit(phases) => phases.clone(),
    };
    let names: Vec<&str> = model.params.iter().map(|param| param.name.as_str()).collect();
    let written = naming::written(&phases, &names, model.in_class);
    let mut resolved: Vec<Phase> = Vec::new();
    let mut taken: Vec<Option<usize>> = vec![None; names.len()];
    for (number, phase) in phases.iter().enumerate() {
        let params = match spec.phases {
            Phases::Everything => (0..names.len()).collect(),
            _ => select((phase, number), (&names, &written), model.tied, &mut taken, &mut warnings)?,
        };
        resolved.push(Phase {
            params,
            lr: if number == 0 { spec.row.lr } else { phase.lr_or(spec.finetuning.base_max_lr, spec.row.lr) },
            max_transition_epoch: phase.max_transition_epoch,
            new_lr_scheduler: at_transition(&phase.new_lr_scheduler, &spec.finetuning.reinit_lr_cfg, number),
            new_optimizer: at_transition(&phase.new_optimizer, &spec.finetuning.reinit_optim_cfg, number)
                .map(|new| new.clipping_to(spec.row.clip_norm)),
        });
    }
    let finetuning = match spec.phases {
        Phases::Everything => Finetuning { restore_best: false, ..Finetuning::default() },
        _ => spec.finetuning.clone(),
    };
    check_limits(spec, &finetuning, &resolved, &mut warnings)?;
    check_lag(spec, &resolved)?;
    let whole = resolved.len() - 1;
    let last = finetuning.max_depth.map_or(whole, |depth| whole.min(usize::try_from(depth).unwrap_or(whole)));
    warnings.extend(told_cut(spec, &resolved, last));
    check_fields(spec, &resolved[..=last], &mut warnings)?;
    warnings.extend(told_words(spec, &names));
    let entry_of = entries::entry_of(spec, model, &mut warnings)?;
    Ok(Plan {
        place: spec.place.clone(),
        params: model.params.to_vec(),
        last,
        run: Epochs { epochs: epochs(spec, &resolved, run.epochs, &mut warnings), ..run },
        phases: resolved,
        row: spec.row,
        no_decay: spec.no_decay.clone(),
        layer_decay: spec.layer_decay,
        layer_of: layers(&names),
        entries: spec.groups.clone(),
        entry_of,
        laws: spec.laws.clone(),
        schedulers: Default::default(),
        finetuning,
        early_stopping: spec.early_stopping.clone(),
        checkpoint: spec.checkpoint.clone(),
        evaluate: spec.evaluate,
        decide: spec.decide,
        given: Vec::new(),
        is_phased: spec.phases != Phases::Everything,
        own_laws: Vec::new(),
        warnings,
    })
}

/// The new scheduler or optimizer of a phase: its own, or in an implicit schedule that of every transition.
fn at_transition<T: Clone>(own: &Option<T>, every: &Option<T>, number: usize) -> Option<T> {
    own.clone().or_else(|| every.clone().filter(|_| number > 0))
}

/// Whether a new optimizer drops the best copy's moments depends on which copy is the best, so that must be known.
fn check_lag(spec: &Spec, phases: &[Phase]) -> Result<(), Error> {
    let new = phases.iter().position(|phase| phase.new_optimizer.is_some());
    match new.filter(|_| spec.decide == Decide::Lag) {
        Some(phase) => {
            let why =
                format!("does not go with the new_optimizer of phase {phase}, before which the best has to be known");
            Err(spec.place.unfit("decide", "lag", why))
        }
        None => Ok(()),
    }
}

fn check_run(place: &Place, run: Epochs) -> Result<(), Error> {
    let zero = [("epochs", run.epochs), ("steps_per_epoch", run.steps_per_epoch)].into_iter().find(|(_, n)| *n == 0);
    zero.map_or(Ok(()), |(key, _)| Err(place.bad(key, 0, "1 or more")))
}

fn check_model(place: &Place, model: ModelParams) -> Result<(), Error> {
    if model.params.is_empty() {
        return Err(place.bad("the model's parameters", "none", "a list with at least one"));
    }
    let mut names = std::collections::HashSet::new();
    match model.params.iter().find(|param| !names.insert(param.name.as_str())) {
        Some(param) => Err(place.unfit("the model's parameters", &param.name, "occurs twice")),
        None => Ok(()),
    }
}

/// The parameters of a phase, in the order in which it names them.
fn select(
    (phase, number): (&PhaseSpec, usize),
    (names, written): (&[&str], &[String]),
    tied: &[(String, String)],
    taken: &mut [Option<usize>],
    warnings: &mut Vec<String>,
) -> Result<Vec<usize>, Error> {
    let mut params = Vec::new();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    let aliases: Vec<&str> = tied.iter().map(|(alias, _)| alias.as_str()).collect();
    for (entry, text) in phase.params.iter().enumerate() {
        let key = format!("params[{entry}]");
        let pattern = Pattern::new(text);
        let bad = |reason: String| phase.place.bad(&key, text, format!("a valid pattern: {reason}"));
        let chosen = pattern.select(&written).map_err(bad)?;
        let doubt = naming::doubt(&pattern);
        if let Some(doubt) = doubt.as_ref().filter(|_| !chosen.is_empty()) {
            warnings.push(format!("{}.{key} = {text}: {doubt}", phase.place.at()));
        }
        if chosen.is_empty() {
            let Some(alias) = naming::first(&pattern, &aliases).map_err(bad)? else {
                let nearest = naming::nearest_start(text, names);
                return Err(phase.place.bad_near(&key, text, naming::told_names(doubt), nearest));
            };
            let (alias, own) = &tied[alias];
            let at = phase.place.at();
            warnings.push(format!("{at}.{key}: {alias} is another name of {own}, and thaws with it"));
        }
        for place in chosen {
            if let Some(other) = taken[place].replace(number) {
                let name = names[place];
                let where_else = if other == number { "in this phase".to_owned() } else { format!("in phase {other}") };
                let why = format!("names {}, which is already {where_else}", Shown(name));
                return Err(phase.place.unfit(&key, text, why));
            }
            params.push(place);
        }
    }
    Ok(params)
}

/// Phases that a message lists.
const MOST_LISTED: usize = 30;

fn check_limits(
    spec: &Spec,
    finetuning: &Finetuning,
    phases: &[Phase],
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let limits = phases.iter().enumerate().skip(1).filter_map(|(at, phase)| Some((at, phase.max_transition_epoch?)));
    let mut highest = 0.0;
    for (number, limit) in limits {
        if limit <= highest {
            let file = spec.place.file();
            warnings.push(format!(
                "{file}: phase {number} has max_transition_epoch {limit}, not after a phase before it ({highest}): it lasts one epoch"
            ));
        }
        highest = f64::max(highest, limit);
    }
    if !finetuning.epoch_transitions_only {
        return Ok(());
    }
    let without = phases.iter().enumerate().filter(|(_, phase)| phase.max_transition_epoch.is_none());
    let mut without: Vec<String> = without.map(|(number, _)| number.to_string()).collect();
    let (phases, have) = match without.len() {
        0 => return Ok(()),
        1 => ("phase", "has"),
        _ => ("phases", "have"),
    };
    if without.len() > MOST_LISTED {
        without.truncate(MOST_LISTED);
        without.push("...".to_owned());
    }
    let why = format!("cannot be: {phases} {} {have} no max_transition_epoch", without.join(", "));
    Err(spec.place.unfit("finetuning.epoch_transitions_only", "true", why))
}

fn check_reinit(spec: &Spec) -> Result<(), Error> {
    let finetuning = &spec.finetuning;
    let given = [
        ("reinit_lr_cfg", finetuning.reinit_lr_cfg.is_some(), "new_lr_scheduler"),
        ("reinit_optim_cfg", finetuning.reinit_optim_cfg.is_some(), "new_optimizer"),
    ];
    match given.into_iter().find(|(_, given, _)| *given && matches!(spec.phases, Phases::Explicit(_))) {
        Some((key, _, instead)) => {
            let instead = format!("the schedule has phases of its own: say {instead} in its phases");
            Err(spec.place.misplaced(&format!("finetuning.{key}"), instead))
        }
        None => Ok(()),
    }
}

/// What `max_depth` leaves out.
fn told_cut(spec: &Spec, phases: &[Phase], last: usize) -> Option<String> {
    let (file, whole) = (spec.place.file(), phases.len() - 1);
    let frozen: usize = phases[last + 1..].iter().map(|phase| phase.params.len()).sum();
    let left = match whole - last {
        0 => return None,
        1 => format!("phase {whole} never begins, and its"),
        _ => format!("phases {} to {whole} never begin, and their", last + 1),
    };
    Some(format!("{file}: finetuning.max_depth = {last}: {left} {frozen} parameters stay frozen"))
}

/// A law whose field the optimizer of a later phase does not have.
fn check_fields(spec: &Spec, phases: &[Phase], warnings: &mut Vec<String>) -> Result<(), Error> {
    let new = phases.iter().enumerate().filter_map(|(number, phase)| Some((number, phase.new_optimizer.as_ref()?.row)));
    for (number, row) in new {
        for law in spec.laws.iter().filter(|law| law.class().is_none() && !row.has(law.field())) {
            if law.field() == Field::EmaDecay {
                let why = format!("does not go with the new_optimizer of phase {number}, which keeps no average");
                return Err(law.place().unfit("field", law.field(), why));
            }
            let (at, field) = (law.place().at(), law.field());
            warnings.push(format!(
                "{at}: the new_optimizer of phase {number} has no {field}: from there on it moves nothing"
            ));
        }
    }
    Ok(())
}

/// The words of `no_decay` that no parameter has.
fn told_words(spec: &Spec, names: &[&str]) -> Vec<String> {
    let without = spec.no_decay.iter().filter(|word| !names.iter().any(|name| has_word(name, word)));
    let told = |word: &String| {
        let is_norm = word.to_lowercase().contains("norm") && names.iter().any(|name| has_word(name, "norm"));
        let parts = names.iter().flat_map(|name| name.split('.'));
        let nearest = if is_norm { Some("norm") } else { nearest(word, parts) };
        let hint = nearest.map_or_else(String::new, |nearest| format!(" (did you mean {nearest:?}?)"));
        format!("{}: optimizer.no_decay: no parameter has {word:?} in its name{hint}", spec.place.file())
    };
    without.map(told).collect()
}

/// The run's epochs: a last phase with a limit may ask for more.
fn epochs(spec: &Spec, phases: &[Phase], epochs: u64, warnings: &mut Vec<String>) -> u64 {
    let Some(_) = phases.last().filter(|_| phases.len() > 1).and_then(|phase| phase.max_transition_epoch) else {
        return epochs;
    };
    let highest = phases.iter().skip(1).filter_map(|phase| phase.max_transition_epoch).fold(0.0, f64::max);
    let asked = highest.ceil() as u64;
    if asked > epochs {
        let file = spec.place.file();
        warnings.push(format!(
            "{file}: the last phase has max_transition_epoch {highest}: the run has {asked} epochs, not {epochs}"
        ));
    }
    asked.max(epochs)
}
