//! `torch.optim.lr_scheduler`, torch 2.15.0.
//!
//! Most classes are recurrences: a step multiplies the rate that the group has, so an lr changed from outside stays and
//! is multiplied further. A step with an explicit epoch uses the closed form, if the class has one.

mod by_factor;
mod chained;
mod constant;
mod cosine;
mod cyclic;
mod exponential;
mod linear;
mod multi_step;
mod one_cycle;
mod plateau;
mod polynomial;
mod sequential;
mod step;
mod warm_restarts;

pub use by_factor::{ByFactor, LambdaLr, MultiplicativeLr};
pub(super) use plateau::Plateau;

use super::reader::PerGroup;
use super::state::put;
use super::{At, Class, Error, Fault, Group, Scheduler, State};

const MODULES: &[&str] = &["torch.optim.lr_scheduler"];

pub(super) const CLASSES: &[Class] = &[
    Class::new(MODULES, "LambdaLR", by_factor::make::<false>),
    Class::new(MODULES, "MultiplicativeLR", by_factor::make::<true>),
    Class::new(MODULES, "StepLR", step::make),
    Class::new(MODULES, "MultiStepLR", multi_step::make),
    Class::new(MODULES, "ConstantLR", constant::make),
    Class::new(MODULES, "LinearLR", linear::make),
    Class::new(MODULES, "ExponentialLR", exponential::make),
    Class::new(MODULES, "PolynomialLR", polynomial::make),
    Class::new(MODULES, "CosineAnnealingLR", cosine::make),
    Class::new(MODULES, "CosineAnnealingWarmRestarts", warm_restarts::make),
    Class::new(MODULES, "CyclicLR", cyclic::make),
    Class::new(MODULES, "OneCycleLR", one_cycle::make),
    Class::new(MODULES, "ReduceLROnPlateau", plateau::make),
    Class::new(MODULES, "SequentialLR", sequential::make),
    Class::new(MODULES, "ChainedScheduler", chained::make),
];

/// What a rate is computed from.
pub(super) struct Now<'a> {
    /// The class's count, `last_epoch`.
    pub(super) n: f64,
    /// The group's place.
    pub(super) place: usize,
    /// The group.
    pub(super) group: &'a Group,
    /// The group's base value.
    pub(super) base: Result<f64, Fault>,
    /// Whether this is the constructor's own step.
    pub(super) initial: bool,
    /// The optimizer's default rate.
    pub(super) default_lr: f64,
}

impl Now<'_> {
    /// The group's current rate.
    pub(super) fn lr(&self) -> f64 {
        self.group.lr()
    }
}

/// How a class of torch computes a group's rate.
pub(super) trait Rule: Send + Sync + std::fmt::Debug {
    /// The part of the constructor before the first step; `fresh` unless it resumes. Says why the groups do not fit.
    fn prepare(&self, _groups: &mut [Group], _fresh: bool) -> Result<(), String> {
        Ok(())
    }

    /// The next rate.
    fn next(&self, now: &Now) -> Result<f64, Fault>;

    /// The rate at an explicit epoch.
    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        self.next(now)
    }

    /// The momentum (or beta1) that goes with it.
    fn momentum(&self, _now: &Now) -> Option<Result<f64, Fault>> {
        None
    }

    /// The base value that the class uses after its first step, if it is not `initial_lr`.
    fn base(&self, _group: usize) -> Option<f64> {
        None
    }
}

/// A class of torch: the part that all of them share, and its rule.
#[derive(Clone, Debug)]
pub(super) struct LrScheduler<R> {
    pub(super) class: &'static str,
    pub(super) last_epoch: f64,
    pub(super) rule: R,
}

impl<R: Rule + 'static> LrScheduler<R> {
    pub(super) fn boxed(class: &'static str, last_epoch: f64, rule: R) -> Box<dyn Scheduler> {
        Box::new(LrScheduler { class, last_epoch, rule })
    }

    fn advance(&self, state: &mut State, groups: &mut [Group], epoch: Option<f64>, initial: bool) -> Result<(), Error> {
        state.count = epoch.unwrap_or(state.count + 1.0);
        let default_lr = default_lr(groups);
        let mut rates = Vec::with_capacity(groups.len());
        let mut momenta = Vec::new();
        for (place, group) in groups.iter().enumerate() {
            let now = Now { n: state.count, place, group, base: state.base(place), initial, default_lr };
            rates.push(if epoch.is_some() { self.rule.closed(&now) } else { self.rule.next(&now) });
            momenta.extend(self.rule.momentum(&now));
        }
        let rates = state.checked(self.class, "lr", rates)?;
        let momenta = state.checked(self.class, "momentum", momenta)?;
        put(groups, "lr", &rates);
        if let (false, Some(field)) = (momenta.is_empty(), momentum_field(groups)) {
            put(groups, field, &momenta);
        }
        Ok(())
    }
}

impl<R: Rule + 'static> Scheduler for LrScheduler<R> {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let unfit = |reason: String| Error::Groups { class: self.class.to_owned(), reason };
        let fresh = self.last_epoch == -1.0;
        self.rule.prepare(groups, fresh).map_err(unfit)?;
        let bases = initial_values(groups, "lr", fresh).map_err(unfit)?;
        let mut state = State::new(self.last_epoch, bases);
        self.step_first(&mut state, groups)?;
        for (place, base) in state.bases.iter_mut().enumerate() {
            *base = self.rule.base(place).unwrap_or(*base);
        }
        Ok(state)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], _metric: Option<f64>) -> Result<(), Error> {
        self.advance(state, groups, None, false)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, _metric: Option<f64>) -> Result<(), Error> {
        self.advance(state, groups, Some(epoch(self.class, at)?), false)
    }

    fn step_first(&self, state: &mut State, groups: &mut [Group]) -> Result<(), Error> {
        self.advance(state, groups, None, true)
    }
}

/// `initial_<field>` of each group, set from the field if missing (and allowed).
pub(super) fn initial_values(groups: &mut [Group], field: &str, may_set: bool) -> Result<Vec<f64>, String> {
    let initial = format!("initial_{field}");
    let mut values = Vec::with_capacity(groups.len());
    for (place, group) in groups.iter_mut().enumerate() {
        values.push(match (group.get(field), may_set) {
            (Some(value), true) => group.or_set(&initial, value),
            (None, true) => return Err(format!("group {place} has no {field}")),
            (_, false) => {
                group.get(&initial).ok_or_else(|| format!("group {place} has no {initial} to resume from"))?
            }
        });
    }
    Ok(values)
}

/// The optimizer's default rate: `default_lr` of the first group, or the rate that it started with.
pub(super) fn default_lr(groups: &[Group]) -> f64 {
    let first = groups.first();
    first
        .and_then(|group| group.get("default_lr").or(group.get("initial_lr")))
        .unwrap_or_else(|| first.map_or(0.0, Group::lr))
}

/// beta1, or momentum, if the groups have one.
fn momentum_field(groups: &[Group]) -> Option<&'static str> {
    let has = |field: &&str| groups.iter().all(|group| group.get(field).is_some());
    ["beta1", "momentum"].into_iter().find(has)
}

/// What a class that cycles the momentum writes before its first step.
fn prepare_momentum(
    groups: &mut [Group],
    fresh: bool,
    lowest: &PerGroup<f64>,
    highest: &PerGroup<f64>,
) -> Result<(), String> {
    let field = momentum_field(groups).ok_or("cycle_momentum needs groups with momentum or beta1")?;
    let misfit = |values: &PerGroup<f64>, name| values.misfit(name, groups.len()).map_or(Ok(()), Err);
    misfit(highest, "max_momentum")?;
    misfit(lowest, "base_momentum")?;
    if fresh {
        for (place, group) in groups.iter_mut().enumerate() {
            if let (Some(lowest), Some(highest)) = (lowest.get(place), highest.get(place)) {
                group.set(field, *highest);
                group.set("max_momentum", *highest);
                group.set("base_momentum", *lowest);
            }
        }
    }
    Ok(())
}

fn epoch(class: &str, at: At) -> Result<f64, Error> {
    match at {
        At::Epoch(epoch) => Ok(epoch),
        At::Update(_) => Err(Error::Refused { class: class.to_owned(), reason: "it has no step_update".to_owned() }),
    }
}
