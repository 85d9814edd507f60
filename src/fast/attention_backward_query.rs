//! Fast form of [`twin::nn::attention_backward_query`](crate::twin::nn::attention_backward_query), and the slopes that
//! both backward passes go by.

use super::attention::{Block, blocks, each_head};
use crate::twin::nn::AttentionPast;
use ndarray::Array2;

/// Of the queries of a block and the keys before which all that they see stands; 0 where a key is not seen.
pub(super) struct Slopes {
    /// The keys' weights, after dropout.
    pub(super) weights: Array2<f32>,
    /// The gradients of q · k.
    pub(super) scores: Array2<f32>,
}

impl Slopes {
    pub(super) fn of(past: &AttentionPast<'_>, block: &Block) -> Slopes {
        let shape = past.shape;
        let keys = block.key_rows(past.qkv, shape, shape.key);
        let values = block.key_rows(past.qkv, shape, shape.value);
        let products = block.query_rows(past.qkv, shape).dot(&keys.t());
        let pulls = block.out_rows(past.dout, shape).dot(&values.t());
        let mut weights = Array2::zeros(products.raw_dim());
        let mut scores = Array2::zeros(products.raw_dim());
        for (r, query) in (block.first..block.first + block.queries).enumerate() {
            let number = shape.number(block.place, query);
            for key in shape.seen(past.mask, block.place, query, past.causal) {
                let weight = (shape.scale * products[[r, key]] - past.lse[number]).exp();
                let kept = shape.kept(past.position, block.place, query, key);
                weights[[r, key]] = kept * weight;
                scores[[r, key]] = shape.scale * weight * (kept * pulls[[r, key]] - past.delta[number]);
            }
        }
        Slopes { weights, scores }
    }
}

/// The queries' part of dqkv.
pub fn attention_backward_query(past: &AttentionPast<'_>, dqkv: &mut [f32]) {
    let (shape, width) = (past.shape, past.shape.width());
    let made = each_head(shape, |place| {
        let mut queries = Vec::with_capacity(shape.context as usize * width);
        for block in blocks(shape, place, past.causal) {
            let keys = block.key_rows(past.qkv, shape, shape.key);
            queries.extend(Slopes::of(past, &block).scores.dot(&keys));
        }
        queries
    });
    for (place, queries) in made {
        for (token, row) in queries.chunks(width).enumerate() {
            dqkv[shape.part(shape.query, place, token)..][..width].copy_from_slice(row);
        }
    }
}
