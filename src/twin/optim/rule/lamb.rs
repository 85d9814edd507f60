//! Twin of `shaders/optim/rule/lamb.wgsl`.

use super::{Arithmetic, Element, Summed};
use crate::twin::shared::{ADAPTED, Record, TRUST_CLIPPED, one_minus_exp};

/// LAMB.
#[derive(Debug)]
pub struct Lamb;

#[inline(always)]
fn moments(record: &Record, g: f32, [m, v]: [f32; 2]) -> [f32; 2] {
    [m + record.one_minus_beta1 * (g - m), record.beta2 * v + (record.one_minus_beta2 * g) * g]
}

#[inline(always)]
fn direction(record: &Record, p: f32, [m, v]: [f32; 2]) -> f32 {
    m * record.own1 / (v.sqrt() * record.root_scale + record.eps) + record.own0 * p
}

impl Arithmetic<2> for Lamb {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        let is_adapted = record.flags & ADAPTED != 0 && record.sum_a > 0.0 && record.sum_b > 0.0;
        let ratio = if is_adapted { record.sum_a.sqrt() / record.sum_b.sqrt() } else { 1.0 };
        let ratio = if record.flags & TRUST_CLIPPED != 0 { ratio.min(1.0) } else { ratio };
        let own1 = 1.0 / one_minus_exp(record.count as f32 * record.own1);
        Record { own1, step_size: record.lr * ratio, ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept }: Element<2>) -> Element<2> {
        let kept = moments(record, g, kept);
        Element { p: p - record.step_size * direction(record, p, kept), kept }
    }
}

impl Summed<2> for Lamb {
    #[inline(always)]
    fn terms(record: &Record, g: f32, Element { p, kept }: Element<2>) -> [f32; 2] {
        let u = direction(record, p, moments(record, g, kept));
        [p * p, u * u]
    }
}
