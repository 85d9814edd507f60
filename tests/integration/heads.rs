//! What stands between the vector of an example and its loss: two values side by side, the last token, and the losses of
//! labels and numbers.

use crate::support::gpus;
use crate::trial::{Trial, activations, agree, junk, regrid};
use gradus::engine::layout::{Join, Pool};
use gradus::engine::{Engine, Range};
use gradus::nn::ops;

/// A record as memory.
fn record<T: bytemuck::NoUninit>(record: T) -> Vec<u32> {
    bytemuck::cast_slice(&[record]).to_vec()
}

/// Memory for a dispatch of which only kernel, constants and grid are used.
fn any<const N: usize>(engine: &Engine) -> [Range; N] {
    let range = engine.buffer("any", 16).expect("a buffer").all();
    std::array::from_fn(|_| range.clone())
}

#[test]
fn join_puts_rows_side_by_side_and_takes_them_apart() {
    for gpu in gpus() {
        for (case, [rows, left, right]) in [[1, 4, 1], [3, 8, 5], [70, 12, 130], [9, 384, 3]].into_iter().enumerate() {
            let (shape, seed) = (Join::new(rows, [left, right]), case as u32);
            let [of_left, both] = shape.strides();
            let (a, b) = (activations(seed, rows, left), activations(seed + 1, rows, right));
            let dispatch = ops::join(&gpu, &shape, any(&gpu)).expect("a dispatch");
            let memory = vec![a.clone(), b.clone(), junk(rows * both), record(shape)];
            let mut trial = Trial::of(&dispatch, memory);
            regrid(&mut trial, case % 3);
            let joined = agree(&gpu, &trial, 0, &format!("{shape:?}"))[2].clone();
            for (is_right, side, stride) in [(false, a, of_left), (true, b, both - of_left)] {
                let dispatch = ops::join_backward(&gpu, &shape, any(&gpu), is_right).expect("a dispatch");
                let mut trial = Trial::of(&dispatch, vec![joined.clone(), junk(rows * stride), record(shape)]);
                regrid(&mut trial, case % 3);
                let parted = agree(&gpu, &trial, 0, &format!("{shape:?}, right: {is_right}"));
                assert_eq!(parted[1][..rows * stride], side[..rows * stride], "{shape:?}, right: {is_right}");
            }
        }
    }
}

/// The last token that the mask leaves, wherever padding stands; nothing where it leaves none.
#[test]
fn the_last_token_is_the_last_that_the_mask_leaves() {
    let engine = Engine::cpu();
    let (batch, context, width) = (4, 5, 6);
    let shape = Pool::new(batch, context, width);
    let mask = vec![1, 1, 1, 0, 0, /**/ 0, 0, 1, 1, 1, /**/ 0, 0, 0, 0, 0, /**/ 1, 0, 1, 0, 0];
    let x = activations(3, batch * context, width);
    let dispatch = ops::mean_pool(&engine, &shape, ops::Tokens::Last, any(&engine)).expect("a dispatch");
    let got = Trial::of(&dispatch, vec![x.clone(), mask, junk(batch * 8), record(shape)]).run(&engine, 0);
    for (b, last) in [Some(2), Some(4), None, Some(2)].into_iter().enumerate() {
        let expected = last.map_or(&[0; 8][..], |last: usize| &x[(b * context + last) * 8..][..8]);
        assert_eq!(got[2][b * 8..][..8], *expected, "sequence {b}");
    }
}
