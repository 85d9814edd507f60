//! A power of what is left of the run.

use super::super::python::{divide, power};
use super::super::reader::Reader;
use super::super::{Arguments, Built, Fault};
use super::{LrScheduler, Now, Rule};

/// lr = lr · ((1 − n/T) / (1 − (n − 1)/T))^power for n ≤ T. `torch.optim.lr_scheduler.PolynomialLR`.
#[derive(Debug)]
struct Polynomial {
    total_iters: f64,
    power: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("PolynomialLR", arguments, &["total_iters", "power", "last_epoch"])?;
    let rule = Polynomial { total_iters: reader.number("total_iters", 5.0)?, power: reader.number("power", 1.0)? };
    Ok(LrScheduler::boxed("PolynomialLR", reader.number("last_epoch", -1.0)?, rule))
}

impl Rule for Polynomial {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        if now.initial || now.n > self.total_iters {
            return Ok(now.lr());
        }
        let left = 1.0 - divide(now.n, self.total_iters)?;
        let before = 1.0 - divide(now.n - 1.0, self.total_iters)?;
        Ok(now.lr() * power(divide(left, before)?, self.power)?)
    }

    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        let left = 1.0 - divide(now.n.min(self.total_iters), self.total_iters)?;
        Ok(now.base.clone()? * power(left, self.power)?)
    }
}
