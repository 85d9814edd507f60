//! Twin of `shaders/optim/product.wgsl`.

use crate::twin::shared::{LEFT_TURNED, OUT_TURNED, Product, RIGHT_TURNED, SYMMETRIC};

/// c = scale (a b + kept d) + diagonal 1 of so many matrices.
pub fn product(places: &[u32], left: &[f32], right: &[f32], added: &[f32], out: &mut [f32], product: &Product) {
    let [rows, columns, inner] = [product.rows, product.columns, product.inner].map(|length| length as usize);
    let at = |turned: u32, row: usize, column: usize, [rows, columns]: [usize; 2]| match product.flags & turned {
        0 => row * columns + column,
        _ => column * rows + row,
    };
    for number in 0..product.matrices as usize {
        let [a, b, d, c] = product.ranges(places, number);
        let (a, b, d, c) = (&left[a], &right[b], &added[d], &mut out[c]);
        for i in 0..rows {
            let is_symmetric = product.flags & SYMMETRIC != 0;
            for j in 0..if is_symmetric { i + 1 } else { columns } {
                let term = |k: usize| {
                    let a = a[at(LEFT_TURNED, i, k, [rows, inner])];
                    f64::from(a) * f64::from(b[at(RIGHT_TURNED, k, j, [inner, columns])])
                };
                let place = at(OUT_TURNED, i, j, [rows, columns]);
                let sum = (0..inner).map(term).sum::<f64>() as f32;
                let kept = d.get(place).map_or(0.0, |d| product.kept * d);
                c[place] = product.scale * (sum + kept) + if i == j { product.diagonal } else { 0.0 };
                if is_symmetric {
                    c[at(OUT_TURNED, j, i, [rows, columns])] = c[place];
                }
            }
        }
    }
}
