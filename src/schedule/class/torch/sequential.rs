//! Schedulers one after the other.

use super::super::python::bisect_right;
use super::super::reader::Reader;
use super::super::{Arguments, At, Built, Error, Group, Memory, Scheduler, State, Value, build_part, chains};

/// Scheduler i from milestone i − 1 to milestone i. `torch.optim.lr_scheduler.SequentialLR`.
///
/// All are constructed on the same groups, then the rates go back to `initial_lr` and the first starts again. At a
/// milestone the next scheduler is put to its own epoch 0 by its closed form: it starts from `initial_lr`, not from
/// the rate of the moment.
#[derive(Debug)]
struct Sequential {
    schedulers: Vec<Box<dyn Scheduler>>,
    milestones: Vec<f64>,
    last_epoch: f64,
}

const CLASS: &str = "SequentialLR";

pub(super) fn make(arguments: &Arguments) -> Built {
    let reader = Reader::new(CLASS, arguments, &["schedulers", "milestones", "last_epoch"])?;
    let schedulers = parts(&reader)?;
    let milestones = reader.numbers("milestones")?;
    if milestones.len() + 1 != schedulers.len() {
        return Err(reader.refused(format!(
            "{} schedulers need {} milestones, not {}",
            schedulers.len(),
            schedulers.len() - 1,
            milestones.len()
        )));
    }
    Ok(Box::new(Sequential { schedulers, milestones, last_epoch: reader.number("last_epoch", -1.0)? }))
}

/// The schedulers of a composite; at least one, and none that needs a metric.
pub(super) fn parts(reader: &Reader) -> Result<Vec<Box<dyn Scheduler>>, Error> {
    let allowed = "a list of {class_path, init_args}";
    let list = match reader.given("schedulers") {
        Some(Value::List(list)) if !list.is_empty() => list,
        Some(_) => return Err(reader.bad("schedulers", "a list of at least one {class_path, init_args}")),
        None => return Err(reader.refused("it needs the argument \"schedulers\"")),
    };
    let mut schedulers = Vec::with_capacity(list.len());
    for (place, value) in list.iter().enumerate() {
        let (class, scheduler) = build_part(value).ok_or_else(|| reader.bad("schedulers", allowed))??;
        if !chains(&class) {
            let why = "only classes of torch that step without a metric";
            return Err(reader.refused(format!("it does not take {class} (at {place}): {why}")));
        }
        schedulers.push(scheduler);
    }
    Ok(schedulers)
}

/// Takes back the count of every step that construction did; composites have no count to take back.
fn undo(state: &mut State) {
    match &mut state.memory {
        Memory::Parts(parts) => parts.iter_mut().for_each(undo),
        _ => state.count -= 1.0,
    }
}

impl Scheduler for Sequential {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let mut parts = Vec::with_capacity(self.schedulers.len());
        for scheduler in &self.schedulers {
            parts.push(scheduler.start(groups)?);
        }
        for group in groups.iter_mut() {
            if let Some(initial) = group.get("initial_lr") {
                group.set("lr", initial);
            }
        }
        parts.iter_mut().for_each(undo);
        if let (Some(first), Some(part)) = (self.schedulers.first(), parts.first_mut()) {
            first.step_first(part, groups)?;
        }
        Ok(State { count: self.last_epoch + 1.0, bases: Vec::new(), memory: Memory::Parts(parts) })
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        state.count += 1.0;
        let place = bisect_right(&self.milestones, state.count);
        let at_start = place > 0 && self.milestones.get(place - 1) == Some(&state.count);
        match (self.schedulers.get(place), state.parts().get_mut(place)) {
            (Some(scheduler), Some(part)) if at_start => scheduler.step_to(part, groups, At::Epoch(0.0), metric),
            (Some(scheduler), Some(part)) => scheduler.step(part, groups, metric),
            _ => Err(Error::Refused { class: CLASS.to_owned(), reason: "the state is of another class".to_owned() }),
        }
    }

    fn step_to(&self, _: &mut State, _: &mut [Group], _: At, _: Option<f64>) -> Result<(), Error> {
        Err(Error::Refused { class: CLASS.to_owned(), reason: "its step takes no epoch".to_owned() })
    }
}
