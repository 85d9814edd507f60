//! Twin of `shaders/nn/attention_backward_key_value.wgsl`.

use super::AttentionPast;
use super::attention::{add, store};

/// The keys' and the values' parts of dqkv.
pub fn attention_backward_key_value(past: &AttentionPast<'_>, dqkv: &mut [f32]) {
    let (shape, width, context) = (past.shape, past.shape.width(), past.shape.context as usize);
    for place in shape.places() {
        let mut keys = vec![0.0f64; context * width];
        let mut values = vec![0.0f64; context * width];
        for query in 0..context {
            let q = &past.qkv[shape.part(shape.query, place, query)..];
            let dout = &past.dout[shape.out(place, query)..];
            for slope in past.slopes(place, query) {
                add(&mut keys[slope.key * width..][..width], slope.score, q);
                add(&mut values[slope.key * width..][..width], slope.weight, dout);
            }
        }
        for key in 0..context {
            store(&mut dqkv[shape.part(shape.key, place, key)..], &keys[key * width..][..width]);
            store(&mut dqkv[shape.part(shape.value, place, key)..], &values[key * width..][..width]);
        }
    }
}
