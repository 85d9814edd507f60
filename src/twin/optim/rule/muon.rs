//! Twin of `shaders/optim/rule/muon.wgsl`.

use super::{Arithmetic, Directed, Element, Summed};
use crate::twin::shared::{NESTEROV, Record};

/// Muon. What the update sees in the first slot is the direction.
#[derive(Debug)]
pub struct Muon;

#[inline(always)]
fn buffer(record: &Record, g: f32, b: f32) -> f32 {
    b + (1.0 - record.momentum) * (g - b)
}

#[inline(always)]
fn direction(record: &Record, g: f32, b: f32) -> f32 {
    if record.flags & NESTEROV != 0 { g + record.momentum * (b - g) } else { b }
}

impl Arithmetic<1> for Muon {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        Record { own0: 1.0 / record.sum_a.sqrt().max(record.eps), ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, _: f32, Element { p, kept: [x] }: Element<1>) -> Element<1> {
        Element { p: p - record.lr * x, kept: [x] }
    }
}

impl Summed<1> for Muon {
    #[inline(always)]
    fn terms(record: &Record, g: f32, Element { kept: [b], .. }: Element<1>) -> [f32; 2] {
        let x = direction(record, g, buffer(record, g, b));
        [x * x, 0.0]
    }
}

impl Directed for Muon {
    #[inline(always)]
    fn directed(record: &Record, g: f32, Element { kept: [b], .. }: Element<1>) -> [f32; 2] {
        let b = buffer(record, g, b);
        [b, record.own0 * direction(record, g, b)]
    }
}
