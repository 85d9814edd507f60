//! Fast form of [`twin::nn::attention`](crate::twin::nn::attention), and the blocks that the backward passes share.

use super::matrix::matrix;
use crate::twin::shared::{Attention, Position};
use ndarray::{Array2, ArrayView2, ArrayViewMut1};
use rayon::prelude::*;

/// Queries whose scores are held at once.
const QUERIES: usize = 64;

/// Some queries of one head of one example, and the keys before which all that they see stands.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) place: [usize; 2],
    pub(super) first: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
}

/// The blocks of a head, in order.
pub(super) fn blocks(shape: &Attention, place: [usize; 2], causal: bool) -> impl Iterator<Item = Block> + use<> {
    let context = shape.context as usize;
    (0..context).step_by(QUERIES).map(move |first| {
        let queries = QUERIES.min(context - first);
        Block { place, first, queries, keys: if causal { first + queries } else { context } }
    })
}

impl Block {
    /// The rows of its queries in one part of qkv.
    pub(super) fn query_rows<'a>(&self, qkv: &'a [f32], shape: &Attention) -> ArrayView2<'a, f32> {
        let at = shape.part(shape.query, self.place, self.first);
        matrix(&qkv[at..], [self.queries, shape.width()], shape.stride as usize * 4)
    }

    /// The rows of its keys in this part of qkv.
    pub(super) fn key_rows<'a>(&self, qkv: &'a [f32], shape: &Attention, part: u32) -> ArrayView2<'a, f32> {
        let at = shape.part(part, self.place, 0);
        matrix(&qkv[at..], [self.keys, shape.width()], shape.stride as usize * 4)
    }

    /// The rows of its queries in dout.
    pub(super) fn out_rows<'a>(&self, dout: &'a [f32], shape: &Attention) -> ArrayView2<'a, f32> {
        let at = shape.out(self.place, self.first);
        matrix(&dout[at..], [self.queries, shape.width()], shape.heads as usize * shape.width())
    }
}

/// What is made for every head, the heads in parallel.
pub(super) fn each_head<T: Send>(
    shape: &Attention,
    make: impl Fn([usize; 2]) -> T + Sync,
) -> impl Iterator<Item = ([usize; 2], T)> {
    let places: Vec<[usize; 2]> = shape.places().collect();
    let made: Vec<T> = places.par_iter().map(|place| make(*place)).collect();
    places.into_iter().zip(made)
}

/// Turns scores into weights, after dropout, 0 for keys that are not seen; gives their log-sum-exp.
fn soften(
    mut scores: ArrayViewMut1<'_, f32>,
    scale: f32,
    seen: impl Iterator<Item = usize>,
    kept: impl Fn(usize) -> f32,
) -> f32 {
    let seen: Vec<(usize, f32)> = seen.map(|key| (key, scale * scores[key])).collect();
    let top = seen.iter().fold(f32::NEG_INFINITY, |top, (_, score)| top.max(*score));
    scores.fill(0.0);
    let mut sum = 0.0f64;
    for (key, score) in &seen {
        scores[*key] = (score - top).exp();
        sum += f64::from(scores[*key]);
    }
    for (key, _) in &seen {
        scores[*key] = (f64::from(scores[*key]) / sum) as f32 * kept(*key);
    }
    if seen.is_empty() { 0.0 } else { (f64::from(top) + sum.ln()) as f32 }
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
    let (context, width) = (shape.context as usize, shape.width());
    let made = each_head(shape, |place| {
        let (mut out, mut lse) = (Vec::with_capacity(context * width), Vec::with_capacity(context));
        for block in blocks(shape, place, causal) {
            let mut weights: Array2<f32> = block.query_rows(qkv, shape).dot(&block.key_rows(qkv, shape, shape.key).t());
            for (query, scores) in (block.first..).zip(weights.rows_mut()) {
                let kept = |key| shape.kept(position, place, query, key);
                lse.push(soften(scores, shape.scale, shape.seen(mask, place, query, causal), kept));
            }
            out.extend(weights.dot(&block.key_rows(qkv, shape, shape.value)));
        }
        (out, lse)
    });
    for (place, (made, sums)) in made {
        for (token, row) in made.chunks(width).enumerate() {
            out[shape.out(place, token)..][..width].copy_from_slice(row);
        }
        lse[shape.number(place, 0)..][..context].copy_from_slice(&sums);
    }
}
