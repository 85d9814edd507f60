//! The base rate times a function of the count.

use super::super::reader::{PerGroup, Reader};
use super::super::{Arguments, At, Built, Error, Factor, Fault, Group, Scheduler, State};
use super::{LrScheduler, Now, Rule};

/// lr = base · f(n). `torch.optim.lr_scheduler.LambdaLR`.
#[derive(Clone, Debug)]
pub struct LambdaLr(LrScheduler<Lambda>);

#[derive(Clone, Debug)]
struct Lambda(PerGroup<Factor>);

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("LambdaLR", arguments, &["lr_lambda", "last_epoch"])?;
    Ok(Box::new(LambdaLr::of(reader.factors("lr_lambda")?, reader.number("last_epoch", -1.0)?)))
}

impl LambdaLr {
    /// With one function for all groups.
    pub fn new(factor: Factor) -> LambdaLr {
        LambdaLr::of(PerGroup::Same(factor), -1.0)
    }

    /// With a function for each group.
    pub fn each(factors: impl IntoIterator<Item = Factor>) -> LambdaLr {
        LambdaLr::of(PerGroup::Each(factors.into_iter().collect()), -1.0)
    }

    fn of(factors: PerGroup<Factor>, last_epoch: f64) -> LambdaLr {
        LambdaLr(LrScheduler { class: "LambdaLR", last_epoch, rule: Lambda(factors) })
    }
}

impl Scheduler for LambdaLr {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        self.0.start(groups)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        self.0.step(state, groups, metric)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, metric: Option<f64>) -> Result<(), Error> {
        self.0.step_to(state, groups, at, metric)
    }

    fn step_first(&self, state: &mut State, groups: &mut [Group]) -> Result<(), Error> {
        self.0.step_first(state, groups)
    }
}

impl Rule for Lambda {
    fn prepare(&self, groups: &mut [Group], _fresh: bool) -> Result<(), String> {
        self.0.misfit("lr_lambda", groups.len()).map_or(Ok(()), Err)
    }

    fn next(&self, now: &Now) -> Result<f64, Fault> {
        let factor = self.0.get(now.place).ok_or_else(|| Fault::new("no function for this group"))?;
        Ok(now.base.clone()? * factor.at(now.n)?)
    }
}
