//! Raises the rate while a metric gets better, and reduces it while it does not.

use super::super::python::divide;
use super::super::reader::{PerGroup, Reader};
use super::super::{Arguments, At, Built, Error, Fault, GreedyMemory, Group, Memory, Scheduler, State};

/// lr = min(lr / factor, max_lr) after more than `patience` better metrics in a row, max(lr · factor, min_lr) after as
/// many worse ones; the first rates again after `reset_start` reductions at the lowest.
/// `transformers.optimization.GreedyLR`.
///
/// NaN is never better. A metric during a rest is not compared with the best. A change not larger than eps is dropped,
/// but the counts start again.
#[derive(Clone, Debug)]
struct Greedy {
    max: bool,
    relative: bool,
    factor: f64,
    patience: f64,
    threshold: f64,
    cooldown: f64,
    warmup: f64,
    min_lr: PerGroup<f64>,
    max_lr: PerGroup<f64>,
    eps: f64,
    /// The metric is the average of so many.
    window: Option<f64>,
    reset_start: f64,
}

const CLASS: &str = "GreedyLR";

const ARGUMENTS: &[&str] = &[
    "mode",
    "factor",
    "patience",
    "threshold",
    "threshold_mode",
    "cooldown",
    "warmup",
    "min_lr",
    "max_lr",
    "eps",
    "verbose",
    "smooth",
    "window_size",
    "reset_start",
];

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new(CLASS, arguments, ARGUMENTS)?;
    reader.truth("verbose", false)?;
    let greedy = Greedy {
        max: reader.word("mode", "min", &["min", "max"])? == "max",
        relative: reader.word("threshold_mode", "abs", &["rel", "abs"])? == "rel",
        factor: reader.number("factor", 0.95)?,
        patience: reader.number("patience", 10.0)?,
        threshold: reader.number("threshold", 1e-6)?,
        cooldown: reader.number("cooldown", 0.0)?,
        warmup: reader.number("warmup", 0.0)?,
        min_lr: reader.per_group("min_lr", Some(1e-3))?,
        max_lr: reader.per_group("max_lr", Some(1.0))?,
        eps: reader.number("eps", 1e-8)?,
        window: reader.truth("smooth", false)?.then_some(reader.number("window_size", 50.0)?),
        reset_start: reader.number("reset_start", 500.0)?,
    };
    if greedy.factor >= 1.0 {
        return Err(reader.bad("factor", "less than 1"));
    }
    Ok(Box::new(greedy))
}

impl Greedy {
    fn fresh(&self) -> GreedyMemory {
        let best = if self.max { f64::NEG_INFINITY } else { f64::INFINITY };
        GreedyMemory { best, reset: self.reset_start, ..GreedyMemory::default() }
    }

    fn better(&self, metric: f64, best: f64) -> bool {
        match (self.max, self.relative) {
            (false, true) => metric < best * (1.0 - self.threshold),
            (false, false) => metric < best - self.threshold,
            (true, true) => metric > best * (1.0 + self.threshold),
            (true, false) => metric > best + self.threshold,
        }
    }

    /// The average of the last metrics, this one among them.
    fn smooth(&self, now: &mut GreedyMemory, metric: f64) -> Result<f64, Fault> {
        let Some(window) = self.window else { return Ok(metric) };
        now.window.push(metric);
        now.sum += metric;
        if now.window.len() as f64 > window {
            now.sum -= now.window.remove(0);
        }
        divide(now.sum, now.window.len() as f64)
    }

    fn observe(&self, state: &mut State, groups: &mut [Group], metric: f64) -> Result<(), Error> {
        let mut now = if let Memory::Greedy(now) = &state.memory { now.clone() } else { self.fresh() };
        let metric = self.smooth(&mut now, metric).map_err(|fault| state.no_value(CLASS, fault))?;
        if now.cooldown > 0 || now.warmup > 0 {
            let rest = if now.cooldown > 0 { &mut now.cooldown } else { &mut now.warmup };
            *rest -= 1;
            (now.bad, now.good) = (0, 0);
        } else {
            if self.better(metric, now.best) {
                (now.best, now.bad, now.good) = (metric, 0, now.good + 1);
            } else {
                (now.bad, now.good) = (now.bad + 1, 0);
            }
            if now.good as f64 > self.patience {
                self.raise(state, groups)?;
                (now.reset, now.warmup, now.good) = (self.reset_start, self.warmup.ceil() as i64, 0);
            } else if now.bad as f64 > self.patience {
                self.reduce(state, groups, &mut now)?;
                (now.cooldown, now.bad) = (self.cooldown.ceil() as i64, 0);
            }
        }
        state.memory = Memory::Greedy(now);
        Ok(())
    }

    fn raise(&self, state: &State, groups: &mut [Group]) -> Result<(), Error> {
        let raised = |(place, group): (usize, &Group)| {
            let old = group.lr();
            let (new, highest) = (divide(old, self.factor)?, bound(&self.max_lr, place)?);
            // As Python's min: the first if they compare false.
            let new = if highest < new { highest } else { new };
            Ok(if new - old > self.eps { new } else { old })
        };
        let rates: Vec<Result<f64, Fault>> = groups.iter().enumerate().map(raised).collect();
        state.write(CLASS, "lr", groups, rates)
    }

    fn reduce(&self, state: &State, groups: &mut [Group], now: &mut GreedyMemory) -> Result<(), Error> {
        let reduced = |(place, group): (usize, &Group)| {
            let old = group.lr();
            let (new, lowest) = (old * self.factor, bound(&self.min_lr, place)?);
            let new = if lowest > new { lowest } else { new };
            Ok(if old - new > self.eps { new } else { old })
        };
        let rates: Vec<Result<f64, Fault>> = groups.iter().enumerate().map(reduced).collect();
        state.write(CLASS, "lr", groups, rates)?;
        let above = |(place, group): (usize, &Group)| self.min_lr.get(place).is_some_and(|lowest| group.lr() > *lowest);
        if groups.iter().enumerate().any(above) {
            return Ok(());
        }
        now.reset -= 1.0;
        if now.reset <= 0.0 {
            *now = self.fresh();
            state.write(CLASS, "lr", groups, state.bases.iter().copied().map(Ok))?;
        }
        Ok(())
    }

    fn take(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        match metric {
            Some(metric) => self.observe(state, groups, metric),
            None => Err(state.no_value(CLASS, Fault::new("a step needs the metric"))),
        }
    }
}

fn bound(bounds: &PerGroup<f64>, group: usize) -> Result<f64, Fault> {
    bounds.get(group).copied().ok_or_else(|| Fault::new("no bound for this group"))
}

impl Scheduler for Greedy {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let misfits = [self.min_lr.misfit("min_lr", groups.len()), self.max_lr.misfit("max_lr", groups.len())];
        if let Some(reason) = misfits.into_iter().flatten().next() {
            return Err(Error::Groups { class: CLASS.to_owned(), reason });
        }
        let mut state = State::new(0.0, groups.iter().map(Group::lr).collect());
        state.memory = Memory::Greedy(self.fresh());
        Ok(state)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        state.count += 1.0;
        self.take(state, groups, metric)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, metric: Option<f64>) -> Result<(), Error> {
        let At::Epoch(epoch) = at else {
            return Err(Error::Refused { class: CLASS.to_owned(), reason: "it has no step_update".to_owned() });
        };
        state.count = epoch;
        self.take(state, groups, metric)
    }
}
