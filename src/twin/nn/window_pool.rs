//! Twin of `shaders/nn/window_pool.wgsl`.

use crate::twin::shared::Conv;

/// The largest number below each place of a window and which tap it is below, or the mean: then `which` is `None`.
pub fn window_pool(x: &[f32], y: &mut [f32], mut which: Option<&mut [u32]>, shape: &Conv) {
    for (r, c) in places(shape.rows as usize, shape.output(1, 0)) {
        let below = |tap: usize| Some((tap, x[shape.input(shape.pixel_below(r, tap)?, c)]));
        let numbers = (0..shape.taps()).filter_map(below);
        let at = shape.output(r, c);
        match &mut which {
            None => y[at] = (numbers.map(|(_, x)| f64::from(x)).sum::<f64>() / shape.taps() as f64) as f32,
            Some(which) => {
                let larger = |a: (usize, f32), b: (usize, f32)| match b.1 > a.1 || b.1.is_nan() && !a.1.is_nan() {
                    true => b,
                    false => a,
                };
                let (tap, largest) = numbers.reduce(larger).map_or((u32::MAX, 0.0), |(tap, x)| (tap as u32, x));
                (which[at], y[at]) = (tap, largest);
            }
        }
    }
}

/// Each number of so many rows.
pub(super) fn places(rows: usize, stride: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |r| (0..stride).map(move |c| (r, c)))
}
