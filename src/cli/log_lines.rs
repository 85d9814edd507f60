//! The lines of a run's logs other than evaluations.

use gradus::optim::Stats;
use gradus::schedule::{Reason, WsdAt};
use gradus::train::{Began, Progress};

/// A step's line in `steps.jsonl`.
#[derive(serde::Serialize)]
pub(super) struct StepLine<'a> {
    step: u64,
    phase: usize,
    loss: f32,
    lrs: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_norm: Option<f32>,
    skipped_steps: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_scale: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_seconds: Option<f64>,
}

impl StepLine<'_> {
    pub(super) fn of(progress: &Progress) -> StepLine<'_> {
        let Progress { step, phase, lrs, loss, stats, .. } = progress;
        let Stats { grad_norm, skipped_steps, loss_scale, device_seconds, .. } = *stats;
        StepLine { step: *step, phase: *phase, loss: *loss, lrs, grad_norm, skipped_steps, loss_scale, device_seconds }
    }
}

/// A phase's line in `metrics.jsonl`.
#[derive(serde::Serialize)]
pub(super) struct PhaseLine<'a> {
    /// The phase, which finetuning-scheduler calls `curr_depth`.
    began: usize,
    /// Phases that are still to come.
    depth_remaining: usize,
    /// Steps done, which are its `ft_global_steps`.
    steps: u64,
    reason: Option<&'static str>,
    restored: Option<u64>,
    thawed: &'a [String],
    /// The position of the run in the decays of its law.
    #[serde(skip_serializing_if = "Option::is_none")]
    wsd: Option<WsdAt>,
    /// Each group's name, elements and rate.
    groups: &'a [(String, usize, f64)],
}

impl PhaseLine<'_> {
    pub(super) fn of(began: &Began) -> PhaseLine<'_> {
        let reason = began.reason.map(|reason| match reason {
            Reason::EarlyStopping => "early_stopping",
            Reason::MaxTransitionEpoch => "max_transition_epoch",
        });
        let Began { phase, steps, restored, thawed, depth_remaining, wsd, groups, .. } = began;
        PhaseLine {
            began: *phase,
            depth_remaining: *depth_remaining,
            steps: *steps,
            reason,
            restored: *restored,
            thawed,
            wsd: *wsd,
            groups,
        }
    }
}
