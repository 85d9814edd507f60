//! What the device reports of a step.

use super::{Clip, Error, MOST_SKIPS_IN_A_ROW};
use crate::engine::layout::{self, NO_GROUP};
use crate::engine::{Engine, Ring};

/// A step's report, as it came back through the ring; some steps behind.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
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
    /// The loss scale of the next step; `None` without one.
    pub loss_scale: Option<f32>,
    /// Seconds on the device, where it can tell.
    pub device_seconds: Option<f64>,
}

impl Default for Stats {
    /// Of a step before any was taken.
    fn default() -> Stats {
        Stats {
            step: 0,
            applied_steps: 0,
            skipped_steps: 0,
            skipped: false,
            bad_group: None,
            grad_norm: None,
            clip_coefficient: 1.0,
            loss_scale: None,
            device_seconds: None,
        }
    }
}

/// Reads stats blocks as they come back, and remembers what to complain about.
#[derive(Debug)]
pub(crate) struct Inbox {
    clip: Clip,
    latest: Option<Stats>,
    nonfinite_norms: u32,
    lost_rows: u32,
    complaint: Option<Error>,
}

impl Inbox {
    pub(crate) fn new(clip: Clip) -> Inbox {
        Inbox { clip, latest: None, nonfinite_norms: 0, lost_rows: 0, complaint: None }
    }

    /// How the steps to come clip.
    pub(crate) fn clips(&mut self, clip: Clip) {
        self.clip = clip;
    }

    /// Takes the blocks that have arrived in a ring.
    pub(crate) fn collect(&mut self, engine: &Engine, ring: &Ring) -> Result<(), Error> {
        engine.collect(ring, |delivery| self.take(delivery.bytes, delivery.device_seconds).map(|_| ()))
    }

    /// Takes a block, with the seconds that the device spent.
    pub(crate) fn take(&mut self, bytes: &[u8], device_seconds: Option<f64>) -> Result<Stats, Error> {
        let bytes = bytes.get(..size_of::<layout::StatsBlock>()).ok_or(Error::BadReport { bytes: bytes.len() })?;
        let raw: layout::StatsBlock = bytemuck::pod_read_unaligned(bytes);
        let stats = Stats {
            step: u64::from(raw.step),
            applied_steps: u64::from(raw.applied),
            skipped_steps: u64::from(raw.skipped),
            skipped: raw.skip != 0,
            bad_group: (raw.bad_group != NO_GROUP).then_some(raw.bad_group as usize),
            grad_norm: (self.clip.norm_kind() != 0).then_some(raw.norm),
            clip_coefficient: raw.clip,
            loss_scale: (raw.loss_scale != 0.0).then_some(raw.loss_scale),
            device_seconds,
        };
        if std::mem::replace(&mut self.nonfinite_norms, raw.nonfinite_norms) != raw.nonfinite_norms {
            let (step, order, norm) = (u64::from(raw.bad_norm_step), self.clip.norm_order(), raw.bad_norm);
            self.complaint = Some(Error::NonfiniteNorm { step, order, norm });
        }
        if stats.loss_scale.is_some() && raw.skips_in_a_row >= MOST_SKIPS_IN_A_ROW {
            let (step, steps) = (stats.step, u64::from(raw.skips_in_a_row));
            self.complaint = Some(Error::Overflow { step, steps, group: stats.bad_group });
        }
        let lost_rows = raw.lost_rows.wrapping_sub(std::mem::replace(&mut self.lost_rows, raw.lost_rows));
        if lost_rows != 0 {
            self.complaint = Some(Error::LostRows { rows: lost_rows });
        }
        self.latest = Some(stats);
        Ok(stats)
    }

    /// The latest block; or, once, what one of them complained about.
    pub(crate) fn latest(&mut self) -> Result<Option<Stats>, Error> {
        match self.complaint.take() {
            Some(complaint) => Err(complaint),
            None => Ok(self.latest),
        }
    }
}
