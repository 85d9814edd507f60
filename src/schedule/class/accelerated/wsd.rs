//! Warmup-stable-decay with several checkpoints.

use super::super::python::{divide, root};
use super::super::reader::Reader;
use super::{Arguments, At, Built, Error, Fault, FieldLaw, FieldScheduler, Group, Memory, Scheduler, State, Update};

/// The base value up to each checkpoint except in the last part of its period, which decays to a share lr_min of it: as
/// 1 − √q, or as b / (q / lr_min + 1 − q). `pytorch_accelerated.schedulers.WSDLrScheduler`, after Wen et al. 2024
/// (arXiv 2410.05192).
///
/// Two checkpoints lie at a quarter and a half of the run, and past the last one the value stays decayed; four of them
/// are three if the run is a multiple of 4. Warm-up comes before everything. A period without decay steps divides by
/// zero past the last checkpoint; so does lr_min 0 in the second form.
#[derive(Clone, Debug)]
pub struct WsdLrScheduler(FieldScheduler<Wsd>);

/// A checkpoint's period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecayInfo {
    /// Its first step.
    pub period_start: i64,
    /// The checkpoint.
    pub period_end: i64,
    /// Steps of decay before it.
    pub decay_steps: i64,
    /// Where the decay starts.
    pub pre_decay_step: i64,
}

#[derive(Clone, Debug)]
struct Wsd {
    total: f64,
    warmup: f64,
    ratio: f64,
    lr_min: f64,
    start: f64,
    inverse_sqrt: bool,
    checkpoints: f64,
    continues: bool,
    steps: Vec<f64>,
}

const CLASS: &str = "WSDLrScheduler";

const ARGUMENTS: &[&str] = &[
    "num_epochs",
    "num_update_steps_per_epoch",
    "total_steps",
    "num_warmup_steps",
    "decay_phase_ratio",
    "lr_min",
    "warmup_starting_lr",
    "use_inverse_sqrt_decay",
    "num_checkpoints",
    "is_continuation_from_checkpoint",
];

pub(super) fn make(arguments: &Arguments) -> Built {
    Ok(Box::new(WsdLrScheduler::new(arguments)?))
}

/// Checkpoints of a run: its end for one of them, else a quarter of the run times 1, 2, 4, … up to its end.
pub fn estimate_checkpoint_steps(total_steps: i64, num_checkpoints: i64) -> Vec<i64> {
    checkpoint_steps(total_steps as f64, num_checkpoints as f64).into_iter().map(|step| step as i64).collect()
}

fn checkpoint_steps(total: f64, count: f64) -> Vec<f64> {
    if count == 1.0 {
        return vec![total];
    }
    let mut steps = Vec::new();
    let mut step = (total / 4.0).floor();
    // A run of less than 4 steps has all of them at 0; a bound on how many are listed.
    while (steps.len() as f64) < count.min(1e6) && steps.last() != Some(&total) {
        steps.push(step.min(total));
        step *= 2.0;
    }
    steps
}

fn total(reader: &Reader) -> Result<f64, Error> {
    let of_epochs = reader.maybe("num_epochs")?.zip(reader.maybe("num_update_steps_per_epoch")?);
    let total = match (of_epochs, reader.maybe("total_steps")?) {
        (Some(_), Some(_)) => {
            let either = "either total_steps, or num_epochs and num_update_steps_per_epoch may be given";
            return Err(reader.refused(either));
        }
        (Some((epochs, updates)), None) => epochs * updates,
        (None, Some(total)) => total,
        (None, None) => {
            return Err(reader.refused("it needs total_steps, or num_epochs and num_update_steps_per_epoch"));
        }
    };
    if total > 0.0 { Ok(total) } else { Err(reader.refused(format!("the total of {total} steps is not positive"))) }
}

impl WsdLrScheduler {
    /// With the constructor's arguments.
    ///
    /// # Errors
    /// What the class refuses.
    pub fn new(arguments: &Arguments) -> Result<WsdLrScheduler, Error> {
        let reader = Reader::new(CLASS, arguments, ARGUMENTS)?;
        let total = total(&reader)?;
        let warmup = match reader.given("num_warmup_steps") {
            // The default is 1 %, though the original's text says 10 %.
            None if arguments.get("num_warmup_steps").is_some() => (0.01 * total).trunc(),
            _ => reader.maybe("num_warmup_steps")?.unwrap_or(0.0),
        };
        let checkpoints = reader.number("num_checkpoints", 1.0)?;
        let law = Wsd {
            total,
            warmup,
            ratio: reader.number("decay_phase_ratio", 0.1)?,
            lr_min: reader.number("lr_min", 1e-6)?,
            start: reader.number("warmup_starting_lr", 1e-6)?,
            inverse_sqrt: reader.truth("use_inverse_sqrt_decay", true)?,
            checkpoints,
            continues: reader.truth("is_continuation_from_checkpoint", false)?,
            steps: checkpoint_steps(total, checkpoints),
        };
        law.check(&reader)?;
        Ok(WsdLrScheduler(FieldScheduler::new(CLASS, law)))
    }

    /// The checkpoints.
    pub fn checkpoint_steps(&self) -> Vec<i64> {
        self.0.law().steps.iter().map(|step| *step as i64).collect()
    }

    /// The run's steps.
    pub fn total_steps(&self) -> i64 {
        self.0.law().total as i64
    }

    /// Steps of warm-up.
    pub fn num_warmup_steps(&self) -> i64 {
        self.0.law().warmup as i64
    }

    /// Whether it continues a run from before a decay: no warm-up.
    pub fn is_continuation(&self) -> bool {
        self.0.law().continues
    }

    /// The period of each checkpoint.
    pub fn decay_info(&self) -> Vec<DecayInfo> {
        let law = self.0.law();
        (0..law.steps.len()).map(|place| law.info(place)).collect()
    }

    /// The period of a step: a checkpoint's own step still belongs to its period. Past the last one the last.
    pub fn phase_info(&self, step: i64) -> Option<DecayInfo> {
        let periods = self.decay_info();
        periods.iter().find(|info| info.period_end >= step).or(periods.last()).copied()
    }

    /// What `load_state_dict` makes of this scheduler, with the saved one's state: the count is not saved, so the run
    /// starts at n = 0. Everything comes from the saved scheduler, including the continuation flag; but if this one was
    /// built with the flag, its total stays. To resume a run exactly, keep the [`State`] instead.
    pub fn load_state_dict(&self, saved: &WsdLrScheduler, state: &State) -> (WsdLrScheduler, State) {
        let mut law = saved.0.law().clone();
        let mut loaded = State { count: -1.0, ..state.clone() };
        if self.0.law().continues {
            law.total = self.0.law().total;
            law.steps = checkpoint_steps(law.total, law.checkpoints);
            loaded.memory = Memory::Checkpoint(None);
        }
        (WsdLrScheduler(FieldScheduler::new(CLASS, law)), loaded)
    }
}

impl Wsd {
    fn check(&self, reader: &Reader) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.ratio) {
            return Err(reader.bad("decay_phase_ratio", "between 0 and 1"));
        }
        if self.lr_min.is_nan() || self.lr_min < 0.0 {
            return Err(reader.bad("lr_min", "0 or more"));
        }
        if self.checkpoints.is_nan() || self.checkpoints <= 0.0 {
            return Err(reader.bad("num_checkpoints", "greater than 0"));
        }
        if self.checkpoints > 1.0 && self.ratio > 1.0 / 3.0 {
            return Err(reader.bad("decay_phase_ratio", "at most 1/3 with several checkpoints"));
        }
        Ok(())
    }

    fn start_of(&self, place: usize) -> f64 {
        place.checked_sub(1).and_then(|before| self.steps.get(before)).copied().unwrap_or(0.0)
    }

    fn info(&self, place: usize) -> DecayInfo {
        let start = self.start_of(place);
        let end = self.steps.get(place).copied().unwrap_or(self.total);
        let decay = ((end - start) * self.ratio).trunc();
        DecayInfo {
            period_start: start as i64,
            period_end: end as i64,
            decay_steps: decay as i64,
            pre_decay_step: (end - decay) as i64,
        }
    }

    /// Steps into the period of n, its stable steps, and its steps of decay. Past the last checkpoint it is period 0.
    fn period(&self, n: f64) -> (f64, f64, f64) {
        let place = self.steps.iter().position(|step| n < *step).unwrap_or(0);
        let start = self.start_of(place);
        let length = self.steps.get(place).copied().unwrap_or(self.total) - start;
        let decay = (length * self.ratio).trunc();
        (n - start, length - decay, decay)
    }

    fn warms_up(&self, n: f64) -> bool {
        !self.continues && n < self.warmup
    }

    /// The share of the base value that is left after a share q of the decay.
    fn decayed(&self, base: f64, q: f64) -> Result<f64, Fault> {
        if self.inverse_sqrt {
            return Ok(base * (self.lr_min + (1.0 - self.lr_min) * (1.0 - root(q)?)));
        }
        divide(base, q * divide(1.0, self.lr_min)? + (1.0 - q))
    }
}

impl FieldLaw for Wsd {
    fn first(&self, bases: &[f64]) -> Result<Update, Fault> {
        let highest = bases.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.start > highest {
            return Err(Fault::new(format!(
                "warmup_starting_lr {} is above the highest base rate {highest}, with or without warm-up",
                self.start
            )));
        }
        Ok(Update::Keep)
    }

    fn updated(&self, bases: &[f64], n: f64) -> Result<Update, Fault> {
        if self.warms_up(n) {
            let share = divide(n, self.warmup)?;
            return Ok(Update::Each(bases.iter().map(|base| self.start + share * (base - self.start)).collect()));
        }
        let (into, stable, decay) = self.period(n);
        if into < stable {
            return Ok(Update::Each(bases.to_vec()));
        }
        let q = divide(into - stable, decay)?.min(1.0);
        bases.iter().map(|base| self.decayed(*base, q)).collect::<Result<Vec<f64>, Fault>>().map(Update::Each)
    }

    fn note(&self, n: f64, memory: &mut Memory) {
        let (into, stable, _) = self.period(n);
        if !self.continues && !self.warms_up(n) && into == stable - 1.0 {
            *memory = Memory::Checkpoint(Some(n as i64));
        }
    }
}

impl Scheduler for WsdLrScheduler {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let state = self.0.start(groups)?;
        Ok(State { memory: Memory::Checkpoint(None), ..state })
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        self.0.step(state, groups, metric)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, metric: Option<f64>) -> Result<(), Error> {
        self.0.step_to(state, groups, at, metric)
    }
}
