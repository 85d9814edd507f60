//! What the device reports of a step.

use crate::engine::layout::{self, NO_GROUP};

/// A step's report, as it came back through the ring; some steps behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// The schedule's step that it speaks of; skipped steps count.
    pub step: u64,
    /// Steps applied so far.
    pub applied_steps: u64,
    /// Steps skipped so far.
    pub skipped_steps: u64,
    /// Whether this step was skipped.
    pub skipped: bool,
    /// First group with a non-finite gradient in the latest step that had one; needs the guard or a norm.
    pub bad_group: Option<usize>,
    /// Total norm of the gradients before clipping; `None` unless clipping by norm.
    pub grad_norm: Option<f32>,
    /// What the gradients were multiplied by.
    pub clip_coefficient: f32,
    /// Seconds on the device, where it can tell.
    pub device_seconds: Option<f64>,
}

impl Stats {
    pub(crate) fn of(raw: &layout::Stats, has_norm: bool, device_seconds: Option<f64>) -> Stats {
        Stats {
            step: u64::from(raw.step),
            applied_steps: u64::from(raw.applied),
            skipped_steps: u64::from(raw.skipped),
            skipped: raw.skip != 0,
            bad_group: (raw.bad_group != NO_GROUP).then_some(raw.bad_group as usize),
            grad_norm: has_norm.then_some(raw.norm),
            clip_coefficient: raw.clip,
            device_seconds,
        }
    }
}
