//! The rate times gamma every few steps.

use super::super::python::{floor_divide, modulo, power};
use super::super::reader::Reader;
use super::super::{Arguments, Built, Fault};
use super::{LrScheduler, Now, Rule};

/// lr = lr · gamma where n > 0 and n mod step_size = 0. `torch.optim.lr_scheduler.StepLR`.
#[derive(Debug)]
struct Step {
    step_size: f64,
    gamma: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("StepLR", arguments, &["step_size", "gamma", "last_epoch"])?;
    let rule = Step { step_size: reader.required("step_size")?, gamma: reader.number("gamma", 0.1)? };
    Ok(LrScheduler::boxed("StepLR", reader.number("last_epoch", -1.0)?, rule))
}

impl Rule for Step {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        if now.n == 0.0 || modulo(now.n, self.step_size)? != 0.0 {
            return Ok(now.lr());
        }
        Ok(now.lr() * self.gamma)
    }

    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        Ok(now.base.clone()? * power(self.gamma, floor_divide(now.n, self.step_size)?)?)
    }
}
