//! Cosine annealing, as a recurrence.

use super::super::python::{divide, modulo};
use super::super::reader::Reader;
use super::super::{Arguments, Built, Fault};
use super::{LrScheduler, Now, Rule};
use std::f64::consts::PI;

/// lr = (1 + cos(π n/T)) / (1 + cos(π (n−1)/T)) · (lr − η) + η, and one step up from η if that divides by zero.
/// `torch.optim.lr_scheduler.CosineAnnealingLR`, after Loshchilov & Hutter 2017 (arXiv 1608.03983).
///
/// Past T_max the curve goes up again, with period 2 T_max.
#[derive(Debug)]
struct Cosine {
    t_max: f64,
    eta_min: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("CosineAnnealingLR", arguments, &["T_max", "eta_min", "last_epoch"])?;
    let rule = Cosine { t_max: reader.required("T_max")?, eta_min: reader.number("eta_min", 0.0)? };
    Ok(LrScheduler::boxed("CosineAnnealingLR", reader.number("last_epoch", -1.0)?, rule))
}

impl Cosine {
    fn height(&self, n: f64) -> Result<f64, Fault> {
        Ok(1.0 + divide(PI * n, self.t_max)?.cos())
    }
}

impl Rule for Cosine {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        if now.initial {
            return Ok(now.lr());
        }
        if modulo(now.n - 1.0 - self.t_max, 2.0 * self.t_max)? == 0.0 {
            let up = 1.0 - divide(PI, self.t_max)?.cos();
            return Ok(now.lr() + (now.base.clone()? - self.eta_min) * up / 2.0);
        }
        let ratio = divide(self.height(now.n)?, self.height(now.n - 1.0)?)?;
        Ok(ratio * (now.lr() - self.eta_min) + self.eta_min)
    }

    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        Ok(self.eta_min + (now.base.clone()? - self.eta_min) * self.height(now.n)? / 2.0)
    }
}
