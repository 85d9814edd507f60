//! A rate times a function of the count.

use super::super::reader::{PerGroup, Reader};
use super::super::{Arguments, At, Built, Error, Factor, Fault, Group, Scheduler, State};
use super::{LrScheduler, Now, Rule};

/// [`LambdaLr`], or [`MultiplicativeLr`] if the factor multiplies the `CURRENT` rate.
#[derive(Clone, Debug)]
pub struct ByFactor<const CURRENT: bool>(LrScheduler<Times<CURRENT>>);

/// lr = base · f(n). `torch.optim.lr_scheduler.LambdaLR`.
pub type LambdaLr = ByFactor<false>;

/// lr = lr · f(n), from n = 1 on. `torch.optim.lr_scheduler.MultiplicativeLR`.
///
/// f(0) is used only where SequentialLR comes to it at a milestone.
pub type MultiplicativeLr = ByFactor<true>;

#[derive(Clone, Debug)]
struct Times<const CURRENT: bool>(PerGroup<Factor>);

pub(super) fn make<const CURRENT: bool>(arguments: &Arguments) -> Built {
    let reader = Reader::new(ByFactor::<CURRENT>::CLASS, arguments, &["lr_lambda", "last_epoch"])?;
    let (factors, last_epoch) = (reader.factors("lr_lambda")?, reader.number("last_epoch", -1.0)?);
    Ok(Box::new(ByFactor::<CURRENT>::of(factors, last_epoch)))
}

impl<const CURRENT: bool> ByFactor<CURRENT> {
    const CLASS: &str = if CURRENT { "MultiplicativeLR" } else { "LambdaLR" };

    /// With one function for all groups.
    pub fn new(factor: Factor) -> Self {
        Self::of(PerGroup::Same(factor), -1.0)
    }

    /// With a function for each group.
    pub fn each(factors: impl IntoIterator<Item = Factor>) -> Self {
        Self::of(PerGroup::Each(factors.into_iter().collect()), -1.0)
    }

    fn of(factors: PerGroup<Factor>, last_epoch: f64) -> Self {
        ByFactor(LrScheduler { class: Self::CLASS, last_epoch, rule: Times(factors) })
    }
}

impl<const CURRENT: bool> Scheduler for ByFactor<CURRENT> {
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

impl<const CURRENT: bool> Rule for Times<CURRENT> {
    fn prepare(&self, groups: &mut [Group], _fresh: bool) -> Result<(), String> {
        self.0.misfit("lr_lambda", groups.len()).map_or(Ok(()), Err)
    }

    fn next(&self, now: &Now) -> Result<f64, Fault> {
        if CURRENT && now.initial {
            return Ok(now.lr());
        }
        let factor = self.0.get(now.place).ok_or_else(|| Fault::new("no function for this group"))?;
        let rate = if CURRENT { now.lr() } else { now.base.clone()? };
        Ok(rate * factor.at(now.n)?)
    }
}
