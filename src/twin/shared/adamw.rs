//! Twin of `shaders/shared/adamw.wgsl`.

use super::{AMSGRAD, Record, clamp_value, larger};

/// One parameter and its moments.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Element {
    pub p: f32,
    pub m: f32,
    pub v: f32,
    pub v_max: f32,
}

impl Element {
    /// The step of AdamW, or Adam, along a gradient. `has_maximum`: the kernel has amsgrad.
    #[must_use]
    pub fn stepped(self, record: &Record, value_bound: f32, gradient: f32, has_maximum: bool) -> Element {
        let Element { mut p, m, v, mut v_max } = self;
        let mut g = gradient;
        if value_bound > 0.0 {
            g = clamp_value(g, value_bound);
        }
        g *= record.scale;
        if record.coupled_decay == 0.0 {
            p *= record.decay;
        } else {
            g += record.coupled_decay * p;
        }
        let m = m + record.one_minus_beta1 * (g - m);
        let v = record.beta2 * v + (record.one_minus_beta2 * g) * g;
        let mut root = v;
        if has_maximum && record.flags & AMSGRAD != 0 {
            root = larger(v_max, v);
            v_max = root;
        }
        p -= record.step_size * (m / (root.sqrt() * record.root_scale + record.eps));
        Element { p, m, v, v_max }
    }
}
