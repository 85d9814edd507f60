//! Twin of `shaders/optim/rule/adamp.wgsl`.

use super::{Arithmetic, ByRows, Element};
use crate::twin::shared::{NESTEROV, Record};

/// AdamP. The last number of what it sees is the row's share.
#[derive(Debug)]
pub struct AdamP;

#[inline(always)]
fn moments(record: &Record, g: f32, [m, v, _]: [f32; 3]) -> [f32; 2] {
    [m + record.one_minus_beta1 * (g - m), record.beta2 * v + (record.one_minus_beta2 * g) * g]
}

#[inline(always)]
fn direction(record: &Record, g: f32, [m, v]: [f32; 2]) -> f32 {
    let m = if record.flags & NESTEROV != 0 { m + record.one_minus_beta1 * (g - m) } else { m };
    m / (v.sqrt() * record.root_scale + record.eps)
}

impl Arithmetic<3> for AdamP {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        let ratio = if record.sum_a > 0.0 { record.own1 } else { 1.0 };
        Record { own1: 1.0 - record.momentum * ratio, ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept }: Element<3>) -> Element<3> {
        let [m, v] = moments(record, g, kept);
        let u = direction(record, g, [m, v]) - kept[2] * p;
        Element { p: record.own1 * p - record.step_size * u, kept: [m, v, kept[2]] }
    }
}

impl ByRows<3> for AdamP {
    #[inline(always)]
    fn row_terms(record: &Record, g: f32, Element { p, kept }: Element<3>) -> [f32; 4] {
        let u = direction(record, g, moments(record, g, kept));
        [p * p, g * g, p * g, p * u]
    }

    fn is_across(record: &Record, [p, g, both, _]: [f32; 4], elements: f32) -> bool {
        let [p, g] = [p, g].map(|square| square.sqrt().max(record.eps));
        both.abs() / p / g < record.own0 / elements.sqrt()
    }

    fn share(record: &Record, [p, _, _, along]: [f32; 4]) -> f32 {
        let length = p.sqrt() + record.eps;
        along / length / length
    }
}
