//! A rate that goes up and down between two bounds, with the momentum the other way.

use super::super::python::{divide, power};
use super::super::reader::{PerGroup, Reader};
use super::super::{Arguments, Built, Factor, Fault, Group};
use super::{LrScheduler, Now, Rule, prepare_momentum};

/// Triangles from base_lr to max_lr, whose amplitude stays, halves each cycle, or shrinks each step.
/// `torch.optim.lr_scheduler.CyclicLR`, after Smith 2017 (arXiv 1506.01186). Overwrites the groups' own rates.
#[derive(Debug)]
struct Cyclic {
    base_lr: PerGroup<f64>,
    max_lr: PerGroup<f64>,
    size: f64,
    ratio: f64,
    amplitude: Amplitude,
    momentum: Option<(PerGroup<f64>, PerGroup<f64>)>,
}

#[derive(Debug)]
enum Amplitude {
    Same,
    Halved,
    Shrinking(f64),
    OfCycle(Factor),
    OfStep(Factor),
}

const ARGUMENTS: &[&str] = &[
    "base_lr",
    "max_lr",
    "step_size_up",
    "step_size_down",
    "mode",
    "gamma",
    "scale_fn",
    "scale_mode",
    "cycle_momentum",
    "base_momentum",
    "max_momentum",
    "last_epoch",
];

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("CyclicLR", arguments, ARGUMENTS)?;
    let up = reader.number("step_size_up", 2000.0)?;
    let down = reader.maybe("step_size_down")?.unwrap_or(up);
    let ratio = divide(up, up + down).map_err(|fault| reader.refused(fault.0))?;
    let (lowest, highest) =
        (reader.per_group("base_momentum", Some(0.8))?, reader.per_group("max_momentum", Some(0.9))?);
    let rule = Cyclic {
        base_lr: reader.per_group("base_lr", None)?,
        max_lr: reader.per_group("max_lr", None)?,
        size: up + down,
        ratio,
        amplitude: amplitude(&reader)?,
        momentum: reader.truth("cycle_momentum", true)?.then_some((lowest, highest)),
    };
    Ok(LrScheduler::boxed("CyclicLR", reader.number("last_epoch", -1.0)?, rule))
}

fn amplitude(reader: &Reader) -> Result<Amplitude, super::super::Error> {
    if let Some(function) = reader.factor("scale_fn")? {
        // Any other text than "cycle" means the steps, as in the reference.
        let of_cycle = reader.given("scale_mode").is_none_or(|mode| *mode == "cycle".into());
        return Ok(if of_cycle { Amplitude::OfCycle(function) } else { Amplitude::OfStep(function) });
    }
    Ok(match reader.word("mode", "triangular", &["triangular", "triangular2", "exp_range"])? {
        "triangular" => Amplitude::Same,
        "triangular2" => Amplitude::Halved,
        _ => Amplitude::Shrinking(reader.number("gamma", 1.0)?),
    })
}

impl Cyclic {
    /// How far up the triangle, from 0 to 1, times the amplitude.
    fn height(&self, n: f64) -> Result<f64, Fault> {
        let turns = divide(n, self.size)?;
        let cycle = (1.0 + turns).floor();
        let x = 1.0 + turns - cycle;
        let height = if x <= self.ratio { divide(x, self.ratio)? } else { divide(x - 1.0, self.ratio - 1.0)? };
        let amplitude = match &self.amplitude {
            Amplitude::Same => 1.0,
            Amplitude::Halved => 1.0 / power(2.0, cycle - 1.0)?,
            Amplitude::Shrinking(gamma) => power(*gamma, n)?,
            Amplitude::OfCycle(function) => function.at(cycle)?,
            Amplitude::OfStep(function) => function.at(n)?,
        };
        Ok(height * amplitude)
    }
}

impl Rule for Cyclic {
    fn prepare(&self, groups: &mut [Group], fresh: bool) -> Result<(), String> {
        let misfit = self.base_lr.misfit("base_lr", groups.len()).or(self.max_lr.misfit("max_lr", groups.len()));
        misfit.map_or(Ok(()), Err)?;
        if fresh {
            for (place, group) in groups.iter_mut().enumerate() {
                group.set("lr", self.base_lr.get(place).copied().unwrap_or_default());
            }
        }
        match &self.momentum {
            Some((lowest, highest)) => prepare_momentum(groups, fresh, lowest, highest),
            None => Ok(()),
        }
    }

    fn next(&self, now: &Now) -> Result<f64, Fault> {
        let max_lr = self.max_lr.get(now.place).copied().unwrap_or_default();
        let base = now.base.clone()?;
        Ok(base + (max_lr - base) * self.height(now.n)?)
    }

    fn momentum(&self, now: &Now) -> Option<Result<f64, Fault>> {
        let (lowest, highest) = self.momentum.as_ref()?;
        let (lowest, highest) = (lowest.get(now.place)?, highest.get(now.place)?);
        Some(self.height(now.n).map(|height| highest - (highest - lowest) * height))
    }

    fn base(&self, group: usize) -> Option<f64> {
        self.base_lr.get(group).copied()
    }
}
