//! Fast form of [`twin::nn::attention_backward_query`](crate::twin::nn::attention_backward_query), and the slopes that
//! both backward passes go by.

use super::attention::{Block, Kept, blocks, each_head, put};
use super::exponential::exp;
use super::matrix::{matrix, product};
use super::rows::sum;
use crate::twin::nn::AttentionPast;
use crate::twin::shared::Attention;
use ndarray::ArrayView2;
use rayon::prelude::*;

/// For the queries of a block and the keys up to the end of those that they see; 0 for an unseen key.
pub(super) struct Slopes {
    sizes: [usize; 2],
    /// The keys' weights, after dropout.
    weights: Vec<f32>,
    /// The gradients of q · k.
    scores: Vec<f32>,
}

impl Slopes {
    pub(super) fn of(past: &AttentionPast<'_>, block: &Block) -> Slopes {
        let (shape, scale, keys) = (past.shape, past.shape.scale, block.keys);
        let key_rows = |part| block.key_rows(past.qkv, shape, part);
        let mut weights = product(block.query_rows(past.qkv, shape), key_rows(shape.key).t());
        let mut scores = product(block.out_rows(past.dout, shape), key_rows(shape.value).t());
        let mut kept = Kept::new(shape, past.position, keys);
        let rows = weights.chunks_mut(keys).zip(scores.chunks_mut(keys));
        for ((query, mask), (weights, scores)) in block.queries(past.mask, shape).zip(rows) {
            let number = shape.number(block.place, query);
            let (lse, delta) = (past.lse[number], past.delta[number]);
            slope(weights, scores, kept.of(block.place, query), mask, [scale, lse, delta]);
            weights[mask.len()..].fill(0.0);
            scores[mask.len()..].fill(0.0);
        }
        Slopes { sizes: [block.queries, keys], weights, scores }
    }

    /// `[queries, keys]`.
    pub(super) fn weights(&self) -> ArrayView2<'_, f32> {
        matrix(&self.weights, self.sizes, self.sizes[1])
    }

    /// `[queries, keys]`.
    pub(super) fn scores(&self) -> ArrayView2<'_, f32> {
        matrix(&self.scores, self.sizes, self.sizes[1])
    }
}

/// Turns what a query's keys give into their weights and the gradients of their scores.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn slope(weights: &mut [f32], scores: &mut [f32], kept: &[f32], mask: &[u32], [scale, lse, delta]: [f32; 3]) {
    for (((weight, score), kept), seen) in weights.iter_mut().zip(scores).zip(kept).zip(mask) {
        let (exact, pull) = (exp(scale * *weight - lse), *score);
        *weight = if *seen != 0 { kept * exact } else { 0.0 };
        *score = if *seen != 0 { scale * exact * (kept * pull - delta) } else { 0.0 };
    }
}

/// delta = dout · out for each query and head, which goes before both backward passes.
pub fn attention_backward_delta(dout: &[f32], out: &[f32], delta: &mut [f32], shape: &Attention) {
    let (context, width) = (shape.context as usize, shape.width());
    let places: Vec<[usize; 2]> = shape.places().collect();
    delta.par_chunks_mut(context).zip(places).for_each(|(delta, place)| {
        for (token, slot) in delta.iter_mut().enumerate() {
            let at = shape.out(place, token);
            *slot = sum(&dout[at..][..width], &out[at..][..width], |d, out| d * out) as f32;
        }
    });
}

/// The queries' part of dqkv.
pub fn attention_backward_query(past: &AttentionPast<'_>, dqkv: &mut [f32]) {
    let shape = past.shape;
    let made = each_head(shape, |place| {
        let mut queries = Vec::with_capacity(shape.context as usize * shape.width());
        for block in blocks(shape, place, past.causal) {
            let slopes = Slopes::of(past, &block);
            queries.extend(product(slopes.scores(), block.key_rows(past.qkv, shape, shape.key)));
        }
        queries
    });
    let heads: Vec<&[f32]> = made.iter().map(|made| &made[..]).collect();
    put(&mut dqkv[shape.query as usize * 4..], shape.stride as usize * 4, shape, &heads);
}
