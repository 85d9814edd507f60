//! What holds for the whole optimizer.

use crate::optim::{Clip, LossScale, Shard};
use crate::setters::setters;

/// What holds for the whole optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How gradients are clipped, where the groups' rows have no [`clip_norm`](crate::params::Row::clip_norm) of their own: a
    /// clip norm in the rows turns clipping by the 2-norm on, or takes the place of [`Clip::Norm`]'s.
    pub clip: Clip,
    /// Skip a whole step, on the device, if any gradient that takes part is not finite.
    pub guard: bool,
    /// Gradients arrive multiplied by this scale; the device adapts it. It turns the guard on.
    pub loss_scale: Option<LossScale>,
    /// Steps that one table may hold, at most [`CLOCK_SLOTS`](crate::engine::CLOCK_SLOTS).
    pub horizon_steps: u32,
    /// Most bytes of one page of state, below the device's own limit.
    pub page_bytes: Option<u64>,
    /// Sleep in [`Optimizer::step`](super::Optimizer::step) and [`Optimizer::step_over`](super::Optimizer::step_over) while
    /// the device has more than [`STEPS_AHEAD`](crate::optim::STEPS_AHEAD) submissions to finish: what a host queues that
    /// never waits takes memory. A device that has work is not kept waiting by it. Steps in a caller's own encoder or
    /// submission are the caller's to hold back.
    pub throttle: bool,
    /// Which part of the moments this optimizer keeps, if several share them: it updates the parameters of its part, and whoever
    /// has the others must bring their values. All see all gradients.
    pub shard: Option<Shard>,
    /// The seed of stochastic rounding, for what is stored so ([`Storage::Int8`](crate::params::Storage::Int8)).
    pub seed: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            clip: Clip::None,
            guard: false,
            loss_scale: None,
            horizon_steps: 256,
            page_bytes: None,
            throttle: true,
            shard: None,
            seed: 0,
        }
    }
}

impl Settings {
    setters! {
        clip: Clip,
        guard: bool,
        loss_scale: impl Into<Option<LossScale>>,
        horizon_steps: u32,
        page_bytes: impl Into<Option<u64>>,
        throttle: bool,
        shard: impl Into<Option<Shard>>,
        seed: u32,
    }
}
