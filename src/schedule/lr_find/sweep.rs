//! The rates of a sweep.

use crate::params::Field;
use crate::schedule::Error;
use crate::setters::setters;

/// Names under which Python users know [`Form::Lightning`].
const LIGHTNING: [&str; 2] =
    ["lightning.pytorch.tuner.Tuner.lr_find", "lightning.pytorch.callbacks.LearningRateFinder"];

/// A range test: its rates, how its losses are smoothed, and when it stops.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sweep {
    /// Whose numbers it gives.
    pub form: Form,
    /// How the rate rises.
    pub scale: Scale,
    /// The first rate.
    pub start: f64,
    /// The last rate.
    pub end: f64,
    /// How often the rate rises. Lightning: how many steps there are.
    pub num: u32,
    /// What the average of the losses keeps in a step, in [0, 1); 0 does not smooth.
    pub beta: f64,
    /// A smoothed loss above so many times the best ends the sweep, from 1; `None`: none does.
    pub stop_factor: Option<f64>,
}

/// Whose numbers a sweep gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The formula's.
    Formula,
    /// Those of Lightning's `Tuner.lr_find` (2.6.6), surprises included.
    Lightning,
}

/// How the rate rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By the same factor in each step.
    Exponential,
    /// By the same amount in each step.
    Linear,
}

impl Default for Sweep {
    /// fastai's: exponential from 1e-7 to 10 in a hundred rises, a beta of 0.98, up to 4 times the best.
    fn default() -> Sweep {
        Sweep {
            form: Form::Formula,
            scale: Scale::Exponential,
            start: 1e-7,
            end: 10.0,
            num: 100,
            beta: 0.98,
            stop_factor: Some(4.0),
        }
    }
}

impl Sweep {
    setters! {
        form: Form,
        scale: Scale,
        start: f64,
        end: f64,
        num: u32,
        beta: f64,
        stop_factor: impl Into<Option<f64>>,
    }

    /// The defaults of `lightning.pytorch.tuner.Tuner.lr_find`, or of the callback `LearningRateFinder`, which runs it.
    /// There `start`, `end`, `num` and `stop_factor` are called `min_lr`, `max_lr`, `num_training` (in the callback
    /// `num_training_steps`) and `early_stop_threshold`; `beta` is fixed.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for any other name.
    pub fn named(class_path: &str) -> Result<Sweep, Error> {
        if LIGHTNING.contains(&class_path) {
            return Ok(Sweep { form: Form::Lightning, start: 1e-8, end: 1.0, ..Sweep::default() });
        }
        Err(Error::bad_argument("lr_find", "class_path", class_path.to_owned(), LIGHTNING.join(" or ")))
    }

    /// Refuses what makes no sweep. Of Lightning's all is accepted that it accepts, but for rates that are none.
    ///
    /// # Errors
    /// [`Error::BadArgument`].
    pub fn check(&self) -> Result<(), Error> {
        let Sweep { form, start, end, num, beta, stop_factor, .. } = *self;
        let tell = |argument, value: f64, allowed: &str| {
            Err(Error::bad_argument("lr_find", argument, value.to_string(), allowed))
        };
        let is_above = |value: f64, floor: f64| value > floor;
        if form == Form::Formula && !is_above(start, 0.0) {
            return tell("start", start, "above 0");
        }
        if form == Form::Formula && !is_above(end, start) {
            return tell("end", end, &format!("above start, which is {start}"));
        }
        if num == 0 {
            return tell("num", 0.0, "1 or more");
        }
        if !(0.0..1.0).contains(&beta) {
            return tell("beta", beta, "in [0, 1)");
        }
        match stop_factor {
            Some(factor) if form == Form::Formula && !(factor >= 1.0 && factor.is_finite()) => {
                return tell("stop_factor", factor, "a finite number from 1");
            }
            _ => {}
        }
        // Between the second and the last all rates are between those two.
        let last = self.points() - 1;
        let mut rates = [0, last.min(1), last].into_iter().map(|point| self.rate(point));
        rates.find(|rate| !Field::Lr.allows(*rate)).map_or(Ok(()), |rate| tell("lr", rate, Field::Lr.allowed()))
    }

    /// Steps of the whole sweep.
    pub fn points(&self) -> u32 {
        match self.form {
            Form::Formula => self.num.saturating_add(1),
            Form::Lightning => self.num,
        }
    }

    /// The rate of a step, from 0: start · (end / start)^part, or start + part · (end − start), where part goes from 0 to
    /// 1 by 1 / num. Lightning's leaves 1 / num itself out: its second step has 2 / num, its last one 1.
    pub fn rate(&self, point: u32) -> f64 {
        let rises = match self.form {
            Form::Formula => f64::from(point),
            Form::Lightning if point == 0 => return self.start,
            Form::Lightning => f64::from(point) + 1.0,
        };
        let part = rises / f64::from(self.num);
        match self.scale {
            Scale::Exponential => self.start * (self.end / self.start).powf(part),
            Scale::Linear => self.start + part * (self.end - self.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_from_start_to_end() {
        let sweep = Sweep { start: 1e-3, end: 1.0, num: 3, ..Sweep::default() };
        let rates = |sweep: Sweep| (0..sweep.points()).map(|point| sweep.rate(point)).collect::<Vec<f64>>();
        let near = |got: Vec<f64>, expected: &[f64]| {
            assert_eq!(got.len(), expected.len());
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12 * b), "{got:?} {expected:?}");
        };
        near(rates(sweep), &[1e-3, 1e-2, 1e-1, 1.0]);
        near(rates(Sweep { scale: Scale::Linear, ..sweep }), &[1e-3, 0.334, 0.667, 1.0]);
        near(rates(Sweep { form: Form::Lightning, ..sweep }), &[1e-3, 1e-1, 1.0]);
    }

    #[test]
    fn what_is_no_sweep_is_refused() {
        let told = |sweep: Sweep| sweep.check().unwrap_err().to_string();
        let usual = Sweep::default();
        for (sweep, expected) in [
            (Sweep { start: 0.0, ..usual }, "start = 0 is not above 0"),
            (Sweep { start: f64::NAN, ..usual }, "start = NaN is not above 0"),
            (Sweep { end: 1e-7, ..usual }, "end = 0.0000001 is not above start, which is 0.0000001"),
            (Sweep { num: 0, ..usual }, "num = 0 is not 1 or more"),
            (Sweep { beta: 1.0, ..usual }, "beta = 1 is not in [0, 1)"),
            (Sweep { stop_factor: Some(0.5), ..usual }, "stop_factor = 0.5 is not a finite number from 1"),
        ] {
            assert_eq!(told(sweep), format!("lr_find: {expected}"));
        }
        assert!(told(Sweep { end: 1e39, ..usual }).contains("not a finite number that is 0 or more"));
        let lightning = Sweep::named("lightning.pytorch.tuner.Tuner.lr_find").unwrap();
        assert_eq!((lightning.start, lightning.end, lightning.num), (1e-8, 1.0, 100));
        assert!(Sweep { start: 1.0, end: 0.1, ..lightning }.check().is_ok(), "Lightning sweeps downwards too");
        assert!(told(Sweep { start: 0.0, ..lightning }).contains("lr = NaN"));
        assert!(Sweep::named("Tuner").unwrap_err().to_string().starts_with("lr_find: class_path = Tuner is not"));
    }
}
