//! Twin of `shaders/nn/prefix_tokens_backward_input.wgsl`.

use crate::twin::shared::PrefixTokens;

/// The gradient of the patches: that of y without the tokens in front.
pub fn prefix_tokens_backward_input(dy: &[f32], dx: &mut [f32], shape: &PrefixTokens) {
    let (stride, patches) = (shape.stride(), shape.patches as usize);
    for b in 0..shape.batch as usize {
        let from = (b * shape.rows() + shape.tokens as usize) * stride;
        dx[b * patches * stride..][..patches * stride].copy_from_slice(&dy[from..][..patches * stride]);
    }
}
