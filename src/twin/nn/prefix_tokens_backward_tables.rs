//! Twin of `shaders/nn/prefix_tokens_backward_tables.wgsl`.

use crate::twin::shared::PrefixTokens;

/// The gradients of the two tokens and of the positions, added to what is there where `accumulate` is set. What is frozen, or
/// not there, is `None`.
pub fn prefix_tokens_backward_tables(
    dy: &[f32],
    mut tokens: [Option<&mut [f32]>; 2],
    mut dpositions: Option<&mut [f32]>,
    shape: &PrefixTokens,
    accumulate: bool,
) {
    let (width, stride, rows) = (shape.width as usize, shape.stride(), shape.rows());
    let store = |slot: &mut f32, sum: f64| *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
    for r in 0..rows {
        for c in 0..width {
            let sum: f64 = (0..shape.batch as usize).map(|b| f64::from(dy[(b * rows + r) * stride + c])).sum();
            if let Some(dpositions) = &mut dpositions {
                store(&mut dpositions[r * width + c], sum);
            }
            if let Some(Some(dtoken)) = tokens.get_mut(r) {
                store(&mut dtoken[c], sum);
            }
        }
    }
}
