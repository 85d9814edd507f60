//! One rise to the base value and one long fall.

use super::shape::{cosine_fall, mix, positive};
use super::words::{BETA1, Build, Reading, Words, boxed};
use super::{Law, Level};
use crate::schedule::Error;
use std::sync::Arc;

const NAME: &str = "one_cycle";

/// As files say it.
pub(super) const WORDS: Words = Words {
    moves_beta1: true,
    ..Words::new(NAME, &[&["up_fraction", "div", "final_div", "anneal", "three_phase"]], read)
};

fn read(file: &mut Reading) -> Result<Build, Error> {
    let up = file.section.number("up_fraction", 0.3)?;
    let (div, final_div) = (file.section.number("div", 25.0)?, file.section.number("final_div", 1e4)?);
    let anneal = match file.section.word_or_first("anneal", &["cos", "linear"])? {
        "cos" => Anneal::Cos,
        _ => Anneal::Linear,
    };
    let three_phase = file.section.flag("three_phase")?;
    Ok(Arc::new(move |over| {
        let law = OneCycle::new(over.run.steps, up, div, final_div)?.anneal(anneal);
        let law = if three_phase { law.three_phase()? } else { law };
        let beta1 = over.beta1.map(|low| law.momentum(low)).transpose()?;
        Ok((boxed(law), beta1.map(boxed)))
    }))
}

/// The curve between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anneal {
    /// Half a cosine.
    Cos,
    /// A straight line.
    Linear,
}

/// From base / div up to the base value in the first `up_fraction` of the run, then down to base / div / final_div, which
/// holds from step `steps` − 1 on. In three phases: down to base / div in as many steps as up, then on to the lowest.
///
/// Smith & Topin 2018, "Super-convergence" (arXiv 1708.07120); two phases as in fastai. Phases end at steps
/// p·steps − 1, (2p·steps − 2,) steps − 1, as `torch.optim.lr_scheduler.OneCycleLR` puts them. The base value is the peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    steps: u64,
    up: f64,
    div: f64,
    final_div: f64,
    anneal: Anneal,
    three_phase: bool,
}

impl OneCycle {
    /// Two phases by cosine; usual are an `up_fraction` of 0.3, a `div` of 25 and a `final_div` of 10,000.
    ///
    /// # Errors
    /// Fewer than two steps, a fraction outside [0, 1], a divisor below 1.
    pub fn new(steps: u64, up_fraction: f64, div: f64, final_div: f64) -> Result<OneCycle, Error> {
        if steps < 2 {
            return Err(Error::bad_argument(NAME, "steps", steps, "a number of steps that is 2 or more"));
        }
        for (argument, value) in [("div", div), ("final_div", final_div)] {
            if positive(NAME, argument, value)? < 1.0 {
                return Err(Error::bad_argument(NAME, argument, value, "1 or more"));
            }
        }
        let up = super::shape::share(NAME, "up_fraction", up_fraction)?;
        Ok(OneCycle { steps, up, div, final_div, anneal: Anneal::Cos, three_phase: false })
    }

    /// Another curve.
    #[must_use]
    pub fn anneal(self, anneal: Anneal) -> OneCycle {
        OneCycle { anneal, ..self }
    }

    /// Three phases.
    ///
    /// # Errors
    /// An `up_fraction` over a half: rise and fall would not fit.
    pub fn three_phase(self) -> Result<OneCycle, Error> {
        if self.up > 0.5 {
            return Err(Error::bad_argument(
                NAME,
                "up_fraction",
                self.up,
                "a number from 0 to 0.5, which three_phase needs",
            ));
        }
        Ok(OneCycle { three_phase: true, ..self })
    }

    /// The opposite law for a momentum (beta1): from the base value down to `low` while this one rises, and back.
    ///
    /// # Errors
    /// A level out of range.
    pub fn momentum(self, low: Level) -> Result<OneCycleMomentum, Error> {
        Ok(OneCycleMomentum { cycle: self, low: low.checked(NAME, BETA1)? })
    }

    /// Phase (0 up, 1 down, 2 on to the lowest) and position in it along the curve.
    fn place(&self, step: u64) -> (usize, f64) {
        let (steps, at) = (self.steps as f64, step as f64);
        let last = if self.three_phase { 2 } else { 1 };
        if step >= self.steps {
            return (last, 1.0);
        }
        let peak = (self.up * steps - 1.0).max(0.0);
        let ends = if self.three_phase { [peak, 2.0 * peak, steps - 1.0] } else { [peak, steps - 1.0, steps - 1.0] };
        let mut start = 0.0;
        for (phase, end) in ends.into_iter().take(last + 1).enumerate() {
            if at <= end || phase == last {
                let part = if end > start { ((at - start) / (end - start)).min(1.0) } else { 1.0 };
                let along = match self.anneal {
                    Anneal::Cos => 1.0 - cosine_fall(part),
                    Anneal::Linear => part,
                };
                return (phase, along);
            }
            start = end;
        }
        (last, 1.0)
    }
}

impl Law for OneCycle {
    fn value(&self, base: f64, step: u64) -> f64 {
        let initial = base / self.div;
        let lowest = initial / self.final_div;
        match (self.place(step), self.three_phase) {
            ((0, along), _) => mix(initial, base, along),
            ((1, along), true) => mix(base, initial, along),
            ((1, along), false) => mix(base, lowest, along),
            ((_, along), _) => mix(initial, lowest, along),
        }
    }
}

/// What [`OneCycle::momentum`] gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycleMomentum {
    cycle: OneCycle,
    low: Level,
}

impl Law for OneCycleMomentum {
    fn value(&self, base: f64, step: u64) -> f64 {
        let low = self.low.of(base);
        match self.cycle.place(step) {
            (0, along) => mix(base, low, along),
            (1, along) => mix(low, base, along),
            _ => base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_where_the_phases_end() {
        let law = OneCycle::new(10, 0.3, 25.0, 1e4).unwrap();
        assert_eq!([0, 2, 9, 10, 11].map(|step| law.value(25.0, step)), [1.0, 25.0, 1e-4, 1e-4, 1e-4]);
        assert!((law.value(25.0, 1) - 13.0).abs() < 1e-12);
        let momentum = law.momentum(Level::Absolute(0.85)).unwrap();
        assert_eq!([0, 2, 9].map(|step| momentum.value(0.95, step)), [0.95, 0.85, 0.95]);

        let three = OneCycle::new(11, 3.0 / 11.0, 4.0, 10.0).unwrap().anneal(Anneal::Linear).three_phase().unwrap();
        let expected = [1.0, 2.5, 4.0, 2.5, 1.0, 0.85];
        for (step, value) in expected.into_iter().enumerate() {
            assert!((three.value(4.0, step as u64) - value).abs() < 1e-12, "{step}");
        }
        assert_eq!(three.momentum(Level::Ratio(0.5)).unwrap().value(0.9, 7), 0.9);
    }

    #[test]
    fn refuses_what_divides_by_zero() {
        assert!(OneCycle::new(1, 0.3, 25.0, 1e4).is_err() && OneCycle::new(10, 0.3, 0.0, 1e4).is_err());
        assert!(OneCycle::new(10, 0.6, 25.0, 1e4).unwrap().three_phase().is_err());
        for up in [0.0, 0.05, 1.0] {
            let law = OneCycle::new(10, up, 25.0, 1e4).unwrap();
            assert!((0..20).all(|step| law.value(1.0, step).is_finite() && law.value(1.0, step) <= 1.0), "{up}");
        }
    }
}
