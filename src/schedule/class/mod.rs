//! Schedulers known to Python users by class name, with the numbers that those very classes give, surprises included.
//!
//! ```
//! use gradus::schedule::class::{Arguments, Group, build};
//! let arguments = Arguments::new().with("step_size", 2).with("gamma", 0.5);
//! let scheduler = build("torch.optim.lr_scheduler.StepLR", &arguments)?;
//! let mut groups = [Group::new(0.1)];
//! let mut state = scheduler.start(&mut groups)?;
//! scheduler.step(&mut state, &mut groups, None)?;
//! scheduler.step(&mut state, &mut groups, None)?;
//! assert_eq!(groups[0].lr(), 0.05);
//! # Ok::<(), gradus::schedule::class::Error>(())
//! ```
//!
//! A class reads and writes [`Group`]s as the reference does PyTorch's `param_groups`, because what one scheduler left
//! there (`initial_lr`, an edited lr) counts for the next. It refuses what its reference refuses, what makes it crash,
//! and a rate that is not finite or is negative; nothing else. The differences that remain:
//!
//! * timm: `noise_range_t` is refused, because it asks for PyTorch's random numbers;
//! * transformers: `get_adafactor_schedule` is refused, because it only reports what the Adafactor optimizer does;
//! * text that reads as a number is one, as in all files here.
//!
//! Versions: torch 2.15.0, transformers 5.23.0, timm 1.0.31, pytorch-accelerated 0.1.61.

mod accelerated;
mod error;
mod factor;
mod group;
pub(in crate::schedule) mod own;
mod python;
mod reader;
mod state;
mod timm;
mod torch;
mod transformers;
mod value;

pub use accelerated::{DecayInfo, FieldLaw, FieldScheduler, Update, WsdLrScheduler, estimate_checkpoint_steps};
pub use error::{Error, Fault};
pub use factor::Factor;
pub use group::Group;
pub use state::{GreedyMemory, Memory, State};
pub use torch::{ByFactor, LambdaLr, MultiplicativeLr};
pub use value::{Arguments, Value};

use super::law::Better;
use crate::params::nearest;

/// A scheduler by class name; the state that moves is separate.
pub trait Scheduler: Send + Sync + std::fmt::Debug {
    /// The state after the constructor, which also writes into the groups.
    ///
    /// # Errors
    /// [`Error::Groups`] if the class does not fit the groups, [`Error::NoValue`] if it has no first value.
    fn start(&self, groups: &mut [Group]) -> Result<State, Error>;

    /// One `step()` call, with a metric if the class takes one. For timm the next t of its clock.
    ///
    /// # Errors
    /// [`Error::NoValue`] if the original crashes or gives no rate; the groups are unchanged.
    fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error>;

    /// A call with an explicit time: torch's `step(epoch)`, timm's `step(t)` and `step_update(t)`,
    /// pytorch-accelerated's `step_update(n)`.
    ///
    /// # Errors
    /// As [`step`](Scheduler::step), and [`Error::Refused`] if the class has no such call.
    fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, metric: Option<f64>) -> Result<(), Error>;

    /// torch's `_initial_step`, which a composite calls again.
    #[doc(hidden)]
    fn step_first(&self, state: &mut State, groups: &mut [Group]) -> Result<(), Error> {
        self.step(state, groups, None)
    }

    /// timm's `get_cycle_length()`: the number of steps that the schedule is made for.
    fn cycle_length(&self) -> Option<f64> {
        None
    }
}

/// A time, on one of two clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum At {
    /// An epoch.
    Epoch(f64),
    /// A number of optimizer updates.
    Update(f64),
}

pub(super) type Built = Result<Box<dyn Scheduler>, Error>;

/// A class: the modules it can be imported from, its name, and how it is made.
struct Class {
    modules: &'static [&'static str],
    name: &'static str,
    make: fn(&Arguments) -> Built,
}

impl Class {
    const fn new(modules: &'static [&'static str], name: &'static str, make: fn(&Arguments) -> Built) -> Class {
        Class { modules, name, make }
    }

    /// The first full name.
    fn path(&self) -> String {
        self.modules.first().map_or_else(|| self.name.to_owned(), |module| format!("{module}.{}", self.name))
    }

    fn is(&self, path: &str) -> bool {
        path == self.name
            || path
                .strip_suffix(self.name)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|module| self.modules.contains(&module))
    }
}

fn all() -> impl Iterator<Item = &'static Class> {
    [torch::CLASSES, transformers::CLASSES, timm::CLASSES, accelerated::CLASSES].into_iter().flatten()
}

/// The full names of all classes.
pub fn names() -> Vec<String> {
    all().map(Class::path).collect()
}

/// The scheduler of a class (its full name, or the last part of it) with these arguments.
///
/// # Errors
/// [`Error::UnknownClass`] and [`Error::UnknownArgument`] naming the nearest, [`Error::NotBuilt`], [`Error::Missing`], and
/// what the class itself refuses.
pub fn build(class_path: &str, arguments: &Arguments) -> Result<Box<dyn Scheduler>, Error> {
    match all().find(|class| class.is(class_path)) {
        Some(class) => (class.make)(arguments),
        None => own::make(class_path).map_or_else(|| Err(unknown(class_path)), |make| make(arguments)),
    }
}

/// Whether there is a built-in class of this name.
pub(super) fn is_known(class_path: &str) -> bool {
    all().any(|class| class.is(class_path))
}

/// Whether this is a class's name, in full or the last part of it, or a slip in one.
pub(super) fn resembles(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    nearest(last, all().map(|class| class.name)).is_some()
}

/// Whether the class counts epochs: timm's do, unless `t_in_epochs` is false.
pub(super) fn counts_epochs(class_path: &str, arguments: &Arguments) -> bool {
    let of_timm = timm::CLASSES.iter().any(|class| class.is(class_path) && class.name != "PlateauLRScheduler");
    of_timm && arguments.get("t_in_epochs") != Some(&Value::Bool(false))
}

/// Known names that are not built, and why.
const NOT_BUILT: [(&str, &str); 2] = {
    let reason = "it reports the rates that the Adafactor optimizer of transformers sets itself, and sets none";
    [("get_adafactor_schedule", reason), ("AdafactorSchedule", reason)]
};

fn unknown(class: &str) -> Error {
    let last = class.rsplit('.').next().unwrap_or(class);
    if let Some((_, reason)) = NOT_BUILT.iter().find(|(name, _)| *name == last) {
        return Error::NotBuilt { class: class.to_owned(), reason };
    }
    let by_last = nearest(last, all().map(|class| class.name));
    let by_path = nearest(class, names().iter().map(String::as_str)).map(str::to_owned);
    let found = by_last.and_then(|name| all().find(|class| class.name == name)).map(Class::path);
    Error::UnknownClass { class: class.to_owned(), nearest: found.or(by_path) }
}

/// A scheduler inside another, and the name of its class.
type Part = (String, Box<dyn Scheduler>);

/// Reads a scheduler inside another: `{class_path, init_args}`, or `{class, args}`.
fn build_part(value: &Value) -> Option<Result<Part, Error>> {
    let Value::Map(map) = value else { return None };
    let Some(Value::Text(class)) = map.get("class_path").or(map.get("class")) else { return None };
    let arguments = match map.get("init_args").or(map.get("args")) {
        None | Some(Value::None) => Arguments::new(),
        Some(Value::Map(arguments)) => arguments.clone(),
        Some(_) => return None,
    };
    let named = ["class_path", "class", "init_args", "args"];
    if map.iter().any(|(key, _)| !named.contains(&key)) {
        return None;
    }
    Some(build(class, &arguments).map(|scheduler| (class.clone(), scheduler)))
}

/// Classes that only step with a metric.
const WAIT: [&str; 4] = ["ReduceLROnPlateau", "get_reduce_on_plateau_schedule", "GreedyLR", "get_greedy_schedule"];

/// Whether the class only steps with a metric, be it one that `get_scheduler` names.
pub(super) fn waits(class_path: &str, arguments: &Arguments) -> bool {
    let last = class_path.rsplit('.').next().unwrap_or(class_path);
    let by_name = || match arguments.get("name") {
        Some(Value::Text(name)) => transformers::by_name(name).is_some_and(|function| WAIT.contains(&function)),
        _ => false,
    };
    WAIT.contains(&last) || last == "get_scheduler" && by_name()
}

/// Which metrics are better for a class that takes some: by its argument, or by its default.
pub(super) fn better(class_path: &str, arguments: &Arguments) -> Option<Better> {
    let last = class_path.rsplit('.').next().unwrap_or(class_path);
    let usual = match last {
        "PlateauLRScheduler" => "max",
        _ if waits(class_path, arguments) => "min",
        _ => return None,
    };
    let passed = match arguments.get("scheduler_specific_kwargs") {
        Some(Value::Map(specific)) if last == "get_scheduler" => specific,
        _ => arguments,
    };
    let mode = if let Some(Value::Text(mode)) = passed.get("mode") { mode } else { usual };
    Some(if mode == "max" { Better::Higher } else { Better::Lower })
}

/// Whether a class is one of torch's (or a function of transformers, which gives one), and waits for no metric.
fn chains(class: &str) -> bool {
    let in_list = |list: &[Class]| list.iter().any(|one| one.is(class) && !WAIT.contains(&one.name));
    in_list(torch::CLASSES) || in_list(transformers::CLASSES)
}
