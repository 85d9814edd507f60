//! Twin of `shaders/shared/attention.wgsl` and `attention_rows.wgsl`: sizes, places, and which keys a query sees.

use super::{Dropout, Position, pcg};
use bytemuck::{Pod, Zeroable};

/// Sizes of multi-head attention.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Attention {
    pub batch: u32,
    pub context: u32,
    pub heads: u32,
    pub head_quads: u32,
    pub query: u32,
    pub key: u32,
    pub value: u32,
    pub stride: u32,
    pub scale: f32,
    pub rate: f32,
    pub seed: u32,
    pub stream: u32,
    pub zero: u32,
    pub pad0: u32,
    pub pad1: u32,
    pub pad2: u32,
}

impl Attention {
    /// Rows of queries, keys and values in one buffer, side by side: `[batch · context, 3, heads, head_quads]`.
    pub fn fused(batch: u32, context: u32, heads: u32, head_quads: u32) -> Attention {
        let hidden = heads * head_quads;
        let sizes = Attention::planes(batch, context, heads, head_quads);
        Attention { key: hidden, value: 2 * hidden, stride: 3 * hidden, ..sizes }
    }

    /// Queries, keys and values in one buffer, one after the other: `[3, batch · context, heads, head_quads]`.
    pub fn planes(batch: u32, context: u32, heads: u32, head_quads: u32) -> Attention {
        let hidden = heads * head_quads;
        let plane = batch * context * hidden;
        let scale = (4.0 * f64::from(head_quads)).sqrt().recip() as f32;
        let parts = Attention { query: 0, key: plane, value: 2 * plane, stride: hidden, ..Attention::default() };
        Attention { batch, context, heads, head_quads, scale, ..parts }
    }

    /// Numbers in a row of one head.
    pub fn width(&self) -> usize {
        self.head_quads as usize * 4
    }

    /// First number of a token in a part of qkv, at this example and head.
    pub fn part(&self, part: u32, [example, head]: [usize; 2], token: usize) -> usize {
        let row = example * self.context as usize + token;
        part as usize * 4 + row * self.stride as usize * 4 + head * self.width()
    }

    /// First number of a token in out or dout.
    pub fn out(&self, [example, head]: [usize; 2], token: usize) -> usize {
        ((example * self.context as usize + token) * self.heads as usize + head) * self.width()
    }

    /// The place of a query's number in lse and delta.
    pub fn number(&self, [example, head]: [usize; 2], token: usize) -> usize {
        (example * self.heads as usize + head) * self.context as usize + token
    }

    /// Every head of every example.
    pub fn places(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let heads = self.heads as usize;
        (0..self.batch as usize).flat_map(move |example| (0..heads).map(move |head| [example, head]))
    }

    /// The keys that a query sees.
    pub fn seen<'a>(
        &self,
        mask: &'a [u32],
        [example, _]: [usize; 2],
        query: usize,
        causal: bool,
    ) -> impl Iterator<Item = usize> + 'a {
        let context = self.context as usize;
        let end = if causal { query + 1 } else { context };
        (0..end).filter(move |key| mask[example * context + key] != 0)
    }

    /// What dropout multiplies the weight of a key with; 1 without a position.
    pub fn kept(&self, position: Option<&Position>, place: [usize; 2], query: usize, key: usize) -> f32 {
        let Some(position) = position else { return 1.0 };
        let index = ((place[0] * self.heads as usize + place[1]) * self.context as usize + query) as u32;
        let (threshold, scale) = ((self.rate * 4_294_967_296.0) as u32, 1.0 / (1.0 - self.rate));
        let dropout = Dropout { seed: self.seed, stream: self.stream, threshold, scale, ..Dropout::default() };
        dropout.factor(pcg(dropout.key(position) ^ pcg(index)), key as u32)
    }
}
