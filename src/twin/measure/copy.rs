//! Twin of `shaders/measure/copy.wgsl`.

/// to = source.
pub fn copy(source: &[f32], to: &mut [f32]) {
    to.copy_from_slice(&source[..to.len()]);
}
