//! `pytorch_accelerated.schedulers`, pytorch-accelerated 0.1.61, and laws of a user's own in its style.
//!
//! The count starts at −1, so the first `step()` evaluates n = 0. The trainer steps after each update: update 0 runs on
//! the constructor's values and update k on n = k − 1.

mod cosine;
mod field;
mod wsd;

pub use field::{FieldLaw, FieldScheduler, Update};
pub use wsd::{DecayInfo, WsdLrScheduler, estimate_checkpoint_steps};

use super::{Arguments, At, Built, Class, Error, Fault, Group, Memory, Scheduler, State};

const COSINE: &[&str] = &["pytorch_accelerated.schedulers", "pytorch_accelerated.schedulers.cosine_scheduler"];
const WSD: &[&str] = &["pytorch_accelerated.schedulers", "pytorch_accelerated.schedulers.wsd_scheduler"];

pub(super) const CLASSES: &[Class] =
    &[Class::new(COSINE, "CosineLrScheduler", cosine::make), Class::new(WSD, "WSDLrScheduler", wsd::make)];
