//! Classes of a program's own, which files then call by name.

use super::{Arguments, Error, Scheduler};
use crate::schedule;
use crate::schedule::registry::Registry;
use std::sync::Arc;

/// Makes a scheduler from its `init_args`.
type Make = dyn Fn(&Arguments) -> Result<Box<dyn Scheduler>, Error> + Send + Sync;

static OWN: Registry<Make> = Registry::new();

/// Registers a scheduler under a name, which files of this process may use as `class_path`. Groups may join it late.
/// Call this before reading a file.
///
/// # Errors
/// [`Error::Taken`](schedule::Error::Taken) if the name is taken.
pub fn register_class(
    path: &str,
    make: impl Fn(&Arguments) -> Result<Box<dyn Scheduler>, Error> + Send + Sync + 'static,
) -> Result<(), schedule::Error> {
    if super::is_known(path) {
        return Err(schedule::Error::Taken { name: path.to_owned() });
    }
    OWN.add(path, Arc::new(make))
}

/// What makes the class of this name.
pub(in crate::schedule) fn make(path: &str) -> Option<Arc<Make>> {
    OWN.get(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Param;
    use crate::schedule::class::{At, Group, State, build};
    use crate::schedule::{Epochs, Plan, Spec};

    /// StepLR with another factor.
    #[derive(Debug)]
    struct Thirds(Box<dyn Scheduler>);

    impl Scheduler for Thirds {
        fn start(&self, groups: &mut [Group]) -> Result<State, Error> {
            self.0.start(groups)
        }

        fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), Error> {
            self.0.step(state, groups, metric)
        }

        fn step_to(&self, state: &mut State, groups: &mut [Group], at: At, metric: Option<f64>) -> Result<(), Error> {
            self.0.step_to(state, groups, at, metric)
        }
    }

    #[test]
    fn a_class_of_a_programs_own_is_followed_through_phases() {
        register_class("mine.Thirds", |given| {
            let arguments = Arguments::new().with("step_size", 1).with("gamma", 1.0 / 3.0);
            match given.iter().next() {
                None => Ok(Box::new(Thirds(build("StepLR", &arguments)?))),
                Some(_) => {
                    Err(Error::Refused { class: "mine.Thirds".to_owned(), reason: "it takes nothing".to_owned() })
                }
            }
        })
        .unwrap();
        assert_eq!(
            register_class("mine.Thirds", |_| build("StepLR", &Arguments::new())).unwrap_err().to_string(),
            "the name mine.Thirds is taken"
        );
        assert!(register_class("StepLR", |_| build("StepLR", &Arguments::new())).is_err());
        let text = "{optimizer: {type: adamw, lr: 0.9}, lr_scheduler: {class_path: mine.Thirds, interval: epoch},
            phases: {0: {params: [head], max_transition_epoch: 1}, 1: {params: [body], lr: 0.6}}}";
        let params = ["body", "head"].map(|name| Param::new(name, [2]));
        let spec = Spec::parse("run.yaml", text).unwrap();
        let plan = Plan::new(&spec, &params[..], Epochs { epochs: 3, steps_per_epoch: 2 }).unwrap();
        let stages = plan.latest().unwrap();
        let lrs: Vec<f64> = plan.rows(&stages[1], 4).unwrap().iter().map(|row| (row.lr * 1e6).round() / 1e6).collect();
        assert_eq!(lrs, [0.3, 0.6, 0.3, 0.6, 0.1, 0.2, 0.1, 0.2]);
        let told = Spec::parse("run.yaml", &text.replace("interval", "init_args: {a: 1}, interval")).unwrap_err();
        assert_eq!(told.to_string(), "run.yaml: lr_scheduler: mine.Thirds: it takes nothing");
    }
}
