//! Twin of `shaders/nn/mean_pool_backward.wgsl`.

use crate::twin::shared::Pool;

/// Each token that the mask leaves gets its share of its sequence's gradient, or the last of them all of it; the others 0.
pub fn mean_pool_backward(dy: &[f32], mask: &[u32], dx: &mut [f32], shape: &Pool, last: bool) {
    let (stride, context) = (shape.stride(), shape.context as usize);
    for b in 0..shape.batch as usize {
        dx[b * context * stride..][..context * stride].fill(0.0);
        let rows = shape.pooled(b, mask, last);
        let count = rows.len().max(1) as f32;
        for r in rows {
            for c in 0..stride {
                dx[r * stride + c] = dy[b * stride + c] / count;
            }
        }
    }
}
