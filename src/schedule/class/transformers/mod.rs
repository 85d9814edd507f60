//! `transformers.get_*`, transformers 5.23.0: shares of each group's `initial_lr`, as torch's LambdaLR.
//!
//! Warm-up is n / max(1, W), so that the first update runs at rate 0 in most of them.

mod by_name;
mod constant;
mod cosine;
mod greedy;
mod inverse_sqrt;
mod linear;
mod min_lr;
mod plateau;
mod polynomial;
mod restarts;
mod wsd;

pub(super) use by_name::function as by_name;

use super::python::divide;
use super::torch::{LrScheduler, Now, Rule};
use super::{Arguments, Built, Class, Error, Fault, Group};

const MODULES: &[&str] = &["transformers", "transformers.optimization"];

pub(super) const CLASSES: &[Class] = &[
    Class::new(MODULES, "get_constant_schedule", constant::make),
    Class::new(MODULES, "get_constant_schedule_with_warmup", constant::make_with_warmup),
    Class::new(MODULES, "get_linear_schedule_with_warmup", linear::make),
    Class::new(MODULES, "get_cosine_schedule_with_warmup", cosine::make),
    Class::new(MODULES, "get_cosine_with_hard_restarts_schedule_with_warmup", restarts::make),
    Class::new(MODULES, "get_polynomial_decay_schedule_with_warmup", polynomial::make),
    Class::new(MODULES, "get_inverse_sqrt_schedule", inverse_sqrt::make),
    Class::new(MODULES, "get_cosine_with_min_lr_schedule_with_warmup", min_lr::make),
    Class::new(MODULES, "get_cosine_with_min_lr_schedule_with_warmup_lr_rate", min_lr::make_with_rate),
    Class::new(MODULES, "get_wsd_schedule", wsd::make),
    Class::new(MODULES, "get_reduce_on_plateau_schedule", plateau::make),
    Class::new(MODULES, "get_greedy_schedule", greedy::make),
    Class::new(MODULES, "GreedyLR", greedy::make),
    Class::new(MODULES, "get_scheduler", by_name::make),
];

/// A share of the base rate.
trait Share: Send + Sync + std::fmt::Debug {
    /// The share at n; `default_lr` is the optimizer's own rate.
    fn at(&self, n: f64, default_lr: f64) -> Result<f64, Fault>;

    /// Why the optimizer's own rate does not fit.
    fn misfit(&self, _default_lr: f64) -> Option<String> {
        None
    }
}

#[derive(Debug)]
struct Shared<S>(S);

impl<S: Share> Rule for Shared<S> {
    fn prepare(&self, groups: &mut [Group], _fresh: bool) -> Result<(), String> {
        self.0.misfit(super::torch::default_lr(groups)).map_or(Ok(()), Err)
    }

    fn next(&self, now: &Now) -> Result<f64, Fault> {
        Ok(now.base.clone()? * self.0.at(now.n, now.default_lr)?)
    }
}

fn shared<S: Share + 'static>(class: &'static str, reader: &super::reader::Reader, share: S) -> Built {
    Ok(LrScheduler::boxed(class, reader.number("last_epoch", -1.0)?, Shared(share)))
}

/// n / max(1, W) below W.
fn warmup(n: f64, steps: f64) -> Option<f64> {
    (n < steps).then(|| n / steps.max(1.0))
}

/// (n − W) / max(1, N − W).
fn progress(n: f64, warmup: f64, total: f64) -> f64 {
    (n - warmup) / (total - warmup).max(1.0)
}

/// The reference's `max(0, share)`, of a share that is a number.
fn not_negative(share: f64) -> Result<f64, Fault> {
    Ok(super::python::finite(share)?.max(0.0))
}

/// The lowest rate as a share: min_lr_rate, or min_lr over the optimizer's rate. Exactly one must be given.
#[derive(Clone, Copy, Debug)]
enum Lowest {
    Share(f64),
    Rate(f64),
}

impl Lowest {
    fn read(reader: &super::reader::Reader) -> Result<Lowest, Error> {
        match (reader.maybe("min_lr")?, reader.maybe("min_lr_rate")?) {
            (Some(rate), None) => Ok(Lowest::Rate(rate)),
            (None, Some(share)) => Ok(Lowest::Share(share)),
            (Some(_), Some(_)) => Err(reader.refused("only one of min_lr and min_lr_rate may be given")),
            (None, None) => Err(reader.refused("it needs min_lr or min_lr_rate")),
        }
    }

    fn share(self, default_lr: f64) -> Result<f64, Fault> {
        match self {
            Lowest::Share(share) => Ok(share),
            Lowest::Rate(rate) => divide(rate, default_lr),
        }
    }
}
