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
    let store = |slots: &mut [f32], sums: &[f64]| {
        for (slot, sum) in slots.iter_mut().zip(sums) {
            *slot = *sum as f32 + if accumulate { *slot } else { 0.0 };
        }
    };
    let mut sums = vec![0.0f64; width];
    for r in 0..rows {
        sums.fill(0.0);
        for b in 0..shape.batch as usize {
            let row = &dy[(b * rows + r) * stride..][..width];
            sums.iter_mut().zip(row).for_each(|(sum, dy)| *sum += f64::from(*dy));
        }
        if let Some(dpositions) = &mut dpositions {
            store(&mut dpositions[r * width..][..width], &sums);
        }
        if let Some(Some(dtoken)) = tokens.get_mut(r) {
            store(dtoken, &sums);
        }
    }
}
