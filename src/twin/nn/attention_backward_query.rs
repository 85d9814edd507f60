//! Twin of `shaders/nn/attention_backward_query.wgsl`, and the slopes that both backward passes go by.

use super::attention::{add, dot, store};
use crate::twin::shared::{Attention, Position};

/// What the backward passes read, by the names of the shaders' bindings.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the bindings are explained in the shader")]
pub struct AttentionPast<'a> {
    pub qkv: &'a [f32],
    pub mask: &'a [u32],
    pub dout: &'a [f32],
    pub lse: &'a [f32],
    pub delta: &'a [f32],
    pub shape: &'a Attention,
    /// With dropout.
    pub position: Option<&'a Position>,
    pub causal: bool,
}

/// Of one query and one key.
pub(super) struct Slope {
    pub(super) key: usize,
    /// The key's weight, after dropout.
    pub(super) weight: f64,
    /// The gradient of q · k.
    pub(super) score: f64,
}

impl AttentionPast<'_> {
    /// The slopes of every key that a query sees.
    pub(super) fn slopes(&self, place: [usize; 2], query: usize) -> impl Iterator<Item = Slope> {
        let (shape, width, number) = (self.shape, self.shape.width(), self.shape.number(place, query));
        let q = &self.qkv[shape.part(shape.query, place, query)..][..width];
        let dout = &self.dout[shape.out(place, query)..][..width];
        shape.seen(self.mask, place, query, self.causal).map(move |key| {
            let score = f64::from(shape.scale) * dot(q, &self.qkv[shape.part(shape.key, place, key)..]);
            let pull = dot(dout, &self.qkv[shape.part(shape.value, place, key)..]);
            let weight = (score - f64::from(self.lse[number])).exp();
            let kept = f64::from(shape.kept(self.position, place, query, key));
            let score = f64::from(shape.scale) * weight * (kept * pull - f64::from(self.delta[number]));
            Slope { key, weight: kept * weight, score }
        })
    }
}

/// delta = dout · out for each query and head, which goes before both backward passes.
pub fn attention_backward_delta(dout: &[f32], out: &[f32], delta: &mut [f32], shape: &Attention) {
    for place in shape.places() {
        for query in 0..shape.context as usize {
            let at = shape.out(place, query);
            delta[shape.number(place, query)] = dot(&dout[at..][..shape.width()], &out[at..]) as f32;
        }
    }
}

/// The queries' part of dqkv.
pub fn attention_backward_query(past: &AttentionPast<'_>, dqkv: &mut [f32]) {
    let shape = past.shape;
    for place in shape.places() {
        for query in 0..shape.context as usize {
            let mut sums = vec![0.0f64; shape.width()];
            for slope in past.slopes(place, query) {
                add(&mut sums, slope.score, &past.qkv[shape.part(shape.key, place, slope.key)..]);
            }
            store(&mut dqkv[shape.part(shape.query, place, query)..], &sums);
        }
    }
}
