//! The law that a file's words make of a run.
//!
//! Lengths in epochs and fractions become steps here. When a file is read its laws are built once for a very long run,
//! which checks all that does not depend on the run; the rest is checked when the run is known. Either way a law's
//! complaint about an argument becomes one about the key that the file has for it.

use super::law::{
    Chained, Constant, CoolDown, Cosine, CosineRestarts, Cyclic, Exponential, InverseSqrt, Linear, MultiStep,
    Multiplicative, OneCycle, Polynomial, Ramp, Sequential, SlantedTriangular, Step, Tanh, WarmUp, Wsd,
};
use super::law_keys::{LENGTHS, OWN};
use super::law_spec::{Edge, Kind, LawSpec, Length, Run, Unit};
use super::{Error, Law, own};

/// The run that a law is built for when it is read: longer than any.
const LONG: Run = Run { steps: 1 << 50, steps_per_epoch: Some(1 << 20) };

/// The law of the field, and one for beta1.
pub(super) type Laws = (Box<dyn Law>, Option<Box<dyn Law>>);

impl LawSpec {
    /// Refuses what fits no run.
    pub(super) fn probe(&self) -> Result<(), Error> {
        self.build(LONG, true).map(|_| ())
    }

    /// The law over a run, and the opposite one for beta1.
    pub(super) fn over(&self, run: Run) -> Result<Laws, Error> {
        self.build(run, false)
    }

    /// The law over a run where it is `wsd`.
    pub(super) fn wsd(&self, run: Run) -> Result<Option<Wsd>, Error> {
        let steps = self.length.map_or(Ok(run.steps), |length| self.resolve(length, run.steps, run))?;
        let run = Run { steps, ..run };
        let (total, warm, cool) = self.shares(run, false)?;
        let ramp = match self.warmup.filter(|_| warm > 0) {
            Some(edge) => Some(Ramp::new(edge.shape, warm, edge.level)?),
            None => None,
        };
        self.wsd_over(total - cool, ramp, false)
    }

    fn wsd_over(&self, steps: u64, ramp: Option<Ramp>, probing: bool) -> Result<Option<Wsd>, Error> {
        let Kind::Wsd { share, checkpoints, form, min } = &self.kind else { return Ok(None) };
        let law = Wsd::new(steps, *share)?.checkpoints(*checkpoints)?.decay(*form, *min)?;
        Ok(Some(match ramp {
            Some(ramp) => law.warm_up(ramp).map_err(|error| self.too_late(error, probing))?,
            None => law,
        }))
    }

    /// The law over a run, and the opposite one for beta1. `probing`: the run is [`LONG`], so that lengths in different
    /// units cannot be held against each other.
    fn build(&self, run: Run, probing: bool) -> Result<Laws, Error> {
        let total = match self.length {
            Some(length) => self.resolve(length, run.steps, run)?,
            None => run.steps,
        };
        self.build_over(Run { steps: total, ..run }, probing)
    }

    fn build_over(&self, run: Run, probing: bool) -> Result<Laws, Error> {
        if run.steps == 0 {
            let (key, value) = self.length.map_or(("steps", "0".to_owned()), |length| (length.key, length.unit.show()));
            return Err(self.place.bad(key, value, "a length of 1 step or more"));
        }
        let (total, warm, cool) = self.shares(run, probing)?;
        let ramp = match self.warmup.filter(|_| warm > 0) {
            Some(edge) => Some(Ramp::new(edge.shape, warm, edge.level).map_err(|error| self.named(error))?),
            None => None,
        };
        let made = match &self.kind {
            // Its checkpoints lie on the run's grid: the warm-up is inside.
            Kind::Wsd { .. } => self.main(total - cool, ramp, run, probing),
            _ => self.main((total - cool - warm).max(1), ramp, run, probing).and_then(|(law, beta1)| {
                let Some(ramp) = ramp else { return Ok((law, beta1)) };
                let beta1 = beta1.map(|law| Sequential::new(Constant).then(warm, law)).transpose()?;
                Ok((boxed(WarmUp::new(ramp, law)), beta1.map(boxed)))
            }),
        };
        let (law, beta1) = made.map_err(|error| self.named(error))?;
        let Some(edge) = self.cooldown.filter(|_| cool > 0) else { return Ok((law, beta1)) };
        let law = CoolDown::new(law, total - cool, edge.shape, cool, edge.level);
        Ok((boxed(law.map_err(|error| self.named(error))?), beta1))
    }

    /// The steps of the law, of its warm-up and of its cool-down.
    fn shares(&self, run: Run, probing: bool) -> Result<(u64, u64, u64), Error> {
        let total = run.steps;
        let steps = |edge: &Option<Edge>| edge.map_or(Ok(0), |edge| self.resolve(edge.length, total, run));
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
                Err(self.place.unfit(edge.length.key, edge.length.unit.show(), why))
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
    fn named(&self, error: Error) -> Error {
        let Error::BadArgument { argument, value, allowed, .. } = &error else { return error };
        let keys = LENGTHS.into_iter().find(|keys| keys[0] == *argument);
        match self.lengths().find(|length| keys.is_some_and(|keys| keys[1..].contains(&length.key))) {
            Some(Length { key, unit }) => self.place.bad(key, unit.show(), format!("{allowed}: it comes to {value}")),
            None => self.place.named(error),
        }
    }

    /// The lengths that the file gives.
    fn lengths(&self) -> impl Iterator<Item = Length> {
        let edges = [self.warmup, self.cooldown].map(|edge| edge.map(|edge| edge.length));
        let own = match &self.kind {
            Kind::Exponential { every, .. } | Kind::Step { every, .. } => [Some(*every), None],
            Kind::CosineRestarts { cycle, .. } => [Some(*cycle), None],
            Kind::Cyclic { up, down, .. } => [Some(*up), *down],
            Kind::InverseSqrt { timescale } => [*timescale, None],
            _ => [None, None],
        };
        [self.length].into_iter().chain(edges).chain(own).flatten()
    }

    /// The main law over this many steps, after a warm-up that only some laws ask about. Its own lengths are counted
    /// from its start and are shares of its steps.
    fn main(&self, steps: u64, ramp: Option<Ramp>, run: Run, probing: bool) -> Result<Laws, Error> {
        let resolve = |length: Length| self.resolve(length, steps, run);
        let warm = ramp.map_or(0, |ramp| ramp.steps());
        let law = match &self.kind {
            // A class has no law of its own: `laws` unrolls it.
            Kind::Constant | Kind::Class(_) => boxed(Constant),
            Kind::Linear { start, end } => boxed(Linear::between(steps, *start, *end)?),
            Kind::Polynomial { power, min } => boxed(Polynomial::new(steps, *power, *min)?),
            Kind::Exponential { gamma, every } => boxed(Exponential::new(*gamma, resolve(*every)?)?),
            Kind::Step { gamma, every, min } => boxed(Step::new(*gamma, resolve(*every)?, *min)?),
            Kind::MultiStep { gamma, milestones } => {
                let milestones = milestones.iter().map(|milestone| resolve(*milestone)).collect::<Result<_, _>>()?;
                boxed(MultiStep::new(*gamma, milestones)?)
            }
            Kind::Multiplicative(factors) => boxed(Multiplicative::new(factors.iter().copied())?),
            Kind::Cosine { min, k_decay } => boxed(Cosine::new(steps, *min)?.k_decay(*k_decay)?),
            Kind::CosineRestarts { cycle, multiplier, decay, limit, min, k_decay } => {
                let law = CosineRestarts::new(resolve(*cycle)?, *min)?.multiplier(*multiplier)?.decay(*decay)?;
                let law = law.k_decay(*k_decay)?;
                boxed(limit.map_or(Ok(law), |limit| law.limit(limit))?)
            }
            Kind::Cyclic { up, down, min, mode } => {
                let law = Cyclic::new(resolve(*up)?, resolve(down.unwrap_or(*up))?, *min, *mode)?;
                let beta1 = self.beta1.map(|low| law.momentum(low)).transpose()?;
                return Ok((boxed(law), beta1.map(boxed)));
            }
            Kind::OneCycle { up, div, final_div, anneal, three_phase } => {
                let law = OneCycle::new(steps, *up, *div, *final_div)?.anneal(*anneal);
                let law = if *three_phase { law.three_phase()? } else { law };
                let beta1 = self.beta1.map(|low| law.momentum(low)).transpose()?;
                return Ok((boxed(law), beta1.map(boxed)));
            }
            Kind::InverseSqrt { timescale } => {
                let usual = if warm > 0 { warm } else { 10_000 };
                boxed(InverseSqrt::new(timescale.map_or(Ok(usual), resolve)?)?)
            }
            Kind::Tanh { bounds, min } => boxed(Tanh::new(steps, *bounds, *min)?),
            Kind::SlantedTriangular { cut, ratio, slope } => {
                boxed(SlantedTriangular::new(steps, *cut, *ratio, *slope)?)
            }
            Kind::Wsd { .. } => self.wsd_over(steps, ramp, probing)?.map_or_else(|| boxed(Constant), boxed),
            Kind::Own(name, arguments) => {
                let own = own::law(name).ok_or_else(|| self.place.bad("type", name, "a law that is known any more"))?;
                own(arguments, Run { steps, ..run }).map_err(|reason| self.place.own(reason))?
            }
            Kind::Plateau(plateau, state) => boxed(plateau.law(*state)),
            Kind::Sequential(parts) => self.sequence(parts, steps, run, probing)?,
            Kind::Chained(parts) => {
                let laws = parts.iter().map(|part| Ok(part.build(Run { steps, ..run }, probing)?.0));
                boxed(Chained::new(laws.collect::<Result<_, Error>>()?))
            }
        };
        Ok((law, None))
    }

    /// A warm-up that reaches into the first decay, without numbers of steps that are not the user's.
    fn too_late(&self, error: Error, probing: bool) -> Error {
        match (error, self.warmup) {
            (Error::BadArgument { .. }, Some(Edge { length, .. })) if !self.has_known_steps(probing) => {
                let why = "is too long: the first decay starts before it ends";
                self.place.unfit(length.key, length.unit.show(), why)
            }
            (error, _) => error,
        }
    }

    /// The parts one after another; the last takes what is left.
    fn sequence(&self, parts: &[LawSpec], steps: u64, run: Run, probing: bool) -> Result<Box<dyn Law>, Error> {
        let run = Run { steps, ..run };
        let Some((last, before)) = parts.split_last() else { return Ok(boxed(Constant)) };
        let mut chain: Option<Sequential> = None;
        let mut start = 0u64;
        for part in before {
            let Some(length) = part.length else {
                return Err(part.place.missing(&OWN));
            };
            let law = part.build(run, probing)?.0;
            chain = Some(append(chain, start, law)?);
            start = start.saturating_add(part.resolve(length, steps, run)?);
        }
        if start >= steps && !probing {
            let why = format!("leave no step to the last one: those before it take {start} of {steps}");
            return Err(self.place.unfit("parts", format!("{} parts", parts.len()), why));
        }
        let rest = Run { steps: steps.saturating_sub(start).max(1), ..run };
        let law = if last.length.is_some() { last.build(run, probing)? } else { last.build_over(rest, probing)? };
        Ok(boxed(append(chain, start, law.0)?))
    }

    /// A length in steps. `whole` is what a fraction is a fraction of.
    fn resolve(&self, length: Length, whole: u64, run: Run) -> Result<u64, Error> {
        match (length.unit, run.steps_per_epoch) {
            (Unit::Steps(steps), _) => Ok(steps),
            (Unit::Fraction(fraction), _) => Ok((fraction * whole as f64).round() as u64),
            (Unit::Epochs(epochs), Some(steps)) => Ok((epochs * steps as f64).round() as u64),
            (Unit::Epochs(epochs), None) => {
                let why = "needs the steps of an epoch: give --steps-per-epoch, or count in steps";
                Err(self.place.unfit(length.key, epochs, why))
            }
        }
    }
}

fn boxed(law: impl Law + 'static) -> Box<dyn Law> {
    Box::new(law)
}

fn append(chain: Option<Sequential>, start: u64, law: Box<dyn Law>) -> Result<Sequential, Error> {
    match chain {
        None => Ok(Sequential::new(law)),
        Some(chain) => chain.then(start, law),
    }
}
