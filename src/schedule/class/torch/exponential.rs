//! The rate times gamma, each step.

use super::super::python::power;
use super::super::reader::Reader;
use super::super::{Arguments, Built, Fault};
use super::{LrScheduler, Now, Rule};

/// lr = lr · gamma. `torch.optim.lr_scheduler.ExponentialLR`.
#[derive(Debug)]
struct Exponential {
    gamma: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("ExponentialLR", arguments, &["gamma", "last_epoch"])?;
    let rule = Exponential { gamma: reader.required("gamma")? };
    Ok(LrScheduler::boxed("ExponentialLR", reader.number("last_epoch", -1.0)?, rule))
}

impl Rule for Exponential {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        Ok(if now.initial { now.lr() } else { now.lr() * self.gamma })
    }

    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        Ok(now.base.clone()? * power(self.gamma, now.n)?)
    }
}
