//! Twin of `shaders/optim/rule/rmsprop.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{CENTERED, Record};

/// RMSprop; with a third slot the centered one's.
#[derive(Debug)]
pub struct RmsProp;

fn squares(record: &Record, g: f32, v: f32) -> f32 {
    record.beta2 * v + (record.one_minus_beta2 * g) * g
}

/// The parameter and the buffer.
fn moved(record: &Record, g: f32, p: f32, square: f32, mut b: f32) -> (f32, f32) {
    let mut direction = g / (square.sqrt() + record.eps);
    if record.momentum != 0.0 {
        direction += record.momentum * b;
        b = direction;
    }
    (p - record.lr * direction, b)
}

impl Arithmetic<2> for RmsProp {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [v, b] }: Element<2>) -> Element<2> {
        let v = squares(record, g, v);
        let (p, b) = moved(record, g, p, v, b);
        Element { p, kept: [v, b] }
    }
}

impl Arithmetic<3> for RmsProp {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [v, b, mut a] }: Element<3>) -> Element<3> {
        let v = squares(record, g, v);
        let mut square = v;
        if record.flags & CENTERED != 0 {
            a += record.one_minus_beta2 * (g - a);
            square -= a * a;
        }
        let (p, b) = moved(record, g, p, square, b);
        Element { p, kept: [v, b, a] }
    }
}
