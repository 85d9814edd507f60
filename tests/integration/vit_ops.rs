//! The operations of vision transformers: each kernel against its twin over plain memory, at sizes that fill nothing evenly, with the
//! sizes of workgroups of a processor and of a GPU.

use crate::support::gpus;
use crate::trial::{Trial, activations, agree, any, dense, floats, junk, record, regrid};
use gradus::engine::layout::{LayerScale, PrefixTokens};
use gradus::nn::ops;

/// Pictures, tokens in front, patches and width.
const PICTURES: [[usize; 4]; 7] =
    [[1, 1, 1, 1], [1, 2, 1, 4], [2, 1, 5, 3], [3, 2, 4, 8], [70, 1, 3, 5], [4, 2, 63, 36], [5, 1, 13, 130]];

/// Rows and widths.
const ROWS: [[usize; 2]; 9] = [[1, 1], [1, 4], [2, 130], [3, 5], [8, 64], [33, 20], [130, 17], [700, 9], [1030, 24]];

#[test]
fn vit_prefix_tokens_agree_with_their_twin() {
    for gpu in gpus() {
        for (case, [batch, tokens, patches, width]) in PICTURES.into_iter().enumerate() {
            let (shape, seed) = (PrefixTokens::new(batch, [tokens, patches], width), case as u32);
            let (rows, what) = (batch * shape.rows(), format!("{shape:?}"));
            let [second] = any(&gpu);
            let dispatch = ops::prefix_tokens(&gpu, &shape, any(&gpu), (tokens == 2).then_some(second));
            let tables = [dense(seed + 1, width), dense(seed + 2, width), dense(seed + 3, shape.rows() * width)];
            let [first, second, positions] = tables;
            let y = junk(rows * shape.stride());
            let memory = vec![activations(seed, batch * patches, width), first, second, positions, y, record(shape)];
            let mut trial = Trial::of(&dispatch.expect("a dispatch"), memory);
            regrid(&mut trial, case % 3);
            agree(&gpu, &trial, 1, &what);

            let dispatch = ops::prefix_tokens_backward_input(&gpu, &shape, any(&gpu)).expect("a dispatch");
            let dx = junk(batch * patches * shape.stride());
            let mut trial = Trial::of(&dispatch, vec![activations(seed, rows, width), dx, record(shape)]);
            regrid(&mut trial, case % 3);
            agree(&gpu, &trial, 0, &what);
        }
    }
}

/// What is frozen is not written, and an earlier micro-batch is added to.
#[test]
fn vit_prefix_tokens_backward_to_tables_agrees_with_its_twin() {
    for gpu in gpus() {
        for (case, [batch, tokens, patches, width]) in PICTURES.into_iter().enumerate() {
            let (shape, seed) = (PrefixTokens::new(batch, [tokens, patches], width), case as u32);
            for wanted in [[true; 3], [true, false, false], [false, true, false], [false, false, true]] {
                let wanted = [wanted[0], wanted[1] && tokens == 2, wanted[2]];
                for accumulate in [false, true] {
                    let [range] = any(&gpu);
                    let gradients = wanted.map(|is_wanted| is_wanted.then(|| range.clone()));
                    let dispatch =
                        ops::prefix_tokens_backward_tables(&gpu, &shape, range.clone(), gradients, accumulate);
                    let place = |number: usize, count: usize| match (wanted[number], accumulate) {
                        (true, true) => dense(seed + number as u32, count),
                        (true, false) => junk(count),
                        (false, _) => junk(0),
                    };
                    let places = [place(0, width), place(1, width), place(2, shape.rows() * width)];
                    let dy = activations(seed + 9, batch * shape.rows(), width);
                    let memory = [dy].into_iter().chain(places).chain([record(shape)]).collect();
                    let mut trial = Trial::of(&dispatch.expect("a dispatch"), memory);
                    regrid(&mut trial, case % 3);
                    agree(&gpu, &trial, batch, &format!("{shape:?}, {wanted:?}, accumulate {accumulate}"));
                }
            }
        }
    }
}

#[test]
fn vit_layer_scale_agrees_with_its_twin() {
    for gpu in gpus() {
        for (case, [rows, width]) in ROWS.into_iter().enumerate() {
            let (shape, seed) = (LayerScale::new(rows, width), case as u32);
            let what = format!("{shape:?}");
            for residual in [false, true] {
                let with = residual.then(|| any::<1>(&gpu)[0].clone());
                let dispatch = ops::layer_scale(&gpu, &shape, any(&gpu), with).expect("a dispatch");
                let (x, scale) = (activations(seed, rows, width), dense(seed + 1, width));
                let mut memory = vec![x, scale, junk(rows * shape.stride()), record(shape)];
                memory.extend(residual.then(|| activations(seed + 2, rows, width)));
                let mut trial = Trial::of(&dispatch, memory);
                regrid(&mut trial, case % 3);
                agree(&gpu, &trial, 1, &what);
            }
            for accumulate in [false, true] {
                let dispatch = ops::layer_scale_backward(&gpu, &shape, any(&gpu), accumulate).expect("a dispatch");
                let (dy, x) = (activations(seed, rows, width), activations(seed + 1, rows, width));
                let dscale = if accumulate { dense(seed + 2, width) } else { junk(width) };
                let trial = Trial::of(&dispatch, vec![dy, x, dscale, record(shape)]);
                let got = agree(&gpu, &trial, rows, &format!("{what}, accumulate {accumulate}"));
                assert!(floats(&got[2])[..width].iter().all(|number| number.abs() < 1e6), "{what}: all are written");
            }
        }
    }
}
