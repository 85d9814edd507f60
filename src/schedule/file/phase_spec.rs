//! A phase in a file.

use super::class_spec::ClassSpec;
use super::optimizer_spec::OptimizerSpec;
use super::place::Place;
use super::raw::Raw;
use super::section::Section;
use crate::params::Field;
use crate::schedule::Error;

/// One phase of a schedule: what thaws, at which rate, and until when.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseSpec {
    /// Names and patterns of the parameters that thaw.
    pub params: Vec<String>,
    /// The phase begins no epoch at or after this one; `None` and negative numbers mean no limit.
    pub max_transition_epoch: Option<f64>,
    /// The rate that its groups start with. Phase 0 starts with the optimizer's.
    pub lr: Option<f64>,
    /// A scheduler that takes over from the one before.
    pub new_lr_scheduler: Option<NewScheduler>,
    /// An optimizer that takes over from the one before.
    pub new_optimizer: Option<OptimizerSpec>,
    pub(in crate::schedule) place: Place,
}

/// A scheduler that takes over at a transition, and the rates that it starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct NewScheduler {
    pub(in crate::schedule) class: ClassSpec,
    /// Each group's rate and base, in the groups' order; a shorter list leaves the others as they are.
    pub init_pg_lrs: Option<Vec<f64>>,
    /// Start from the groups' current rates, not from their first ones.
    pub use_current_optimizer_pg_lrs: bool,
    /// As written in the file.
    pub(in crate::schedule) raw: Raw,
}

impl PhaseSpec {
    /// A phase of these parameters and nothing else.
    pub(in crate::schedule) fn of(params: Vec<String>, place: &Place) -> PhaseSpec {
        PhaseSpec {
            params,
            max_transition_epoch: None,
            lr: None,
            new_lr_scheduler: None,
            new_optimizer: None,
            place: place.clone(),
        }
    }

    /// The initial rate of its groups, except in phase 0.
    pub(in crate::schedule) fn lr_or(&self, base_max_lr: Option<f64>, optimizer_lr: f64) -> f64 {
        self.lr.or(base_max_lr).unwrap_or(optimizer_lr / 10.0)
    }

    /// Reads a phase. Ignored keys are warnings.
    pub(in crate::schedule) fn read(
        mut section: Section,
        number: usize,
        warnings: &mut Vec<String>,
    ) -> Result<PhaseSpec, Error> {
        section.only(&["params", "max_transition_epoch", "lr", "new_lr_scheduler", "new_optimizer"])?;
        let place = section.place();
        let warn = |what: &str| format!("{}: {what}", place.at());
        let params = if section.is_null("params") { Vec::new() } else { section.texts("params")? };
        if params.is_empty() {
            warnings.push(warn("no parameters thaw in this phase"));
        }
        let max_transition_epoch = limit(&mut section)?;
        let mut lr = section.rate("lr")?;
        if number == 0 && lr.take().is_some() {
            warnings.push(warn("lr is ignored: phase 0 uses optimizer.lr"));
        }
        let new_lr_scheduler = section.maybe_section("new_lr_scheduler")?.map(NewScheduler::read).transpose()?;
        let new_optimizer = section.maybe_section("new_optimizer")?.map(OptimizerSpec::read_new).transpose()?;
        let begins = [("new_lr_scheduler", new_lr_scheduler.is_some()), ("new_optimizer", new_optimizer.is_some())];
        if let Some((key, _)) = begins.iter().find(|(_, given)| *given && number == 0) {
            let section_name = if *key == "new_optimizer" { "optimizer" } else { "lr_scheduler" };
            let instead = format!("phase 0 uses the section {section_name}");
            return Err(section.misplaced(key, instead));
        }
        Ok(PhaseSpec { params, max_transition_epoch, lr, new_lr_scheduler, new_optimizer, place })
    }
}

/// Epochs that a phase may ask for: more than any run has.
const MOST_EPOCHS: f64 = 1e9;

/// `max_transition_epoch`; negative ones are none.
fn limit(section: &mut Section) -> Result<Option<f64>, Error> {
    match section.plain_number("max_transition_epoch")? {
        Some(epoch) if epoch > MOST_EPOCHS => {
            Err(section.bad("max_transition_epoch", epoch.to_string(), "an epoch up to 1e9", None))
        }
        epoch => Ok(epoch.filter(|epoch| *epoch >= 0.0)),
    }
}

impl NewScheduler {
    pub(in crate::schedule) fn read(mut section: Section) -> Result<NewScheduler, Error> {
        section.only(&["lr_scheduler_init", "pl_lrs_cfg", "init_pg_lrs", "use_current_optimizer_pg_lrs"])?;
        let raw = section.raw();
        let class = ClassSpec::read_new(&mut section)?;
        let init_pg_lrs = section.numbers("init_pg_lrs")?;
        if let Some(bad) = init_pg_lrs.iter().flatten().find(|lr| !Field::Lr.allows(**lr)) {
            return Err(section.bad("init_pg_lrs", bad.to_string(), "finite numbers that are 0 or more", None));
        }
        let use_current_optimizer_pg_lrs = section.truth("use_current_optimizer_pg_lrs", false)?;
        Ok(NewScheduler { class, init_pg_lrs, use_current_optimizer_pg_lrs, raw })
    }
}
