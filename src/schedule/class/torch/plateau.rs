//! Reduces the rate when a metric stops getting better.

use super::super::reader::{PerGroup, Reader};
use super::super::{Arguments, At, Built, Error, Fault, Group, Memory, Scheduler, State};
use super::epoch;

/// lr = max(lr · factor, min_lr) after more than `patience` steps without a better metric.
/// `torch.optim.lr_scheduler.ReduceLROnPlateau`.
///
/// NaN is never better. A relative threshold makes the test easier if the best is negative. A change not larger than
/// eps is dropped, but the counts start again.
#[derive(Clone, Debug)]
pub(in super::super) struct Plateau {
    pub(in super::super) class: &'static str,
    pub(in super::super) max: bool,
    pub(in super::super) relative: bool,
    pub(in super::super) factor: f64,
    pub(in super::super) patience: f64,
    pub(in super::super) threshold: f64,
    pub(in super::super) cooldown: f64,
    pub(in super::super) min_lr: PerGroup<f64>,
    pub(in super::super) eps: f64,
}

const ARGUMENTS: &[&str] = &["mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"];

pub(super) fn make(arguments: &Arguments) -> Built {
    Ok(Box::new(Plateau::read("ReduceLROnPlateau", arguments)?))
}

impl Plateau {
    /// From torch's own arguments.
    pub(in super::super) fn read(class: &'static str, arguments: &Arguments) -> Result<Plateau, Error> {
        let reader = Reader::new(class, arguments, ARGUMENTS)?;
        let plateau = Plateau {
            class,
            max: reader.word("mode", "min", &["min", "max"])? == "max",
            relative: reader.word("threshold_mode", "rel", &["rel", "abs"])? == "rel",
            factor: reader.number("factor", 0.1)?,
            patience: reader.number("patience", 10.0)?,
            threshold: reader.number("threshold", 1e-4)?,
            cooldown: reader.number("cooldown", 0.0)?,
            min_lr: reader.per_group("min_lr", Some(0.0))?,
            eps: reader.number("eps", 1e-8)?,
        };
        if plateau.factor >= 1.0 {
            return Err(reader.bad("factor", "less than 1"));
        }
        Ok(plateau)
    }

    /// The memory before the first metric.
    pub(in super::super) fn fresh(&self) -> Memory {
        Memory::Plateau { best: if self.max { f64::NEG_INFINITY } else { f64::INFINITY }, bad: 0, cooldown: 0 }
    }

    fn better(&self, metric: f64, best: f64) -> bool {
        match (self.max, self.relative) {
            (false, true) => metric < best * (1.0 - self.threshold),
            (false, false) => metric < best - self.threshold,
            (true, true) => metric > best * (self.threshold + 1.0),
            (true, false) => metric > best + self.threshold,
        }
    }

    /// Takes a metric, and reduces the rates if due.
    pub(in super::super) fn observe(&self, state: &mut State, groups: &mut [Group], metric: f64) -> Result<(), Error> {
        if !matches!(state.memory, Memory::Plateau { .. }) {
            state.memory = self.fresh();
        }
        let Memory::Plateau { best, bad, cooldown } = &mut state.memory else { return Ok(()) };
        if self.better(metric, *best) {
            (*best, *bad) = (metric, 0);
        } else {
            *bad += 1;
        }
        if *cooldown > 0 {
            *cooldown -= 1;
            *bad = 0;
        }
        if *bad as f64 > self.patience {
            *cooldown = self.cooldown.ceil() as i64;
            *bad = 0;
            return self.reduce(state, groups);
        }
        Ok(())
    }

    /// The lowest rate of a group; one that joined after a list was given has the list's first.
    fn lowest(&self, group: usize) -> Option<f64> {
        match &self.min_lr {
            PerGroup::Same(lowest) => Some(*lowest),
            PerGroup::Each(list) => list.get(group).or(list.first()).copied(),
        }
    }

    fn reduce(&self, state: &State, groups: &mut [Group]) -> Result<(), Error> {
        let lower = |(place, group): (usize, &Group)| {
            let old = group.lr();
            let lowest = self.lowest(place).ok_or_else(|| Fault::new("no min_lr for this group"))?;
            // As Python's max: the first if they compare false.
            let reduced = if lowest > old * self.factor { lowest } else { old * self.factor };
            Ok(if old - reduced > self.eps { reduced } else { old })
        };
        let rates: Vec<Result<f64, Fault>> = groups.iter().enumerate().map(lower).collect();
        state.write(self.class, "lr", groups, rates)
    }

    fn take(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        match metric {
            Some(metric) => self.observe(state, groups, metric),
            None => Err(state.no_value(self.class, Fault::new("a step needs the metric"))),
        }
    }
}

impl Scheduler for Plateau {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        if let Some(reason) = self.min_lr.misfit("min_lr", groups.len()) {
            return Err(Error::Groups { class: self.class.to_owned(), reason });
        }
        let mut state = State::new(0.0, Vec::new());
        state.memory = self.fresh();
        Ok(state)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        state.count += 1.0;
        self.take(state, groups, metric)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, metric: Option<f64>) -> Result<(), Error> {
        state.count = epoch(self.class, at)?;
        self.take(state, groups, metric)
    }
}
