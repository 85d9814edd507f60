//! Fast form of [`twin::optim::product`](crate::twin::optim::product).

use super::matrix::{add_product, lower_product, matrix, matrix_mut, multiply};
use super::update::parts;
use crate::twin::shared::{LEFT_TURNED, OUT_TURNED, Product, RIGHT_TURNED, SYMMETRIC};
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

/// c = scale (a b + kept d) + diagonal 1 of so many matrices: several at once where there are many, else each on all cores.
pub fn product(places: &[u32], left: &[f32], right: &[f32], added: &[f32], out: &mut [f32], product: &Product) {
    let ranges: Vec<_> = (0..product.matrices as usize).map(|number| product.ranges(places, number)).collect();
    let outs = parts(out, ranges.iter().map(|[.., out]| out.clone()));
    let of = |([a, b, d, _], c): (&[std::ops::Range<usize>; 4], &mut [f32]), is_shared: bool| {
        c.iter_mut().zip(&added[d.clone()]).for_each(|(c, d)| *c = *d);
        let [rows, columns, inner] = [product.rows, product.columns, product.inner].map(|length| length as usize);
        let a = turned(&left[a.clone()], [rows, inner], product.flags & LEFT_TURNED != 0);
        let b = turned(&right[b.clone()], [inner, columns], product.flags & RIGHT_TURNED != 0);
        let is_turned = product.flags & OUT_TURNED != 0;
        let whole = turned_mut(c, [rows, columns], is_turned);
        match (product.flags & SYMMETRIC != 0, is_shared) {
            (true, _) => lower_product(a, b, product.kept, whole, is_shared),
            (false, true) => multiply(a, b, product.kept, whole, |_, _, _| {}),
            (false, false) => add_product(a, b, product.kept, whole),
        }
        c.iter_mut().for_each(|c| *c *= product.scale);
        turned_mut(c, [rows, columns], is_turned).diag_mut().iter_mut().for_each(|c| *c += product.diagonal);
    };
    if ranges.len() >= rayon::current_num_threads() {
        ranges.par_iter().zip(outs).for_each(|it| of(it, false));
    } else {
        ranges.iter().zip(outs).for_each(|it| of(it, true));
    }
}

/// A matrix that is stored row after row, or column after column.
fn turned(numbers: &[f32], [rows, columns]: [usize; 2], is_turned: bool) -> ArrayView2<'_, f32> {
    if is_turned {
        matrix(numbers, [columns, rows], rows).reversed_axes()
    } else {
        matrix(numbers, [rows, columns], columns)
    }
}

/// The same, to be written.
fn turned_mut(numbers: &mut [f32], [rows, columns]: [usize; 2], is_turned: bool) -> ArrayViewMut2<'_, f32> {
    match is_turned {
        true => matrix_mut(numbers, [columns, rows], rows).reversed_axes(),
        false => matrix_mut(numbers, [rows, columns], columns),
    }
}
