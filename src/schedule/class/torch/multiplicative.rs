//! The current rate times a function of the count.

use super::super::reader::{PerGroup, Reader};
use super::super::{Arguments, At, Built, Error, Factor, Fault, Group, Scheduler, State};
use super::{LrScheduler, Now, Rule};

/// lr = lr · f(n), from n = 1 on. `torch.optim.lr_scheduler.MultiplicativeLR`.
///
/// f(0) is used only where SequentialLR comes to it at a milestone.
#[derive(Clone, Debug)]
pub struct MultiplicativeLr(LrScheduler<Multiplicative>);

#[derive(Clone, Debug)]
struct Multiplicative(PerGroup<Factor>);

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("MultiplicativeLR", arguments, &["lr_lambda", "last_epoch"])?;
    Ok(Box::new(MultiplicativeLr::of(reader.factors("lr_lambda")?, reader.number("last_epoch", -1.0)?)))
}

impl MultiplicativeLr {
    /// With one function for all groups.
    pub fn new(factor: Factor) -> MultiplicativeLr {
        MultiplicativeLr::of(PerGroup::Same(factor), -1.0)
    }

    /// With a function for each group.
    pub fn each(factors: impl IntoIterator<Item = Factor>) -> MultiplicativeLr {
        MultiplicativeLr::of(PerGroup::Each(factors.into_iter().collect()), -1.0)
    }

    fn of(factors: PerGroup<Factor>, last_epoch: f64) -> MultiplicativeLr {
        MultiplicativeLr(LrScheduler { class: "MultiplicativeLR", last_epoch, rule: Multiplicative(factors) })
    }
}

impl Scheduler for MultiplicativeLr {
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

impl Rule for Multiplicative {
    fn prepare(&self, groups: &mut [Group], _fresh: bool) -> Result<(), String> {
        self.0.misfit("lr_lambda", groups.len()).map_or(Ok(()), Err)
    }

    fn next(&self, now: &Now) -> Result<f64, Fault> {
        if now.initial {
            return Ok(now.lr());
        }
        let factor = self.0.get(now.place).ok_or_else(|| Fault::new("no function for this group"))?;
        Ok(now.lr() * factor.at(now.n)?)
    }
}
