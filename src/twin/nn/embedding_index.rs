//! Twin of `shaders/nn/embedding_index.wgsl`.

use crate::twin::shared::{Embedding, NONE};

/// The row before each with the same token, and the last row of each token that the batch names.
pub fn embedding_index(tokens: &[u32], previous: &mut [u32], last: &mut [u32], shape: &Embedding) {
    let tokens = &tokens[..shape.rows as usize];
    for (r, token) in tokens.iter().enumerate() {
        previous[r] = tokens[..r].iter().rposition(|other| other == token).map_or(NONE, |before| before as u32);
        last[(*token).min(shape.entries - 1) as usize] = r as u32;
    }
}
