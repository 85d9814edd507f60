//! Twin of `shaders/nn/embedding_backward.wgsl`.

use crate::twin::shared::{Embedding, NONE, Squares, write_squares};

/// The sum of dy over the rows that name an entry: overwrites the whole table, or is added where `accumulate` is set.
pub fn embedding_backward(
    tokens: &[u32],
    previous: &[u32],
    last: &[u32],
    dy: &[f32],
    dtable: &mut [f32],
    shape: &Embedding,
    accumulate: bool,
) {
    let (width, stride) = (shape.width as usize, shape.stride());
    for entry in 0..shape.entries {
        // What the batch does not name has an old row.
        let named = tokens[..shape.rows as usize].get(last[entry as usize] as usize) == Some(&entry);
        let mut sums = vec![0.0f64; width];
        let mut row = if named { last[entry as usize] } else { NONE };
        while row != NONE {
            let values = &dy[row as usize * stride..][..width];
            sums.iter_mut().zip(values).for_each(|(sum, d)| *sum += f64::from(*d));
            row = previous[row as usize];
        }
        for (slot, sum) in dtable[entry as usize * width..][..width].iter_mut().zip(sums) {
            *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
        }
    }
}

/// The chains of a table that has no index: previous, and last with `NONE` for what no row names.
pub fn chains(tokens: &[u32], shape: &Embedding) -> [Vec<u32>; 2] {
    let mut last = vec![NONE; shape.entries as usize];
    let mut previous = vec![NONE; shape.rows as usize];
    for ((row, token), previous) in (0..).zip(tokens).zip(&mut previous) {
        if let Some(last) = last.get_mut(*token as usize) {
            *previous = std::mem::replace(last, row);
        }
    }
    [previous, last]
}

/// The squares of a table that was overwritten. Each of `workgroup` neighbouring invocations makes every `workgroup`th
/// of their vec4s, `quads` in all.
pub fn embedding_backward_squares(
    dtable: &[f32],
    shape: &Embedding,
    [workgroup, quads]: [usize; 2],
    squares: &mut [Squares],
) {
    let (width, row) = (shape.width as usize, shape.quads as usize);
    let invocations = (shape.entries as usize * row).div_ceil(workgroup * quads) * workgroup;
    write_squares(&mut squares[..invocations], &dtable[..shape.entries as usize * width], |place| {
        let quad = place / width * row + place % width / 4;
        quad / (workgroup * quads) * workgroup + quad % workgroup
    });
}
