//! Twin of `shaders/nn/label_confusion.wgsl`.

use crate::twin::shared::{Loss, Position};

/// Counts how often each label is there and is answered to be there; batch 0 starts again.
pub fn label_confusion(
    z: &[f32],
    targets: &[f32],
    labels: &[u32],
    cells: &mut [u32],
    position: &Position,
    shape: &Loss,
) {
    let stride = shape.quads as usize * 4;
    for (k, cells) in cells.chunks_exact_mut(4).take(shape.classes as usize).enumerate() {
        if position.batch == 0 {
            cells.fill(0);
        }
        for (r, label) in labels[..shape.rows as usize].iter().enumerate() {
            let [z, t] = [z, targets].map(|values| values[r * stride + k]);
            if *label != shape.ignore && z.is_finite() && t.is_finite() {
                cells[2 * usize::from(t > 0.5) + usize::from(z > 0.0)] += 1;
            }
        }
    }
}
