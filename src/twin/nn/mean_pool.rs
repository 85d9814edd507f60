//! Twin of `shaders/nn/mean_pool.wgsl`.

use crate::twin::shared::Pool;

/// The mean over the tokens that a mask leaves, or the last of them; 0 if it leaves none.
pub fn mean_pool(x: &[f32], mask: &[u32], y: &mut [f32], shape: &Pool, last: bool) {
    let stride = shape.stride();
    for b in 0..shape.batch as usize {
        let rows = shape.pooled(b, mask, last);
        let count = rows.len().max(1) as f64;
        for c in 0..stride {
            let sum: f64 = rows.iter().map(|r| f64::from(x[r * stride + c])).sum();
            y[b * stride + c] = (sum / count) as f32;
        }
    }
}
