//! The rate times gamma at milestones.

use super::super::python::power;
use super::super::reader::Reader;
use super::super::{Arguments, Built, Fault};
use super::{LrScheduler, Now, Rule};

/// lr = lr · gamma^k, where n occurs k times among the milestones. `torch.optim.lr_scheduler.MultiStepLR`.
///
/// Milestones may be in any order and repeat; milestone 0 acts at construction.
#[derive(Debug)]
struct MultiStep {
    milestones: Vec<f64>,
    gamma: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("MultiStepLR", arguments, &["milestones", "gamma", "last_epoch"])?;
    let rule = MultiStep { milestones: reader.numbers("milestones")?, gamma: reader.number("gamma", 0.1)? };
    Ok(LrScheduler::boxed("MultiStepLR", reader.number("last_epoch", -1.0)?, rule))
}

impl Rule for MultiStep {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        let times = self.milestones.iter().filter(|milestone| **milestone == now.n).count();
        Ok(if times == 0 { now.lr() } else { now.lr() * power(self.gamma, times as f64)? })
    }

    fn closed(&self, now: &Now) -> Result<f64, Fault> {
        let times = self.milestones.iter().filter(|milestone| **milestone <= now.n).count();
        Ok(now.base.clone()? * power(self.gamma, times as f64)?)
    }
}
