//! A factor that is taken back after some steps.

use super::super::python::divide;
use super::super::reader::Reader;
use super::super::{Arguments, Built, Fault};
use super::{LrScheduler, Now, Rule};

/// lr = lr · factor at n = 0 and lr / factor at n = total_iters. `torch.optim.lr_scheduler.ConstantLR`.
///
/// With total_iters 0 the factor is never taken back; factor 0 divides by zero at the end.
#[derive(Debug)]
struct Constant {
    factor: f64,
    total_iters: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("ConstantLR", arguments, &["factor", "total_iters", "last_epoch"])?;
    let rule =
        Constant { factor: reader.number("factor", 1.0 / 3.0)?, total_iters: reader.number("total_iters", 5.0)? };
    if rule.factor > 1.0 || rule.factor < 0.0 {
        return Err(reader.bad("factor", "between 0 and 1"));
    }
    Ok(LrScheduler::boxed("ConstantLR", reader.number("last_epoch", -1.0)?, rule))
}

impl Rule for Constant {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        if now.n == 0.0 {
            Ok(now.lr() * self.factor)
        } else if now.n == self.total_iters {
            Ok(now.lr() * divide(1.0, self.factor)?)
        } else {
            Ok(now.lr())
        }
    }

    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        let undone = if now.n >= self.total_iters { 1.0 - self.factor } else { 0.0 };
        Ok(now.base.clone()? * (self.factor + undone))
    }
}
