//! Fast form of [`twin::nn::attention`](crate::twin::nn::attention), and the blocks that the backward passes share.

use super::exponential::exp;
use super::matrix::{matrix, product};
use super::rows::{largest, sum};
use crate::twin::shared::{Attention, Position};
use ndarray::ArrayView2;
use rayon::prelude::*;

/// Queries whose scores are held at once.
const QUERIES: usize = 64;

/// Some queries of one head of one example, and the end of the keys that they see.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) place: [usize; 2],
    pub(super) first: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    causal: bool,
}

/// The blocks of a head, in order.
pub(super) fn blocks(shape: &Attention, place: [usize; 2], causal: bool) -> impl Iterator<Item = Block> + use<> {
    let context = shape.context as usize;
    (0..context).step_by(QUERIES).map(move |first| {
        let queries = QUERIES.min(context - first);
        Block { place, first, queries, keys: if causal { first + queries } else { context }, causal }
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

    /// Each query, with the mask of the keys up to the last that it may see.
    pub(super) fn queries<'a>(
        &self,
        mask: &'a [u32],
        shape: &Attention,
    ) -> impl Iterator<Item = (usize, &'a [u32])> + use<'a> {
        let (Block { keys, causal, .. }, context) = (*self, shape.context as usize);
        let mask = &mask[self.place[0] * context..][..context];
        (self.first..self.first + self.queries)
            .map(move |query| (query, &mask[..if causal { query + 1 } else { keys }]))
    }
}

/// What dropout multiplies the weights of each query with.
pub(super) struct Kept<'a> {
    shape: &'a Attention,
    position: Option<&'a Position>,
    factors: Vec<f32>,
}

impl<'a> Kept<'a> {
    /// For so many keys.
    pub(super) fn new(shape: &'a Attention, position: Option<&'a Position>, keys: usize) -> Kept<'a> {
        Kept { shape, position, factors: vec![1.0; keys] }
    }

    /// The factors of a query's keys.
    pub(super) fn of(&mut self, place: [usize; 2], query: usize) -> &[f32] {
        if self.position.is_some() {
            for (key, factor) in self.factors.iter_mut().enumerate() {
                *factor = self.shape.kept(self.position, place, query, key);
            }
        }
        &self.factors
    }
}

/// What is made for every head, the heads in parallel, in their order.
pub(super) fn each_head<T: Send>(shape: &Attention, make: impl Fn([usize; 2]) -> T + Sync + Send) -> Vec<T> {
    let places: Vec<[usize; 2]> = shape.places().collect();
    places.into_par_iter().map(make).collect()
}

/// Puts each head's rows in their places among rows that begin every `stride` numbers.
pub(super) fn put(rows: &mut [f32], stride: usize, shape: &Attention, heads: &[&[f32]]) {
    let width = shape.width();
    let examples = rows.par_chunks_mut(shape.context as usize * stride).zip(heads.par_chunks(shape.heads as usize));
    examples.for_each(|(rows, heads)| {
        for (head, made) in heads.iter().enumerate() {
            for (row, made) in rows.chunks_mut(stride).zip(made.chunks(width)) {
                row[head * width..][..width].copy_from_slice(made);
            }
        }
    });
}

/// Turns scores into weights, 0 for keys that are not seen; gives their log-sum-exp.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn soften(scores: &mut [f32], scale: f32, mask: &[u32]) -> f32 {
    let (scores, behind) = scores.split_at_mut(mask.len());
    behind.fill(0.0);
    if mask.iter().all(|seen| *seen == 0) {
        scores.fill(0.0);
        return 0.0;
    }
    for (score, seen) in scores.iter_mut().zip(mask) {
        *score = if *seen != 0 { scale * *score } else { f32::NEG_INFINITY };
    }
    let top = largest(scores);
    scores.iter_mut().for_each(|score| *score = exp(*score - top));
    let sum = sum(scores, scores, |weight, _| weight);
    let share = (1.0 / sum) as f32;
    scores.iter_mut().for_each(|score| *score *= share);
    (f64::from(top) + sum.ln()) as f32
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
            let mut weights = product(block.query_rows(qkv, shape), block.key_rows(qkv, shape, shape.key).t());
            let mut kept = Kept::new(shape, position, block.keys);
            for ((query, mask), weights) in block.queries(mask, shape).zip(weights.chunks_mut(block.keys)) {
                lse.push(soften(weights, shape.scale, mask));
                weights.iter_mut().zip(kept.of(place, query)).for_each(|(weight, kept)| *weight *= kept);
            }
            let weights = matrix(&weights, [block.queries, block.keys], block.keys);
            out.extend(product(weights, block.key_rows(qkv, shape, shape.value)));
        }
        (out, lse)
    });
    let heads: Vec<&[f32]> = made.iter().map(|(out, _)| &out[..]).collect();
    put(out, shape.heads as usize * width, shape, &heads);
    for (lse, (_, made)) in lse.chunks_mut(context).zip(&made) {
        lse.copy_from_slice(made);
    }
}
