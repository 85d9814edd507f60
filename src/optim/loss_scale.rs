//! What a loss is multiplied by, so that small gradients in f16 do not become 0.

use super::Error;
use crate::setters::setters;

/// Steps skipped in a row after which a run cannot go on: by then the scale is 2⁻³⁰ of what it was, and what overflows is not
/// the scale's fault.
pub const MOST_SKIPS_IN_A_ROW: u32 = 30;

/// How a loss is scaled: as by `torch.amp.GradScaler`, with its names and defaults.
///
/// Gradients arrive multiplied by the scale. Norm, clipping and update work on what they are without it. A step with a
/// gradient that is not finite is skipped, and the scale backs off; after `growth_interval` steps in a row that were not it grows.
/// All of it is decided on the device, and only the next step's losses know the new scale.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossScale {
    /// The first steps' scale.
    pub init_scale: f32,
    /// What the scale is multiplied by to grow; more than 1.
    pub growth_factor: f32,
    /// What it is multiplied by after a skipped step; between 0 and 1.
    pub backoff_factor: f32,
    /// Steps in a row that are not skipped before it grows.
    pub growth_interval: u32,
}

impl Default for LossScale {
    fn default() -> LossScale {
        LossScale { init_scale: 65_536.0, growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2000 }
    }
}

impl LossScale {
    setters! {
        init_scale: f32,
        growth_factor: f32,
        backoff_factor: f32,
        growth_interval: u32,
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let LossScale { init_scale, growth_factor, backoff_factor, growth_interval } = *self;
        let fits = [
            ("init_scale", init_scale, init_scale.is_finite() && init_scale > 0.0, "a finite number above 0"),
            (
                "growth_factor",
                growth_factor,
                growth_factor.is_finite() && growth_factor > 1.0,
                "a finite number above 1",
            ),
            ("backoff_factor", backoff_factor, backoff_factor > 0.0 && backoff_factor < 1.0, "between 0 and 1"),
            ("growth_interval", growth_interval as f32, growth_interval > 0, "1 or more"),
        ];
        match fits.into_iter().find(|(_, _, fits, _)| !fits) {
            Some((setting, value, _, allowed)) => Err(Error::BadSetting { setting, value: f64::from(value), allowed }),
            None => Ok(()),
        }
    }
}

/// Where a loss scale stands, to be saved and restored: what torch's `state_dict` has of it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LossScaleState {
    /// The scale of the next step.
    pub scale: f32,
    /// Steps in a row since it last changed.
    pub growth_tracker: u32,
}

impl LossScaleState {
    /// A scale that so many steps in a row have not changed.
    pub const fn new(scale: f32, growth_tracker: u32) -> LossScaleState {
        LossScaleState { scale, growth_tracker }
    }
}
