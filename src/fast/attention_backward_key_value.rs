//! Fast form of [`twin::nn::attention_backward_key_value`](crate::twin::nn::attention_backward_key_value).

use super::attention::{blocks, each_head};
use super::attention_backward_query::Slopes;
use crate::twin::nn::AttentionPast;
use ndarray::{Array2, ArrayView2, Axis, linalg::general_mat_mul};

/// The keys' and the values' parts of dqkv.
pub fn attention_backward_key_value(past: &AttentionPast<'_>, dqkv: &mut [f32]) {
    let (shape, width, context) = (past.shape, past.shape.width(), past.shape.context as usize);
    let made = each_head(shape, |place| {
        let (mut keys, mut values) = (Array2::zeros((context, width)), Array2::zeros((context, width)));
        for block in blocks(shape, place, past.causal) {
            let slopes = Slopes::of(past, &block);
            let add = |slopes: Array2<f32>, rows: ArrayView2<'_, f32>, sums: &mut Array2<f32>| {
                let mut sums = sums.slice_axis_mut(Axis(0), (0..block.keys).into());
                general_mat_mul(1.0, &slopes.t(), &rows, 1.0, &mut sums);
            };
            add(slopes.scores, block.query_rows(past.qkv, shape), &mut keys);
            add(slopes.weights, block.out_rows(past.dout, shape), &mut values);
        }
        [(shape.key, keys), (shape.value, values)]
    });
    for (place, parts) in made {
        for (part, sums) in parts {
            for (token, row) in sums.rows().into_iter().enumerate() {
                dqkv[shape.part(part, place, token)..].iter_mut().zip(row).for_each(|(slot, sum)| *slot = *sum);
            }
        }
    }
}
