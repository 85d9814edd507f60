//! torch's plateau after a warm-up.

use super::super::reader::PerGroup;
use super::super::torch::Plateau;
use super::{Arguments, At, Built, Error, Fault, Group, Scheduler, State, Warmup, reader};

/// Epochs t ≤ warmup_t are warm-up and ignore the metric, then torch's plateau, by default for a metric that grows.
/// `timm.scheduler.PlateauLRScheduler`.
///
/// Without warm-up, epoch 0 sets the rate to warmup_lr_init, and there it stays.
#[derive(Debug)]
struct PlateauScheduler {
    warmup: Warmup,
    plateau: Plateau,
}

const ARGUMENTS: &[&str] = &["decay_rate", "patience_t", "threshold", "cooldown_t", "lr_min", "mode", "noise_type"];

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "PlateauLRScheduler";
    let reader = reader(class, arguments, ARGUMENTS)?;
    if arguments.get("t_in_epochs").is_some() {
        return Err(reader.refused("it has no argument \"t_in_epochs\""));
    }
    let plateau = Plateau {
        class,
        max: reader.word("mode", "max", &["min", "max"])? == "max",
        relative: true,
        factor: reader.number("decay_rate", 0.1)?,
        patience: reader.number("patience_t", 10.0)?,
        threshold: reader.number("threshold", 1e-4)?,
        cooldown: reader.number("cooldown_t", 0.0)?,
        min_lr: PerGroup::Same(reader.number("lr_min", 0.0)?),
        eps: 1e-8,
    };
    if plateau.factor >= 1.0 {
        return Err(reader.bad("decay_rate", "less than 1"));
    }
    Ok(Box::new(PlateauScheduler { warmup: Warmup::read(class, &reader, true)?, plateau }))
}

impl PlateauScheduler {
    fn warm(&self, base: f64, t: f64) -> Result<f64, Fault> {
        if self.warmup.steps == 0.0 { Ok(self.warmup.init + t) } else { self.warmup.value(base, t) }
    }
}

impl Scheduler for PlateauScheduler {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let mut state = self.warmup.start(groups)?;
        state.memory = self.plateau.fresh();
        Ok(state)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        self.step_to(state, groups, self.warmup.next(state), metric)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, metric: Option<f64>) -> Result<(), Error> {
        let Some(t) = self.warmup.heard(at) else { return Ok(()) };
        state.count = t;
        if t <= self.warmup.steps {
            let values: Vec<Result<f64, Fault>> =
                (0..groups.len()).map(|group| self.warm(state.base(group)?, t)).collect();
            return self.warmup.write(state, groups, values);
        }
        metric.map_or(Ok(()), |metric| self.plateau.observe(state, groups, metric))
    }
}
