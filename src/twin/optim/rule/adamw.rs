//! Twin of `shaders/optim/rule/adamw.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{AMSGRAD, Record, larger};

/// AdamW, and Adam; with a third slot amsgrad's.
#[derive(Debug)]
pub struct AdamW;

fn moments(record: &Record, g: f32, m: f32, v: f32) -> (f32, f32) {
    (m + record.one_minus_beta1 * (g - m), record.beta2 * v + (record.one_minus_beta2 * g) * g)
}

fn moved(record: &Record, p: f32, m: f32, root: f32) -> f32 {
    p - record.step_size * (m / (root.sqrt() * record.root_scale + record.eps))
}

impl Arithmetic<2> for AdamW {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m, v] }: Element<2>) -> Element<2> {
        let (m, v) = moments(record, g, m, v);
        Element { p: moved(record, p, m, v), kept: [m, v] }
    }
}

impl Arithmetic<3> for AdamW {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m, v, mut v_max] }: Element<3>) -> Element<3> {
        let (m, v) = moments(record, g, m, v);
        let mut root = v;
        if record.flags & AMSGRAD != 0 {
            root = larger(v_max, v);
            v_max = root;
        }
        Element { p: moved(record, p, m, root), kept: [m, v, v_max] }
    }
}
