//! The law that a file's words make of a run.
//!
//! Lengths in epochs and fractions become steps here. When a file is read its laws are built once for a very long run,
//! which checks all that does not depend on the run; the rest is checked when the run is known. Either way a law's
//! complaint about an argument becomes one about the key that the file has for it.

use super::edge::Edge;
use super::law_spec::{Kind, LawSpec, Said};
use super::length::{Length, Run, Unit};
use crate::schedule::Error;
use crate::schedule::law::warm_up::Late;
use crate::schedule::law::words::{Laws, Over, boxed};
use crate::schedule::law::{CoolDown, Law, Listed, Ramp, WarmUp};

/// The run that a law is built for when it is read: longer than any.
const LONG: Run = Run { steps: 1 << 50, steps_per_epoch: Some(1 << 20) };

impl LawSpec {
    /// Refuses what fits no run.
    pub(super) fn probe(&self) -> Result<(), Error> {
        self.over(LONG, true).map(|_| ())
    }

    /// The law of its field over a run. `probing`: the run is longer than any, so that lengths in different units cannot
    /// be held against each other.
    pub(in crate::schedule) fn over(&self, run: Run, probing: bool) -> Result<Box<dyn Law>, Error> {
        match &self.kind {
            Kind::Law(said) => Ok(self.build(said, run, probing)?.0),
            // A class is not a law: `laws` unrolls it.
            Kind::Class(_) => Ok(boxed(Listed(Vec::new()))),
        }
    }

    /// Its decays over a run, each by its first step and the step after its last one.
    pub(in crate::schedule) fn decays(&self, run: Run) -> Result<Vec<(u64, u64)>, Error> {
        match &self.kind {
            Kind::Law(Said { decays: true, .. }) => Ok(self.over(run, false)?.decays()),
            _ => Ok(Vec::new()),
        }
    }

    /// The law over a run, and the opposite one for beta1.
    pub(super) fn build(&self, said: &Said, run: Run, probing: bool) -> Result<Laws, Error> {
        let total = self.length.map_or(Ok(run.steps), |length| length.steps(&self.place, run.steps, run))?;
        if total == 0 {
            let (key, value) =
                self.length.map_or(("steps", "0".to_owned()), |length| (length.key(), length.unit.show()));
            return Err(self.place.bad(key, value, "a length of 1 step or more"));
        }
        let (total, warm, cool) = self.shares(Run { steps: total, ..run }, probing)?;
        let ramp = match self.warmup.filter(|_| warm > 0) {
            Some(edge) => Some(Ramp::new(edge.shape, warm, edge.level).map_err(|error| self.named(said, error))?),
            None => None,
        };
        let steps = if said.decays { total - cool } else { (total - cool - warm).max(1) };
        let over = Over {
            run: Run { steps, ..run },
            ramp,
            warmup: self.warmup.map(|edge| edge.length),
            beta1: self.beta1,
            place: &self.place,
            probing,
            has_known_steps: self.has_known_steps(probing),
        };
        let made = (said.build)(&over).map_err(|error| self.named(said, error))?;
        let (law, beta1) = warmed(made, ramp.filter(|_| !said.decays));
        let Some(edge) = self.cooldown.filter(|_| cool > 0) else { return Ok((law, beta1)) };
        let law = CoolDown::new(law, total - cool, edge.shape, cool, edge.level);
        Ok((boxed(law.map_err(|error| self.named(said, error))?), beta1))
    }

    /// The steps of the law, of its warm-up and of its cool-down.
    fn shares(&self, run: Run, probing: bool) -> Result<(u64, u64, u64), Error> {
        let total = run.steps;
        let steps = |edge: &Option<Edge>| edge.map_or(Ok(0), |edge| edge.length.steps(&self.place, total, run));
        let (warm, mut cool) = (steps(&self.warmup)?, steps(&self.cooldown)?);
        if probing && self.has_mixed_units() {
            return Ok((LONG.steps, warm.min(1), cool.min(1)));
        }
        let fraction = |edge: Edge| if let Unit::Fraction(share) = edge.length.unit { Some(share) } else { None };
        let fractions = (self.warmup.and_then(fraction), self.cooldown.and_then(fraction));
        if matches!(fractions, (Some(warm), Some(cool)) if warm + cool <= 1.0) {
            // Two halves of 5 steps would round up to 3 + 3.
            cool = cool.min(total - warm);
        }
        match self.warmup.filter(|_| warm > 0).or(self.cooldown) {
            Some(edge) if warm.saturating_add(cool) > total => {
                let told = if self.has_known_steps(probing) {
                    format!("{warm} + {cool} of {total} steps")
                } else {
                    self.told_shares()
                };
                let why = format!("is too long: warm-up and cool-down are {told}");
                Err(self.place.unfit(edge.length.key(), edge.length.unit.show(), why))
            }
            _ => Ok((total, warm, cool)),
        }
    }

    /// Whether only the run can hold an edge's length against the law's own.
    fn has_mixed_units(&self) -> bool {
        let own = self.length.map_or(Unit::Fraction(1.0), |length| length.unit);
        let mut units = [self.warmup, self.cooldown].into_iter().flatten().map(|edge| edge.length.unit);
        units.any(|unit| !matches!(unit, Unit::Fraction(_)) && !unit.is_like(own))
    }

    /// Whether numbers of steps are the user's, and not those of a run that nobody asked for.
    fn has_known_steps(&self, probing: bool) -> bool {
        !probing || matches!(self.length, Some(Length { unit: Unit::Steps(_), .. }))
    }

    /// Warm-up and cool-down as the file has them.
    fn told_shares(&self) -> String {
        let told = |unit| match unit {
            Unit::Epochs(epochs) => format!("{epochs} epochs"),
            Unit::Steps(steps) => format!("{steps} steps"),
            Unit::Fraction(share) => share.to_string(),
        };
        let edge = |edge: Option<Edge>| edge.map_or("0".to_owned(), |edge| told(edge.length.unit));
        let whole = match self.length.map(|length| length.unit) {
            Some(Unit::Epochs(epochs)) => told(Unit::Epochs(epochs)),
            _ => "the whole law".to_owned(),
        };
        format!("{} + {} of {whole}", edge(self.warmup), edge(self.cooldown))
    }

    /// A law's complaint about an argument, as one about the key that the file has for it.
    fn named(&self, said: &Said, error: Error) -> Error {
        let Error::BadArgument { argument, value, allowed, .. } = &error else { return error };
        let edges = [self.warmup, self.cooldown].map(|edge| edge.map(|edge| edge.length));
        let mut lengths = [self.length].into_iter().chain(edges).flatten().chain(said.lengths.iter().copied());
        match lengths.find(|length| length.keys[0] == *argument && length.key() != *argument) {
            Some(length) => self.place.bad(length.key(), length.unit.show(), format!("{allowed}: it comes to {value}")),
            None => self.place.named(error),
        }
    }
}

/// With the warm-up in front, which beta1 waits for at its base.
fn warmed((law, beta1): Laws, ramp: Option<Ramp>) -> Laws {
    let Some(ramp) = ramp else { return (law, beta1) };
    let beta1 = beta1.map(|law| boxed(Late::new(ramp.steps(), law)));
    (boxed(WarmUp::new(ramp, law)), beta1)
}
