//! Twin of `shaders/nn/join_backward.wgsl`.

use crate::twin::shared::Join;

/// One side's part of the gradient: the left one's, or the `right` one's.
pub fn join_backward(dy: &[f32], dx: &mut [f32], shape: &Join, right: bool) {
    let [left, both] = shape.strides();
    let side = if right { left..both } else { 0..left };
    for r in 0..shape.rows as usize {
        dx[r * side.len()..][..side.len()].copy_from_slice(&dy[r * both..][side.clone()]);
    }
}
