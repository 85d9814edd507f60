//! Twin of `shaders/nn/embedding.wgsl`.

use crate::twin::shared::{Embedding, Stored};

/// The embeddings of tokens, positions and (where given, with their table) types, added up; tables as `S` stores them.
pub fn embedding<S: Stored>(
    tokens: &[u32],
    token_table: &[S],
    position_table: &[S],
    y: &mut [f32],
    shape: &Embedding,
    types: Option<(&[u32], &[S])>,
) {
    let (width, stride) = (shape.width as usize, shape.stride());
    for r in 0..shape.rows as usize {
        let token = tokens[r].min(shape.entries - 1) as usize;
        let position = shape.first_position as usize + r % shape.context as usize;
        for (c, slot) in y[r * stride..][..stride].iter_mut().enumerate() {
            if c >= width {
                *slot = 0.0;
                continue;
            }
            *slot = token_table[token * width + c].load() + position_table[position * width + c].load();
            if let Some((types, table)) = types {
                *slot += table[types[r].min(shape.types - 1) as usize * width + c].load();
            }
        }
    }
}
