//! Twin of `shaders/nn/dropout.wgsl`.

use crate::twin::shared::{Dropout, Position};

/// Drops elements of x, or all of an example, and scales the others; added to a residual if there is one.
pub fn dropout(x: &[f32], y: &mut [f32], position: &Position, shape: &Dropout, residual: Option<&[f32]>) {
    let key = shape.key(position);
    for element in 0..shape.quads * 4 {
        let at = element as usize;
        let dropped = (element / 4).checked_div(shape.together).unwrap_or(element);
        y[at] = residual.map_or(0.0, |residual| residual[at]) + x[at] * shape.factor(key, dropped);
    }
}
