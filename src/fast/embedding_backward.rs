//! Fast form of [`twin::nn::embedding_backward`](crate::twin::nn::embedding_backward).

use crate::twin::shared::{Embedding, NONE};
use rayon::prelude::*;

/// Entries of the table that a thread takes at least: most are filled with zeros.
const LEAST_ENTRIES: usize = 64;

/// The sum of dy over the rows that name an entry: overwrites the whole table, or is added where `accumulate` is set.
pub fn embedding_backward(
    tokens: &[u32],
    previous: &[u32],
    last: &[u32],
    dy: &[f32],
    dtable: &mut [f32],
    shape: &Embedding,
    accumulate: bool,
) {
    let (width, stride, entries) = (shape.width as usize, shape.stride(), shape.entries as usize);
    let tokens = &tokens[..shape.rows as usize];
    let slots = dtable[..entries * width].par_chunks_mut(width).zip(&last[..entries]).enumerate();
    slots.with_min_len(LEAST_ENTRIES).for_each(|(entry, (slots, last))| {
        // What the batch does not name has an old row.
        if tokens.get(*last as usize) != Some(&(entry as u32)) {
            if !accumulate {
                slots.fill(0.0);
            }
            return;
        }
        let mut sums = vec![0.0f64; width];
        let mut row = *last;
        while row != NONE {
            let values = &dy[row as usize * stride..][..width];
            sums.iter_mut().zip(values).for_each(|(sum, d)| *sum += f64::from(*d));
            row = previous[row as usize];
        }
        for (slot, sum) in slots.iter_mut().zip(sums) {
            *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
        }
    });
}
