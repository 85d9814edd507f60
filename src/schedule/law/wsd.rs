//! Warm-up, a long stable phase, and a decay before every checkpoint.

use super::level::MIN;
use super::shape::{at_least_one, between, cosine_fall, mix};
use super::words::{Build, Over, Reading, Words, build};
use super::{Law, Level, Ramp};
use crate::schedule::Error;

const NAME: &str = "wsd";

/// As files say it.
pub(super) const WORDS: Words =
    Words { decays: true, ..Words::new(NAME, &[&["decay_fraction", "checkpoints", "decay"], &MIN], read) };

fn read(file: &mut Reading) -> Result<Build, Error> {
    let form = match file.section.word_or_first("decay", &["sqrt", "inverse", "linear", "cosine"])? {
        "inverse" => Decay::Inverse,
        "linear" => Decay::Linear,
        "cosine" => Decay::Cosine,
        _ => Decay::Sqrt,
    };
    let (share, count) = (file.section.number("decay_fraction", 0.1)?, file.section.count_or("checkpoints", 1)?);
    let min = file.min(if form == Decay::Inverse { 0.1 } else { 0.0 })?;
    build(move |over| {
        let law = Wsd::new(over.run.steps, share)?.checkpoints(count)?.decay(form, min)?;
        match over.ramp {
            Some(ramp) => law.warm_up(ramp).map_err(|error| too_late(error, over)),
            None => Ok(law),
        }
    })
}

/// A warm-up that reaches into the first decay, without numbers of steps that are not the user's.
fn too_late(error: Error, over: &Over) -> Error {
    match (error, over.warmup) {
        (Error::BadArgument { .. }, Some(warmup)) if !over.has_known_steps => {
            let why = "is too long: the first decay starts before it ends";
            over.place.unfit(warmup.key(), warmup.unit.show(), why)
        }
        (error, _) => error,
    }
}

/// The curve of a decay, q from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decay {
    /// min + (base − min)(1 − √q).
    Sqrt,
    /// 1 / (q / min + (1 − q) / base): the reciprocal moves in a straight line.
    Inverse,
    /// min + (base − min)(1 − q).
    Linear,
    /// min + (base − min)(1 + cos πq) / 2.
    Cosine,
}

/// What a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Rising.
    WarmUp,
    /// At the base value.
    Stable,
    /// Falling to a checkpoint.
    Decay,
    /// Behind the last checkpoint.
    Done,
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseInfo {
    /// The phase.
    pub phase: Phase,
    /// The checkpoint that it leads to, from 0.
    pub checkpoint: usize,
    /// Its first step.
    pub start: u64,
    /// The step after its last one; `None` if it does not end.
    pub end: Option<u64>,
}

/// A warm-up, then the base value, and in the last `decay_fraction` of every period a decay to min. A period ends at a
/// checkpoint (the first step after it); the next one starts at the base value again; min holds after the last.
///
/// Hu et al. 2024, "MiniCPM" (arXiv 2404.06395), section 4; several checkpoints and the inverse form as in Wen et al.
/// 2024 (arXiv 2410.05192), √ as in Hägele et al. 2024 (arXiv 2405.18392). With K checkpoints each period except the
/// first is as long as all before it: they are at steps / 2^(K−1), …, steps / 2, steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Wsd {
    warmup: Option<Ramp>,
    checkpoints: Vec<u64>,
    share: f64,
    form: Decay,
    min: Level,
}

impl Wsd {
    /// One checkpoint, at the end of the run; no warm-up; a √ decay to 0.
    ///
    /// # Errors
    /// No steps, a share outside (0, 1].
    pub fn new(steps: u64, decay_fraction: f64) -> Result<Wsd, Error> {
        at_least_one(NAME, "steps", steps)?;
        if !(decay_fraction > 0.0 && decay_fraction <= 1.0) {
            return Err(Error::bad_argument(NAME, "decay_fraction", decay_fraction, "a number above 0 and at most 1"));
        }
        let (form, min) = (Decay::Sqrt, Level::ZERO);
        Ok(Wsd { warmup: None, checkpoints: vec![steps], share: decay_fraction, form, min })
    }

    /// With a warm-up in front, inside the first period.
    ///
    /// # Errors
    /// One that reaches into the first decay.
    pub fn warm_up(self, ramp: Ramp) -> Result<Wsd, Error> {
        Wsd { warmup: Some(ramp), ..self }.checked()
    }

    /// With this many checkpoints.
    ///
    /// # Errors
    /// 0, or more than the run's steps can be halved for; a first decay that starts inside the warm-up.
    pub fn checkpoints(self, count: u64) -> Result<Wsd, Error> {
        let steps = self.end();
        let halvings = count.checked_sub(1).and_then(|halvings| u32::try_from(halvings).ok());
        let first = halvings.and_then(|halvings| steps.checked_shr(halvings)).unwrap_or(0);
        let Some(halvings) = halvings.filter(|_| first >= 1) else {
            let allowed = "1 or more that the run has room for: its steps are halved for each but the first";
            return Err(Error::bad_argument(NAME, "checkpoints", count, allowed));
        };
        let checkpoints = (0..=halvings).rev().map(|halving| steps >> halving).collect();
        Wsd { checkpoints, ..self }.checked()
    }

    /// With another curve, to another lowest value.
    ///
    /// # Errors
    /// A level out of range; the inverse form to 0, which it never reaches.
    pub fn decay(self, form: Decay, min: Level) -> Result<Wsd, Error> {
        let min = min.min(NAME)?;
        if form == Decay::Inverse && min.of(1.0) == 0.0 {
            return Err(Error::bad_argument(NAME, "min_ratio", 0, "above 0, which decay: inverse needs"));
        }
        Ok(Wsd { form, min, ..self })
    }

    /// The same law for a run that continues from **before** the last decay, to a new end: that decay moves there. Both
    /// laws agree up to where the old decay starts.
    ///
    /// # Errors
    /// An end that is not after the old one.
    pub fn continue_before(&self, steps: u64) -> Result<Wsd, Error> {
        let mut law = self.continue_after(steps)?;
        law.checkpoints.remove(law.checkpoints.len() - 2);
        Ok(law)
    }

    /// The same law for a run that continues from **after** the last decay, to a new end: one more period, which starts
    /// at the base value without a warm-up. Both laws agree up to the old end.
    ///
    /// # Errors
    /// An end that is not after the old one.
    pub fn continue_after(&self, steps: u64) -> Result<Wsd, Error> {
        if steps <= self.end() {
            return Err(Error::bad_argument(
                NAME,
                "steps",
                steps,
                format!("more than the {} steps so far", self.end()),
            ));
        }
        let mut law = self.clone();
        law.checkpoints.push(steps);
        Ok(law)
    }

    /// The steps at which the model is usable: each is the first step after a decay.
    pub fn checkpoint_steps(&self) -> &[u64] {
        &self.checkpoints
    }

    /// For every checkpoint, the first step of its decay and the step after the last.
    pub fn decay_info(&self) -> Vec<(u64, u64)> {
        (0..self.checkpoints.len()).map(|period| (self.decay_start(period), self.checkpoints[period])).collect()
    }

    /// Where a step is.
    pub fn phase_info(&self, step: u64) -> PhaseInfo {
        let period = self.period(step);
        let (start, end) = (self.start(period), self.end());
        if step >= end {
            return PhaseInfo { phase: Phase::Done, checkpoint: period - 1, start: end, end: None };
        }
        let decay = self.decay_start(period);
        let warm = self.warm();
        let (phase, start, end) = if step < warm {
            (Phase::WarmUp, 0, warm)
        } else if step < decay {
            (Phase::Stable, start.max(warm), decay)
        } else {
            (Phase::Decay, decay, self.checkpoints[period])
        };
        PhaseInfo { phase, checkpoint: period, start, end: Some(end) }
    }

    fn checked(self) -> Result<Wsd, Error> {
        let (warm, decay) = (self.warm(), self.decay_start(0));
        if warm > decay {
            let allowed = format!("at most {decay}, the step at which the first decay starts");
            return Err(Error::bad_argument(NAME, "warmup_steps", warm, allowed));
        }
        Ok(self)
    }

    fn warm(&self) -> u64 {
        self.warmup.map_or(0, |ramp| ramp.steps())
    }

    fn end(&self) -> u64 {
        self.checkpoints.last().copied().unwrap_or(0)
    }

    /// The period of a step; the number of checkpoints if it is after the last one.
    fn period(&self, step: u64) -> usize {
        self.checkpoints.partition_point(|checkpoint| *checkpoint <= step)
    }

    fn start(&self, period: usize) -> u64 {
        period.checked_sub(1).map_or(0, |before| self.checkpoints[before])
    }

    /// The decay is the whole steps in the share of the period, at least one.
    fn decay_start(&self, period: usize) -> u64 {
        let length = self.checkpoints[period] - self.start(period);
        let decay = ((length as f64 * self.share) as u64).clamp(1, length);
        self.checkpoints[period] - decay
    }
}

impl Law for Wsd {
    fn decays(&self) -> Vec<(u64, u64)> {
        self.decay_info()
    }

    fn value(&self, base: f64, step: u64) -> f64 {
        if let Some(ramp) = self.warmup.filter(|ramp| step < ramp.steps()) {
            return ramp.value(base, step);
        }
        let min = self.min.of(base);
        let period = self.period(step);
        let Some(end) = self.checkpoints.get(period) else { return min };
        let start = self.decay_start(period);
        if step < start {
            return base;
        }
        let q = (step - start) as f64 / (end - start) as f64;
        match self.form {
            Decay::Sqrt => mix(base, min, q.sqrt()),
            Decay::Linear => mix(base, min, q),
            Decay::Cosine => mix(min, base, cosine_fall(q)),
            // A base of 0, or one so small that min is 0.
            Decay::Inverse if min == 0.0 => 0.0,
            Decay::Inverse => between(min, base, base / mix(1.0, base / min, q)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rise;
    use super::*;

    #[test]
    fn the_last_checkpoint_is_the_end_of_the_run() {
        let law = |count| Wsd::new(101, 0.1).unwrap().checkpoints(count);
        assert_eq!(law(1).unwrap().checkpoint_steps(), [101]);
        assert_eq!(law(2).unwrap().checkpoint_steps(), [50, 101]);
        assert_eq!(law(4).unwrap().checkpoint_steps(), [12, 25, 50, 101]);
        assert!(law(0).is_err() && law(8).is_err() && law(1 << 40).is_err());
        assert_eq!(law(2).unwrap().decay_info(), [(45, 50), (96, 101)]);
    }

    #[test]
    fn decays_in_both_forms_and_holds() {
        let law = Wsd::new(100, 0.16).unwrap().decay(Decay::Sqrt, Level::Ratio(0.2)).unwrap();
        assert_eq!([0, 84, 88, 100, 999].map(|step| law.value(1.0, step)), [1.0, 1.0, 0.6, 0.2, 0.2]);
        let law = law.decay(Decay::Inverse, Level::Ratio(0.25)).unwrap();
        assert_eq!([84, 92, 100].map(|step| law.value(1.0, step)), [1.0, 0.4, 0.25]);
        assert_eq!(law.value(0.0, 92), 0.0);
        assert!(law.decay(Decay::Inverse, Level::ZERO).is_err());
        assert!(Wsd::new(100, 1.01).is_err() && Wsd::new(100, 0.0).is_err() && Wsd::new(0, 0.5).is_err());
    }

    #[test]
    fn tells_the_phase() {
        let ramp = Ramp::new(Rise::Linear, 10, Level::ZERO).unwrap();
        let law = Wsd::new(100, 0.2).unwrap().checkpoints(2).unwrap().warm_up(ramp).unwrap();
        let info = |phase, checkpoint, start, end| PhaseInfo { phase, checkpoint, start, end };
        assert_eq!(law.phase_info(9), info(Phase::WarmUp, 0, 0, Some(10)));
        assert_eq!(law.phase_info(10), info(Phase::Stable, 0, 10, Some(40)));
        assert_eq!(law.phase_info(40), info(Phase::Decay, 0, 40, Some(50)));
        assert_eq!(law.phase_info(50), info(Phase::Stable, 1, 50, Some(90)));
        assert_eq!(law.phase_info(100), info(Phase::Done, 1, 100, None));
        assert_eq!((law.value(1.0, 5), law.value(1.0, 50)), (0.5, 1.0));
        let long = Ramp::new(Rise::Linear, 41, Level::ZERO).unwrap();
        assert!(law.warm_up(long).is_err());
    }

    #[test]
    fn goes_on_before_and_after_a_decay() {
        let law = Wsd::new(100, 0.2).unwrap();
        let (before, after) = (law.continue_before(200).unwrap(), law.continue_after(200).unwrap());
        assert_eq!((before.checkpoint_steps(), after.checkpoint_steps()), (&[200][..], &[100, 200][..]));
        assert!((0..=80).all(|step| before.value(1.0, step) == law.value(1.0, step)));
        assert!((0..100).all(|step| after.value(1.0, step) == law.value(1.0, step)));
        assert_eq!((before.value(1.0, 159), after.value(1.0, 100), after.value(1.0, 200)), (1.0, 1.0, 0.0));
        assert!(law.continue_after(100).is_err());
    }
}
