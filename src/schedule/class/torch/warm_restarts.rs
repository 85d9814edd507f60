//! Cosine annealing with warm restarts.

use super::super::python::{divide, power};
use super::super::reader::Reader;
use super::super::{Arguments, At, Built, Error, Fault, Group, Memory, Scheduler, State, Value};
use super::{epoch, initial_values};
use std::f64::consts::PI;

/// lr = η + (base − η)(1 + cos(π T_cur / T_i)) / 2; the cycle starts again, T_mult times as long, when T_cur reaches T_i.
/// `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`, after Loshchilov & Hutter 2017 (arXiv 1608.03983).
///
/// Takes fractions of an epoch if the time is explicit.
#[derive(Debug)]
struct WarmRestarts {
    t_0: f64,
    t_mult: f64,
    eta_min: f64,
    last_epoch: f64,
}

const CLASS: &str = "CosineAnnealingWarmRestarts";

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new(CLASS, arguments, &["T_0", "T_mult", "eta_min", "last_epoch"])?;
    reader.required("T_0")?;
    let whole = |name: &str, default: i64| match reader.given(name) {
        None => Ok(default as f64),
        Some(Value::Integer(value)) if *value >= 1 => Ok(*value as f64),
        Some(_) => Err(reader.bad(name, "an integer that is 1 or more")),
    };
    Ok(Box::new(WarmRestarts {
        t_0: whole("T_0", 1)?,
        t_mult: whole("T_mult", 1)?,
        eta_min: reader.number("eta_min", 0.0)?,
        last_epoch: reader.number("last_epoch", -1.0)?,
    }))
}

impl WarmRestarts {
    /// The place in the cycle at an explicit epoch.
    fn cycle(&self, epoch: f64) -> Result<(f64, f64), Fault> {
        if epoch < self.t_0 {
            return Ok((epoch, self.t_0));
        }
        if self.t_mult == 1.0 {
            return Ok((epoch % self.t_0, self.t_0));
        }
        let grown = epoch / self.t_0 * (self.t_mult - 1.0) + 1.0;
        let scale = power(self.t_mult, (grown.ln() / self.t_mult.ln()).trunc())?;
        Ok((epoch - self.t_0 * (scale - 1.0) / (self.t_mult - 1.0), self.t_0 * scale))
    }

    /// The place in the cycle one step on.
    fn following(&self, current: f64, length: f64) -> (f64, f64) {
        let current = current + 1.0;
        if current >= length { (current % length, length * self.t_mult) } else { (current, length) }
    }

    fn write(&self, state: &mut State, groups: &mut [Group], current: f64, length: f64) -> Result<(), Error> {
        let turn = divide(PI * current, length);
        let rates: Vec<Result<f64, Fault>> = (0..groups.len())
            .map(|group| Ok(self.eta_min + (state.base(group)? - self.eta_min) * (1.0 + turn.clone()?.cos()) / 2.0))
            .collect();
        state.memory = Memory::Cycle { current, length };
        state.write(CLASS, "lr", groups, rates)
    }
}

impl Scheduler for WarmRestarts {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let bases = initial_values(groups, "lr", self.last_epoch == -1.0)
            .map_err(|reason| Error::Groups { class: CLASS.to_owned(), reason })?;
        let mut state = State::new(self.last_epoch, bases);
        state.memory = Memory::Cycle { current: self.last_epoch, length: self.t_0 };
        self.step(&mut state, groups, None)?;
        Ok(state)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        let Memory::Cycle { current, length } = state.memory else {
            return self.step_to(state, groups, At::Epoch(state.count + 1.0), metric);
        };
        if state.count < 0.0 {
            return self.step_to(state, groups, At::Epoch(0.0), metric);
        }
        state.count += 1.0;
        let (current, length) = self.following(current, length);
        self.write(state, groups, current, length)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, _metric: Option<f64>) -> Result<(), Error> {
        let epoch = epoch(CLASS, at)?;
        if !(epoch >= 0.0 && epoch.is_finite()) {
            return Err(state.no_value(CLASS, Fault::new(format!("epoch {epoch} is negative or not finite"))));
        }
        let (current, length) = self.cycle(epoch).map_err(|fault| state.no_value(CLASS, fault))?;
        state.count = epoch.floor();
        self.write(state, groups, current, length)
    }
}
