//! The losses of a sweep, smoothed as they come.

use super::suggestion::{Rule, Suggestion};
use super::{Form, Sweep};
use crate::schedule::Error;

/// The curve of a sweep, as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    sweep: Sweep,
    points: Vec<Point>,
    average: f64,
    best: f64,
    end: Option<End>,
}

/// A step of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Its rate.
    pub lr: f64,
    /// Its loss, before the update that this rate makes.
    pub loss: f64,
    /// The average of the losses so far.
    pub smoothed: f64,
}

/// Why a sweep is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// All its rates have been tried.
    Done,
    /// The smoothed loss was above the stop factor times the best.
    Diverged,
    /// The smoothed loss was infinite or not a number.
    NotFinite,
}

impl Curve {
    /// A curve without a point.
    ///
    /// # Errors
    /// As [`Sweep::check`].
    pub fn new(sweep: &Sweep) -> Result<Curve, Error> {
        sweep.check()?;
        Ok(Curve { sweep: *sweep, points: Vec::new(), average: 0.0, best: f64::INFINITY, end: None })
    }

    /// Takes the next step's loss, and returns its point if it has one: average ← beta · average + (1 − beta) · loss,
    /// smoothed = average / (1 − beta^(i + 1)) for step i from 0.
    ///
    /// From the second step on a smoothed loss above the stop factor times the best, or one that is not finite, ends the
    /// sweep and is not a point of it. In Lightning's form the loss is taken in f32, the exponent is i + 2, so that the first smoothed loss is half of
    /// the loss, the loss that ends the sweep is a point of it, and one that is not a number ends nothing.
    pub fn push(&mut self, loss: f64) -> Option<Point> {
        if self.end.is_some() {
            return None;
        }
        let Sweep { form, beta, stop_factor, .. } = self.sweep;
        let place = self.points.len() as u32;
        // A loss of torch's is an f32.
        let loss = if form == Form::Lightning { f64::from(loss as f32) } else { loss };
        self.average = beta * self.average + (1.0 - beta) * loss;
        let exponent = f64::from(place) + if form == Form::Lightning { 2.0 } else { 1.0 };
        let smoothed = self.average / (1.0 - beta.powf(exponent));
        let diverges = place > 0 && stop_factor.is_some_and(|factor| smoothed > factor * self.best);
        if form == Form::Formula && place > 0 && (diverges || !smoothed.is_finite()) {
            self.end = Some(if smoothed.is_finite() { End::Diverged } else { End::NotFinite });
            return None;
        }
        if place == 0 || smoothed < self.best {
            self.best = smoothed;
        }
        let point = Point { lr: self.sweep.rate(place), loss, smoothed };
        self.points.push(point);
        if diverges {
            self.end = Some(End::Diverged);
        } else if place + 1 == self.sweep.points() {
            self.end = Some(End::Done);
        }
        Some(point)
    }

    /// The sweep.
    pub fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// Its points so far.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Why it is over, if so.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether it takes no more losses in.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// The rate that a rule picks from the smoothed losses, if it picks one.
    pub fn suggestion(&self, rule: Rule) -> Option<Suggestion> {
        let (lrs, losses): (Vec<f64>, Vec<f64>) = self.points.iter().map(|point| (point.lr, point.smoothed)).unzip();
        rule.pick(&lrs, &losses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(sweep: Sweep, losses: &[f64]) -> Curve {
        let mut curve = Curve::new(&sweep).unwrap();
        losses.iter().for_each(|loss| {
            curve.push(*loss);
        });
        curve
    }

    #[test]
    fn a_sweep_ends_where_it_diverges() {
        let sweep = Sweep { num: 9, beta: 0.0, ..Sweep::default() };
        let of = |sweep: Sweep, losses: &[f64]| {
            let curve = pushed(sweep, losses);
            (curve.points().len(), curve.end())
        };
        assert_eq!(of(sweep, &[3.0, 1.0, 4.0, 4.1, 0.5]), (3, Some(End::Diverged)));
        assert_eq!(of(sweep, &[3.0, f64::NAN, 1.0]), (1, Some(End::NotFinite)));
        assert_eq!(of(sweep, &[f64::NAN, 1.0]), (1, Some(End::NotFinite)), "the first is never left out");
        assert_eq!(of(Sweep { stop_factor: None, ..sweep }, &[1.0, 99.0, f64::INFINITY]), (2, Some(End::NotFinite)));
        assert_eq!(of(sweep, &[1.0; 12]), (10, Some(End::Done)));
        let lightning = Sweep { form: Form::Lightning, ..sweep };
        assert_eq!(of(lightning, &[3.0, 1.0, 4.0, 4.1, 0.5]), (4, Some(End::Diverged)));
        assert_eq!(of(lightning, &[3.0, f64::NAN, 1.0]), (3, None));
        assert_eq!(of(lightning, &[1.0; 12]), (9, Some(End::Done)));
    }

    #[test]
    fn a_steady_loss_is_smoothed_to_itself_but_by_lightning() {
        let sweep = Sweep { num: 50, ..Sweep::default() };
        for point in pushed(sweep, &[2.0; 51]).points() {
            assert!((point.smoothed - 2.0).abs() < 1e-12, "{point:?}");
        }
        let curve = pushed(Sweep { form: Form::Lightning, ..sweep }, &[2.0; 50]);
        assert!((curve.points()[0].smoothed - 2.0 / 1.98).abs() < 1e-12, "{:?}", curve.points()[0]);
    }
}
