//! Twin of `shaders/optim/rule/radam.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{Record, one_minus_exp};

/// RAdam.
#[derive(Debug)]
pub struct RAdam;

/// coth(y / 2) − 2 / y for y < 1.
fn cotangent_rest(y: f32) -> f32 {
    let square = y * y;
    y / 6.0 * (1.0 - square / 60.0 * (1.0 - square / 42.0 * (1.0 - square / 40.0)))
}

impl Arithmetic<2> for RAdam {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        let (t, x) = (record.count as f32, -record.own0);
        let limit = (2.0 - record.one_minus_beta2) / record.one_minus_beta2;
        let rho = if t * x < 1.0 {
            t + cotangent_rest(x) - t * cotangent_rest(t * x)
        } else {
            let rest = one_minus_exp(-t * x);
            limit - 2.0 * t * (1.0 - rest) / rest
        };
        if rho <= 5.0 {
            return Record { own1: 0.0, ..record };
        }
        let r = ((rho - 4.0) / (limit - 4.0) * ((rho - 2.0) / (limit - 2.0)) * (limit / rho)).sqrt();
        Record { step_size: record.step_size * r / record.root_scale, own1: 1.0, ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m, v] }: Element<2>) -> Element<2> {
        let m = m + record.one_minus_beta1 * (g - m);
        let v = record.beta2 * v + (record.one_minus_beta2 * g) * g;
        let direction = if record.own1 == 0.0 { m } else { m / (v.sqrt() + record.eps) };
        Element { p: p - record.step_size * direction, kept: [m, v] }
    }
}
