//! Fast forms of the squares of [`linear_backward_weight`](crate::twin::nn::linear_backward_weight_squares),
//! [`conv_backward_weight`](crate::twin::nn::conv_backward_weight_squares) and [`embedding_backward`](crate::twin::nn::embedding_backward_squares): the twins' partial sums, term by term in their
//! order, without a division for each element.

use crate::twin;
use crate::twin::shared::{Conv, Embedding, Linear, Squares, Sum};
use rayon::prelude::*;

/// The squares of the weights, a thread taking rows of tiles; those of the biases by the twin.
pub fn linear_backward_weight_squares(
    dweight: Option<&[f32]>,
    dbias: Option<&[f32]>,
    shape: &Linear,
    tile: [usize; 2],
    squares: &mut [Squares],
) {
    twin::nn::linear_backward_weight_squares(None, dbias, shape, tile, squares);
    let Some(dweight) = dweight else { return };
    let ([side, quads], [inputs, outputs]) = (tile, [shape.inputs, shape.outputs].map(|size| size as usize));
    let edge = 4 * side * quads;
    let (down, across) = (outputs.div_ceil(edge), inputs.div_ceil(edge));
    let tiles = squares[..down * across * side * side].par_chunks_mut(across * side * side);
    tiles.zip(dweight[..inputs * outputs].par_chunks(edge * inputs)).for_each(|(squares, rows)| {
        let mut sums = vec![Sum::default(); squares.len()];
        for (o, row) in rows.chunks(inputs).enumerate() {
            add_row(&mut sums[o / 4 % side * side..], row, side * side, [side, quads]);
        }
        store(squares, &sums);
    });
}

/// Adds a row of weights to the sums of the invocations of each tile that it goes through, `apart` from tile to tile.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_row(sums: &mut [Sum], row: &[f32], apart: usize, [side, quads]: [usize; 2]) {
    for (tile, part) in row.chunks(4 * side * quads).enumerate() {
        for stretch in part.chunks(4 * side) {
            for (sum, quad) in sums[tile * apart..].iter_mut().zip(stretch.chunks(4)) {
                quad.iter().for_each(|gradient| sum.add(*gradient));
            }
        }
    }
}

/// The squares of the weights of a convolution: where quads of its inputs are whole, those of a linear layer over all taps.
pub fn conv_backward_weight_squares(
    dweight: Option<&[f32]>,
    dbias: Option<&[f32]>,
    shape: &Conv,
    tile: [usize; 2],
    squares: &mut [Squares],
) {
    if shape.groups() > 1 || !shape.group_inputs.is_multiple_of(4) {
        return twin::nn::conv_backward_weight_squares(dweight, dbias, shape, tile, squares);
    }
    let linear = Linear::new(0, shape.depth(), shape.outputs as usize);
    linear_backward_weight_squares(dweight, dbias, &linear, tile, squares);
}

/// The squares of a table that was overwritten, each thread takes the vec4s of neighbouring invocations.
pub fn embedding_backward_squares(
    dtable: &[f32],
    shape: &Embedding,
    [workgroup, quads]: [usize; 2],
    squares: &mut [Squares],
) {
    let (width, row) = (shape.width as usize, shape.quads as usize);
    let (all, group) = (shape.entries as usize * row, workgroup * quads);
    let invocations = all.div_ceil(group) * workgroup;
    squares[..invocations].par_chunks_mut(workgroup).enumerate().for_each(|(number, squares)| {
        let mut sums = vec![Sum::default(); workgroup];
        let first = number * group;
        let (mut entry, mut quad) = (first / row, first % row);
        for place in 0..group.min(all - first) {
            let numbers = &dtable[entry * width + 4 * quad..(entry * width + 4 * quad + 4).min((entry + 1) * width)];
            numbers.iter().for_each(|gradient| sums[place % workgroup].add(*gradient));
            quad += 1;
            if quad == row {
                (entry, quad) = (entry + 1, 0);
            }
        }
        store(squares, &sums);
    });
}

fn store(squares: &mut [Squares], sums: &[Sum]) {
    squares.iter_mut().zip(sums).for_each(|(squares, sum)| *squares = sum.squares());
}

#[cfg(test)]
mod tests {
    use super::*;

    type OfWindows = fn(Option<&[f32]>, Option<&[f32]>, &Conv, [usize; 2], &mut [Squares]);
    type OfWeights = fn(Option<&[f32]>, Option<&[f32]>, &Linear, [usize; 2], &mut [Squares]);

    fn gradients(count: usize) -> Vec<f32> {
        (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
    }

    #[test]
    fn they_are_the_twins() {
        for [outputs, inputs, side, quads] in [[7, 10, 1, 2], [64, 96, 1, 2], [130, 70, 8, 1], [33, 200, 8, 2]] {
            let shape = Linear { inputs: inputs as u32, outputs: outputs as u32, ..bytemuck::Zeroable::zeroed() };
            let (weight, bias) = (gradients(inputs * outputs), gradients(outputs));
            let edge = 4 * side * quads;
            let down = outputs.div_ceil(edge);
            let count = down * inputs.div_ceil(edge) * side * side + down * side;
            let of = |form: OfWeights| {
                let mut squares = vec![Squares { sum: 7.0, mark: 0 }; count];
                form(Some(&weight), Some(&bias), &shape, [side, quads], &mut squares);
                squares
            };
            assert_eq!(of(linear_backward_weight_squares), of(twin::nn::linear_backward_weight_squares));
        }
        for [inputs, outputs, taps, side, quads] in
            [[4usize, 9, 9, 1, 2], [12, 33, 9, 8, 1], [6, 7, 4, 1, 2], [8, 64, 1, 8, 2]]
        {
            let shape = Conv {
                inputs: inputs as u32,
                group_inputs: inputs as u32,
                input_quads: inputs.div_ceil(4) as u32,
                outputs: outputs as u32,
                group_outputs: outputs as u32,
                kernel_height: 1,
                kernel_width: taps as u32,
                ..bytemuck::Zeroable::zeroed()
            };
            let (weight, bias) = (gradients(taps * inputs * outputs), gradients(outputs));
            let edge = side * quads;
            let down = outputs.div_ceil(4 * edge);
            let across = (taps * inputs.div_ceil(4)).div_ceil(edge);
            let of = |form: OfWindows| {
                let mut squares = vec![Squares { sum: 7.0, mark: 0 }; down * across * side * side + down * side];
                form(Some(&weight), Some(&bias), &shape, [side, quads], &mut squares);
                squares
            };
            assert_eq!(of(conv_backward_weight_squares), of(twin::nn::conv_backward_weight_squares));
        }
        for [entries, width, workgroup, quads] in [[5usize, 10, 8, 2], [300, 12, 64, 1], [31, 64, 64, 3]] {
            let row = width.div_ceil(4);
            let shape = Embedding {
                entries: entries as u32,
                width: width as u32,
                quads: row as u32,
                ..bytemuck::Zeroable::zeroed()
            };
            let table = gradients(entries * width);
            let of = |form: fn(&[f32], &Embedding, [usize; 2], &mut [Squares])| {
                let mut squares = vec![Squares::default(); (entries * row).div_ceil(workgroup * quads) * workgroup];
                form(&table, &shape, [workgroup, quads], &mut squares);
                squares
            };
            assert_eq!(of(embedding_backward_squares), of(twin::nn::embedding_backward_squares));
        }
    }
}
