//! A law of any field of the groups: what a user writes as a subclass of SchedulerBase.

use super::super::state::put;
use super::super::torch::initial_values;
use super::{At, Error, Fault, Group, Memory, Scheduler, State};

/// What a law does at a step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// The groups keep their values.
    Keep,
    /// One value for all groups.
    All(f64),
    /// A value for each group, in order; groups beyond the list keep theirs.
    Each(Vec<f64>),
}

/// A law of one field of the groups, from their base values and the number of updates.
///
/// ```
/// use gradus::schedule::class::{FieldLaw, FieldScheduler, Fault, Group, Scheduler, Update};
///
/// /// Multiplies weight decay by gamma at milestones.
/// #[derive(Debug)]
/// struct Milestones(Vec<f64>, f64);
///
/// impl FieldLaw for Milestones {
///     fn field(&self) -> &str {
///         "weight_decay"
///     }
///
///     fn updated(&self, bases: &[f64], n: f64) -> Result<Update, Fault> {
///         let passed = self.0.iter().filter(|milestone| n >= **milestone).count();
///         Ok(Update::Each(bases.iter().map(|base| base * self.1.powi(passed as i32)).collect()))
///     }
/// }
///
/// let scheduler = FieldScheduler::new("Milestones", Milestones(vec![2.0], 0.5));
/// let mut groups = [Group::new(0.1).with("weight_decay", 0.1)];
/// let mut state = scheduler.start(&mut groups)?;
/// for _ in 0..3 {
///     scheduler.step(&mut state, &mut groups, None)?;
/// }
/// assert_eq!(groups[0].get("weight_decay"), Some(0.05));
/// # Ok::<(), gradus::schedule::class::Error>(())
/// ```
pub trait FieldLaw: Send + Sync + std::fmt::Debug {
    /// The field that it moves.
    fn field(&self) -> &str {
        "lr"
    }

    /// What the constructor writes after the base values.
    ///
    /// # Errors
    /// A reason why the law does not fit these base values.
    fn first(&self, _bases: &[f64]) -> Result<Update, Fault> {
        Ok(Update::Keep)
    }

    /// The values at n: `get_updated_values(n)`.
    ///
    /// # Errors
    /// The reason why there is no value.
    fn updated(&self, bases: &[f64], n: f64) -> Result<Update, Fault>;

    /// Notes what the law must remember of n, before it is evaluated.
    fn note(&self, _n: f64, _memory: &mut Memory) {}
}

/// A law as a scheduler: `step()` counts on its own, as StatefulSchedulerBase; `step_to` takes the count, as
/// SchedulerBase's `step_update(n)`.
#[derive(Clone, Debug)]
pub struct FieldScheduler<L> {
    name: String,
    law: L,
}

impl<L: FieldLaw> FieldScheduler<L> {
    /// The law under a name to call it by in errors.
    pub fn new(name: impl Into<String>, law: L) -> FieldScheduler<L> {
        FieldScheduler { name: name.into(), law }
    }

    /// The law.
    pub fn law(&self) -> &L {
        &self.law
    }

    fn write(&self, state: &State, groups: &mut [Group], update: Update) -> Result<(), Error> {
        let values = match update {
            Update::Keep => return Ok(()),
            Update::All(value) => vec![value; groups.len()],
            Update::Each(values) => values,
        };
        let field = self.law.field();
        let checked = state.checked(&self.name, field, values.into_iter().map(Ok))?;
        put(groups, field, &checked);
        Ok(())
    }
}

impl<L: FieldLaw> Scheduler for FieldScheduler<L> {
    fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
        let unfit = |reason| Error::Groups { class: self.name.clone(), reason };
        let bases = initial_values(groups, self.law.field(), true).map_err(unfit)?;
        let first = self.law.first(&bases).map_err(|fault| unfit(fault.0))?;
        let state = State::new(-1.0, bases);
        put(groups, self.law.field(), &state.bases);
        self.write(&state, groups, first)?;
        Ok(state)
    }

    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
        self.step_to(state, groups, At::Update(state.count + 1.0), metric)
    }

    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, _metric: Option<f64>) -> Result<(), Error> {
        let At::Update(n) = at else {
            let reason = "it takes updates, not epochs".to_owned();
            return Err(Error::Refused { class: self.name.clone(), reason });
        };
        state.count = n;
        self.law.note(n, &mut state.memory);
        let update = self.law.updated(&state.bases, n).map_err(|fault| state.no_value(&self.name, fault))?;
        self.write(state, groups, update)
    }
}
