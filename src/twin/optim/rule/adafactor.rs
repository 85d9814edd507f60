//! Twin of `shaders/optim/rule/adafactor.wgsl`.

use super::{Arithmetic, Element, Factored};
use crate::twin::shared::{Record, lerp};

/// Adafactor. What its step sees is the second moment of this step.
#[derive(Debug)]
pub struct Adafactor;

impl Arithmetic<1> for Adafactor {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        let count = record.count as f32;
        let reach = record.momentum.max(record.sum_a.sqrt()) * record.lr.min(1.0 / count.sqrt());
        let length = record.sum_b.sqrt() / record.own0;
        let step_size = reach / if length > 1.0 { length } else { 1.0 };
        Record { root_scale: count.powf(record.own1), step_size, ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [v] }: Element<1>) -> Element<1> {
        Element { p: p - record.step_size * Adafactor::direction(record, g, v), kept: [v] }
    }
}

impl Factored for Adafactor {
    #[inline(always)]
    fn second_moment(record: &Record, g: f32, v: f32) -> f32 {
        lerp(v, g * g, record.root_scale)
    }

    #[inline(always)]
    fn direction(record: &Record, g: f32, v: f32) -> f32 {
        let least = record.eps * record.eps;
        g / if v < least { least } else { v }.sqrt()
    }
}
