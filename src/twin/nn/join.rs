//! Twin of `shaders/nn/join.wgsl`.

use crate::twin::shared::Join;

/// Two values side by side.
pub fn join(a: &[f32], b: &[f32], y: &mut [f32], shape: &Join) {
    let [left, both] = shape.strides();
    for r in 0..shape.rows as usize {
        let (of_a, of_b) = y[r * both..][..both].split_at_mut(left);
        of_a.copy_from_slice(&a[r * left..][..left]);
        of_b.copy_from_slice(&b[r * (both - left)..][..both - left]);
    }
}
