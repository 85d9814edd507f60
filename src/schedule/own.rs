//! Laws and classes of a program's own, which files then call by name.

use super::class::{self, Arguments, Scheduler};
use super::law_keys::NAMES;
use super::{Error, Law, Run};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Makes a law from the keys that a file gives it, for so many steps; or says what is wrong with them.
type MakeLaw = dyn Fn(&Arguments, Run) -> Result<Box<dyn Law>, String> + Send + Sync;

/// Makes a scheduler from its `init_args`.
type MakeClass = dyn Fn(&Arguments) -> Result<Box<dyn Scheduler>, class::Error> + Send + Sync;

static LAWS: RwLock<BTreeMap<String, Arc<MakeLaw>>> = RwLock::new(BTreeMap::new());
static CLASSES: RwLock<BTreeMap<String, Arc<MakeClass>>> = RwLock::new(BTreeMap::new());

/// Gives a law a name that files of this process may say as `type`. Its keys are its own, beside those of every law (a length,
/// a warm-up, a cool-down); the run that it is made for has the steps that those leave it. To be called before a file is read.
///
/// ```
/// use gradus::schedule::{Law, Spec, class::Value, register_law};
///
/// struct Halving { every: u64 }
///
/// impl Law for Halving {
///     fn value(&self, base: f64, step: u64) -> f64 {
///         base * 0.5f64.powi((step / self.every) as i32)
///     }
/// }
///
/// register_law("halving", |arguments, _run| match arguments.get("every") {
///     Some(Value::Integer(every)) if *every > 0 => Ok(Box::new(Halving { every: *every as u64 })),
///     _ => Err("halving needs every, a whole number above 0".to_owned()),
/// })?;
/// let text = "{optimizer: {type: adamw, lr: 1.0}, lr_scheduler: {type: halving, every: 2, warmup_steps: 1}}";
/// let spec = Spec::parse("run.yaml", text)?;
/// let lrs: Vec<f64> = spec.table(&[spec.row], 6, None)?.iter().map(|row| row.lr).collect();
/// assert_eq!(lrs, [0.0, 1.0, 1.0, 0.5, 0.5, 0.25]);
/// # Ok::<(), gradus::schedule::Error>(())
/// ```
///
/// # Errors
/// [`Error::Taken`] for a name that there is.
pub fn register_law(
    name: &str,
    make: impl Fn(&Arguments, Run) -> Result<Box<dyn Law>, String> + Send + Sync + 'static,
) -> Result<(), Error> {
    if NAMES.contains(&name) {
        return Err(Error::Taken { name: name.to_owned() });
    }
    add(&LAWS, name, Arc::new(make))
}

/// Gives a scheduler a name that files of this process may say as `class_path`. Groups may join it late. To be called before
/// a file is read.
///
/// # Errors
/// [`Error::Taken`] for a name that there is.
pub fn register_class(
    path: &str,
    make: impl Fn(&Arguments) -> Result<Box<dyn Scheduler>, class::Error> + Send + Sync + 'static,
) -> Result<(), Error> {
    if class::is_known(path) {
        return Err(Error::Taken { name: path.to_owned() });
    }
    add(&CLASSES, path, Arc::new(make))
}

fn add<M: ?Sized>(all: &RwLock<BTreeMap<String, Arc<M>>>, name: &str, make: Arc<M>) -> Result<(), Error> {
    let mut all = all.write().unwrap_or_else(PoisonError::into_inner);
    if name.is_empty() || all.contains_key(name) {
        return Err(Error::Taken { name: name.to_owned() });
    }
    all.insert(name.to_owned(), make);
    Ok(())
}

/// What makes the law of this name.
pub(super) fn law(name: &str) -> Option<Arc<MakeLaw>> {
    LAWS.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}

/// What makes the class of this name.
pub(super) fn class(path: &str) -> Option<Arc<MakeClass>> {
    CLASSES.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Param;
    use crate::schedule::class::{At, Error as ClassError, Group, State, build};
    use crate::schedule::{Epochs, Plan, Spec};

    /// StepLR with another factor.
    #[derive(Debug)]
    struct Thirds(Box<dyn Scheduler>);

    impl Scheduler for Thirds {
        fn start(&self, groups: &mut [Group]) -> Result<State, ClassError> {
            self.0.start(groups)
        }

        fn step(&self, state: &mut State, groups: &mut [Group], metric: Option<f64>) -> Result<(), ClassError> {
            self.0.step(state, groups, metric)
        }

        fn step_to(
            &self,
            state: &mut State,
            groups: &mut [Group],
            at: At,
            metric: Option<f64>,
        ) -> Result<(), ClassError> {
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
                    Err(ClassError::Refused { class: "mine.Thirds".to_owned(), reason: "it takes nothing".to_owned() })
                }
            }
        })
        .unwrap();
        assert_eq!(
            register_class("mine.Thirds", |_| build("StepLR", &Arguments::new())).unwrap_err().to_string(),
            "mine.Thirds is a name that there is"
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

    #[test]
    fn a_law_of_a_programs_own_says_what_is_wrong_with_its_keys() {
        struct Flat(f64);
        impl Law for Flat {
            fn value(&self, base: f64, _step: u64) -> f64 {
                base * self.0
            }
        }
        register_law("flat", |arguments, run| match arguments.get("share").and_then(class::Value::number) {
            Some(share) if arguments.iter().count() == 1 && run.steps > 0 => Ok(Box::new(Flat(share))),
            _ => Err("flat takes a share".to_owned()),
        })
        .unwrap();
        assert!(
            register_law("flat", |_, _| Err(String::new())).is_err()
                && register_law("cosine", |_, _| Err(String::new())).is_err()
        );
        let spec = |law: &str| {
            Spec::parse("run.yaml", &format!("{{optimizer: {{type: adamw, lr: 1.0}}, lr_scheduler: {law}}}"))
        };
        let lrs = |law: &str| -> Vec<f64> {
            spec(law)
                .unwrap()
                .table(&[crate::params::Row { lr: 1.0, ..Default::default() }], 4, None)
                .unwrap()
                .iter()
                .map(|row| row.lr)
                .collect()
        };
        assert_eq!(lrs("{type: flat, share: 0.5}"), [0.5; 4]);
        assert_eq!(lrs("{type: chained, parts: [{type: flat, share: 0.5}, {type: flat, share: 0.5}]}"), [0.25; 4]);
        let told = spec("{type: flat, sahre: 0.5}").unwrap_err().to_string();
        assert_eq!(told, "run.yaml: lr_scheduler: flat takes a share");
    }
}
