//! Fast form of [`twin::nn::attention_backward_key_value`](crate::twin::nn::attention_backward_key_value).

use super::attention::{blocks, each_head, put};
use super::attention_backward_query::Slopes;
use super::matrix::{add_product, matrix_mut};
use crate::twin::nn::AttentionPast;
use ndarray::ArrayView2;

/// The keys' and the values' parts of dqkv.
pub fn attention_backward_key_value(past: &AttentionPast<'_>, dqkv: &mut [f32]) {
    let (shape, width, context) = (past.shape, past.shape.width(), past.shape.context as usize);
    let made = each_head(shape, |place| {
        let (mut keys, mut values) = (vec![0.0; context * width], vec![0.0; context * width]);
        for block in blocks(shape, place, past.causal) {
            let slopes = Slopes::of(past, &block);
            let add = |slopes: ArrayView2<'_, f32>, rows: ArrayView2<'_, f32>, sums: &mut [f32]| {
                add_product(slopes.t(), rows, 1.0, matrix_mut(sums, [block.keys, width], width));
            };
            add(slopes.scores(), block.query_rows(past.qkv, shape), &mut keys);
            add(slopes.weights(), block.out_rows(past.dout, shape), &mut values);
        }
        [keys, values]
    });
    for (part, number) in [(shape.key, 0), (shape.value, 1)] {
        let heads: Vec<&[f32]> = made.iter().map(|made| &made[number][..]).collect();
        put(&mut dqkv[part as usize * 4..], shape.stride as usize * 4, shape, &heads);
    }
}
