//! Twin of `shaders/nn/attention_backward_delta.wgsl`.

use super::attention::dot;
use crate::twin::shared::Attention;

/// delta = dout · out for each query and head.
pub fn attention_backward_delta(dout: &[f32], out: &[f32], delta: &mut [f32], shape: &Attention) {
    for place in shape.places() {
        for query in 0..shape.context as usize {
            let at = shape.out(place, query);
            delta[shape.number(place, query)] = dot(&dout[at..][..shape.width()], &out[at..]) as f32;
        }
    }
}
