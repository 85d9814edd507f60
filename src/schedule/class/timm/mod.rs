//! `timm.scheduler`, timm 1.0.31: functions of an explicit t, the epoch or the update count.
//!
//! Warm-up goes from warmup_lr_init in W equal steps and reaches its target at t = W. `lr_scale` of a group scales every
//! value that is written, the warm-up's too.

mod cosine;
mod cycles;
mod multi_step;
mod plateau;
mod poly;
mod step;
mod tanh;
mod wsd;

use super::python::divide;
use super::reader::Reader;
use super::state::put;
use super::torch::initial_values;
use super::{Arguments, At, Built, Class, Error, Fault, Group, Scheduler, State};

pub(super) const CLASSES: &[Class] = &[
    Class::new(&["timm.scheduler", "timm.scheduler.cosine_lr"], "CosineLRScheduler", cosine::make),
    Class::new(&["timm.scheduler", "timm.scheduler.poly_lr"], "PolyLRScheduler", poly::make),
    Class::new(&["timm.scheduler", "timm.scheduler.tanh_lr"], "TanhLRScheduler", tanh::make),
    Class::new(&["timm.scheduler", "timm.scheduler.step_lr"], "StepLRScheduler", step::make),
    Class::new(&["timm.scheduler", "timm.scheduler.multistep_lr"], "MultiStepLRScheduler", multi_step::make),
    Class::new(&["timm.scheduler", "timm.scheduler.wsd_lr"], "WSDLRScheduler", wsd::make),
    Class::new(&["timm.scheduler", "timm.scheduler.plateau_lr"], "PlateauLRScheduler", plateau::make),
];

/// What comes after the warm-up.
trait Curve: Send + Sync + std::fmt::Debug {
    /// The value for a base value at t.
    fn at(&self, base: f64, t: f64) -> Result<f64, Fault>;

    /// Whether the warm-up goes to the curve instead of the base value.
    fn is_target(&self) -> bool {
        false
    }

    /// The number of steps that the curve is made for.
    fn length(&self) -> Option<f64> {
        None
    }
}

/// The arguments that all of them share.
#[derive(Clone, Copy, Debug)]
struct Warmup {
    class: &'static str,
    steps: f64,
    init: f64,
    /// The curve starts after the warm-up, not under it.
    prefix: bool,
    in_epochs: bool,
    /// False takes `initial_lr` as the groups have it.
    initialize: bool,
}

const SHARED: [&str; 8] = [
    "warmup_t",
    "warmup_lr_init",
    "t_in_epochs",
    "noise_range_t",
    "noise_pct",
    "noise_std",
    "noise_seed",
    "initialize",
];

/// A reader that knows the shared arguments and these.
fn reader<'a>(class: &'static str, arguments: &'a Arguments, own: &[&str]) -> Result<Reader<'a>, Error> {
    let known: Vec<&str> = own.iter().copied().chain(SHARED).collect();
    let reader = Reader::new(class, arguments, &known)?;
    if reader.given("noise_range_t").is_some() {
        return Err(reader.refused("noise_range_t asks for PyTorch's random numbers, which are not built here"));
    }
    Ok(reader)
}

impl Warmup {
    fn read(class: &'static str, reader: &Reader, prefix: bool) -> Result<Warmup, Error> {
        Ok(Warmup {
            class,
            steps: reader.number("warmup_t", 0.0)?,
            init: reader.number("warmup_lr_init", 0.0)?,
            prefix,
            in_epochs: reader.truth("t_in_epochs", true)?,
            initialize: reader.truth("initialize", true)?,
        })
    }

    /// On the way to a target.
    fn value(&self, target: f64, t: f64) -> Result<f64, Fault> {
        Ok(self.init + t * divide(target - self.init, self.steps)?)
    }

    /// What the constructor does: notes the base values, and writes them or the start of the warm-up.
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let unfit = |reason| Error::Groups { class: self.class.to_owned(), reason };
        let bases = initial_values(groups, "lr", self.initialize).map_err(unfit)?;
        let state = State::new(0.0, bases);
        let first: Vec<f64> =
            state.bases.iter().map(|base| if self.steps == 0.0 { *base } else { self.init }).collect();
        self.write(&state, groups, first.into_iter().map(Ok))?;
        Ok(state)
    }

    fn write(
        &self,
        state: &State,
        groups: &mut [Group],
        values: impl IntoIterator<Item = Result<f64, Fault>>,
    ) -> Result<(), Error> {
        let values = values.into_iter().zip(groups.iter());
        let scaled = values.map(|(value, group)| Ok(value? * group.get("lr_scale").unwrap_or(1.0)));
        let scaled = state.checked(self.class, "lr", scaled)?;
        put(groups, "lr", &scaled);
        Ok(())
    }

    /// The next t of the clock that the class follows.
    fn next(&self, state: &State) -> At {
        let t = state.count + 1.0;
        if self.in_epochs { At::Epoch(t) } else { At::Update(t) }
    }

    /// The t of a call that the class listens to; it ignores the other clock.
    fn heard(&self, at: At) -> Option<f64> {
        match at {
            At::Epoch(t) if self.in_epochs => Some(t),
            At::Update(t) if !self.in_epochs => Some(t),
            _ => None,
        }
    }
}

/// A warm-up and a curve.
#[derive(Debug)]
struct Timm<C> {
    warmup: Warmup,
    curve: C,
}

impl<C: Curve> Timm<C> {
    fn value(&self, base: f64, t: f64) -> Result<f64, Fault> {
        let warmup = &self.warmup;
        if t >= warmup.steps {
            return self.curve.at(base, if warmup.prefix { t - warmup.steps } else { t });
        }
        let to_curve = self.curve.is_target() && !warmup.prefix;
        warmup.value(if to_curve { self.curve.at(base, warmup.steps)? } else { base }, t)
    }
}

impl<C: Curve> Scheduler for Timm<C> {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        self.warmup.start(groups)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        self.step_to(state, groups, self.warmup.next(state), metric)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, _metric: Option<f64>) -> Result<(), Error> {
        let Some(t) = self.warmup.heard(at) else { return Ok(()) };
        state.count = t;
        let values: Vec<Result<f64, Fault>> =
            (0..groups.len()).map(|group| self.value(state.base(group)?, t)).collect();
        self.warmup.write(state, groups, values)
    }

    fn cycle_length(&self) -> Option<f64> {
        let after = if self.warmup.prefix { self.warmup.steps } else { 0.0 };
        self.curve.length().map(|length| length + after)
    }
}

fn boxed<C: Curve + 'static>(warmup: Warmup, curve: C) -> Built {
    Ok(Box::new(Timm { warmup, curve }))
}
