//! Twin of `shaders/nn/attention.wgsl`.

use crate::twin::shared::{Attention, Position};

/// The softmax of the seen keys' scores, and its log-sum-exp: `(key, weight)`, before dropout.
pub(super) struct Weights {
    pub(super) of: Vec<(usize, f64)>,
    pub(super) lse: f64,
}

/// A query's weights over the keys that it sees.
pub(super) fn weights(
    qkv: &[f32],
    mask: &[u32],
    shape: &Attention,
    place: [usize; 2],
    query: usize,
    causal: bool,
) -> Weights {
    let q = &qkv[shape.part(shape.query, place, query)..][..shape.width()];
    let score = |key| f64::from(shape.scale) * dot(q, &qkv[shape.part(shape.key, place, key)..]);
    let mut of: Vec<(usize, f64)> = shape.seen(mask, place, query, causal).map(|key| (key, score(key))).collect();
    if of.is_empty() {
        return Weights { of, lse: 0.0 };
    }
    let top = of.iter().fold(f64::NEG_INFINITY, |top, (_, score)| top.max(*score));
    let lse = top + of.iter().map(|(_, score)| (score - top).exp()).sum::<f64>().ln();
    of.iter_mut().for_each(|(_, score)| *score = (*score - lse).exp());
    Weights { of, lse }
}

/// The sum of products of two rows, as far as the first goes.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// sums += factor · row.
pub(super) fn add(sums: &mut [f64], factor: f64, row: &[f32]) {
    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += factor * f64::from(*x));
}

/// Writes sums as they are rounded.
pub(super) fn store(slots: &mut [f32], sums: &[f64]) {
    slots.iter_mut().zip(sums).for_each(|(slot, sum)| *slot = *sum as f32);
}

/// out = softmax(scale q kᵀ) v for each head, and the log-sum-exp of each query's scores.
pub fn attention(
    qkv: &[f32],
    mask: &[u32],
    out: &mut [f32],
    lse: &mut [f32],
    shape: &Attention,
    position: Option<&Position>,
    causal: bool,
) {
    for place in shape.places() {
        for query in 0..shape.context as usize {
            let weights = weights(qkv, mask, shape, place, query, causal);
            let mut sums = vec![0.0f64; shape.width()];
            for (key, weight) in weights.of {
                let weight = weight * f64::from(shape.kept(position, place, query, key));
                add(&mut sums, weight, &qkv[shape.part(shape.value, place, key)..]);
            }
            store(&mut out[shape.out(place, query)..], &sums);
            lse[shape.number(place, query)] = weights.lse as f32;
        }
    }
}
