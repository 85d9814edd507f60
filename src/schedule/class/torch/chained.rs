//! Schedulers all at once.

use super::super::reader::Reader;
use super::super::{Arguments, At, Built, Error, Group, Memory, Scheduler, State};
use super::sequential::parts;

/// Every scheduler steps, in the list's order, on the same groups: recurrences multiply.
/// `torch.optim.lr_scheduler.ChainedScheduler`.
#[derive(Debug)]
struct Chained(Vec<Box<dyn Scheduler>>);

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new("ChainedScheduler", arguments, &["schedulers"])?;
    Ok(Box::new(Chained(parts(&reader)?)))
}

impl Scheduler for Chained {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let states: Result<Vec<State>, Error> = self.0.iter().map(|scheduler| scheduler.start(groups)).collect();
        Ok(State { count: 0.0, bases: Vec::new(), memory: Memory::Parts(states?) })
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        state.count += 1.0;
        for (scheduler, part) in self.0.iter().zip(state.parts()) {
            scheduler.step(part, groups, metric)?;
        }
        Ok(())
    }

    fn step_to(&self, _: &mut State, _: &mut [Group], _: At, _: Option<f64>) -> Result<(), Error> {
        let reason = "its step takes no epoch".to_owned();
        Err(Error::Refused { class: "ChainedScheduler".to_owned(), reason })
    }
}
