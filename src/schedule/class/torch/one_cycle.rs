//! One cycle: up to a high rate and far down, with the momentum the other way.

use super::super::python::divide;
use super::super::reader::{PerGroup, Reader};
use super::super::{Arguments, Built, Error, Fault, Group, Value};
use super::{LrScheduler, Now, Rule, momentum_field, prepare_momentum};
use std::f64::consts::PI;

/// max_lr / div_factor → max_lr → that / final_div_factor in two phases, or in three with two downward.
/// `torch.optim.lr_scheduler.OneCycleLR`, after Smith & Topin 2017 (arXiv 1708.07120).
///
/// Step total_steps, one past the last, is still allowed and goes beyond the end; the next one is refused. It works on
/// the values that it put into the groups (`initial_lr`, `max_lr`, `min_lr`), and overwrites `initial_lr`.
#[derive(Debug)]
struct OneCycle {
    max_lr: PerGroup<f64>,
    total_steps: f64,
    phases: Vec<Phase>,
    cosine: bool,
    div_factor: f64,
    final_div_factor: f64,
    momentum: Option<(PerGroup<f64>, PerGroup<f64>)>,
}

/// Where a phase ends, and the values of the group at its ends: rates, then momenta.
#[derive(Clone, Copy, Debug)]
struct Phase {
    end: f64,
    lr: [&'static str; 2],
    momentum: [&'static str; 2],
}

const ARGUMENTS: &[&str] = &[
    "max_lr",
    "total_steps",
    "epochs",
    "steps_per_epoch",
    "pct_start",
    "anneal_strategy",
    "cycle_momentum",
    "base_momentum",
    "max_momentum",
    "div_factor",
    "final_div_factor",
    "three_phase",
    "last_epoch",
];

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("OneCycleLR", arguments, ARGUMENTS)?;
    let total_steps = total_steps(&reader)?;
    let start = share(&reader)?;
    let (lowest, highest) =
        (reader.per_group("base_momentum", Some(0.85))?, reader.per_group("max_momentum", Some(0.95))?);
    let rule = OneCycle {
        max_lr: reader.per_group("max_lr", None)?,
        total_steps,
        phases: phases(total_steps, start, reader.truth("three_phase", false)?),
        cosine: reader.word("anneal_strategy", "cos", &["cos", "linear"])? == "cos",
        div_factor: reader.number("div_factor", 25.0)?,
        final_div_factor: reader.number("final_div_factor", 1e4)?,
        momentum: reader.truth("cycle_momentum", true)?.then_some((lowest, highest)),
    };
    if rule.div_factor == 0.0 || rule.final_div_factor == 0.0 {
        let name = if rule.div_factor == 0.0 { "div_factor" } else { "final_div_factor" };
        return Err(reader.bad(name, "a number to divide by"));
    }
    Ok(LrScheduler::boxed("OneCycleLR", reader.number("last_epoch", -1.0)?, rule))
}

fn total_steps(reader: &Reader) -> Result<f64, Error> {
    let positive = |name: &str, value: &Value| match value {
        Value::Integer(value) if *value > 0 => Ok(*value as f64),
        _ => Err(reader.bad(name, "a positive integer")),
    };
    if let Some(total) = reader.given("total_steps") {
        return positive("total_steps", total);
    }
    match (reader.given("epochs"), reader.given("steps_per_epoch")) {
        (Some(epochs), Some(steps)) => Ok(positive("epochs", epochs)? * positive("steps_per_epoch", steps)?),
        _ => Err(reader.refused("it needs total_steps, or epochs and steps_per_epoch")),
    }
}

/// pct_start: the reference takes a float only.
fn share(reader: &Reader) -> Result<f64, Error> {
    let share = reader.number("pct_start", 0.3)?;
    let whole = matches!(reader.given("pct_start"), Some(Value::Integer(_)));
    if whole || !(0.0..=1.0).contains(&share) {
        return Err(reader.bad("pct_start", "a float between 0 and 1"));
    }
    Ok(share)
}

fn phases(total: f64, start: f64, three: bool) -> Vec<Phase> {
    let up =
        Phase { end: start * total - 1.0, lr: ["initial_lr", "max_lr"], momentum: ["max_momentum", "base_momentum"] };
    let back = Phase {
        end: 2.0 * start * total - 2.0,
        lr: ["max_lr", "initial_lr"],
        momentum: ["base_momentum", "max_momentum"],
    };
    let out = Phase { end: total - 1.0, lr: ["initial_lr", "min_lr"], momentum: ["max_momentum", "max_momentum"] };
    let down = Phase { end: total - 1.0, lr: ["max_lr", "min_lr"], momentum: ["base_momentum", "max_momentum"] };
    if three { vec![up, back, out] } else { vec![up, down] }
}

impl OneCycle {
    /// The value between two of the group's own, in the phase of this step.
    fn value(&self, now: &Now, ends: impl Fn(&Phase) -> [&'static str; 2]) -> Result<f64, Fault> {
        if now.n > self.total_steps {
            return Err(Fault::new(format!("the cycle has {} steps", self.total_steps)));
        }
        let mut start = 0.0;
        for (place, phase) in self.phases.iter().enumerate() {
            if now.n <= phase.end || place + 1 == self.phases.len() {
                let share = divide(now.n - start, phase.end - start)?;
                let [from, to] = ends(phase);
                return Ok(self.anneal(held(now, from)?, held(now, to)?, share));
            }
            start = phase.end;
        }
        Err(Fault::new("no phase"))
    }

    fn anneal(&self, from: f64, to: f64, share: f64) -> f64 {
        if self.cosine { to + (from - to) / 2.0 * ((PI * share).cos() + 1.0) } else { (to - from) * share + from }
    }
}

fn held(now: &Now, name: &str) -> Result<f64, Fault> {
    now.group.get(name).ok_or_else(|| Fault::new(format!("group {} has no {name}", now.place)))
}

impl Rule for OneCycle {
    fn prepare(&self, groups: &mut [Group], fresh: bool) -> Result<(), String> {
        self.max_lr.misfit("max_lr", groups.len()).map_or(Ok(()), Err)?;
        if fresh {
            for (place, group) in groups.iter_mut().enumerate() {
                let max_lr = self.max_lr.get(place).copied().unwrap_or_default();
                let initial = max_lr / self.div_factor;
                group.set("initial_lr", initial);
                group.set("max_lr", max_lr);
                group.set("min_lr", initial / self.final_div_factor);
            }
        }
        match &self.momentum {
            Some((lowest, highest)) => prepare_momentum(groups, fresh, lowest, highest),
            None => Ok(()),
        }
    }

    fn next(&self, now: &Now) -> Result<f64, Fault> {
        self.value(now, |phase| phase.lr)
    }

    fn momentum(&self, now: &Now) -> Option<Result<f64, Fault>> {
        self.momentum.as_ref()?;
        momentum_field(std::slice::from_ref(now.group))?;
        Some(self.value(now, |phase| phase.momentum))
    }
}
