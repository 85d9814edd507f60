//! Twin of `shaders/nn/prefix_tokens.wgsl`.

use crate::twin::shared::PrefixTokens;

/// The tokens in front of each picture's patches, of which there are one or two, and a position added to every row.
pub fn prefix_tokens(x: &[f32], first: &[f32], second: &[f32], positions: &[f32], y: &mut [f32], shape: &PrefixTokens) {
    let (width, stride) = (shape.width as usize, shape.stride());
    let (tokens, patches, rows) = (shape.tokens as usize, shape.patches as usize, shape.rows());
    for (place, row) in y.chunks_exact_mut(stride).take(shape.batch as usize * rows).enumerate() {
        let (b, r) = (place / rows, place % rows);
        let own = match r {
            _ if r >= tokens => &x[(b * patches + r - tokens) * stride..][..width],
            0 => &first[..width],
            _ => &second[..width],
        };
        row.fill(0.0);
        for (c, slot) in row[..width].iter_mut().enumerate() {
            *slot = own[c] + positions[r * width + c];
        }
    }
}
