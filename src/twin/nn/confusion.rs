//! Twin of `shaders/nn/confusion.wgsl`.

use crate::twin::shared::{Loss, Position};

/// Counts how often rows of each class are answered with each; batch 0 starts again.
pub fn confusion(z: &[f32], labels: &[u32], cells: &mut [u32], position: &Position, shape: &Loss) {
    let (classes, stride) = (shape.classes as usize, shape.quads as usize * 4);
    let cells = &mut cells[..classes * classes];
    if position.batch == 0 {
        cells.fill(0);
    }
    for (r, label) in labels[..shape.rows as usize].iter().enumerate() {
        let row = &z[r * stride..][..classes];
        let is_spoiled = row.iter().any(|logit| !logit.is_finite() && *logit != f32::NEG_INFINITY);
        if *label != shape.ignore && !is_spoiled {
            let answer = (1..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
            cells[(*label as usize).min(classes - 1) * classes + answer] += 1;
        }
    }
}
