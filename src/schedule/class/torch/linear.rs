//! A factor that goes in a straight line.

use super::super::python::divide;
use super::super::reader::Reader;
use super::super::{Arguments, Built, Fault};
use super::{LrScheduler, Now, Rule};

/// From start_factor at n = 0 to end_factor at total_iters, as a product of ratios: at 1 ≤ n ≤ T the rate is multiplied
/// by 1 + (e − s) / (T s + (n − 1)(e − s)). `torch.optim.lr_scheduler.LinearLR`.
#[derive(Debug)]
struct Linear {
    start: f64,
    end: f64,
    total_iters: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("LinearLR", arguments, &["start_factor", "end_factor", "total_iters", "last_epoch"])?;
    let rule = Linear {
        start: reader.number("start_factor", 1.0 / 3.0)?,
        end: reader.number("end_factor", 1.0)?,
        total_iters: reader.number("total_iters", 5.0)?,
    };
    if rule.start > 1.0 || rule.start <= 0.0 {
        return Err(reader.bad("start_factor", "greater than 0 and at most 1"));
    }
    if rule.end > 1.0 || rule.end < 0.0 {
        return Err(reader.bad("end_factor", "between 0 and 1"));
    }
    Ok(LrScheduler::boxed("LinearLR", reader.number("last_epoch", -1.0)?, rule))
}

impl Rule for Linear {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        if now.n == 0.0 {
            return Ok(now.lr() * self.start);
        }
        if now.initial || now.n > self.total_iters {
            return Ok(now.lr());
        }
        let rise = self.end - self.start;
        Ok(now.lr() * (1.0 + divide(rise, self.total_iters * self.start + (now.n - 1.0) * rise)?))
    }

    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        let rise = (self.end - self.start) * now.n.min(self.total_iters);
        Ok(now.base.clone()? * (self.start + divide(rise, self.total_iters)?))
    }
}
