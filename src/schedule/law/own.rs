//! Laws of a program's own, which files then call by name.

use super::words::{Build, Laws};
use super::{Law, NAMES};
use crate::schedule::Error;
use crate::schedule::class::Arguments;
use crate::schedule::file::length::Run;
use crate::schedule::registry::Registry;
use std::sync::Arc;

/// Makes a law for so many steps from the keys in a file, or says what is wrong with them.
type Make = dyn Fn(&Arguments, Run) -> Result<Box<dyn Law>, String> + Send + Sync;

static OWN: Registry<Make> = Registry::new();

/// Registers a law under a name, which files of this process may use as `type`. It has its own keys and those of every
/// law (a length, a warm-up, a cool-down); it is made for the steps that these leave. Call this before reading a file.
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
/// [`Error::Taken`] if the name is taken.
pub fn register_law(
    name: &str,
    make: impl Fn(&Arguments, Run) -> Result<Box<dyn Law>, String> + Send + Sync + 'static,
) -> Result<(), Error> {
    if NAMES.contains(&name) {
        return Err(Error::Taken { name: name.to_owned() });
    }
    OWN.add(name, Arc::new(make))
}

/// Whether the program has a law of this name.
pub(in crate::schedule) fn is_known(name: &str) -> bool {
    OWN.get(name).is_some()
}

/// What makes the law of this name with these keys.
pub(in crate::schedule) fn build(name: String, arguments: Arguments) -> Build {
    Arc::new(move |over| -> Result<Laws, Error> {
        let make = OWN.get(&name).ok_or_else(|| over.place.bad("type", &name, "a known law"))?;
        let law = make(&arguments, over.run).map_err(|reason| over.place.own(reason))?;
        Ok((law, None))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Spec, class};

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
